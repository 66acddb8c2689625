//! What a store's no, or its silence, becomes.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::Provider;
use wharf_egress::Policy;
use wharf_lab::{Action, FaultRule, KeyPair, Lab, LabConfig, Match};
use wharf_ports::{FetchWish, ProviderError, ProviderFactory, Retry};

use crate::account::{WHOLE, config, factory, lab, open, open_with, policy, s3_at};

async fn error_of(action: Action) -> ProviderError {
    let lab = lab().await;
    lab.create_bucket("media");
    lab.add_fault(FaultRule::new(Match::any(), action));
    let error = open(&lab).list("media", None, 10).await.unwrap_err();
    assert_eq!(
        lab.journal().len(),
        1,
        "nothing is tried again behind the caller's back"
    );
    error
}

async fn code_with(lab: &Lab, id: &str, secret: &str, path: &str) -> ErrorCode {
    let provider = open_with(policy(), s3_at(&lab.endpoint(), id, secret));
    provider.list(path, None, 10).await.unwrap_err().code
}

#[tokio::test]
async fn throttling_carries_the_time_that_the_store_wants() {
    for action in [
        Action::s3_error("SlowDown"),
        Action::status(StatusCode::TOO_MANY_REQUESTS),
    ] {
        let error = error_of(action.header("retry-after", "7")).await;
        assert_eq!(error.code, ErrorCode::QuotaRateLimited);
        assert_eq!(
            error.retry,
            Retry::Later {
                after: Some(Duration::from_secs(7))
            }
        );
    }
}

#[tokio::test]
async fn codes_statuses_and_silences_are_told_apart() {
    for (action, code) in [
        (Action::s3_error("ExpiredToken"), ErrorCode::AuthExpired),
        (
            Action::s3_error("RequestTimeTooSkewed"),
            ErrorCode::AuthClockSkew,
        ),
        (Action::s3_error("AccessDenied"), ErrorCode::PermDenied),
        (
            Action::s3_error("InternalError"),
            ErrorCode::ProviderUnavailable,
        ),
        (
            Action::s3_error("InternalError").with_status(StatusCode::OK),
            ErrorCode::ProviderUnavailable,
        ),
        (
            Action::s3_error("MadeUpByAVendor").with_status(StatusCode::FORBIDDEN),
            ErrorCode::PermDenied,
        ),
        (
            Action::status(StatusCode::BAD_GATEWAY),
            ErrorCode::ProviderUnavailable,
        ),
        (
            Action::status(StatusCode::NOT_FOUND),
            ErrorCode::ResourceNotFound,
        ),
        (Action::close(), ErrorCode::NetworkConnect),
    ] {
        let error = error_of(action.clone()).await;
        assert_eq!(error.code, code, "{action:?}");
        assert!(
            error.message.starts_with("s3:ListBucket on media: "),
            "{}",
            error.message
        );
    }
}

fn denied(message: &str) -> Action {
    Action {
        message: Some(message.into()),
        ..Action::s3_error("AccessDenied")
    }
}

#[tokio::test]
async fn policies_are_named_when_the_store_names_them() {
    for (reason, code) in [
        (
            "with an explicit deny in a resource-based policy",
            ErrorCode::PermPolicyBlocked,
        ),
        (
            "with an explicit deny in a service control policy",
            ErrorCode::PermPolicyBlocked,
        ),
        (
            "with an explicit deny in a VPC endpoint policy",
            ErrorCode::PermPolicyBlocked,
        ),
        (
            "because no identity-based policy allows the action",
            ErrorCode::PermDenied,
        ),
    ] {
        let message = format!(
            "User: arn:aws:iam::123456789012:user/echoed is not authorized to perform: s3:ListBucket on resource: \
             \"arn:aws:s3:::media\" {reason}"
        );
        let error = error_of(denied(&message)).await;
        assert_eq!(error.code, code, "{reason}");
        assert!(!error.message.contains("echoed"), "{}", error.message);
    }
}

#[tokio::test]
async fn objects_that_cannot_be_had_carry_the_reason_they_are_skipped_with() {
    let bad_request = StatusCode::BAD_REQUEST;
    let customer_key = Action {
        message: Some(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to \
             retrieve the object."
                .into(),
        ),
        ..Action::s3_error("InvalidRequest").with_status(bad_request)
    };
    for (action, code) in [
        (customer_key, ErrorCode::ObjectCustomerKey),
        (
            Action::s3_error("UserProjectMissing").with_status(bad_request),
            ErrorCode::ObjectRequesterPays,
        ),
        (
            denied("This is a requester pays bucket."),
            ErrorCode::ObjectRequesterPays,
        ),
        (
            Action::s3_error("InvalidObjectState"),
            ErrorCode::ResourceArchived,
        ),
    ] {
        let lab = lab().await;
        lab.put_object("media", "a", "x");
        let provider = open(&lab);
        let entry = crate::account::only_entry(&provider, "media").await;
        lab.add_fault(FaultRule::new(Match::any(), action));
        let error = provider
            .fetch(&entry, FetchWish::default())
            .await
            .unwrap_err();
        assert_eq!((error.code, error.retry), (code, Retry::Never));
        let remedy = code.remedy();
        assert!(error.message.ends_with(remedy), "{}", error.message);
    }
}

