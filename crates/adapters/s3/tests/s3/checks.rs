//! Check reports put each failure on the claim that does not hold.

use http::StatusCode;
use wharf_domain::check::{CheckReport, Outcome};
use wharf_domain::error_code::ErrorCode;
use wharf_egress::Policy;
use wharf_lab::{Action, FaultRule, KeyPair, Lab, LabConfig, Match};

use crate::account::{PROFILES, lab, open, open_as, open_with, policy, s3_at};

const NAMES: [&str; 4] = ["configuration", "connection", "sign_in", "list_buckets"];

fn outcomes(report: &CheckReport) -> [Outcome; 4] {
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(names, NAMES);
    [0, 1, 2, 3].map(|at| report.checks[at].outcome)
}

/// Every check before the failed one has passed, every one after it was skipped.
fn assert_failed(report: &CheckReport, name: &str, code: ErrorCode) {
    let failed = NAMES.iter().position(|known| *known == name).unwrap();
    let expected = [0, 1, 2, 3].map(|at| match at {
        at if at < failed => Outcome::Passed,
        at if at == failed => Outcome::Failed,
        _ => Outcome::Skipped,
    });
    assert_eq!(
        (outcomes(report), report.error_code()),
        (expected, Some(code)),
        "{report:?}"
    );
    let remedy = report.checks[failed].remedy.as_deref().unwrap();
    assert!(remedy.ends_with('.') || remedy.ends_with('`'), "{remedy}");
}

async fn with(lab: &Lab, id: &str, secret: &str) -> CheckReport {
    open_with(policy(), s3_at(&lab.endpoint(), id, secret))
        .check(crate::account::WHOLE)
        .await
}

#[tokio::test]
async fn a_working_connection_passes_every_check_with_one_request() {
    for profile in PROFILES {
        let lab = lab().await;
        lab.create_bucket("media");
        let report = open_as(&lab, profile).check(crate::account::WHOLE).await;
        assert_eq!(outcomes(&report), [Outcome::Passed; 4], "{profile:?}");
        assert!(report.success());
        assert_eq!(lab.journal().len(), 1);
        assert!(
            lab.journal()[0]
                .query
                .as_deref()
                .unwrap()
                .contains("max-buckets=1")
        );
    }
}

#[tokio::test]
async fn a_key_of_certain_buckets_is_signed_in_and_leaves_one_claim_open() {
    let narrow = KeyPair::new("NARROW", "secret").only_buckets(["mine"]);
    let lab = Lab::start(LabConfig::default().keys([narrow]))
        .await
        .unwrap();
    let report = with(&lab, "NARROW", "secret").await;
    assert_eq!(
        outcomes(&report),
        [
            Outcome::Passed,
            Outcome::Passed,
            Outcome::Passed,
            Outcome::Inconclusive
        ]
    );
    assert!(report.success());
    assert_eq!(report.checks[3].error_code, Some(ErrorCode::PermDenied));
    assert_eq!(
        report.checks[3].action.as_deref(),
        Some("s3:ListAllMyBuckets")
    );
}

#[tokio::test]
async fn wrong_keys_fail_the_sign_in() {
    let lab = lab().await;
    let (id, secret) = (lab.access_key_id(), lab.secret_access_key());
    assert_failed(
        &with(&lab, id, "wrong").await,
        "sign_in",
        ErrorCode::AuthInvalidCredentials,
    );
    assert_failed(
        &with(&lab, "UNKNOWN", secret).await,
        "sign_in",
        ErrorCode::AuthInvalidCredentials,
    );
}

