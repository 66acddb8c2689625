//! Check reports put each failure on the claim that does not hold.

use std::time::{Duration, Instant};

use http::StatusCode;
use wharf_domain::check::{Check, CheckReport, Outcome};
use wharf_domain::error_code::ErrorCode;
use wharf_egress::Policy;
use wharf_lab::{Action, FaultRule, KeyPair, Lab, LabConfig, Match, Operation};
use wharf_ports::CheckRequest;

use crate::account::{PROFILES, Profile, WHOLE, lab, open, open_as, open_with, policy, s3_at};

const NAMES: [&str; 6] = [
    "configuration",
    "name_resolution",
    "connection",
    "tls",
    "clock",
    "sign_in",
];

fn check<'a>(report: &'a CheckReport, name: &str) -> &'a Check {
    report
        .checks
        .iter()
        .find(|check| check.name == name)
        .unwrap()
}

fn outcome(report: &CheckReport, name: &str) -> Outcome {
    check(report, name).outcome
}

/// Every check before the failed one holds or had nothing to go by, such as a name or TLS, and every one after it was
/// skipped.
fn assert_failed(report: &CheckReport, name: &str, code: ErrorCode) {
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(names[..6], NAMES);
    let failed = NAMES.iter().position(|known| *known == name).unwrap();
    assert_eq!(report.error_code(), Some(code), "{report:?}");
    for (at, check) in report.checks.iter().enumerate() {
        let expected = match (at.cmp(&failed), check.outcome) {
            (std::cmp::Ordering::Less, Outcome::Skipped) => {
                assert!(
                    ["name_resolution", "tls", "clock"].contains(&check.name.as_str()),
                    "{report:?}"
                );
                continue;
            }
            (std::cmp::Ordering::Less, _) => Outcome::Passed,
            (std::cmp::Ordering::Equal, _) => Outcome::Failed,
            (std::cmp::Ordering::Greater, _) => Outcome::Skipped,
        };
        assert_eq!(check.outcome, expected, "{report:?}");
    }
    let remedy = report.checks[failed].remedy.as_deref().unwrap();
    assert!(remedy.ends_with('.') || remedy.ends_with('`'), "{remedy}");
}

async fn with(lab: &Lab, id: &str, secret: &str) -> CheckReport {
    open_with(policy(), s3_at(&lab.endpoint(), id, secret))
        .check(WHOLE)
        .await
}

/// The report of a lab that does this to every request.
async fn at_fault(action: Action) -> CheckReport {
    let lab = lab().await;
    lab.add_fault(FaultRule::new(Match::any(), action));
    open(&lab).check(WHOLE).await
}

#[tokio::test]
async fn a_working_connection_passes_every_check_with_one_request() {
    for profile in PROFILES {
        let lab = lab().await;
        lab.create_bucket("media");
        let report = open_as(&lab, profile).check(WHOLE).await;
        let names: Vec<_> = report
            .checks
            .iter()
            .map(|check| check.name.as_str())
            .collect();
        assert_eq!(names[..6], NAMES);
        for name in ["configuration", "connection", "clock", "sign_in"] {
            assert_eq!(
                outcome(&report, name),
                Outcome::Passed,
                "{profile:?} {name}"
            );
        }
        let by_name = profile == Profile::TigrisByHost;
        let resolved = outcome(&report, "name_resolution");
        assert_eq!(resolved == Outcome::Passed, by_name, "{profile:?}");
        assert_eq!(outcome(&report, "tls"), Outcome::Skipped);
        assert!(report.success());
        assert_eq!(lab.journal().len(), 1);
        let query = lab.journal()[0].query.clone().unwrap();
        assert!(query.contains("max-buckets=1"), "{query}");
    }
}

#[tokio::test]
async fn a_key_of_certain_buckets_is_signed_in() {
    let narrow = KeyPair::new("NARROW", "secret").only_buckets(["mine"]);
    let lab = Lab::start(LabConfig::default().keys([narrow]))
        .await
        .unwrap();
    let report = with(&lab, "NARROW", "secret").await;
    assert_eq!(outcome(&report, "sign_in"), Outcome::Passed, "{report:?}");
    assert!(report.success());
}

