//! Tigris: settings and credentials. The protocol is S3's; there are access keys only, without sessions.

use std::fmt;

use serde_json::{Map, Value};

use super::credentials::{CredentialField, CredentialForm, Part, Values};
use super::grammar::{self, ID, SECRET, TEXT};
use super::s3::{Region, read_endpoint};
use super::{Audience, CredentialType, EndpointUrl, Labels, insert};
use crate::input::Reader;
use crate::secret::SecretString;

/// Where Tigris answers when a connection does not say. The vendor has a newer address too; both are taken as they are.
const DEFAULT_ENDPOINT: &str = "https://fly.storage.tigris.dev";

/// Settings of a Tigris connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TigrisConfig {
    /// The region that requests are signed for; `auto` by default.
    pub region: Region,
    /// Where Tigris answers; `https://fly.storage.tigris.dev` by default.
    pub endpoint_url: EndpointUrl,
    /// What a read repeats.
    pub labels: Labels,
}

impl TigrisConfig {
    pub(super) fn read(reader: &mut Reader, labels: Labels) -> Option<Self> {
        let region = Region::read(reader, "auto");
        let address = reader.string("endpoint_url", TEXT);
        let endpoint_url = read_endpoint(reader, address.as_deref().unwrap_or(DEFAULT_ENDPOINT));
        Some(Self {
            region: region?,
            endpoint_url: endpoint_url?,
            labels,
        })
    }

    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        insert(json, "region", Some(self.region.as_str()));
        insert(json, "endpoint_url", Some(self.endpoint_url.to_string()));
    }

    pub(super) fn audience(&self) -> Audience {
        let port = self.endpoint_url.port().to_string();
        Audience::of(&[
            "tigris",
            self.endpoint_url.scheme().as_str(),
            self.endpoint_url.host(),
            &port,
        ])
    }
}

/// Credentials of a Tigris connection: an access key.
pub struct TigrisCredentials {
    /// The key's public half.
    pub access_key_id: String,
    /// The key's secret half.
    pub secret_access_key: SecretString,
}

pub(super) const FORMS: &[CredentialForm] = &[CredentialForm {
    kind: CredentialType::AccessKey,
    fields: &[
        CredentialField::new("access_key_id", Part::Identity, ID, grammar::token),
        CredentialField::new("secret_access_key", Part::Proof, SECRET, grammar::one_line),
    ],
}];

impl TigrisCredentials {
    /// Their kind, always an access key.
    pub fn credential_type(&self) -> CredentialType {
        CredentialType::AccessKey
    }

    pub(super) fn from_values(values: &mut Values) -> Option<Self> {
        Some(Self {
            access_key_id: values.text("access_key_id")?,
            secret_access_key: values.secret("secret_access_key")?,
        })
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("access_key_id", &self.access_key_id),
            ("secret_access_key", self.secret_access_key.expose()),
        ]
    }
}

impl fmt::Debug for TigrisCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TigrisCredentials({})", self.credential_type())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Provider;
    use super::super::tests::{assert_refused, assert_shown, audience, shown_by_default};
    use super::*;

    const PROVIDER: Provider = Provider::Tigris;
    const KEY: CredentialType = CredentialType::AccessKey;

    #[test]
    fn defaults_are_shown() {
        let defaults = json!({"region": "auto", "endpoint_url": "https://fly.storage.tigris.dev"});
        assert_eq!(shown_by_default(PROVIDER, KEY, json!({})), defaults);
    }

    #[test]
    fn fields_are_checked_one_by_one() {
        assert_shown(
            PROVIDER,
            KEY,
            &[
                (
                    "endpoint_url",
                    json!("https://t3.storage.dev/"),
                    json!("https://t3.storage.dev"),
                ),
                (
                    "endpoint_url",
                    json!("http://127.0.0.1:9000"),
                    json!("http://127.0.0.1:9000"),
                ),
                (
                    "endpoint_url",
                    json!(null),
                    json!("https://fly.storage.tigris.dev"),
                ),
                ("region", json!("iad"), json!("iad")),
            ],
        );
        assert_refused(
            PROVIDER,
            KEY,
            &[
                ("region", json!("x.evil.com/#")),
                ("endpoint_url", json!("t3.storage.dev")),
                ("endpoint_url", json!("https://t3.storage.dev/bucket")),
                ("use_ssl", json!(true)),
                ("verify_ssl", json!(true)),
                ("credentials.access_key_id", json!("a".repeat(257))),
                ("credentials.access_key_id", json!("tid x")),
                ("credentials.session_token", json!("abc")),
                ("credentials.type", json!("iam_role")),
            ],
        );
    }

    #[test]
    fn the_audience_is_the_address() {
        let sample = audience(PROVIDER, "region", json!("auto"));
        assert_eq!(sample, audience(PROVIDER, "region", json!("iad")));
        assert_ne!(sample, audience(PROVIDER, "endpoint_url", json!(null)));
        assert_ne!(
            sample,
            audience(PROVIDER, "endpoint_url", json!("http://t3.storage.dev"))
        );
        assert_ne!(
            sample,
            audience(
                PROVIDER,
                "endpoint_url",
                json!("https://t3.storage.dev:444")
            )
        );
    }
}
