//! The canaries of one drive: one in every field of every kind of credentials, and one in every other place where a
//! secret is expected or put by mistake.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Canary, Form};

/// Every kind of credentials that the API takes, and its fields. `GET /openapi.json` does not tell them: the list in
/// `crates/domain/tests/classified.rs` fails when a field is added there and not here.
pub(crate) const FIELDS: [(&str, &str, &[&str]); 9] = [
    (
        "google_drive",
        "service_account",
        &[
            "project_id",
            "private_key_id",
            "private_key",
            "client_email",
            "client_id",
        ],
    ),
    (
        "google_drive",
        "oauth",
        &["client_id", "client_secret", "refresh_token"],
    ),
    (
        "s3",
        "access_key",
        &["access_key_id", "secret_access_key", "session_token"],
    ),
    ("s3", "iam_role", &["role_arn"]),
    (
        "tigris",
        "access_key",
        &["access_key_id", "secret_access_key"],
    ),
    (
        "snowflake",
        "key_pair",
        &["username", "private_key", "private_key_passphrase"],
    ),
    ("snowflake", "username_password", &["username", "password"]),
    (
        "sharepoint",
        "client_credentials",
        &["tenant_id", "client_id", "client_secret"],
    ),
    (
        "sharepoint",
        "delegated",
        &["tenant_id", "client_id", "client_secret", "refresh_token"],
    ),
];

/// The canaries by name, and those that are planted to prove the search.
#[derive(Debug)]
pub(crate) struct Secrets {
    canaries: BTreeMap<String, Canary>,
    planted: Vec<(Form, Canary)>,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let mut secrets = Self {
            canaries: BTreeMap::new(),
            planted: Form::ALL
                .map(|form| (form, Canary::random(&format!("a leak planted as {form:?}"))))
                .into(),
        };
        for (provider, kind, fields) in FIELDS {
            for field in fields {
                let name = format!("{provider} {kind} {field}");
                let canary = match *field {
                    "tenant_id" | "client_email" => Canary::random_in_lower_case(&name),
                    "client_id" if provider == "sharepoint" => Canary::random_guid(&name),
                    _ => Canary::random(&name),
                };
                secrets.add(canary);
            }
        }
        for name in [
            "the admin key",
            "a wrong API key",
            "a wrong basic password",
            "an API key in the query",
            "an API key in another header",
            "a wrong secret access key",
            "a wrong session token",
            "the echoed access key id",
            "the echoed secret access key",
            "the echoed session token",
            "the server's access key id",
            "the server's secret access key",
            "the server's session token",
            "the role of the runs",
            "the blob store's access_key_id",
            "the blob store's secret_access_key",
            "the blob store's session_token",
            "a rotated secret access key",
            "a misplaced value",
            "a misplaced key",
            "a secret in malformed JSON",
            "a secret in a body that is too large",
            "a secret in a body of another type",
            "a password in an endpoint",
            "a name in an endpoint",
            "a secret of a connection whose name is taken",
        ] {
            secrets.add(Canary::random(name));
        }
        secrets
    }

    pub(crate) fn add(&mut self, canary: Canary) {
        self.canaries.insert(canary.name().to_owned(), canary);
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.canaries
            .get(name)
            .map_or_else(|| panic!("there is no canary called {name}"), Canary::text)
    }

    /// All that must not turn up, and those that are planted later.
    pub(crate) fn all(&self) -> Vec<Canary> {
        let planted = self.planted.iter().map(|(_, canary)| canary);
        self.canaries.values().chain(planted).cloned().collect()
    }

    pub(crate) fn planted(&self) -> &[(Form, Canary)] {
        &self.planted
    }

    /// Credentials of a kind, with a canary in every field.
    pub(crate) fn credentials(&self, provider: &str, kind: &str) -> Result<Value> {
        let (_, _, fields) = FIELDS
            .iter()
            .find(|(one, other, _)| (*one, *other) == (provider, kind))
            .context("no such kind of credentials")?;
        let mut credentials = json!({"type": kind});
        for field in *fields {
            let canary = self.get(&format!("{provider} {kind} {field}"));
            credentials[*field] = json!(match *field {
                "private_key" =>
                    format!("-----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----\n"),
                "client_email" => format!("{canary}@project.iam.gserviceaccount.com"),
                "tenant_id" => format!("{canary}.example.com"),
                "role_arn" => format!("arn:aws:iam::123456789012:role/{canary}"),
                _ => canary.to_owned(),
            });
        }
        ensure!(
            credentials.as_object().is_some(),
            "credentials are an object"
        );
        Ok(credentials)
    }

    /// Settings that go with a kind of credentials.
    pub(crate) fn settings(provider: &str, endpoint: &str) -> Value {
        match provider {
            "s3" | "tigris" => json!({"endpoint_url": endpoint}),
            "snowflake" => json!({"account": "org-account", "warehouse": "LOAD"}),
            "sharepoint" => json!({"site_id": "https://contoso.sharepoint.com/sites/Team"}),
            _ => json!({"shared_drive_id": "0AH-Xabc_123"}),
        }
    }
}