#[tokio::test]
async fn what_the_store_answers_decides_the_claim() {
    let moved = Action::s3_error("AuthorizationHeaderMalformed").region("eu-central-1");
    for (action, name, code) in [
        (
            Action::s3_error("ExpiredToken"),
            "sign_in",
            ErrorCode::AuthExpired,
        ),
        (
            Action::s3_error("RequestTimeTooSkewed"),
            "sign_in",
            ErrorCode::AuthClockSkew,
        ),
        (
            Action::s3_error("NotSignedUp"),
            "sign_in",
            ErrorCode::AuthAccountDisabled,
        ),
        (moved, "sign_in", ErrorCode::ConfigWrongRegion),
        (
            Action::s3_error("SlowDown").header("retry-after", "7"),
            "sign_in",
            ErrorCode::QuotaRateLimited,
        ),
        (
            Action::status(StatusCode::SERVICE_UNAVAILABLE),
            "sign_in",
            ErrorCode::ProviderUnavailable,
        ),
        (
            Action::html(),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::html().with_status(StatusCode::NOT_FOUND),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::html().with_status(StatusCode::FORBIDDEN),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::status(StatusCode::FOUND),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::status(StatusCode::OK),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::s3_error("NoSuchBucket"),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (
            Action::s3_error("MethodNotAllowed"),
            "connection",
            ErrorCode::ConfigEndpointInvalid,
        ),
        (Action::close(), "connection", ErrorCode::NetworkConnect),
    ] {
        let lab = lab().await;
        lab.add_fault(FaultRule::new(Match::any(), action.clone()));
        let report = open(&lab).check(crate::account::WHOLE).await;
        assert_failed(&report, name, code);
    }
}

#[tokio::test]
async fn a_refusal_without_a_code_of_the_protocol_comes_from_no_store() {
    let json = Action {
        body: Some(r#"{"Code": "AccessDenied", "message": "Forbidden"}"#.into()),
        ..Action::status(StatusCode::FORBIDDEN)
    };
    let document = |body: &str| Action {
        body: Some(body.into()),
        ..Action::status(StatusCode::FORBIDDEN)
    };
    for action in [
        json.clone().header("content-type", "application/json"),
        json,
        document("Forbidden"),
        document("<Error></Error>"),
        document("<Error><Code></Code></Error>"),
        document("<Error><Code> </Code></Error>"),
        Action::status(StatusCode::BAD_REQUEST),
        Action::status(StatusCode::UNAUTHORIZED),
        Action::status(StatusCode::FORBIDDEN),
        Action::status(StatusCode::NOT_FOUND),
        Action::status(StatusCode::CONFLICT),
        Action::status(StatusCode::IM_A_TEAPOT),
    ] {
        let lab = lab().await;
        lab.add_fault(FaultRule::new(Match::any(), action.clone()));
        let report = open(&lab).check(crate::account::WHOLE).await;
        assert!(!report.success(), "{action:?}");
        assert_failed(&report, "connection", ErrorCode::ConfigEndpointInvalid);
    }
}

#[tokio::test]
async fn what_passes_at_the_second_try_passes() {
    let lab = lab().await;
    for action in [Action::close(), Action::status(StatusCode::BAD_GATEWAY)] {
        lab.set_faults([FaultRule::new(Match::any().times(1), action)]);
        assert!(open(&lab).check(crate::account::WHOLE).await.success());
    }
}

#[tokio::test]
async fn a_store_without_limits_on_lists_of_buckets_is_asked_without_one() {
    let lab = lab().await;
    let rule = Match::any().query_contains("max-buckets");
    lab.add_fault(FaultRule::new(rule, Action::s3_error("InvalidArgument")));
    assert!(open(&lab).check(crate::account::WHOLE).await.success());
}

#[tokio::test]
async fn what_cannot_be_reached_fails_the_connection() {
    let lab = lab().await;
    let parts = || s3_at(&lab.endpoint(), "id", "secret");
    let report = open_with(Policy::default(), parts())
        .check(crate::account::WHOLE)
        .await;
    assert_failed(&report, "connection", ErrorCode::EgressRefused);
    assert!(
        report.message().contains("egress.allow_loopback"),
        "{}",
        report.message()
    );
    assert!(lab.journal().is_empty());

    let parts = parts();
    lab.shutdown().await;
    assert_failed(
        &open_with(policy(), parts)
            .check(crate::account::WHOLE)
            .await,
        "connection",
        ErrorCode::NetworkConnect,
    );
}

#[tokio::test]
async fn a_plain_server_behind_https_fails_the_connection() {
    let lab = lab().await;
    let endpoint = lab.endpoint().replace("http://", "https://");
    let report = open_with(policy(), s3_at(&endpoint, "id", "secret"))
        .check(crate::account::WHOLE)
        .await;
    assert_failed(&report, "connection", ErrorCode::NetworkTls);
}
