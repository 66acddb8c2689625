//! What holds for every provider, and the samples that the providers' own tests start from.

use serde_json::json;

use super::credentials::{CredentialForm, Part};
use super::*;
use crate::input::FieldError;
use crate::secret::SecretBytes;

/// Stands in every credential value of the samples that can hold it.
pub(super) const CANARY: &str = "CANARY";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n";
const GUID: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// Every kind of credentials of every provider.
pub(super) fn kinds() -> Vec<(Provider, CredentialType)> {
    Provider::ALL
        .into_iter()
        .flat_map(|provider| {
            provider
                .credential_types()
                .map(move |kind| (provider, kind))
        })
        .collect()
}

pub(super) fn form(provider: Provider, kind: CredentialType) -> &'static CredentialForm {
    provider
        .forms()
        .iter()
        .find(|form| form.kind == kind)
        .expect("a kind of this provider")
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else {
        panic!("an object")
    };
    fields
}

/// Complete credentials of a kind, optional fields included.
pub(super) fn sample_credentials(provider: Provider, kind: CredentialType) -> Value {
    let mut credentials = match kind {
        CredentialType::ServiceAccount => json!({
            "project_id": "CANARY-project", "private_key_id": "CANARY-key-1", "private_key": PEM,
            "client_email": "CANARY@project.iam.gserviceaccount.com", "client_id": "CANARY-123"
        }),
        CredentialType::OAuth => {
            json!({"client_id": "CANARY.apps", "client_secret": "CANARY-secret", "refresh_token": "1//CANARY"})
        }
        CredentialType::AccessKey if provider == Provider::Tigris => {
            json!({"access_key_id": "tid_CANARY", "secret_access_key": "tsec_CANARY"})
        }
        CredentialType::AccessKey => {
            json!({"access_key_id": "ASIACANARY", "secret_access_key": "CANARY/secret", "session_token": "CANARY=="})
        }
        CredentialType::IamRole => {
            json!({"role_arn": "arn:aws:iam::123456789012:role/team/CANARY", "external_id": "sc-CANARY-1"})
        }
        CredentialType::KeyPair => {
            json!({"username": "CANARY_USER", "private_key": PEM, "private_key_passphrase": "CANARY \"é\\ passphrase"})
        }
        CredentialType::UsernamePassword => {
            json!({"username": "CANARY_USER", "password": " CANARY \"é\\u0041\" "})
        }
        CredentialType::ClientCredentials => {
            json!({"tenant_id": "canary.example.com", "client_id": GUID, "client_secret": "CANARY~secret"})
        }
        CredentialType::Delegated => {
            json!({"tenant_id": "common", "client_id": GUID, "client_secret": "CANARY~secret", "refresh_token": "0.CANARY"})
        }
    };
    credentials["type"] = kind.as_str().into();
    credentials
}

/// A sound value for a field that differs from the sample's.
pub(super) fn other_value(field: &str) -> Value {
    match field {
        "private_key" => PEM.replace(CANARY, "OTHER").into(),
        "client_email" => "other@project.iam.gserviceaccount.com".into(),
        "role_arn" => "arn:aws:iam::123456789012:role/other".into(),
        "tenant_id" | "client_id" => GUID.replace('0', "f").into(),
        _ => "OTHER-VALUE".into(),
    }
}

/// Settings of a provider, all of them given, without credentials.
pub(super) fn sample_settings(provider: Provider) -> Value {
    let mut settings = match provider {
        Provider::GoogleDrive => json!({"shared_drive_id": "0AH-Xabc_123"}),
        Provider::S3 => {
            json!({"region": "us-east-1", "endpoint_url": "https://minio.example.com:9000", "use_ssl": true, "verify_ssl": false})
        }
        Provider::Snowflake => json!({
            "account": "org-account", "warehouse": "LOAD WH", "database": "DB", "schema": "PUBLIC", "role": "READER",
            "incremental_column": "updated_at", "primary_key_columns": ["id", "Zähler \"x\""],
            "query_timeout_seconds": 60, "fetch_size": 500
        }),
        Provider::SharePoint => json!({
            "site_id": "https://contoso.sharepoint.com/sites/Team%20A", "drive_id": "b!aB-_9", "folder_path": "/Müll #1/50%"
        }),
        Provider::Tigris => json!({"region": "auto", "endpoint_url": "https://t3.storage.dev"}),
    };
    settings["provider_type"] = provider.as_str().into();
    settings["description"] = "line one\nline two".into();
    settings
}

