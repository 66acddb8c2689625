//! Namespaces: a division of an organization that holds buckets.

use crate::Timestamp;
use crate::ids::NamespaceId;
use crate::input::FieldError;

/// The namespace that every organization has, and that a request without `X-Namespace` means.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A namespace's name: 3 to 64 characters of `a-z A-Z 0-9 _ -`, not shaped like an identifier, and not `list`,
/// which has a meaning of its own in addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespaceName(String);

impl NamespaceName {
    /// Reads a name; the field named in the error is `namespace_name`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if (3..=64).contains(&text.len()) && plain && !text.starts_with("ns_") && text != "list" {
            Ok(Self(text.to_owned()))
        } else {
            let message = "must have 3 to 64 characters of a-z, A-Z, 0-9, _ and -, not start with ns_ and not be list";
            Err(FieldError::new("namespace_name", "string_pattern", message))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A namespace before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNamespace {
    /// Its identifier.
    pub id: NamespaceId,
    /// Its name, unique within the organization.
    pub name: NamespaceName,
    /// What it is for; at most 500 characters.
    pub description: Option<String>,
}

/// A stored namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its identifier.
    pub id: NamespaceId,
    /// Its name.
    pub name: NamespaceName,
    /// What it is for.
    pub description: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// How a request names a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceIdentifier {
    /// By identifier.
    Id(NamespaceId),
    /// By name.
    Name(String),
}

impl NamespaceIdentifier {
    /// What parses as an identifier is one, anything else a name.
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }
}