#[tokio::test]
async fn a_wish_to_be_asked_later_is_believed_up_to_an_hour() {
    for (name, wish, seconds) in [
        ("retry-after", "86400", 3600),
        ("x-amz-retry-after", "2000", 2),
    ] {
        let error = error_of(Action::s3_error("SlowDown").header(name, wish)).await;
        let after = Some(Duration::from_secs(seconds));
        assert_eq!(error.retry, Retry::Later { after }, "{name}");
    }
}

#[tokio::test]
async fn the_region_in_the_endpoint_of_a_redirect_is_named() {
    let document = "<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message><Bucket>media</Bucket>\
                    <Endpoint>media.s3.eu-central-1.wasabisys.com</Endpoint></Error>";
    let error = error_of(Action {
        body: Some(document.into()),
        ..Action::status(StatusCode::MOVED_PERMANENTLY)
    })
    .await;
    assert_eq!(error.code, ErrorCode::ConfigWrongRegion);
    for word in [
        "eu-central-1",
        "provider_config.region",
        "provider_config.endpoint_url",
    ] {
        assert!(error.message.contains(word), "{}", error.message);
    }
    assert!(!error.message.contains("wasabisys"), "{}", error.message);
}

#[tokio::test]
async fn keys_buckets_and_permissions_are_told_apart() {
    let narrow = KeyPair::new("NARROW", "secret").only_buckets(["mine"]);
    let lab = Lab::start(LabConfig::default().keys([KeyPair::default(), narrow]))
        .await
        .unwrap();
    lab.create_bucket("media");
    let (id, secret) = (lab.access_key_id(), lab.secret_access_key());
    assert_eq!(
        code_with(&lab, id, "wrong", "media").await,
        ErrorCode::AuthInvalidCredentials
    );
    assert_eq!(
        code_with(&lab, "UNKNOWN", secret, "media").await,
        ErrorCode::AuthInvalidCredentials
    );
    assert_eq!(
        code_with(&lab, "NARROW", "secret", "media").await,
        ErrorCode::PermDenied
    );
    assert_eq!(
        code_with(&lab, id, secret, "missing").await,
        ErrorCode::ResourceNotFound
    );
    assert_eq!(
        code_with(&lab, id, secret, "/").await,
        ErrorCode::ResourceNotFound
    );
}

#[tokio::test]
async fn a_session_token_is_sent_and_a_wrong_one_told() {
    let key = KeyPair::new("TEMPORARY", "secret").session_token("token-1");
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    lab.put_object("media", "a", "x");
    let listed = async |token: &str| {
        let credentials = json!({
            "type": "access_key", "access_key_id": "TEMPORARY", "secret_access_key": "secret", "session_token": token
        });
        let parts = config(
            Provider::S3,
            json!({"endpoint_url": lab.endpoint(), "region": "auto"}),
            credentials,
        );
        open_with(policy(), parts)
            .list("media", None, 10)
            .await
            .map_err(|error| error.code)
    };
    assert_eq!(listed("token-1").await.unwrap().entries.len(), 1);
    assert_eq!(
        listed("token-2").await.unwrap_err(),
        ErrorCode::AuthInvalidCredentials
    );
}

#[tokio::test]
async fn a_check_tells_when_a_signed_session_token_runs_out() {
    // Claims: {"exp":1767225600}.
    let token = "eyJhbGciOiJIUzUxMiJ9.eyJleHAiOjE3NjcyMjU2MDB9.c2lnbmF0dXJl";
    let key = KeyPair::new("TEMPORARY", "secret").session_token(token);
    let lab = Lab::start(LabConfig::default().keys([key])).await.unwrap();
    let credentials = json!({
        "type": "access_key", "access_key_id": "TEMPORARY", "secret_access_key": "secret", "session_token": token
    });
    let settings = json!({"endpoint_url": lab.endpoint(), "region": "auto"});
    let parts = config(Provider::S3, settings, credentials);
    let report = open_with(policy(), parts).check(WHOLE).await;
    assert!(report.success(), "{report:?}");
    let end = report.expires_at().map(|end| end.timestamp());
    assert_eq!(end, Some(1_767_225_600));
}

