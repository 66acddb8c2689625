//! Every field of a `provider_config` is either listed here as public or part of the credentials, which nobody is shown.
//!
//! A field that a form gains fails here until somebody has decided which of the two it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use wharf_domain::provider::{CredentialType, Provider, parse_new};

/// What anyone who may read a connection is shown, besides `description`, `provider_type` and the credentials' type.
const PUBLIC: [(Provider, &[&str]); 5] = [
    (
        Provider::GoogleDrive,
        &["impersonate_user", "shared_drive_id"],
    ),
    (
        Provider::S3,
        &["endpoint_url", "region", "use_ssl", "verify_ssl"],
    ),
    (
        Provider::Snowflake,
        &[
            "account",
            "database",
            "fetch_size",
            "incremental_column",
            "primary_key_columns",
            "query_timeout_seconds",
            "role",
            "schema",
            "warehouse",
        ],
    ),
    (
        Provider::SharePoint,
        &["drive_id", "folder_path", "site_id"],
    ),
    (Provider::Tigris, &["endpoint_url", "region"]),
];

/// What is sealed.
const SECRET: [(Provider, CredentialType, &[&str]); 9] = [
    (
        Provider::GoogleDrive,
        CredentialType::ServiceAccount,
        &[
            "client_email",
            "client_id",
            "private_key",
            "private_key_id",
            "project_id",
        ],
    ),
    (
        Provider::GoogleDrive,
        CredentialType::OAuth,
        &["client_id", "client_secret", "refresh_token"],
    ),
    (
        Provider::S3,
        CredentialType::AccessKey,
        &["access_key_id", "secret_access_key", "session_token"],
    ),
    (
        Provider::S3,
        CredentialType::IamRole,
        &["external_id", "role_arn"],
    ),
    (
        Provider::Snowflake,
        CredentialType::KeyPair,
        &["private_key", "private_key_passphrase", "username"],
    ),
    (
        Provider::Snowflake,
        CredentialType::UsernamePassword,
        &["password", "username"],
    ),
    (
        Provider::SharePoint,
        CredentialType::ClientCredentials,
        &["client_id", "client_secret", "tenant_id"],
    ),
    (
        Provider::SharePoint,
        CredentialType::Delegated,
        &["client_id", "client_secret", "refresh_token", "tenant_id"],
    ),
    (
        Provider::Tigris,
        CredentialType::AccessKey,
        &["access_key_id", "secret_access_key"],
    ),
];

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else {
        panic!("an object")
    };
    fields
}

/// The keys that a place accepts, as the refusal of an unknown one tells them.
fn accepted(provider: Provider, config: Value, place: &str) -> BTreeSet<String> {
    let refused = parse_new(provider, object(config), "provider_config").unwrap_err();
    let unknown = refused
        .0
        .iter()
        .find(|mistake| mistake.path() == place)
        .unwrap_or_else(|| panic!("{provider}: nothing is said of {place}: {refused}"));
    let (_, keys) = unknown.message.split_once("accepted keys: ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_setting_is_listed_as_public() {
    for (provider, public) in PUBLIC {
        let all = accepted(
            provider,
            json!({"no_such_key": 1}),
            "provider_config.no_such_key",
        );
        let always = ["credentials", "description", "provider_type"];
        let listed = public.iter().chain(&always).map(|key| (*key).to_owned());
        assert_eq!(all, listed.collect(), "{provider}");
    }
    assert_eq!(PUBLIC.len(), Provider::ALL.len());
}

#[test]
fn every_field_of_credentials_is_listed_as_secret() {
    let mut kinds = 0;
    for provider in Provider::ALL {
        for kind in provider.credential_types() {
            let (_, _, secret) = SECRET
                .iter()
                .find(|(one, other, _)| (*one, *other) == (provider, kind))
                .unwrap_or_else(|| panic!("{provider} {kind} is not listed"));
            let config = json!({"credentials": {"type": kind.as_str(), "no_such_key": 1}});
            let place = "provider_config.credentials.no_such_key";
            let listed = secret.iter().chain(&["type"]).map(|key| (*key).to_owned());
            assert_eq!(
                accepted(provider, config, place),
                listed.collect(),
                "{provider} {kind}"
            );
            kinds += 1;
        }
    }
    assert_eq!(kinds, SECRET.len(), "a kind is listed that is no more");
}

#[test]
fn no_field_of_credentials_is_also_a_setting() {
    for (provider, kind, secret) in SECRET {
        let (_, public) = PUBLIC.iter().find(|(one, _)| *one == provider).unwrap();
        for field in secret {
            assert!(!public.contains(field), "{provider} {kind} {field}");
        }
    }
}

/// A key that is longer than any there is could be a secret that slipped: it is not repeated in full.
#[test]
fn an_unknown_key_that_could_be_a_secret_is_not_repeated() {
    let slipped = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for config in [
        json!({slipped: 1}),
        json!({"credentials": {"type": "access_key", slipped: "x"}}),
    ] {
        let refused = parse_new(Provider::S3, object(config), "provider_config").unwrap_err();
        let told = format!("{refused} {refused:?}");
        assert!(!told.contains(&slipped[..9]), "{told}");
        assert!(told.contains("wJalrXUt…"), "{told}");
    }
}
