//! Access tokens of one connection, at the lab's token service.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use tokio::time::timeout;
use wharf_domain::ids::Alphabet;
use wharf_egress::{Guard, Policy};
use wharf_lab::google::{GoogleLab, GrantState, NewClient};
use wharf_lab::{Action, FaultRule, Lab, LabConfig, Match, Operation};
use wharf_ports::{Clock, LoneSession};

use super::*;

const CLIENT: &str = "123-abc.apps.googleusercontent.com";

struct Now;

impl Clock for Now {
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab gives tokens by the time of this machine"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

/// The lab's time, and on demand a little before the end of a token that lives an hour.
#[derive(Default)]
struct NearItsEnd(AtomicBool);

impl Clock for NearItsEnd {
    fn now(&self) -> Timestamp {
        let is_near = self.0.load(Ordering::Relaxed);
        Now.now() + TimeDelta::minutes(if is_near { 57 } else { 0 })
    }
}

struct Chance;

impl IdSource for Chance {
    fn token(&self, _: Alphabet, length: usize) -> String {
        "a".repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(9);
    }
}

/// A lab in which somebody consented, with the refresh token.
async fn consented() -> (Lab, String) {
    let lab = Lab::start(LabConfig::default()).await.unwrap();
    let google = lab.google();
    google.add_user("ada@example.com", "Ada");
    google.add_client(NewClient {
        client_id: CLIENT.to_owned(),
        client_secret: "GOCSPX-secret".to_owned(),
        redirect_uris: Vec::new(),
    });
    let scopes = [super::super::SCOPE];
    let refresh_token = google.grant(CLIENT, "ada@example.com", &scopes).unwrap();
    (lab, refresh_token)
}

fn alone() -> Arc<dyn Sessions> {
    Arc::new(LoneSession::new(Arc::new(Now)))
}

fn access(google: &GoogleLab, refresh_token: &str, sessions: &Arc<dyn Sessions>) -> Access {
    access_by(Arc::new(Now), google, refresh_token, sessions)
}

fn access_by(
    clock: Arc<dyn Clock>,
    google: &GoogleLab,
    refresh_token: &str,
    sessions: &Arc<dyn Sessions>,
) -> Access {
    let policy = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    let service = TokenService::new(
        google.token_url().parse().unwrap(),
        Arc::new(Guard::new(policy)),
        clock,
    );
    let proof = Proof::Person {
        client_id: CLIENT.to_owned(),
        client_secret: SecretString::new("GOCSPX-secret".to_owned()),
        refresh_token: SecretString::new(refresh_token.to_owned()),
    };
    Access::new(proof, service, Arc::clone(sessions), Arc::new(Chance))
}

fn token_requests(google: &GoogleLab) -> usize {
    let journal = google.journal().into_iter();
    let asked = journal.filter(|entry| entry.operation == Operation::GoogleToken);
    asked.count()
}

fn at_token_service() -> Match {
    Match::operation(Operation::GoogleToken)
}

#[tokio::test]
async fn however_many_ask_one_signs_in_and_all_get_its_token() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    let slow = Action::delay(Duration::from_millis(150));
    google.add_fault(FaultRule::new(at_token_service(), slow));
    let sessions = alone();
    let replicas = [(); 3].map(|()| access(google, &refresh_token, &sessions));
    let asking = replicas
        .iter()
        .flat_map(|replica| (0..10).map(move |_| replica.token()));
    let tokens = join_all(asking).await;
    let first = tokens[0].as_ref().unwrap().expose();
    assert!(
        tokens
            .iter()
            .all(|token| token.as_ref().unwrap().expose() == first)
    );
    assert_eq!(token_requests(google), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let (lab, refresh_token) = consented().await;
    let access = access(lab.google(), &refresh_token, &alone());
    let first = access.token().await.unwrap();
    for _ in 0..3 {
        access.reject(&first).await;
    }
    let second = access.token().await.unwrap();
    assert_ne!(first.expose(), second.expose());
    access.reject(&first).await;
    assert_eq!(access.token().await.unwrap().expose(), second.expose());
    assert_eq!(token_requests(lab.google()), 2);
}

#[tokio::test]
async fn a_refresh_token_given_in_place_of_another_is_the_one_that_counts() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    google.rotate_refresh_tokens(true);
    let sessions = alone();
    for _ in 0..3 {
        // As if opened anew with what is stored, and as by another replica.
        let access = access(google, &refresh_token, &sessions);
        access.sign_in_anew().await.unwrap();
        access.sign_in_anew().await.unwrap();
    }
    let rotated = sessions.rotated().await.unwrap().unwrap();
    assert_ne!(rotated.expose(), refresh_token);
}

