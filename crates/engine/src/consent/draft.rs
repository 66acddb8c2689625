//! What is needed to finish a consent, as it is sealed.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use wharf_domain::Metadata;
use wharf_domain::ids::ConnectionId;
use wharf_domain::provider::Provider;
use wharf_domain::secret::{SecretBytes, SecretString};

use crate::EngineError;

#[derive(Serialize, Deserialize)]
pub(super) struct Draft {
    pub(super) provider: Provider,
    pub(super) client_id: String,
    #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
    pub(super) client_secret: SecretString,
    /// The PKCE verifier.
    #[serde(serialize_with = "exposed", deserialize_with = "hidden")]
    pub(super) verifier: SecretString,
    pub(super) redirect_uri: String,
    /// Why it was begun, as the person said.
    pub(super) reason: Option<String>,
    pub(super) goal: DraftGoal,
}

/// What the grant is for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DraftGoal {
    NewConnection {
        name: String,
        description: Option<String>,
        metadata: Metadata,
        settings: Map<String, Value>,
        test_before_save: bool,
    },
    Connection(String),
}

impl DraftGoal {
    pub(super) fn connection(id: &ConnectionId) -> Self {
        Self::Connection(id.to_string())
    }
}

impl Draft {
    pub(super) fn to_secret_bytes(&self) -> Result<SecretBytes, EngineError> {
        // Larger than any draft: a buffer that never grows leaves no copies behind.
        let mut bytes = Vec::with_capacity(128 * 1024);
        serde_json::to_writer(&mut bytes, self)
            .map_err(|error| EngineError::Internal(error.into()))?;
        Ok(SecretBytes::new(bytes))
    }

    pub(super) fn from_secret_bytes(bytes: &SecretBytes) -> Result<Self, EngineError> {
        // The parser's own words may quote the text.
        serde_json::from_slice(bytes.expose())
            .map_err(|_| EngineError::Internal("a sealed consent cannot be read".into()))
    }
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::new)
}