/// A whole `provider_config`.
pub(super) fn sample(provider: Provider, kind: CredentialType) -> Value {
    let mut sample = sample_settings(provider);
    sample["credentials"] = sample_credentials(provider, kind);
    sample
}

/// Changes one field, given by its dotted path; `null` removes it.
pub(super) fn with(mut sample: Value, path: &str, value: Value) -> Value {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = sample
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("the parent is an object");
    if value.is_null() {
        parent.remove(key);
    } else {
        parent.insert(key.to_owned(), value);
    }
    sample
}

pub(super) fn parse(provider: Provider, sample: Value) -> Result<NewProviderConfig, InvalidInput> {
    parse_new(provider, object(sample), "provider_config")
}

/// Each single change of the sample is refused, at that path and nowhere else, and the patch parser agrees.
pub(super) fn assert_refused(provider: Provider, kind: CredentialType, changes: &[(&str, Value)]) {
    for (path, value) in changes {
        let sample = with(sample(provider, kind), path, value.clone());
        let error = parse(provider, sample.clone()).expect_err(&format!("{path} = {value}"));
        let found: Vec<String> = error.0.iter().map(FieldError::path).collect();
        assert_eq!(
            found,
            [format!("provider_config.{path}")],
            "{path} = {value}: {error}"
        );
        if !value.is_null() {
            let patched = parse_patch(provider, object(sample), "provider_config").map(|_| ());
            assert_eq!(patched, Err(error), "{path} = {value}");
        }
    }
}

/// Each single change of the sample is accepted; the setting is shown as expected and survives storing.
pub(super) fn assert_shown(
    provider: Provider,
    kind: CredentialType,
    changes: &[(&str, Value, Value)],
) {
    for (path, value, shown) in changes {
        let parsed = parse(provider, with(sample(provider, kind), path, value.clone()));
        let config = parsed
            .unwrap_or_else(|error| panic!("{path} = {value}: {error}"))
            .config;
        let json = config.to_json();
        assert_eq!(
            json.get(*path).unwrap_or(&Value::Null),
            shown,
            "{path} = {value}"
        );
        assert_eq!(
            ProviderConfig::from_stored(provider, json),
            Ok(config),
            "{path} = {value}"
        );
    }
}

/// Each single change of the sample's credentials is accepted.
pub(super) fn assert_accepted(provider: Provider, kind: CredentialType, changes: &[(&str, Value)]) {
    for (path, value) in changes {
        if let Err(error) = parse(provider, with(sample(provider, kind), path, value.clone())) {
            panic!("{path} = {value}: {error}");
        }
    }
}

/// The settings that a read shows for a sample of nothing but what is required.
pub(super) fn shown_by_default(provider: Provider, kind: CredentialType, required: Value) -> Value {
    let config = with(required, "credentials", sample_credentials(provider, kind));
    Value::Object(
        parse(provider, config)
            .expect("a sound configuration")
            .config
            .to_json(),
    )
}

/// The audience of the sample settings with one change.
pub(super) fn audience(provider: Provider, path: &str, value: Value) -> Audience {
    let settings = object(with(sample_settings(provider), path, value));
    ProviderConfig::from_stored(provider, settings)
        .expect("sound settings")
        .audience()
}

#[test]
fn providers_and_credential_types_have_one_word_each_everywhere() {
    for provider in Provider::ALL {
        assert_eq!(provider.as_str().parse(), Ok(provider));
        assert_eq!(serde_json::to_value(provider).unwrap(), provider.as_str());
    }
    for kind in CredentialType::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    let unknown = "dropbox".parse::<Provider>().unwrap_err().to_string();
    assert!(
        unknown.ends_with("google_drive, s3, snowflake, sharepoint, tigris"),
        "{unknown}"
    );
    let unknown = "password"
        .parse::<CredentialType>()
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("access_key, iam_role"), "{unknown}");
}

#[test]
fn every_sample_is_read_and_shown_again_without_credentials() {
    for (provider, kind) in kinds() {
        let parsed = parse(provider, sample(provider, kind))
            .unwrap_or_else(|error| panic!("{provider} {kind}: {error}"));
        assert_eq!(
            (parsed.config.provider(), parsed.credentials.provider()),
            (provider, provider)
        );
        assert_eq!(parsed.credentials.credential_type(), kind);
        assert_eq!(
            Value::Object(parsed.config.to_json()),
            sample_settings(provider)
        );
    }
}

