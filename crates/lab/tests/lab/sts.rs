//! Roles and their sessions, through the official SDK.

use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_sdk_sts::types::Credentials as Session;
use aws_smithy_runtime_api::client::http::http_client_fn;
use aws_smithy_types::retry::RetryConfig;
use wharf_lab::{Action, FaultRule, Lab, Match, Operation, Role};

use crate::client::{client_with, connector, refusal, refused, start};

const READER: &str = "arn:aws:iam::111122223333:role/reader";

fn sts_with(lab: &Lab, id: &str, secret: &str, token: Option<&str>) -> aws_sdk_sts::Client {
    let connector = connector(lab.address());
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(lab.endpoint())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .credentials_provider(Credentials::new(
            id,
            secret,
            token.map(ToOwned::to_owned),
            None,
            "test",
        ));
    aws_sdk_sts::Client::from_conf(config.build())
}

fn sts(lab: &Lab) -> aws_sdk_sts::Client {
    sts_with(lab, lab.access_key_id(), lab.secret_access_key(), None)
}

fn sts_of(lab: &Lab, session: &Session) -> aws_sdk_sts::Client {
    let token = Some(session.session_token());
    sts_with(
        lab,
        session.access_key_id(),
        session.secret_access_key(),
        token,
    )
}

pub(crate) fn s3_of(lab: &Lab, session: &Session) -> aws_sdk_s3::Client {
    let token = Some(session.session_token());
    client_with(
        lab,
        session.access_key_id(),
        session.secret_access_key(),
        token,
    )
}

pub(crate) fn assume(lab: &Lab) -> AssumeRoleFluentBuilder {
    sts(lab)
        .assume_role()
        .role_arn(READER)
        .role_session_name("a-run")
}

pub(crate) async fn session(lab: &Lab) -> Session {
    let answer = assume(lab).external_id("ext-1").send().await.unwrap();
    answer.credentials().unwrap().clone()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the lab ends sessions by the clock of the machine"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[tokio::test]
async fn a_role_opens_a_session_to_whoever_knows_its_external_id() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    lab.add_role(Role::new(READER).external_id("ext-1"));
    let answer = assume(&lab).external_id("ext-1").send().await.unwrap();
    let user = answer.assumed_role_user().unwrap();
    assert_eq!(
        user.arn(),
        "arn:aws:sts::111122223333:assumed-role/reader/a-run"
    );
    assert!(user.assumed_role_id().starts_with("AROA"));
    let session = answer.credentials().unwrap();
    assert!(session.access_key_id().starts_with("ASIA"));
    assert_eq!(session.access_key_id().len(), 20);
    assert_eq!(session.secret_access_key().len(), 40);
    let end = SystemTime::try_from(*session.expiration()).unwrap();
    let left = end.duration_since(now()).unwrap();
    assert!((3599..=3601).contains(&left.as_secs()), "{left:?}");

    let got = s3_of(&lab, session).get_object().bucket("bkt").key("k");
    assert!(got.send().await.is_ok());
    let entry = &lab.journal()[0];
    assert_eq!(entry.operation, Operation::AssumeRole);
    assert_eq!(entry.role_arn.as_deref(), Some(READER));
    assert_eq!(entry.external_id.as_deref(), Some("ext-1"));
    assert_eq!(entry.session_name.as_deref(), Some("a-run"));
    assert_eq!(entry.access_key_id.as_deref(), Some(lab.access_key_id()));
    assert_eq!(
        lab.journal()[1].access_key_id.as_deref(),
        Some(session.access_key_id())
    );
}

#[tokio::test]
async fn a_wrong_id_no_id_and_an_unknown_role_get_the_same_answer() {
    let lab = start().await;
    lab.add_role(Role::new(READER).external_id("ext-1"));
    lab.add_role(Role::new("arn:aws:iam::111122223333:role/closed"));
    let denied = refused(403, "AccessDenied");
    assert_eq!(refusal(assume(&lab).send().await), denied);
    assert_eq!(
        refusal(assume(&lab).external_id("ext-2").send().await),
        denied
    );
    for role in ["missing", "closed"] {
        let arn = format!("arn:aws:iam::111122223333:role/{role}");
        let asked = assume(&lab).role_arn(&arn).external_id("ext-1");
        let error = asked.send().await.unwrap_err();
        let says = error.as_service_error().unwrap().meta().message().unwrap();
        assert_eq!(
            says,
            format!(
                "User: arn:aws:iam::999988887777:user/lab is not authorized to perform: \
                 sts:AssumeRole on resource: {arn}"
            )
        );
        assert_eq!(refusal::<(), _>(Err(error)), denied);
    }
}

#[tokio::test]
async fn a_careless_role_opens_to_anyone() {
    let lab = start().await;
    lab.add_role(Role::new(READER).trusting_anyone());
    assert!(assume(&lab).send().await.is_ok());
    assert!(assume(&lab).external_id("whatever").send().await.is_ok());
}

