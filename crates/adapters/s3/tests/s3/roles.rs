//! Accounts under a role: whose session they get, how long it is used, and who is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::join_all;
use http::StatusCode;
use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::check::{CheckReport, Outcome};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::Alphabet;
use wharf_domain::provider::{EndpointUrl, Provider};
use wharf_domain::secret::SecretString;
use wharf_egress::{Guard, Policy, TcpDialer};
use wharf_lab::{Action, FaultRule, KeyPair, Lab, Match, Operation, Role};
use wharf_ports::{Clock, IdSource, OpenProvider, ProviderError, ProviderFactory, Retry};
use wharf_s3::{Aws, Identity, S3};

use crate::account::{
    Here, WHOLE, config, connection, lab, list_all, only_entry, policy, read, s3_at,
};

const READER: &str = "arn:aws:iam::123456789012:role/readers/media";
const ISSUED: &str = "wharf-issued-to-this-organization";

/// The machine's clock, moved as the test likes.
#[derive(Default)]
struct Moved(AtomicI64);

impl Clock for Moved {
    #[expect(
        clippy::disallowed_methods,
        reason = "the lab ends sessions by the clock of the machine"
    )]
    fn now(&self) -> Timestamp {
        Utc::now() + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

/// Draws a different token each time.
#[derive(Default)]
struct Counting(AtomicI64);

impl IdSource for Counting {
    fn token(&self, _: Alphabet, length: usize) -> String {
        format!("{:0length$}", self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn key_of(lab: &Lab) -> Identity {
    Identity::Key {
        access_key_id: lab.access_key_id().to_owned(),
        secret_access_key: SecretString::new(lab.secret_access_key().to_owned()),
        session_token: None,
    }
}

/// The lab in the place of both services.
fn aws(lab: &Lab) -> Aws {
    let url = || Some(EndpointUrl::parse(&lab.endpoint()).unwrap());
    Aws {
        sts_url: url(),
        s3_url: url(),
        identity: Some(key_of(lab)),
        require_external_id: true,
    }
}

/// Without a word about loopback: the operator's own addresses need none.
fn factory(aws: Aws, clock: &Arc<Moved>) -> S3 {
    let guard = Guard::with(Policy::default(), Arc::new(Here), Arc::new(TcpDialer));
    let clock = Arc::clone(clock);
    S3::with_aws(Arc::new(guard), aws, clock, Arc::new(Counting::default()))
}

fn open_in(factory: &S3, region: &str, arn: &str, id: &str) -> Result<OpenProvider, ProviderError> {
    let credentials = json!({"type": "iam_role", "role_arn": arn, "external_id": id});
    let parts = config(Provider::S3, json!({"region": region}), credentials);
    factory.open(
        &connection(),
        &parts.config,
        parts.credentials,
        crate::account::alone(),
    )
}

fn open(aws: Aws) -> OpenProvider {
    open_in(&factory(aws, &Arc::default()), "us-east-1", READER, ISSUED).unwrap()
}

async fn with_object() -> Lab {
    let lab = lab().await;
    lab.put_object("media", "a", "hello");
    lab
}

async fn with_role(role: Role) -> Lab {
    let lab = with_object().await;
    lab.add_role(role);
    lab
}

fn reader() -> Role {
    Role::new(READER).external_id(ISSUED)
}

fn of(lab: &Lab, operation: Operation) -> Vec<wharf_lab::JournalEntry> {
    let entries = lab.journal().into_iter();
    entries
        .filter(|entry| entry.operation == operation)
        .collect()
}

/// With which external ids roles were tried, and how that was answered.
fn tries(lab: &Lab) -> Vec<(Option<String>, u16)> {
    of(lab, Operation::AssumeRole)
        .into_iter()
        .map(|entry| (entry.external_id, entry.status.unwrap()))
        .collect()
}

fn issued(status: u16) -> (Option<String>, u16) {
    (Some(ISSUED.to_owned()), status)
}

fn failed(report: &CheckReport) -> (ErrorCode, String) {
    assert!(!report.success());
    let check = report
        .checks
        .iter()
        .find(|check| check.outcome == Outcome::Failed)
        .unwrap();
    (check.error_code.unwrap(), check.remedy.clone().unwrap())
}

#[tokio::test]
async fn an_account_is_read_under_the_role_with_the_issued_id_and_the_connection_s_name() {
    let lab = with_role(reader()).await;
    let account = open(aws(&lab));
    let entry = only_entry(&account, "media").await;
    assert_eq!(read(&account, &entry).await.unwrap(), "hello");
    let assumed = &of(&lab, Operation::AssumeRole)[0];
    assert_eq!(assumed.role_arn.as_deref(), Some(READER));
    assert_eq!(assumed.external_id.as_deref(), Some(ISSUED));
    assert_eq!(assumed.session_name.as_deref(), Some(connection().as_str()));
    assert_eq!(assumed.duration_seconds.as_deref(), Some("3600"));
    assert_eq!(assumed.access_key_id.as_deref(), Some(lab.access_key_id()));
    for operation in [Operation::ListObjects, Operation::GetObject] {
        let signer = of(&lab, operation)[0].access_key_id.clone().unwrap();
        assert!(signer.starts_with("ASIA"), "{operation:?} by {signer}");
    }
}

#[tokio::test]
async fn a_role_is_tried_without_the_id_and_with_a_random_one_before_its_session_is_used() {
    let lab = with_role(reader()).await;
    let clock: Arc<Moved> = Arc::default();
    let factory = factory(aws(&lab), &clock);
    let account = || open_in(&factory, "us-east-1", READER, ISSUED).unwrap();
    account().list("media", None, 10).await.unwrap();
    let random = |number: usize| (Some(format!("wharf-{number:032}")), 403);
    let first = vec![issued(200), (None, 403), random(0)];
    assert_eq!(tries(&lab), first);
    assert_eq!(lab.journal()[3].operation, Operation::ListObjects);

    lab.clear_journal();
    account().list("media", None, 10).await.unwrap();
    assert_eq!(tries(&lab), [issued(200)], "remembered by the process");

    lab.clear_journal();
    assert!(account().check(WHOLE).await.success());
    let anew = vec![issued(200), (None, 403), random(1)];
    assert_eq!(tries(&lab), anew, "a check relies on nothing");

    lab.clear_journal();
    clock.0.store(3700, Ordering::Relaxed);
    // The sessions of the lab end by the clock of the machine, which this one has overtaken.
    lab.add_role(reader().max_session_seconds(43_200));
    let error = account().list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthClockSkew);
    assert_eq!(tries(&lab).len(), 3, "after an hour, tried again");
}

#[tokio::test]
async fn a_role_that_anyone_may_assume_is_refused_unless_the_operator_says_otherwise() {
    let lab = with_role(Role::new(READER).trusting_anyone()).await;
    let account = open(aws(&lab));
    let refusal = ErrorCode::AuthRoleTrustsWithoutExternalId;
    let (code, remedy) = failed(&account.check(WHOLE).await);
    assert_eq!(code, refusal);
    assert!(remedy.contains("sts:ExternalId"), "{remedy}");
    let error = account.list("media", None, 10).await.unwrap_err();
    assert_eq!((error.code, error.retry), (refusal, Retry::Never));
    assert!(of(&lab, Operation::ListObjects).is_empty());
    assert!(of(&lab, Operation::ListBuckets).is_empty());

    let tolerant = Aws {
        require_external_id: false,
        ..aws(&lab)
    };
    lab.clear_journal();
    let account = open(tolerant);
    assert!(account.check(WHOLE).await.success());
    account.list("media", None, 10).await.unwrap();
    assert_eq!(tries(&lab), [issued(200)]);
}

#[tokio::test]
async fn a_probe_that_is_neither_granted_nor_denied_leaves_the_role_unused() {
    let lab = with_role(reader()).await;
    let account = open(aws(&lab));
    for (action, code) in [
        (
            Action::s3_error("Throttling").with_status(StatusCode::BAD_REQUEST),
            ErrorCode::QuotaRateLimited,
        ),
        (
            Action::status(StatusCode::SERVICE_UNAVAILABLE),
            ErrorCode::ProviderUnavailable,
        ),
        (Action::close(), ErrorCode::NetworkConnect),
    ] {
        lab.set_faults([FaultRule::new(
            Match::operation(Operation::AssumeRole).nth(2),
            action,
        )]);
        let error = account.list("media", None, 10).await.unwrap_err();
        assert_eq!(error.code, code);
        assert!(matches!(error.retry, Retry::Later { .. }), "{error:?}");
        assert!(of(&lab, Operation::ListObjects).is_empty());
    }
    lab.clear_faults();
    assert!(account.list("media", None, 10).await.is_ok());
}

#[tokio::test]
async fn a_wrong_id_and_an_unknown_role_are_denied_with_the_name_of_who_asked() {
    let lab = with_role(reader()).await;
    let factory = factory(aws(&lab), &Arc::default());
    let unknown = "arn:aws:iam::123456789012:role/CANARY";
    for (arn, id) in [(READER, "CANARY-of-another"), (unknown, ISSUED)] {
        let account = open_in(&factory, "us-east-1", arn, id).unwrap();
        let error = account.list("media", None, 10).await.unwrap_err();
        let (code, remedy) = failed(&account.check(WHOLE).await);
        for (code, words) in [(error.code, error.to_string()), (code, remedy)] {
            assert_eq!(code, ErrorCode::AuthAssumeRoleDenied);
            assert!(words.contains("sts:ExternalId"), "{words}");
            assert!(words.contains("Wharf's identity is arn:aws:"), "{words}");
            assert!(!words.contains("CANARY"), "{words}");
        }
    }
    assert_eq!(of(&lab, Operation::GetCallerIdentity).len(), 1);
    assert!(tries(&lab).iter().all(|(id, _)| id.is_some()), "no probes");
}

#[tokio::test]
async fn a_session_that_ends_is_replaced_ahead_of_its_end_in_the_middle_of_a_listing() {
    let lab = with_role(reader().session_seconds(3)).await;
    for number in 0..8 {
        lab.put_object("media", &format!("b{number}"), "x");
    }
    let account = open(aws(&lab));
    let mut cursor = None;
    let mut entries = 0;
    let mut pages = 0;
    loop {
        let page = account.list("media", cursor.as_ref(), 1).await.unwrap();
        entries += page.entries.len();
        pages += 1;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    assert_eq!((entries, pages), (9, 9));
    let listings = of(&lab, Operation::ListObjects);
    assert!(listings.iter().all(|entry| entry.status == Some(200)));
    let mut sessions: Vec<_> = listings
        .into_iter()
        .filter_map(|entry| entry.access_key_id)
        .collect();
    sessions.dedup();
    assert!((2..=4).contains(&sessions.len()), "{sessions:?}");
    assert_eq!(
        tries(&lab)
            .iter()
            .filter(|(_, status)| *status == 200)
            .count(),
        sessions.len()
    );
}

#[tokio::test]
async fn a_session_that_ends_early_is_replaced_once_for_all_who_use_it() {
    let lab = with_role(reader()).await;
    for number in 0..31 {
        lab.put_object("media", &format!("b{number}"), "x");
    }
    let account = open(aws(&lab));
    let (entries, _) = list_all(&account, "media", 1000).await.unwrap();
    let first = tries(&lab).len();
    lab.end_sessions();
    let read = join_all(entries.iter().map(|entry| read(&account, entry))).await;
    assert_eq!(read.len(), 32);
    for bytes in read {
        bytes.unwrap();
    }
    assert_eq!(tries(&lab).len(), first + 1);
}

#[tokio::test]
async fn parallel_calls_begin_one_session() {
    let lab = with_role(reader()).await;
    let account = open(aws(&lab));
    let pages = join_all((0..24).map(|_| account.list("media", None, 10))).await;
    assert!(pages.iter().all(Result::is_ok));
    assert_eq!(tries(&lab).len(), 3, "one session and its two probes");
}

#[tokio::test]
async fn those_who_wait_for_a_session_share_the_failure() {
    let lab = with_role(reader()).await;
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::AssumeRole),
        Action::status(StatusCode::SERVICE_UNAVAILABLE).after(Duration::from_millis(200)),
    )]);
    let account = open(aws(&lab));
    let pages = join_all((0..8).map(|_| account.list("media", None, 10))).await;
    assert!(pages.iter().all(Result::is_err));
    assert_eq!(tries(&lab).len(), 1);
    assert!(account.list("media", None, 10).await.is_err());
    assert_eq!(tries(&lab).len(), 2, "who comes later tries again");
}

