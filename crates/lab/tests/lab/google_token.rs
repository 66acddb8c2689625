//! Google's token endpoint: who gets a token, and what the others are told.

use std::time::Duration;

use serde_json::{Value, json};
use wharf_lab::google::{GoogleLab, GrantState, NewClient, NewServiceAccount, ServiceAccountKey};
use wharf_lab::{Action, FaultRule, Match, Operation};

use crate::google_client::{ANNA, BEN, BOT, Caller, READ, assertion, claims, harbour, token};

const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT: &str = "client-1";
const SECRET: &str = "secret-1";
const UNAUTHORIZED: &str = "Client is unauthorized to retrieve access tokens using this method, or client not \
                            authorized for any of the scopes requested.";
const TIMEFRAME: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable \
                         timeframe. Check your iat and exp values in the JWT claim.";

#[expect(
    clippy::disallowed_methods,
    reason = "assertions are judged by the time of day"
)]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap().as_secs()).unwrap()
}

async fn assert_with(google: &GoogleLab, assertion: &str) -> (u16, Value) {
    token(google, &[("grant_type", BEARER), ("assertion", assertion)]).await
}

async fn claimed(google: &GoogleLab, key: &ServiceAccountKey, changes: Value) -> (u16, Value) {
    let mut claims = claims(key, now());
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    assert_with(google, &assertion(key, &claims)).await
}

fn error(status: u16, error: &str, description: &str) -> (u16, Value) {
    (
        status,
        json!({"error": error, "error_description": description}),
    )
}

#[tokio::test]
async fn a_signed_assertion_opens_drive_for_an_hour() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let key = google.key_file(BOT).unwrap();
    let (status, answer) = claimed(google, &key, json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(answer["expires_in"], 3599);
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer.get("refresh_token"), None);
    let caller = Caller::with(google, answer["access_token"].as_str().unwrap());
    let about = caller.json("about?fields=user").await;
    assert_eq!(about["user"]["emailAddress"], BOT);

    google.advance_clock(3600);
    let expired = caller.get("about?fields=user").await;
    assert_eq!(expired.refusal(), (401, "authError".to_owned()));
    assert_eq!(expired.json()["error"]["status"], "UNAUTHENTICATED");
    let journal = google.journal();
    assert_eq!(journal[0].grant_type.as_deref(), Some(BEARER));
    assert!(!journal[0].bearer);
    assert_eq!(journal[2].user.as_deref(), Some(BOT));
}

#[tokio::test]
async fn an_assertion_that_is_wrong_is_refused_in_googles_words() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let key = google.key_file(BOT).unwrap();
    let grant = |said| error(400, "invalid_grant", said);
    let mut claims = claims(&key, now());
    let right = assertion(&key, &claims);
    claims["scope"] = json!("https://www.googleapis.com/auth/drive");
    let other = assertion(&key, &claims);
    let swapped = format!(
        "{}.{}",
        other.rsplit_once('.').unwrap().0,
        right.rsplit_once('.').unwrap().1
    );
    assert_eq!(
        assert_with(google, &swapped).await,
        grant("Invalid JWT Signature.")
    );
    let unknown_key = ServiceAccountKey {
        private_key_id: "another".to_owned(),
        ..key.clone()
    };
    assert_eq!(
        claimed(google, &unknown_key, json!({})).await,
        grant("Invalid JWT Signature.")
    );
    let now = now();
    for (changes, expected) in [
        (
            json!({"iss": "nobody@x"}),
            grant("Invalid grant: account not found"),
        ),
        (
            json!({"aud": "https://example.com/token"}),
            grant("Invalid JWT: Failed audience check."),
        ),
        (json!({"exp": now + 3601}), grant(TIMEFRAME)),
        (
            json!({"iat": now + 400, "exp": now + 800}),
            grant(TIMEFRAME),
        ),
        (
            json!({"iat": now - 4000, "exp": now - 400}),
            grant(TIMEFRAME),
        ),
        (
            json!({"scope": ""}),
            error(400, "invalid_scope", "Empty or missing scope not allowed."),
        ),
        (
            json!({"scope": "https://www.googleapis.com/auth/drives"}),
            error(
                400,
                "invalid_scope",
                "Invalid OAuth scope or ID token audience provided.",
            ),
        ),
        (
            json!({"sub": ANNA}),
            error(401, "unauthorized_client", UNAUTHORIZED),
        ),
    ] {
        assert_eq!(
            claimed(google, &key, changes.clone()).await,
            expected,
            "{changes}"
        );
    }
    for (changes, expected) in [
        (json!({"iat": now + 250, "exp": now + 800}), 200),
        (json!({"aud": google.token_url()}), 200),
    ] {
        assert_eq!(claimed(google, &key, changes).await.0, expected);
    }
    google.advance_clock(-7200);
    assert_eq!(claimed(google, &key, json!({})).await, grant(TIMEFRAME));
    assert_eq!(
        token(google, &[("grant_type", "password")]).await,
        error(
            400,
            "unsupported_grant_type",
            "Invalid grant_type: password"
        )
    );
    assert_eq!(
        token(google, &[("grant_type", BEARER)]).await,
        error(
            400,
            "invalid_request",
            "Missing required parameter: assertion"
        )
    );
    assert_eq!(assert_with(google, "a.b.c").await.0, 400);
}