#[tokio::test]
async fn whoever_stops_waiting_loses_no_refresh_token() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    google.rotate_refresh_tokens(true);
    let slow = Action::delay(Duration::from_millis(200));
    google.add_fault(FaultRule::new(at_token_service(), slow));
    let sessions = alone();
    let access = access(google, &refresh_token, &sessions);
    let impatient = timeout(Duration::from_millis(50), access.sign_in_anew()).await;
    assert!(impatient.is_err());
    for _ in 0..100 {
        if sessions.rotated().await.unwrap().is_some() {
            return access.sign_in_anew().await.unwrap();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the new refresh token was lost");
}

#[tokio::test]
async fn what_somebody_else_is_getting_is_waited_for() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    let sessions = alone();
    let Taken::Refresh(right) = sessions.take(TokenWish::Any).await.unwrap() else {
        panic!("the first to ask")
    };
    let access = access(google, &refresh_token, &sessions);
    let (token, ()) = tokio::join!(access.token(), async {
        sleep(Duration::from_millis(100)).await;
        let token = SecretString::new("ya29.theirs".to_owned());
        let renew_at = Now.now() + TimeDelta::hours(1);
        sessions.keep(right, token, renew_at, None).await.unwrap();
    });
    assert_eq!(token.unwrap().expose(), "ya29.theirs");
    assert_eq!(token_requests(google), 0);
}

#[tokio::test]
async fn a_dead_grant_is_told_and_the_right_given_back() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    google.set_grant(&refresh_token, GrantState::Revoked);
    let sessions = alone();
    let access = access(google, &refresh_token, &sessions);
    let fault = access.token().await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::AuthReauthorizationRequired);
    assert!(fault.of_sign_in);
    assert_eq!(token_requests(google), 1);
    let next = sessions.take(TokenWish::Any).await.unwrap();
    assert!(matches!(next, Taken::Refresh(_)));
}

#[tokio::test]
async fn a_token_that_lives_a_minute_serves_everybody_meanwhile() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    google.set_token_seconds(60);
    let sessions = alone();
    for _ in 0..2 {
        let replica = access(google, &refresh_token, &sessions);
        for _ in 0..3 {
            replica.token().await.unwrap();
        }
    }
    assert_eq!(token_requests(google), 1);
}

#[tokio::test]
async fn a_token_that_could_not_be_renewed_ahead_serves_until_its_end() {
    let (lab, refresh_token) = consented().await;
    let google = lab.google();
    google.set_token_seconds(3600);
    let clock = Arc::new(NearItsEnd::default());
    let sessions: Arc<dyn Sessions> = Arc::new(LoneSession::new(Arc::clone(&clock) as _));
    // One has got the token itself, the other found it.
    let replicas = [(); 2].map(|()| {
        let clock = Arc::clone(&clock) as Arc<dyn Clock>;
        access_by(clock, google, &refresh_token, &sessions)
    });
    let access = &replicas[0];
    let first = access.token().await.unwrap();
    replicas[1].token().await.unwrap();
    clock.0.store(true, Ordering::Relaxed);
    let away = Action::status(http::StatusCode::SERVICE_UNAVAILABLE);
    google.add_fault(FaultRule::new(at_token_service(), away));
    for replica in replicas.iter().cycle().take(6) {
        assert_eq!(replica.token().await.unwrap().expose(), first.expose());
    }
    // One try each; then a pause.
    assert_eq!(token_requests(google), 3);
    google.clear_faults();
    access.reject(&first).await;
    assert_ne!(access.token().await.unwrap().expose(), first.expose());
}
