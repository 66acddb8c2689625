//! Who may do what: organizations, users, API keys and their permissions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyId, OrganizationId, UserId};
use crate::input::{FieldError, InvalidInput};
use crate::rate_limit::RateLimits;
use crate::{Metadata, Timestamp};

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
#[derive(Debug, Clone, PartialEq)]
pub struct Organization {
    /// Its identifier, `internal_id` on the wire.
    pub id: OrganizationId,
    /// What its members can change.
    pub profile: OrganizationProfile,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What an organization's members can change of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OrganizationProfile {
    /// Its name, 1 to 100 characters, unique on this server.
    pub name: String,
    /// Where its logo is.
    pub logo_url: Option<String>,
    /// Where bills would go.
    pub billing_email: Option<String>,
    /// Where notifications would go.
    pub notifications_email: Option<String>,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// Its own limits, where they are lower than the operator's.
    pub rate_limits: RateLimits,
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

/// Whether a user may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// May act.
    Active,
    /// May not act: none of the user's keys is accepted.
    Suspended,
    /// Was invited; like active, as far as keys are concerned.
    Pending,
}

impl UserStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Pending];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Pending => "pending",
        }
    }
}

impl FromStr for UserStatus {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                let message = "must be one of active, suspended, pending";
                InvalidInput::one("status", "enum", message)
            })
    }
}

/// A person or machine that holds API keys.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Its identifier.
    pub id: UserId,
    /// Its address, unique within the organization.
    pub email: Email,
    /// What can be changed of the user.
    pub profile: UserProfile,
    /// When the user was created.
    pub created_at: Timestamp,
    /// When the user was last changed.
    pub updated_at: Timestamp,
}

/// What can be changed of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserProfile {
    /// The name that people see, 2 to 100 characters.
    pub name: String,
    /// Where a picture is.
    pub avatar_url: Option<String>,
    /// What the user is to the organization.
    pub role: Role,
    /// Whether the user may act.
    pub status: UserStatus,
    /// Key-value pairs.
    pub metadata: Metadata,
}

impl UserProfile {
    /// Whether the user may act as an admin; an organization always has one who may.
    pub fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.status == UserStatus::Active
    }
}

/// The stored form of an API key: a keyed hash, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

/// A part of an organization that a key is confined to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceScope {
    /// What kind of thing, such as `namespace` or `storage_connection`.
    pub resource_type: String,
    /// Which one: an identifier or a name, where `*` stands for any characters. 1 to 100 characters.
    pub resource_id: String,
    /// What may be done there, such as `read_data`; `None` is whatever the key's permissions allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Vec<String>>,
}

/// What an API key is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The permissions it carries, weakest first, without repetition; at least one.
    pub permissions: Vec<Permission>,
    /// The parts of the organization that it is confined to; none means the whole.
    pub scopes: Vec<ResourceScope>,
    /// Requests per minute of this key, if not as many as the organization's.
    pub rate_limit_override: Option<u32>,
    /// The origins from which a browser may use it; none means any. `https://*.example.com` is any subdomain.
    pub allowed_origins: Option<Vec<String>>,
    /// When it stops working, if it does.
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// A grant of one permission for the whole organization.
    pub fn of(permission: Permission) -> Self {
        Self {
            permissions: vec![permission],
            scopes: Vec::new(),
            rate_limit_override: None,
            allowed_origins: None,
            expires_at: None,
        }
    }

    /// The strongest permission that it carries.
    pub fn permission(&self) -> Permission {
        let strongest = self.permissions.iter().copied().max();
        strongest.unwrap_or(Permission::Read)
    }
}

/// An API key as it is known to the server; the key itself was shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The row's identifier.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub user_id: UserId,
    /// 1 to 100 characters, unique among the user's keys that are not revoked.
    pub name: String,
    /// What it is for; at most 500 characters.
    pub description: String,
    /// The key's first ten characters, to recognize it by.
    pub prefix: String,
    /// The stored form, of which the outside sees nothing but a fingerprint.
    pub hash: ApiKeyHash,
    /// What it allows.
    pub grant: Grant,
    /// An end user of the caller's application that the key stands for. Kept and returned.
    pub principal_id: Option<String>,
    /// Who created it: a user's identifier, `system` or `operator`.
    pub created_by: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
}

/// Whether an API key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It may.
    Active,
    /// Somebody took it back.
    Revoked,
    /// Its time is over.
    Expired,
}

impl KeyStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl ApiKey {
    /// Whether it may be used at this time.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        match (self.revoked_at, self.grant.expires_at) {
            (Some(_), _) => KeyStatus::Revoked,
            (None, Some(expires_at)) if expires_at <= now => KeyStatus::Expired,
            (None, _) => KeyStatus::Active,
        }
    }
}

/// Who makes a request: the outcome of a successful authentication.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// The organization the request may touch.
    pub organization: OrganizationId,
    /// Whose key was used.
    pub user: UserId,
    /// The key that was used.
    pub key: ApiKeyId,
    /// What it allows.
    pub grant: Grant,
    /// The organization's own limits.
    pub rate_limits: RateLimits,
}

impl Principal {
    /// The strongest permission of the key.
    pub fn permission(&self) -> Permission {
        self.grant.permission()
    }
}