#[tokio::test]
async fn a_key_that_was_replaced_and_an_account_that_is_gone_are_refused() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let key = google.key_file(BOT).unwrap();
    let grant = |said| error(400, "invalid_grant", said);
    let others = google
        .add_service_account(NewServiceAccount {
            email: "other@lab-project.iam.gserviceaccount.com".to_owned(),
            ..NewServiceAccount::default()
        })
        .unwrap();
    assert!(google.replace_key(BOT, &others.private_key));
    assert_eq!(
        claimed(google, &key, json!({})).await,
        grant("Invalid JWT Signature.")
    );
    let key = google.key_file(BOT).unwrap();
    assert_eq!(claimed(google, &key, json!({})).await.0, 200);
    google.delete_account(BOT);
    assert_eq!(
        claimed(google, &key, json!({})).await,
        grant("Invalid grant: account not found")
    );
}

#[tokio::test]
async fn a_person_is_impersonated_for_the_delegated_scope_only() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let key = google.key_file(BOT).unwrap();
    google.delegate(BOT, [READ.to_owned()]);
    let (status, answer) = claimed(google, &key, json!({"sub": ANNA})).await;
    assert_eq!(status, 200);
    let caller = Caller::with(google, answer["access_token"].as_str().unwrap());
    let about = caller.json("about?fields=user/emailAddress").await;
    assert_eq!(about, json!({"user": {"emailAddress": ANNA}}));
    let wider = json!({"sub": ANNA, "scope": "https://www.googleapis.com/auth/drive"});
    assert_eq!(
        claimed(google, &key, wider).await,
        error(401, "unauthorized_client", UNAUTHORIZED)
    );
    assert_eq!(
        claimed(google, &key, json!({"sub": "nobody@harbour.example"})).await,
        error(400, "invalid_grant", "Invalid email or User ID")
    );
}

fn with_client(google: &GoogleLab) -> String {
    google.add_client(NewClient {
        client_id: CLIENT.to_owned(),
        client_secret: SECRET.to_owned(),
        redirect_uris: Vec::new(),
    });
    google.grant(CLIENT, BEN, &[READ]).unwrap()
}

async fn refresh(google: &GoogleLab, refresh_token: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT),
        ("client_secret", SECRET),
        ("refresh_token", refresh_token),
    ];
    token(google, &fields).await
}