#[test]
fn stored_settings_come_back_equal() {
    for provider in Provider::ALL {
        let config =
            ProviderConfig::from_stored(provider, object(sample_settings(provider))).unwrap();
        assert_eq!(
            ProviderConfig::from_stored(provider, config.to_json()),
            Ok(config)
        );
    }
    let with_credentials = object(sample(Provider::Tigris, CredentialType::AccessKey));
    assert!(ProviderConfig::from_stored(Provider::Tigris, with_credentials).is_err());
}

#[test]
fn sealed_credentials_come_back_equal() {
    for (provider, kind) in kinds() {
        let credentials = parse(provider, sample(provider, kind)).unwrap().credentials;
        let bytes = credentials.to_secret_bytes();
        let json: Value = serde_json::from_slice(bytes.expose()).unwrap();
        assert_eq!(json, sample_credentials(provider, kind));
        assert!(
            bytes
                .expose()
                .starts_with(format!("{{\"type\":\"{kind}\"").as_bytes())
        );
        let back = Credentials::from_secret_bytes(provider, &bytes).unwrap();
        assert_eq!(back.credential_type(), kind);
        assert_eq!(back.to_secret_bytes().expose(), bytes.expose());
    }
}

#[test]
fn bytes_that_are_no_credentials_of_the_provider_are_refused_without_quoting_them() {
    let whole = parse(Provider::S3, sample(Provider::S3, CredentialType::IamRole))
        .unwrap()
        .credentials
        .to_secret_bytes();
    for (provider, bytes) in [
        (Provider::Tigris, whole.expose()),
        (Provider::S3, &whole.expose()[..40]),
        (Provider::S3, b"\"CANARY\""),
        (
            Provider::S3,
            br#"{"type":"access_key","secret_access_key":"CANARY"}"#,
        ),
        (Provider::S3, b""),
    ] {
        let error = Credentials::from_secret_bytes(provider, &SecretBytes::new(bytes.to_vec()))
            .unwrap_err();
        assert!(
            !error.to_string().contains(CANARY) && !error.0.is_empty(),
            "{error}"
        );
    }
}

#[test]
fn the_repeated_provider_type_must_agree_and_labels_are_kept_only_if_given() {
    for (provider, kind) in kinds() {
        let other = if provider == Provider::S3 {
            "tigris"
        } else {
            "s3"
        };
        let long = "x".repeat(501);
        assert_refused(
            provider,
            kind,
            &[
                ("provider_type", json!(other)),
                ("provider_type", json!("dropbox")),
                ("provider_type", json!(7)),
                ("description", json!(long)),
                ("description", json!("a\0b")),
                ("unheard_of", json!(1)),
            ],
        );
        let plain = with(
            with(sample(provider, kind), "provider_type", Value::Null),
            "description",
            Value::Null,
        );
        let json = parse(provider, plain).unwrap().config.to_json();
        assert!(!json.contains_key("provider_type") && !json.contains_key("description"));
    }
}

#[test]
fn credentials_of_a_new_connection_must_be_whole_and_of_an_accepted_type() {
    for (provider, kind) in kinds() {
        let mut changes = vec![
            ("credentials".to_owned(), Value::Null),
            ("credentials".to_owned(), json!("CANARY")),
            ("credentials.type".to_owned(), json!("magic")),
            ("credentials.type".to_owned(), json!(1)),
            (
                "credentials.token_uri".to_owned(),
                json!("https://evil.example/CANARY"),
            ),
        ];
        for field in form(provider, kind).fields {
            let path = format!("credentials.{}", field.name);
            if field.part != Part::Companion {
                changes.push((path.clone(), Value::Null));
                changes.push((path.clone(), json!("")));
            }
            changes.push((path.clone(), json!(["CANARY"])));
            changes.push((path.clone(), json!("CANARY\0")));
            changes.push((path, json!(CANARY.repeat(3000))));
        }
        let changes: Vec<(&str, Value)> = changes
            .iter()
            .map(|(path, value)| (path.as_str(), value.clone()))
            .collect();
        assert_refused(provider, kind, &changes);

        let untyped = parse(
            provider,
            with(sample(provider, kind), "credentials.type", Value::Null),
        );
        if provider == Provider::Tigris {
            assert!(untyped.is_ok(), "there is only one type");
        } else {
            let error = untyped.unwrap_err();
            assert_eq!(error.0[0].path(), "provider_config.credentials.type");
            assert!(
                provider
                    .credential_types()
                    .all(|kind| error.to_string().contains(kind.as_str())),
                "{error}"
            );
        }
    }
}