#[tokio::test]
async fn a_denial_in_an_unknown_code_leaves_the_sign_in_open() {
    let unknown = Action::s3_error("KeyNotGood").with_status(StatusCode::FORBIDDEN);
    let report = at_fault(unknown).await;
    let sign_in = check(&report, "sign_in");
    assert_eq!(sign_in.outcome, Outcome::Inconclusive);
    assert_eq!(sign_in.error_code, Some(ErrorCode::PermDenied));
    assert_eq!(sign_in.action.as_deref(), Some("s3:ListAllMyBuckets"));
    assert!(sign_in.remedy.as_deref().unwrap().contains("source path"));
}

#[tokio::test]
async fn wrong_keys_fail_the_sign_in_and_the_field_is_named() {
    let lab = lab().await;
    let (id, secret) = (lab.access_key_id(), lab.secret_access_key());
    for (id, secret, field) in [
        (id, "wrong", "credentials.secret_access_key"),
        ("UNKNOWN", secret, "credentials.access_key_id"),
    ] {
        let report = with(&lab, id, secret).await;
        assert_failed(&report, "sign_in", ErrorCode::AuthInvalidCredentials);
        assert!(report.message().contains(field), "{}", report.message());
    }
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
            "clock",
            ErrorCode::AuthClockSkew,
        ),
        (
            Action::s3_error("NotSignedUp"),
            "sign_in",
            ErrorCode::AuthAccountDisabled,
        ),
        (moved, "sign_in", ErrorCode::ConfigWrongRegion),
        (
            Action::s3_error("SlowDown").header("retry-after", "70"),
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
        assert_failed(&at_fault(action.clone()).await, name, code);
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
        let report = at_fault(action.clone()).await;
        assert!(!report.success(), "{action:?}");
        assert_failed(&report, "connection", ErrorCode::ConfigEndpointInvalid);
    }
}

#[tokio::test]
async fn clocks_that_differ_are_told_and_only_the_store_s_word_fails_the_check() {
    let long_ago = |action: Action| action.header("date", "Tue, 01 Jan 2019 00:00:00 GMT");
    let report = at_fault(long_ago(Action::default())).await;
    let clock = check(&report, "clock");
    assert_eq!(clock.outcome, Outcome::Inconclusive, "{report:?}");
    assert_eq!(clock.error_code, Some(ErrorCode::AuthClockSkew));
    let remedy = clock.remedy.as_deref().unwrap();
    assert!(remedy.contains(" s ahead of the store's"), "{remedy}");
    assert_eq!(outcome(&report, "sign_in"), Outcome::Passed);

    let refused = at_fault(long_ago(Action::s3_error("RequestTimeTooSkewed"))).await;
    assert_failed(&refused, "clock", ErrorCode::AuthClockSkew);
    let remedy = check(&refused, "clock").remedy.as_deref().unwrap();
    assert!(remedy.contains(" s ahead of the store's"), "{remedy}");

    let wrong_key = at_fault(long_ago(Action::s3_error("InvalidAccessKeyId"))).await;
    assert_eq!(outcome(&wrong_key, "clock"), Outcome::Inconclusive);
    assert_eq!(
        wrong_key.error_code(),
        Some(ErrorCode::AuthInvalidCredentials)
    );
}

#[tokio::test]
async fn what_passes_at_the_second_try_passes() {
    let lab = lab().await;
    for action in [
        Action::close(),
        Action::status(StatusCode::BAD_GATEWAY),
        Action::s3_error("SlowDown").header("retry-after", "1"),
    ] {
        lab.set_faults([FaultRule::new(Match::any().times(1), action)]);
        assert!(open(&lab).check(WHOLE).await.success());
    }
}

#[tokio::test]
async fn a_pause_that_does_not_fit_is_not_waited_for() {
    let lab = lab().await;
    let busy = Action::s3_error("SlowDown").header("retry-after", "7");
    lab.add_fault(FaultRule::new(Match::any(), busy));
    let request = CheckRequest {
        budget: Duration::from_secs(5),
        ..WHOLE
    };
    let begun = Instant::now();
    let report = open(&lab).check(request).await;
    assert_failed(&report, "sign_in", ErrorCode::QuotaRateLimited);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(lab.journal().len(), 1);
}