#[tokio::test]
async fn a_session_that_cannot_be_replaced_for_now_is_used_to_its_end() {
    let lab = with_role(reader()).await;
    let clock: Arc<Moved> = Arc::default();
    let account = open_in(&factory(aws(&lab), &clock), "us-east-1", READER, ISSUED).unwrap();
    account.list("media", None, 10).await.unwrap();
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::AssumeRole),
        Action::status(StatusCode::SERVICE_UNAVAILABLE),
    )]);
    clock.0.store(3600 - 240, Ordering::Relaxed);
    lab.clear_journal();
    account.list("media", None, 10).await.unwrap();
    account.list("media", None, 10).await.unwrap();
    assert_eq!(
        tries(&lab),
        [issued(503)],
        "tried once, then not for a while"
    );
    clock.0.store(3610, Ordering::Relaxed);
    let error = account.list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProviderUnavailable);
}

#[tokio::test]
async fn an_identity_of_our_own_that_is_broken_is_the_operator_s_fault() {
    let lab = with_role(reader()).await;
    let broken = |id: &str, secret: &str| Aws {
        identity: Some(Identity::Key {
            access_key_id: id.to_owned(),
            secret_access_key: SecretString::new(secret.to_owned()),
            session_token: None,
        }),
        ..aws(&lab)
    };
    let identities = [
        broken("AKIANOBODY", "canary-secret"),
        broken(lab.access_key_id(), "canary-secret"),
    ];
    for aws in identities {
        let account = open(aws);
        let error = account.list("media", None, 10).await.unwrap_err();
        assert_eq!(
            (error.code, error.retry),
            (ErrorCode::Internal, Retry::Never)
        );
        let text = format!("{error} {error:?}");
        assert!(text.contains("providers.aws.identity"), "{text}");
        assert!(
            !text.contains("canary") && !text.contains("NOBODY"),
            "{text}"
        );
        assert_eq!(failed(&account.check(WHOLE).await).0, ErrorCode::Internal);
    }
    for (code, meaning) in [
        ("ExpiredToken", ErrorCode::Internal),
        ("ExpiredTokenException", ErrorCode::Internal),
        ("InvalidClientTokenId", ErrorCode::Internal),
        ("OptInRequired", ErrorCode::Internal),
        ("RegionDisabledException", ErrorCode::ConfigWrongRegion),
        ("ValidationError", ErrorCode::ConfigInvalid),
        ("AccessDenied", ErrorCode::AuthAssumeRoleDenied),
        ("Throttling", ErrorCode::QuotaRateLimited),
    ] {
        lab.set_faults([FaultRule::new(
            Match::operation(Operation::AssumeRole),
            Action::s3_error(code).with_status(StatusCode::FORBIDDEN),
        )]);
        let error = open(aws(&lab)).list("media", None, 10).await.unwrap_err();
        assert_eq!(error.code, meaning, "{code}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_sts_is_not_held_against_the_connection() {
    let lab = with_role(reader()).await;
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::AssumeRole),
        Action::html(),
    )]);
    let error = open(aws(&lab)).list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
    assert!(error.message.contains("providers.aws.sts_url"), "{error}");
}