#[test]
fn an_empty_optional_secret_is_none() {
    for (provider, kind, field) in [
        (Provider::S3, CredentialType::AccessKey, "session_token"),
        (
            Provider::Snowflake,
            CredentialType::KeyPair,
            "private_key_passphrase",
        ),
    ] {
        let parsed = parse(
            provider,
            with(
                sample(provider, kind),
                &format!("credentials.{field}"),
                json!(""),
            ),
        )
        .unwrap();
        let json: Value =
            serde_json::from_slice(parsed.credentials.to_secret_bytes().expose()).unwrap();
        assert_eq!(json.get(field), None);
    }
}

#[test]
fn mistakes_in_settings_and_credentials_are_reported_together() {
    let sample = json!({
        "region": "US", "use_ssl": "no", "extra": 1,
        "credentials": {"type": "access_key", "secret_access_key": 5, "role_arn": "x"}
    });
    let error = parse(Provider::S3, sample).unwrap_err();
    let mut paths: Vec<String> = error.0.iter().map(FieldError::path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "provider_config.credentials.access_key_id",
            "provider_config.credentials.role_arn",
            "provider_config.credentials.secret_access_key",
            "provider_config.extra",
            "provider_config.region",
            "provider_config.use_ssl",
        ]
    );
}

#[test]
fn no_credential_value_shows_in_any_text() {
    let mut texts = Vec::new();
    for (provider, kind) in kinds() {
        let parsed = parse(provider, sample(provider, kind)).unwrap();
        texts.push(format!(
            "{parsed:?} {:#?} {:?}",
            parsed.credentials,
            parsed.config.audience()
        ));
        texts.push(Value::Object(parsed.config.to_json()).to_string());
        match &parsed.credentials {
            Credentials::GoogleDrive(credentials) => texts.push(format!("{credentials:?}")),
            Credentials::S3(credentials) => texts.push(format!("{credentials:?}")),
            Credentials::Snowflake(credentials) => texts.push(format!("{credentials:?}")),
            Credentials::SharePoint(credentials) => texts.push(format!("{credentials:?}")),
            Credentials::Tigris(credentials) => texts.push(format!("{credentials:?}")),
        }
        let patch =
            || parse_patch(provider, object(sample(provider, kind)), "provider_config").unwrap();
        texts.push(format!("{:?}", patch()));

        let mut wrong = vec![
            with(sample(provider, kind), "credentials.type", json!(CANARY)),
            with(sample(provider, kind), "credentials.extra", json!(CANARY)),
            with(sample(provider, kind), "credentials", json!([CANARY])),
            with(
                sample(provider, kind),
                "endpoint_url",
                json!("https://user:CANARY@minio.example.com/CANARY"),
            ),
            with(
                sample(provider, kind),
                "endpoint_url",
                json!("user:CANARY@minio.example.com"),
            ),
            with(sample(provider, kind), "endpoint_url", json!(CANARY)),
        ];
        for field in form(provider, kind).fields {
            let field_path = format!("credentials.{}", field.name);
            for value in [
                json!("CANARY\0"),
                json!([CANARY]),
                json!({"a": CANARY}),
                json!(CANARY.repeat(3000)),
            ] {
                wrong.push(with(sample(provider, kind), &field_path, value));
            }
        }
        for wrong in wrong {
            let new = parse(provider, wrong.clone()).map(|_| ());
            let patch = parse_patch(provider, object(wrong), "provider_config").map(|_| ());
            texts.extend(
                [new, patch]
                    .into_iter()
                    .filter_map(Result::err)
                    .map(|error| format!("{error} {error:?}")),
            );
        }
        let elsewhere = Audience::of(&["elsewhere"]);
        for field in form(provider, kind)
            .fields
            .iter()
            .filter(|field| field.part != Part::Companion)
        {
            let partial = with(
                sample(provider, kind),
                &format!("credentials.{}", field.name),
                Value::Null,
            );
            let patch = parse_patch(provider, object(partial), "provider_config").unwrap();
            let error = patch
                .complete(kind, &elsewhere, Some(&parsed.credentials))
                .unwrap_err();
            texts.push(format!("{error} {error:?}"));
        }
    }
    assert!(texts.len() > 100);
    for text in texts {
        assert!(!text.to_ascii_uppercase().contains(CANARY), "{text}");
    }
}
