//! Who may do what: organizations, users, API keys and their permissions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::ids::{ApiKeyId, OrganizationId, UserId};
use crate::input::{FieldError, InvalidInput};

/// What an API key allows; each level includes the ones below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Reading.
    Read,
    /// Testing and triggering; changing syncs, buckets and objects.
    Write,
    /// Deleting objects, syncs and buckets.
    Delete,
    /// Connections, users, keys and audit.
    Admin,
}

impl Permission {
    /// Every permission, weakest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Admin];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        Self::ALL
            .into_iter()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| {
                InvalidInput::one(
                    "permissions",
                    "enum",
                    "must be one of read, write, delete, admin",
                )
            })
    }
}

/// An organization: the tenant that owns everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its identifier, `internal_id` on the wire.
    pub id: OrganizationId,
    /// Its name, 1 to 100 characters, unique on this server.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a user is to their organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May hold keys with every permission.
    Admin,
    /// May hold keys up to delete.
    Member,
    /// May hold keys that read.
    Viewer,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Member, Self::Viewer];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// The strongest permission that a key of such a user may carry.
    pub fn ceiling(self) -> Permission {
        match self {
            Self::Admin => Permission::Admin,
            Self::Member => Permission::Delete,
            Self::Viewer => Permission::Read,
        }
    }
}

impl FromStr for Role {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| {
                InvalidInput::one("role", "enum", "must be one of admin, member, viewer")
            })
    }
}

/// An e-mail address: 3 to 254 characters, one `@` with text on both sides, no spaces; compared in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address; the field named in the error is `email`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim().to_lowercase();
        let shaped = text.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
        if shaped && text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            Ok(Self(text))
        } else {
            Err(FieldError::new(
                "email",
                "email",
                "must be an e-mail address of at most 254 characters",
            ))
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person or machine that holds API keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its identifier.
    pub id: UserId,
    /// Its address, unique within the organization.
    pub email: Email,
    /// What the user is to the organization.
    pub role: Role,
    /// When the user was created.
    pub created_at: Timestamp,
}

/// The stored form of an API key: a keyed hash, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

/// An API key as it is known to the server; the key itself was shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The row's identifier.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub user_id: UserId,
    /// 1 to 100 characters, unique among the user's keys that are not revoked.
    pub name: String,
    /// The key's first ten characters, to recognize it by.
    pub prefix: String,
    /// What it allows: the strongest permission of those it carries.
    pub permission: Permission,
    /// When it stops working, if it does.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Who makes a request: the outcome of a successful authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The organization the request may touch.
    pub organization: OrganizationId,
    /// Whose key was used.
    pub user: UserId,
    /// The key that was used.
    pub key: ApiKeyId,
    /// What it allows.
    pub permission: Permission,
}