#[tokio::test]
async fn the_role_s_partition_must_be_the_region_s() {
    let lab = with_role(reader()).await;
    let factory = factory(aws(&lab), &Arc::default());
    let china = "arn:aws-cn:iam::123456789012:role/reader";
    for (region, arn) in [
        ("cn-north-1", READER),
        ("us-gov-west-1", READER),
        ("us-east-1", china),
    ] {
        let error = open_in(&factory, region, arn, ISSUED).err().unwrap();
        assert_eq!(error.code, ErrorCode::ConfigInvalid);
        for field in [
            "provider_config.region",
            "provider_config.credentials.role_arn",
        ] {
            assert!(error.message.contains(field), "{error}");
        }
    }
    assert!(open_in(&factory, "cn-north-1", china, ISSUED).is_ok());
    assert!(lab.journal().is_empty());
}

#[tokio::test]
async fn without_an_identity_roles_are_refused_with_what_the_operator_must_set() {
    let lab = with_role(reader()).await;
    let nobody = Aws {
        identity: None,
        ..aws(&lab)
    };
    for factory in [
        factory(nobody, &Arc::default()),
        crate::account::factory(policy()),
    ] {
        let error = open_in(&factory, "us-east-1", READER, ISSUED)
            .err()
            .unwrap();
        assert_eq!(error.code, ErrorCode::AdapterMissing);
        assert!(error.message.contains("providers.aws.identity"), "{error}");
        assert!(error.message.contains("no identity of its own"), "{error}");
    }
}

