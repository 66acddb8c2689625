//! Setup kits: what the other side must grant so that a connection works, ready to be applied there.

use std::collections::BTreeMap;

use crate::ids::ExternalId;
use crate::provider::{CredentialType, ProviderConfig};

/// What a setup kit is wanted for. The less is known, the more of it holds for every connection of the provider.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SetupRequest {
    /// The external id that was issued to the organization.
    pub external_id: Option<ExternalId>,
    /// The settings and the kind of credentials of the connection at hand.
    pub connection: Option<(ProviderConfig, CredentialType)>,
    /// What the connection's credentials say of whose they are, by the names of their fields, such as `client_email`; nothing
    /// where they cannot be read.
    pub identity: BTreeMap<&'static str, String>,
    /// What a sync would read, vetted.
    pub source_path: Option<String>,
}

/// What the other side must grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetupKit {
    /// The account or role that Wharf comes as, such as an ARN; `None` when it has none or it is not known.
    pub principal: Option<String>,
    /// What a person does, in order; each a sentence or two.
    pub steps: Vec<String>,
    /// The least that must be granted.
    pub grants: Vec<Grant>,
    /// The same as documents that the other side can apply.
    pub documents: Vec<SetupDocument>,
}

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The provider's name of it, such as `s3:GetObject`.
    pub action: String,
    /// What it is granted on, such as `arn:aws:s3:::media/photos/*`.
    pub resource: String,
    /// What Wharf needs it for.
    pub purpose: String,
    /// Whether a connection works without it.
    pub optional: bool,
}

/// In what language a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupFormat {
    /// A JSON document.
    Json,
    /// Terraform configuration (HCL).
    Terraform,
    /// SQL statements.
    Sql,
    /// Plain text for a person.
    Text,
}

impl SetupFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Terraform, Self::Sql, Self::Text];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Terraform => "terraform",
            Self::Sql => "sql",
            Self::Text => "text",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// A document that the other side can apply as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupDocument {
    /// A stable word: `permission_policy`, `trust_policy`, `terraform`.
    pub name: &'static str,
    /// Its language.
    pub format: SetupFormat,
    /// What it is for and where it goes.
    pub purpose: String,
    /// The document.
    pub content: String,
}