#[tokio::test]
async fn what_is_under_way_when_the_time_is_over_fails_and_the_rest_is_skipped() {
    let lab = lab().await;
    lab.put_object("media", "a", "x");
    let slow = |query: &str| {
        let rule = Match::any().query_contains(query);
        FaultRule::new(rule, Action::delay(Duration::from_secs(20)))
    };
    for (query, name) in [
        ("max-buckets", "connection"),
        ("list-type", "list"),
        ("tagging", "tags"),
    ] {
        lab.set_faults([slow(query)]);
        let request = CheckRequest {
            source_path: Some("media"),
            budget: Duration::from_secs(1),
        };
        let report = open(&lab).check(request).await;
        let failed = report.first_failure().unwrap();
        assert_eq!(failed.name, name);
        assert_eq!(failed.error_code, Some(ErrorCode::NetworkTimeout));
        if name != "tags" {
            let last = report.checks.last().unwrap();
            assert_eq!(
                (last.name.as_str(), last.outcome),
                ("decrypt", Outcome::Skipped)
            );
        }
    }
}

#[tokio::test]
async fn a_store_without_limits_on_lists_of_buckets_is_asked_without_one() {
    let lab = lab().await;
    let rule = Match::any().query_contains("max-buckets");
    lab.add_fault(FaultRule::new(rule, Action::s3_error("InvalidArgument")));
    assert!(open(&lab).check(WHOLE).await.success());
}

#[tokio::test]
async fn what_cannot_be_reached_fails_the_connection() {
    let lab = lab().await;
    let parts = || s3_at(&lab.endpoint(), "id", "secret");
    let report = open_with(Policy::default(), parts()).check(WHOLE).await;
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
        &open_with(policy(), parts).check(WHOLE).await,
        "connection",
        ErrorCode::NetworkConnect,
    );
}

#[tokio::test]
async fn names_are_told_apart_from_what_they_lead_to() {
    let internal = s3_at("https://minio.internal", "id", "secret");
    let report = open_with(Policy::default(), internal).check(WHOLE).await;
    assert_failed(&report, "name_resolution", ErrorCode::EgressRefused);

    let nowhere = s3_at("https://nowhere.example", "id", "secret");
    let report = crate::account::open_in_the_void(nowhere).check(WHOLE).await;
    assert_failed(&report, "name_resolution", ErrorCode::NetworkDns);
    assert!(
        report.message().contains("nowhere.example"),
        "{}",
        report.message()
    );
}

#[tokio::test]
async fn a_plain_server_behind_https_fails_tls() {
    let lab = lab().await;
    let endpoint = lab.endpoint().replace("http://", "https://");
    let report = open_with(policy(), s3_at(&endpoint, "id", "secret"))
        .check(WHOLE)
        .await;
    assert_failed(&report, "tls", ErrorCode::NetworkTls);
    assert!(report.message().contains("http://"), "{}", report.message());
}

mod of_a_path {
    use wharf_lab::{Because, BucketSettings, Seed, WrongRegion};

    use super::*;

    async fn at(lab: &Lab, path: &str) -> CheckReport {
        let request = CheckRequest {
            source_path: Some(path),
            ..WHOLE
        };
        open(lab).check(request).await
    }

    fn outcomes(report: &CheckReport) -> [Outcome; 4] {
        let names = ["list", "read", "tags", "decrypt"];
        let of_path: Vec<_> = report.checks.iter().filter(|check| check.of_path).collect();
        let found: Vec<_> = of_path.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(found, names, "{report:?}");
        names.map(|name| outcome(report, name))
    }

    /// A lab with one photo, that answers a request for what is in the query so.
    async fn photo(query: &str, action: Action) -> Lab {
        let lab = lab().await;
        lab.put_object("media", "photos/a.jpg", "x");
        lab.add_fault(FaultRule::new(Match::any().query_contains(query), action));
        lab
    }

    fn denied(message: &str) -> Action {
        Action {
            message: Some(message.into()),
            ..Action::s3_error("AccessDenied")
        }
    }