#[tokio::test]
async fn connections_own_endpoints_cannot_borrow_the_operator_s_trust() {
    let lab = with_object().await;
    let factory = factory(aws(&lab), &Arc::default());
    let parts = s3_at(
        &lab.endpoint(),
        lab.access_key_id(),
        lab.secret_access_key(),
    );
    assert!(factory.vet(&parts.config).is_err());
    let account = factory
        .open(
            &connection(),
            &parts.config,
            parts.credentials,
            crate::account::alone(),
        )
        .unwrap();
    let error = account.list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::EgressRefused);
    assert!(lab.journal().is_empty());
}

#[tokio::test]
async fn the_store_in_the_place_of_aws_is_asked_by_path_with_any_kind_of_credentials() {
    let lab = with_object().await;
    let credentials = json!({
        "type": "access_key",
        "access_key_id": lab.access_key_id(),
        "secret_access_key": lab.secret_access_key(),
    });
    let parts = config(Provider::S3, json!({"region": "eu-west-1"}), credentials);
    let account = factory(aws(&lab), &Arc::default())
        .open(
            &connection(),
            &parts.config,
            parts.credentials,
            crate::account::alone(),
        )
        .unwrap();
    let entry = only_entry(&account, "media").await;
    assert_eq!(read(&account, &entry).await.unwrap(), "hello");
    let paths: Vec<String> = lab.journal().into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["/media/", "/media/a"]);
    assert_eq!(account.authority(), "aws");
}