#[tokio::test]
async fn sessions_end_as_their_expiration_says() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    lab.add_role(Role::new(READER).external_id("ext-1").session_seconds(1));
    let session = session(&lab).await;
    let get = || s3_of(&lab, &session).get_object().bucket("bkt").key("k");
    let list = || s3_of(&lab, &session).list_objects_v2().bucket("bkt");
    assert!(get().send().await.is_ok());
    assert!(
        sts_of(&lab, &session)
            .get_caller_identity()
            .send()
            .await
            .is_ok()
    );
    tokio::time::sleep(Duration::from_millis(2050)).await;
    let ended = refused(400, "ExpiredToken");
    assert_eq!(refusal(get().send().await), ended);
    assert_eq!(refusal(list().send().await), ended);
    let caller = sts_of(&lab, &session).get_caller_identity().send().await;
    assert_eq!(refusal(caller), refused(403, "ExpiredToken"));
}

#[tokio::test]
async fn sessions_can_be_ended_at_once() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    lab.add_role(Role::new(READER).external_id("ext-1"));
    let (first, second) = (session(&lab).await, session(&lab).await);
    assert_ne!(first.access_key_id(), second.access_key_id());
    lab.end_sessions();
    let third = session(&lab).await;
    for (session, lives) in [(first, false), (second, false), (third, true)] {
        let get = s3_of(&lab, &session).get_object().bucket("bkt").key("k");
        assert_eq!(get.send().await.is_ok(), lives);
    }
}

#[tokio::test]
async fn a_session_needs_its_own_token_and_keeps_to_the_buckets_of_its_role() {
    let lab = start().await;
    lab.put_object("mine", "k", "x");
    lab.put_object("theirs", "k", "x");
    lab.add_role(
        Role::new(READER)
            .external_id("ext-1")
            .only_buckets(["mine"]),
    );
    let (one, other) = (session(&lab).await, session(&lab).await);
    for token in [None, Some(other.session_token())] {
        let sdk = client_with(&lab, one.access_key_id(), one.secret_access_key(), token);
        let get = sdk.get_object().bucket("mine").key("k").send().await;
        assert_eq!(refusal(get), refused(400, "InvalidToken"));
    }
    let sdk = s3_of(&lab, &one);
    assert!(
        sdk.get_object()
            .bucket("mine")
            .key("k")
            .send()
            .await
            .is_ok()
    );
    assert_eq!(
        refusal(sdk.get_object().bucket("theirs").key("k").send().await),
        refused(403, "AccessDenied")
    );
}

#[tokio::test]
async fn what_is_asked_with_must_be_valid() {
    let lab = start().await;
    lab.add_role(Role::new(READER).external_id("ext-1"));
    let invalid = refused(400, "ValidationError");
    let asked = || assume(&lab).external_id("ext-1");
    for seconds in [899, 43_201, 3601, -1] {
        let code = refusal(asked().duration_seconds(seconds).send().await);
        let expected = if seconds < 0 {
            "MalformedInput"
        } else {
            "ValidationError"
        };
        assert_eq!(code, refused(400, expected), "{seconds}");
    }
    assert!(asked().duration_seconds(900).send().await.is_ok());
    for name in ["x", "a b", "ü-name"] {
        assert_eq!(
            refusal(asked().role_session_name(name).send().await),
            invalid
        );
    }
    assert_eq!(refusal(asked().external_id("1").send().await), invalid);
    for arn in ["short", "arn:aws:iam::111122223333:user/reader"] {
        assert_eq!(refusal(asked().role_arn(arn).send().await), invalid);
    }
    lab.add_role(
        Role::new(READER)
            .external_id("ext-1")
            .max_session_seconds(43_200),
    );
    assert!(asked().duration_seconds(43_200).send().await.is_ok());
    let chained = sts_of(&lab, &session(&lab).await)
        .assume_role()
        .role_arn(READER)
        .role_session_name("again")
        .external_id("ext-1");
    let longer = chained.clone().duration_seconds(3601).send().await;
    assert_eq!(refusal(longer), invalid);
    assert!(chained.duration_seconds(3600).send().await.is_ok());
}

#[tokio::test]
async fn callers_are_told_who_they_are_and_strangers_nothing() {
    let lab = start().await;
    lab.add_role(Role::new(READER).external_id("ext-1"));
    let own = sts(&lab).get_caller_identity().send().await.unwrap();
    assert_eq!(own.arn(), Some("arn:aws:iam::999988887777:user/lab"));
    let session = session(&lab).await;
    let other = sts_of(&lab, &session)
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(other.account(), Some("111122223333"));
    assert_eq!(
        other.arn(),
        Some("arn:aws:sts::111122223333:assumed-role/reader/a-run")
    );
    let whoami = async |id: &str, secret: &str, token: Option<&str>| {
        let caller = sts_with(&lab, id, secret, token);
        refusal(caller.get_caller_identity().send().await)
    };
    assert_eq!(
        whoami(lab.access_key_id(), "wrong", None).await,
        refused(403, "SignatureDoesNotMatch")
    );
    assert_eq!(
        whoami("NOBODY", "wrong", None).await,
        refused(403, "InvalidClientTokenId")
    );
    assert_eq!(
        whoami(
            session.access_key_id(),
            session.secret_access_key(),
            Some("other")
        )
        .await,
        refused(403, "InvalidClientTokenId")
    );
}

#[tokio::test]
async fn fault_rules_reach_sts_in_its_own_words() {
    let lab = start().await;
    lab.add_role(Role::new(READER).external_id("ext-1"));
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::AssumeRole).times(1),
        Action::s3_error("Throttling"),
    ));
    assert_eq!(
        refusal(assume(&lab).external_id("ext-1").send().await),
        refused(400, "Throttling")
    );
    assert!(assume(&lab).external_id("ext-1").send().await.is_ok());
}