    #[tokio::test]
    async fn everything_passes_with_one_byte_read() {
        for profile in PROFILES {
            let lab = lab().await;
            lab.put_object("media", "photos/", "");
            lab.put_object("media", "photos/a.txt", "");
            lab.put_object("media", "photos/b.jpg", "picture");
            let request = CheckRequest {
                source_path: Some("media/photos"),
                ..WHOLE
            };
            let report = open_as(&lab, profile).check(request).await;
            assert_eq!(
                outcomes(&report),
                [Outcome::Passed; 4],
                "{profile:?} {report:?}"
            );
            assert!(report.success());
            let paths: Vec<_> = lab
                .journal()
                .iter()
                .map(|entry| entry.path.clone())
                .collect();
            assert_eq!(paths.len(), 4, "{paths:?}");
            assert!(paths[2].ends_with("/photos/b.jpg") && paths[3].ends_with("/photos/b.jpg"));
            assert!(lab.journal().iter().all(|entry| entry.method == "GET"));
        }
    }

    #[tokio::test]
    async fn an_empty_path_can_be_listed_and_leaves_the_rest_open() {
        let lab = lab().await;
        lab.put_object("media", "photos2/a.jpg", "x");
        let report = at(&lab, "media/photos").await;
        let open = Outcome::Inconclusive;
        assert_eq!(outcomes(&report), [Outcome::Passed, open, open, open]);
        let read = check(&report, "read");
        assert_eq!(
            read.action.as_deref(),
            Some("s3:GetObject on media/photos/*")
        );
        assert!(read.remedy.as_deref().unwrap().contains("media/photos"));
        assert!(report.success());
    }

    #[tokio::test]
    async fn a_bucket_that_is_missing_or_elsewhere_fails_the_list() {
        let skipped = Outcome::Skipped;
        let failed = [Outcome::Failed, skipped, skipped, skipped];
        let lab = lab().await;
        let missing = at(&lab, "missing/photos").await;
        assert_eq!(outcomes(&missing), failed);
        assert_eq!(missing.error_code(), Some(ErrorCode::ResourceNotFound));
        let list = check(&missing, "list");
        assert_eq!(
            list.action.as_deref(),
            Some("s3:ListBucket on missing with the prefix photos")
        );

        let redirect = Action::s3_error("PermanentRedirect")
            .with_status(StatusCode::MOVED_PERMANENTLY)
            .region("eu-central-1");
        let malformed = Action::s3_error("AuthorizationHeaderMalformed").region("eu-central-1");
        let bare = Action::status(StatusCode::MOVED_PERMANENTLY).region("eu-central-1");
        for action in [redirect, malformed, bare] {
            let report = at(&photo("list-type", action).await, "media/photos").await;
            assert_eq!(outcomes(&report), failed);
            assert_eq!(report.error_code(), Some(ErrorCode::ConfigWrongRegion));
            let remedy = check(&report, "list").remedy.clone().unwrap();
            assert!(
                remedy.contains("provider_config.region to eu-central-1"),
                "{remedy}"
            );
            assert_eq!(report.of_connection().error_code(), None);
        }
    }

    #[tokio::test]
    async fn each_missing_permission_is_told_by_its_own_check() {
        let lab = photo("list-type", Action::s3_error("AccessDenied")).await;
        let report = at(&lab, "media/photos").await;
        let skipped = Outcome::Skipped;
        assert_eq!(
            outcomes(&report),
            [Outcome::Failed, skipped, skipped, skipped]
        );
        let list = check(&report, "list");
        assert_eq!(list.error_code, Some(ErrorCode::PermDenied));
        assert_eq!(
            list.action.as_deref(),
            Some("s3:ListBucket on media with the prefix photos")
        );

        let lab = photo("x-id=GetObject", Action::s3_error("AccessDenied")).await;
        let report = at(&lab, "media/photos").await;
        assert_eq!(
            outcomes(&report),
            [
                Outcome::Passed,
                Outcome::Failed,
                Outcome::Passed,
                Outcome::Skipped
            ]
        );
        let read = check(&report, "read");
        assert_eq!(read.error_code, Some(ErrorCode::PermDenied));
        assert_eq!(
            read.action.as_deref(),
            Some("s3:GetObject on media/photos/*")
        );

        let lab = photo("tagging", Action::s3_error("AccessDenied")).await;
        let report = at(&lab, "media/photos/").await;
        assert_eq!(
            outcomes(&report),
            [
                Outcome::Passed,
                Outcome::Passed,
                Outcome::Inconclusive,
                Outcome::Passed
            ]
        );
        let tags = check(&report, "tags");
        assert_eq!(tags.error_code, Some(ErrorCode::PermDenied));
        assert_eq!(
            tags.action.as_deref(),
            Some("s3:GetObjectTagging on media/photos/*")
        );
        assert!(report.success());
    }