#[tokio::test]
async fn an_access_key_s_own_session_is_never_renewed() {
    let lab = with_object().await;
    lab.add_key(KeyPair::new("ASIAOWN", "own-secret").session_token("own-token"));
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::ListObjects),
        Action::s3_error("ExpiredToken").with_status(StatusCode::BAD_REQUEST),
    )]);
    let credentials = json!({
        "type": "access_key",
        "access_key_id": "ASIAOWN",
        "secret_access_key": "own-secret",
        "session_token": "own-token",
    });
    let parts = config(Provider::S3, json!({}), credentials);
    let account = factory(aws(&lab), &Arc::default())
        .open(
            &connection(),
            &parts.config,
            parts.credentials,
            crate::account::alone(),
        )
        .unwrap();
    let error = account.list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthExpired);
    assert_eq!(lab.journal().len(), 1);
}

#[tokio::test]
async fn a_store_that_accepts_no_session_at_all_is_asked_twice_and_no_more() {
    let lab = with_role(reader()).await;
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::ListObjects),
        Action::s3_error("InvalidToken").with_status(StatusCode::BAD_REQUEST),
    )]);
    let error = open(aws(&lab)).list("media", None, 10).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::AuthInvalidCredentials);
    assert_eq!(of(&lab, Operation::ListObjects).len(), 2);
}

/// Places in which an ambient identity could be found.
const SURROUNDINGS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AMBIENTKEY"),
    ("AWS_SECRET_ACCESS_KEY", "ambient-secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

const BY_NAME: &str = "roles::the_machine_s_identity_is_used_only_if_the_operator_says_so";

/// Runs itself once more, in surroundings with an identity in them.
#[tokio::test]
async fn the_machine_s_identity_is_used_only_if_the_operator_says_so() {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        let output = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", BY_NAME])
            .envs(SURROUNDINGS)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    }
    let lab = with_role(reader()).await;
    lab.add_key(KeyPair::new(SURROUNDINGS[0].1, SURROUNDINGS[1].1));
    let with = |identity| Aws {
        identity,
        ..aws(&lab)
    };
    open(with(Some(key_of(&lab))))
        .list("media", None, 10)
        .await
        .unwrap();
    let nobody = factory(with(None), &Arc::default());
    assert!(open_in(&nobody, "us-east-1", READER, ISSUED).is_err());
    let by = |lab: &Lab| {
        of(lab, Operation::AssumeRole)
            .into_iter()
            .filter(|entry| entry.access_key_id.as_deref() == Some(SURROUNDINGS[0].1))
            .count()
    };
    assert_eq!(by(&lab), 0);
    open(with(Some(Identity::Ambient)))
        .list("media", None, 10)
        .await
        .unwrap();
    assert_eq!(by(&lab), 3);
}
