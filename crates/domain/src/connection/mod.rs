//! Connections: an organization's link to one account of a storage provider.

mod lifecycle;
mod name;

pub use lifecycle::{
    AttemptOutcome, AttemptResult, EXPIRY_NOTICE, Edit, Event, Health, Intent, PublicStatus,
    StatusReason, TRIP_AFTER, Transition, TransitionError, public_status,
};
pub use name::{ConnectionIdentifier, ConnectionName};

use std::fmt;
use std::time::Duration;

use crate::ids::{ConnectionId, OrganizationId, UserId};
use crate::provider::{CredentialType, Provider, ProviderConfig};
use crate::{Metadata, Timestamp};

/// Credentials in their sealed form: the only form that repositories see. Opaque here; `wharf-envelope` opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredentials(pub Vec<u8>);

impl fmt::Debug for SealedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedCredentials({} bytes)", self.0.len())
    }
}

/// A connection before it is stored; the repository adds the times.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConnection {
    /// Its identifier.
    pub id: ConnectionId,
    /// The organization that owns it.
    pub organization: OrganizationId,
    /// Its name, unique among the organization's connections that are not archived.
    pub name: ConnectionName,
    /// What it is for; at most 500 characters.
    pub description: Option<String>,
    /// The provider's settings, without credentials.
    pub config: ProviderConfig,
    /// What kind of credentials are sealed.
    pub credential_type: CredentialType,
    /// The credentials.
    pub sealed: SealedCredentials,
    /// Whether exports may write through it. Kept and returned; Wharf only reads.
    pub write_enabled: bool,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// Who created it.
    pub created_by: UserId,
    /// How long after its creation it is checked first.
    pub first_check_in: Duration,
}

/// A stored connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its identifier.
    pub id: ConnectionId,
    /// The organization that owns it.
    pub organization: OrganizationId,
    /// Its name.
    pub name: ConnectionName,
    /// What it is for.
    pub description: Option<String>,
    /// The provider's settings, without credentials.
    pub config: ProviderConfig,
    /// What kind of credentials are, or were, sealed.
    pub credential_type: CredentialType,
    /// The credentials; `None` once archived.
    pub sealed: Option<SealedCredentials>,
    /// 1 for the first credentials, one more with each change of configuration or credentials.
    pub credential_version: u64,
    /// Whether exports may write through it.
    pub write_enabled: bool,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// What people want; only people change it.
    pub intent: Intent,
    /// How attempts went; only outcomes change it.
    pub health: Health,
    /// Counts status changes. Results that started under an older epoch are dropped.
    pub epoch: u64,
    /// Counts changes by people and of the status: the optimistic lock.
    pub revision: u64,
    /// What went wrong last, in our own words; at most 1000 characters.
    pub last_error: Option<String>,
    /// When a run or browsing last succeeded.
    pub last_used_at: Option<Timestamp>,
    /// When a failure was last counted. Attempts that were under way then do not count again.
    pub last_failure_at: Option<Timestamp>,
    /// When the public status last changed.
    pub status_changed_at: Timestamp,
    /// When it is checked next by itself; `None` when only a person's act brings that back: it rests, it is retired, or another
    /// try could lock the account.
    pub next_check_at: Option<Timestamp>,
    /// When its credentials or its endpoint's certificate run out, as far as can be known.
    pub expires_at: Option<Timestamp>,
    /// Whether that was warned about.
    pub expiry_warned: bool,
    /// Who created it.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed in any field.
    pub updated_at: Timestamp,
}

impl Connection {
    /// The connection that storing `new` at `now` makes.
    pub fn create(new: NewConnection, now: Timestamp) -> Self {
        Self {
            id: new.id,
            organization: new.organization,
            name: new.name,
            description: new.description,
            config: new.config,
            credential_type: new.credential_type,
            sealed: Some(new.sealed),
            credential_version: 1,
            write_enabled: new.write_enabled,
            metadata: new.metadata,
            intent: Intent::Enabled,
            health: Health::Healthy,
            epoch: 0,
            revision: 1,
            last_error: None,
            last_used_at: None,
            last_failure_at: None,
            status_changed_at: now,
            next_check_at: Some(now + new.first_check_in),
            expires_at: None,
            expiry_warned: false,
            created_by: new.created_by,
            created_at: now,
            updated_at: now,
        }
    }

    /// The provider it connects to.
    pub fn provider(&self) -> Provider {
        self.config.provider()
    }

    /// The status that the outside sees.
    pub fn status(&self) -> PublicStatus {
        public_status(self.intent, self.health)
    }

    /// Whether scheduled work may use it.
    pub fn is_active(&self) -> bool {
        self.status() == PublicStatus::Active
    }

    /// Why it is not active.
    pub fn status_reason(&self) -> Option<StatusReason> {
        lifecycle::status_reason(self.intent, self.health)
    }
}

/// Which connections a list should contain; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionFilter {
    /// Of this provider.
    pub provider: Option<Provider>,
    /// With this public status.
    pub status: Option<PublicStatus>,
    /// Active or not.
    pub is_active: Option<bool>,
}

impl ConnectionFilter {
    /// Whether a connection belongs in the list.
    pub fn matches(&self, connection: &Connection) -> bool {
        self.provider
            .is_none_or(|provider| provider == connection.provider())
            && self
                .status
                .is_none_or(|status| status == connection.status())
            && self
                .is_active
                .is_none_or(|active| active == connection.is_active())
    }
}