#[tokio::test]
async fn the_region_is_named_and_redirects_are_not_followed() {
    let moved = Action::s3_error("PermanentRedirect")
        .with_status(StatusCode::MOVED_PERMANENTLY)
        .region("eu-central-1");
    let error = error_of(moved).await;
    assert_eq!(error.code, ErrorCode::ConfigWrongRegion);
    assert!(error.message.contains("eu-central-1"), "{}", error.message);

    let elsewhere = lab().await;
    let location: &'static str = elsewhere.endpoint().leak();
    for status in [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::TEMPORARY_REDIRECT,
    ] {
        let error = error_of(Action::status(status).header("location", location)).await;
        assert_eq!(error.code, ErrorCode::ConfigEndpointInvalid, "{status}");
    }
    assert!(elsewhere.journal().is_empty());
}

#[tokio::test]
async fn nothing_is_dialled_that_the_guard_refuses() {
    let lab = lab().await;
    lab.create_bucket("media");
    let parts = || {
        s3_at(
            &lab.endpoint(),
            lab.access_key_id(),
            lab.secret_access_key(),
        )
    };
    let refused = factory(Policy::default()).vet(&parts().config).unwrap_err();
    assert_eq!(refused.0[0].path(), "provider_config.endpoint_url");
    assert!(
        refused.0[0].message.contains("egress.allow_loopback"),
        "{refused}"
    );
    assert_eq!(factory(policy()).vet(&parts().config), Ok(()));

    let error = open_with(Policy::default(), parts())
        .list("media", None, 10)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::EgressRefused, Retry::Never)
    );
    assert!(lab.journal().is_empty());
}

#[tokio::test]
async fn names_that_lead_nowhere_and_closed_ports_are_told_apart() {
    let lab = lab().await;
    let endpoint = lab.endpoint();
    lab.shutdown().await;
    let error = open_with(policy(), s3_at(&endpoint, "id", "secret"))
        .list("media", None, 10)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::NetworkConnect, Retry::Later { after: None })
    );
}

#[test]
fn a_factory_opens_what_it_supports_and_says_what_it_does_not() {
    let factory = factory(policy());
    for provider in Provider::ALL {
        assert_eq!(
            factory.supports(provider),
            matches!(provider, Provider::S3 | Provider::Tigris)
        );
    }
    assert_eq!(
        factory.vet_source_path(Provider::Tigris, "media/2024"),
        Ok(())
    );
    let refused = factory
        .vet_source_path(Provider::S3, "s3://media/2024")
        .unwrap_err();
    assert_eq!(refused.0[0].path(), "source_path");
    assert!(
        factory
            .vet_source_path(Provider::Snowflake, "media")
            .is_err()
    );

    let role = json!({"type": "iam_role", "role_arn": "arn:aws:iam::123456789012:role/reader", "external_id": "wharf-12345678"});
    let parts = config(Provider::S3, json!({}), role);
    let Err(error) = factory.open(
        &crate::account::connection(),
        &parts.config,
        parts.credentials,
        crate::account::alone(),
    ) else {
        panic!("a role was opened")
    };
    assert_eq!(error.code, ErrorCode::AdapterMissing);
    assert!(
        error.message.starts_with(
            "provider_config.credentials.type: this server has no identity of its own"
        ),
        "{error}"
    );

    let s3 = s3_at("https://minio.example.com", "id", "secret");
    let tigris = config(
        Provider::Tigris,
        json!({}),
        json!({"access_key_id": "id", "secret_access_key": "secret"}),
    );
    let Err(error) = factory.open(
        &crate::account::connection(),
        &s3.config,
        tigris.credentials,
        crate::account::alone(),
    ) else {
        panic!("parts do not fit")
    };
    assert_eq!(error.code, ErrorCode::ConfigInvalid);
}

#[test]
fn the_authority_is_the_same_for_equal_configurations() {
    let authority = |provider, settings| {
        let credentials =
            json!({"type": "access_key", "access_key_id": "id", "secret_access_key": "secret"});
        open_with(policy(), config(provider, settings, credentials)).authority()
    };
    assert_eq!(
        authority(Provider::S3, json!({"region": "eu-west-1"})),
        "aws"
    );
    assert_eq!(
        authority(Provider::S3, json!({"region": "cn-north-1"})),
        "aws-cn"
    );
    assert_eq!(
        authority(
            Provider::S3,
            json!({"endpoint_url": "https://Minio.Example.com/"})
        ),
        "minio.example.com:443"
    );
    assert_eq!(
        authority(Provider::Tigris, json!({})),
        "fly.storage.tigris.dev:443"
    );
}