    #[tokio::test]
    async fn a_key_that_may_not_decrypt_is_told_apart_from_one_that_may_not_read() {
        let kms = denied(
            "User: arn:aws:iam::123456789012:user/r is not authorized to perform: kms:Decrypt on the resource",
        );
        let disabled =
            Action::s3_error("KMS.DisabledException").with_status(StatusCode::BAD_REQUEST);
        for action in [kms, disabled] {
            let report = at(&photo("x-id=GetObject", action).await, "media/photos").await;
            assert_eq!(
                outcomes(&report),
                [
                    Outcome::Passed,
                    Outcome::Inconclusive,
                    Outcome::Passed,
                    Outcome::Failed
                ]
            );
            let decrypt = check(&report, "decrypt");
            assert_eq!(decrypt.error_code, Some(ErrorCode::PermDenied));
            let action = "kms:Decrypt on the key of media/photos/a.jpg";
            assert_eq!(decrypt.action.as_deref(), Some(action));
            assert!(decrypt.remedy.as_deref().unwrap().contains("kms:Decrypt"));
        }
    }

    #[tokio::test]
    async fn objects_that_no_sync_copies_decide_nothing_and_another_one_is_tried() {
        let customer_key = Action {
            message: Some("The object was stored using a form of Server Side Encryption.".into()),
            ..Action::s3_error("InvalidRequest").with_status(StatusCode::BAD_REQUEST)
        };
        let archived = Action::s3_error("InvalidObjectState");
        for (action, code) in [
            (customer_key, ErrorCode::ObjectCustomerKey),
            (archived, ErrorCode::ResourceArchived),
        ] {
            let lab = photo("x-id=GetObject", action.clone()).await;
            let report = at(&lab, "media/photos").await;
            let open = Outcome::Inconclusive;
            assert_eq!(
                outcomes(&report),
                [Outcome::Passed, open, Outcome::Passed, open]
            );
            assert_eq!(check(&report, "read").error_code, Some(code));

            lab.put_object("media", "photos/b.jpg", "x");
            let first = Match::any()
                .path_contains("a.jpg")
                .query_contains("x-id=GetObject");
            lab.set_faults([FaultRule::new(first, action)]);
            assert_eq!(
                outcomes(&at(&lab, "media/photos").await),
                [Outcome::Passed; 4]
            );
        }
    }

    #[tokio::test]
    async fn requester_pays_is_named() {
        let paid = denied("Requester pays bucket: x-amz-request-payer is missing");
        let report = at(&photo("x-id=GetObject", paid).await, "media/photos").await;
        assert_eq!(outcome(&report, "read"), Outcome::Failed);
        assert_eq!(report.error_code(), Some(ErrorCode::ObjectRequesterPays));
    }

    #[tokio::test]
    async fn a_store_without_tags_has_none_to_check() {
        for action in [
            Action::s3_error("NotImplemented").with_status(StatusCode::NOT_IMPLEMENTED),
            Action::status(StatusCode::METHOD_NOT_ALLOWED),
        ] {
            let report = at(&photo("tagging", action).await, "media/photos").await;
            assert_eq!(
                outcomes(&report),
                [
                    Outcome::Passed,
                    Outcome::Passed,
                    Outcome::Skipped,
                    Outcome::Passed
                ]
            );
        }
    }