#[tokio::test]
async fn a_refresh_token_is_good_for_its_client_until_it_is_revoked() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let given = with_client(google);
    let (status, answer) = refresh(google, &given).await;
    assert_eq!((status, &answer["scope"]), (200, &json!(READ)));
    assert_eq!(answer.get("refresh_token"), None);
    let caller = Caller::with(google, answer["access_token"].as_str().unwrap());
    assert_eq!(
        caller.json("about?fields=user").await["user"]["displayName"],
        "Ben"
    );
    assert_eq!(
        refresh(google, "1//unknown").await,
        error(400, "invalid_grant", "Bad Request")
    );
    for (id, secret, expected) in [
        ("other", SECRET, "The OAuth client was not found."),
        (CLIENT, "wrong", "The provided client secret is invalid."),
    ] {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", id),
            ("client_secret", secret),
            ("refresh_token", &given),
        ];
        assert_eq!(
            token(google, &fields).await,
            error(401, "invalid_client", expected)
        );
    }
    for (state, expected) in [
        (
            GrantState::Revoked,
            error(400, "invalid_grant", "Token has been expired or revoked."),
        ),
        (
            GrantState::InvalidRapt,
            (
                400,
                json!({
                    "error": "invalid_grant",
                    "error_description": "reauth related error (invalid_rapt)",
                    "error_subtype": "invalid_rapt",
                }),
            ),
        ),
    ] {
        assert!(google.set_grant(&given, state));
        assert_eq!(refresh(google, &given).await, expected);
    }
    for (state, name) in [
        (GrantState::AdminPolicyEnforced, "admin_policy_enforced"),
        (GrantState::OrgInternal, "org_internal"),
    ] {
        google.set_grant(&given, state);
        assert_eq!(refresh(google, &given).await.1["error"], name);
    }
    let grant = google.grant_of(&given).unwrap();
    assert_eq!((grant.refreshes, grant.refused), (1, 6));
}

#[tokio::test]
async fn a_rotated_refresh_token_is_good_once() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let first = with_client(google);
    google.rotate_refresh_tokens(true);
    let (_, answer) = refresh(google, &first).await;
    let second = answer["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(
        refresh(google, &first).await,
        error(400, "invalid_grant", "Token has been expired or revoked.")
    );
    assert_eq!(refresh(google, &second).await.0, 200);
    let grant = google.grant_of(&first).unwrap();
    assert_eq!((grant.refreshes, grant.refused), (2, 1));
    assert_eq!(grant.earlier_tokens, [first, second]);
}

#[tokio::test]
async fn refreshes_at_the_same_time_are_counted() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let given = with_client(google);
    google.add_fault(FaultRule::new(
        Match::operation(Operation::GoogleToken).times(2),
        Action::delay(Duration::from_millis(200)),
    ));
    let (a, b) = tokio::join!(refresh(google, &given), refresh(google, &given));
    assert_eq!((a.0, b.0), (200, 200));
    assert_eq!(google.grant_of(&given).unwrap().overlapping, 1);
    refresh(google, &given).await;
    let grant = google.grant_of(&given).unwrap();
    assert_eq!((grant.refreshes, grant.overlapping), (3, 1));
}

#[tokio::test]
async fn revoking_ends_a_grant_and_its_tokens() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let given = with_client(google);
    let (_, answer) = refresh(google, &given).await;
    let access = answer["access_token"].as_str().unwrap();
    let revoke = format!("{}/revoke", google.url());
    let form = format!("token={access}");
    let answer = crate::google_client::send(http::Method::POST, &revoke, &[], form)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let caller = Caller::with(google, access);
    assert_eq!(caller.get("about?fields=user").await.status, 401);
    assert_eq!(
        refresh(google, &given).await,
        error(400, "invalid_grant", "Token has been expired or revoked.")
    );
}

#[tokio::test]
async fn the_token_endpoint_fails_as_it_is_told() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let given = with_client(google);
    for (code, status) in [
        ("invalid_grant", 400),
        ("admin_policy_enforced", 400),
        ("temporarily_unavailable", 503),
        ("rate_limit_exceeded", 429),
    ] {
        google.set_faults([FaultRule::new(
            Match::operation(Operation::GoogleToken),
            Action::google_error(code),
        )]);
        let (got, answer) = refresh(google, &given).await;
        assert_eq!((got, &answer["error"]), (status, &json!(code)));
    }
    google.set_faults([FaultRule::new(
        Match::any(),
        Action::google_error("invalid_client").echoing(),
    )]);
    let (_, answer) = refresh(google, &given).await;
    let said = answer["error_description"].as_str().unwrap();
    assert!(said.contains(SECRET) && said.contains(&given), "{said}");
}