    #[tokio::test]
    async fn what_a_key_lacks_is_told_as_the_store_tells_it() {
        use Outcome::{Failed, Inconclusive, Passed, Skipped};
        for (action, on, because, code, expected) in [
            (
                "s3:ListBucket",
                "media",
                Because::NoIdentityPolicy,
                ErrorCode::PermDenied,
                [Failed, Skipped, Skipped, Skipped],
            ),
            (
                "s3:GetObject",
                "media/*",
                Because::ServiceControlPolicy,
                ErrorCode::PermPolicyBlocked,
                [Passed, Failed, Passed, Skipped],
            ),
            (
                "s3:GetObject",
                "media/*",
                Because::Unsaid,
                ErrorCode::PermDenied,
                [Passed, Failed, Passed, Skipped],
            ),
            (
                "s3:GetObjectTagging",
                "media/*",
                Because::ResourcePolicy,
                ErrorCode::PermPolicyBlocked,
                [Passed, Passed, Inconclusive, Passed],
            ),
        ] {
            let key = KeyPair::new("NARROW", "secret").deny_because(action, on, because);
            let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
            lab.put_object("media", "photos/a.jpg", "x");
            let report = at(&lab, "media/photos").await;
            assert_eq!(outcomes(&report), expected, "{action} {because:?}");
            let lacking = report
                .checks
                .iter()
                .find(|check| check.error_code.is_some())
                .unwrap();
            assert_eq!(lacking.error_code, Some(code));
            assert!(lacking.action.as_deref().unwrap().starts_with(action));
        }
    }

    #[tokio::test]
    async fn encrypted_objects_are_told_apart_by_whose_key_it_is() {
        use Outcome::{Failed, Inconclusive, Passed};
        for (encryption, expected) in [
            ("kms", [Passed; 4]),
            ("kms_denied", [Passed, Inconclusive, Passed, Failed]),
            ("customer_key", [Passed, Inconclusive, Passed, Inconclusive]),
        ] {
            let lab = lab().await;
            let objects = serde_json::json!([
                {"key": "old.jpg", "text": "x", "storage_class": "GLACIER"},
                {"key": "photo.jpg", "text": "x", "encryption": encryption},
            ]);
            lab.seed(Seed {
                bucket: "media".to_owned(),
                objects: serde_json::from_value(objects).unwrap(),
                ..Seed::default()
            })
            .unwrap();
            assert_eq!(outcomes(&at(&lab, "media").await), expected, "{encryption}");
        }
    }

    #[tokio::test]
    async fn a_bucket_elsewhere_is_found_whichever_way_the_store_tells() {
        for way in [WrongRegion::Redirect, WrongRegion::Malformed] {
            let lab = lab().await;
            let there = BucketSettings::new()
                .region("eu-central-1")
                .wrong_region(way);
            lab.set_bucket("media", there);
            let report = at(&lab, "media").await;
            assert_eq!(report.error_code(), Some(ErrorCode::ConfigWrongRegion));
            assert!(
                report.message().contains("region to eu-central-1"),
                "{}",
                report.message()
            );
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_about_a_path_without_a_sign_in() {
        let lab = photo("max-buckets", Action::s3_error("InvalidAccessKeyId")).await;
        assert_eq!(
            outcomes(&at(&lab, "media/photos").await),
            [Outcome::Skipped; 4]
        );
        assert_eq!(lab.journal().len(), 1);
    }
}

mod under_a_role {
    use std::sync::Arc;

    use chrono::Utc;
    use serde_json::json;
    use wharf_domain::Timestamp;
    use wharf_domain::ids::Alphabet;
    use wharf_domain::provider::{EndpointUrl, Provider};
    use wharf_domain::secret::SecretString;
    use wharf_egress::{Guard, TcpDialer};
    use wharf_lab::Role;
    use wharf_ports::{Clock, IdSource, ProviderFactory};
    use wharf_s3::{Aws, Identity, S3};

    use super::*;
    use crate::account::{Here, config, connection};

    const READER: &str = "arn:aws:iam::123456789012:role/reader";
    const ISSUED: &str = "wharf-issued";

    /// What the machine has.
    struct Machine;

    impl Clock for Machine {
        #[expect(
            clippy::disallowed_methods,
            reason = "the lab ends sessions by this clock"
        )]
        fn now(&self) -> Timestamp {
            Utc::now()
        }
    }

    impl IdSource for Machine {
        fn token(&self, _: Alphabet, length: usize) -> String {
            "7".repeat(length)
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    async fn report(lab: &Lab) -> CheckReport {
        let url = || Some(EndpointUrl::parse(&lab.endpoint()).unwrap());
        let aws = Aws {
            sts_url: url(),
            s3_url: url(),
            identity: Some(Identity::Key {
                access_key_id: lab.access_key_id().to_owned(),
                secret_access_key: SecretString::new(lab.secret_access_key().to_owned()),
                session_token: None,
            }),
            require_external_id: true,
        };
        let role = json!({"type": "iam_role", "role_arn": READER, "external_id": ISSUED});
        let parts = config(Provider::S3, json!({}), role);
        let guard = Guard::with(policy(), Arc::new(Here), Arc::new(TcpDialer));
        let s3 = S3::with_aws(Arc::new(guard), aws, Arc::new(Machine), Arc::new(Machine));
        let account = s3
            .open(
                &connection(),
                &parts.config,
                parts.credentials,
                crate::account::alone(),
            )
            .unwrap();
        let request = CheckRequest {
            source_path: Some("media"),
            ..WHOLE
        };
        account.check(request).await
    }

    /// What the store alone could have shown is left open, since it was not asked.
    fn assert_told_by_sts(report: &CheckReport, failed: &str, code: ErrorCode) {
        assert_eq!(report.error_code(), Some(code), "{report:?}");
        for check in &report.checks {
            let expected = match check.name.as_str() {
                "configuration" => Outcome::Passed,
                name if name == failed => Outcome::Failed,
                _ => Outcome::Skipped,
            };
            assert_eq!(check.outcome, expected, "{report:?}");
        }
    }

    #[tokio::test]
    async fn a_role_that_asks_for_the_external_id_passes_and_is_known_to_aws() {
        let lab = lab().await;
        lab.put_object("media", "a", "x");
        lab.add_role(Role::new(READER).external_id(ISSUED));
        let report = report(&lab).await;
        for name in ["sign_in", "identity", "list", "read", "tags", "decrypt"] {
            assert_eq!(outcome(&report, name), Outcome::Passed, "{report:?}");
        }
    }

    #[tokio::test]
    async fn a_role_that_is_denied_fails_the_sign_in() {
        let lab = lab().await;
        lab.add_role(Role::new(READER).external_id("of-another-organization"));
        let report = report(&lab).await;
        assert_told_by_sts(&report, "sign_in", ErrorCode::AuthAssumeRoleDenied);
        let action = check(&report, "sign_in").action.as_deref();
        assert_eq!(action, Some("sts:AssumeRole on credentials.role_arn"));
    }

    #[tokio::test]
    async fn a_role_that_anyone_may_have_fails_the_sign_in() {
        let lab = lab().await;
        lab.add_role(Role::new(READER).trusting_anyone());
        let report = report(&lab).await;
        let refusal = ErrorCode::AuthRoleTrustsWithoutExternalId;
        assert_told_by_sts(&report, "sign_in", refusal);
    }

    #[tokio::test]
    async fn a_token_service_that_is_not_reached_is_the_operator_s_to_reach() {
        let lab = lab().await;
        lab.add_role(Role::new(READER).external_id(ISSUED));
        lab.add_fault(FaultRule::new(
            Match::operation(Operation::AssumeRole),
            Action::close(),
        ));
        let report = report(&lab).await;
        assert_told_by_sts(&report, "connection", ErrorCode::NetworkConnect);
        let connection = check(&report, "connection");
        let action = connection.action.as_deref();
        assert_eq!(action, Some("sts:AssumeRole on credentials.role_arn"));
        let remedy = connection.remedy.as_deref().unwrap();
        assert!(remedy.contains("providers.aws.sts_url"), "{remedy}");
        assert!(!remedy.contains("provider_config"), "{remedy}");
    }
}
