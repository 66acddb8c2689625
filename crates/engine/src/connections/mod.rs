//! Connections: create, read, change, test, watch, archive.

mod archive;
mod create;
mod history;
mod read;
mod record;
mod test;
mod update;
mod watch;

pub use create::CreateConnection;
pub use history::CheckHistory;
pub use test::TestedConnection;
pub use update::{ConfigFields, UpdateConnection};
pub use watch::Watcher;

use wharf_domain::audit::ResourceType;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::provider::{CredentialType, Credentials, Provider, ProviderConfig};
use wharf_domain::scope::Place;
use wharf_domain::secret::SecretBytes;
use wharf_envelope::{Binding, OpenError};
use wharf_ports::{KeyRingError, SessionError, Sessions};

use crate::{Engine, EngineError};

/// The place of a connection.
pub(crate) fn place(connection: &Connection) -> Place<'_> {
    let id = connection.id.as_str();
    Place::named(ResourceType::Connection, id, connection.name.as_str())
}

/// What sealed credentials are bound to: they open for this row, at this version and for this audience only.
fn binding(
    organization: &OrganizationId,
    connection: &ConnectionId,
    config: &ProviderConfig,
    credential_type: CredentialType,
    credential_version: u64,
) -> Binding {
    Binding {
        organization: organization.clone(),
        connection: connection.clone(),
        provider: config.provider(),
        credential_type,
        credential_version,
        audience: config.audience(),
    }
}

/// Credentials about to be stored, with a refresh token that the provider gave in place of theirs while they were tested.
async fn with_rotated(
    sessions: &dyn Sessions,
    provider: Provider,
    credentials: SecretBytes,
) -> Result<SecretBytes, EngineError> {
    let token = match sessions.rotated().await {
        Ok(Some(token)) => token,
        // Somebody else has changed the connection: what is to be stored will be refused.
        Ok(None) | Err(SessionError::Superseded) => return Ok(credentials),
        Err(error) => {
            return Err(EngineError::Unavailable {
                what: "the access token of the connection",
                source: Some(error.into()),
            });
        }
    };
    let credentials = Credentials::from_secret_bytes(provider, &credentials)
        .map_err(|error| EngineError::Internal(error.into()))?;
    Ok(credentials.rotated(token).to_secret_bytes())
}

/// Why stored credentials cannot be used.
pub(crate) enum CredentialsError {
    /// They do not open: the row or the audience was changed.
    Integrity,
    /// The key ring does not open the organization's key: it is another key ring, or that key was changed.
    ForeignKey,
    /// Something that Wharf needs is away.
    Engine(EngineError),
}

impl CredentialsError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Integrity | Self::ForeignKey => ErrorCode::IntegrityError,
            Self::Engine(_) => ErrorCode::Internal,
        }
    }

    /// What helps. Under a foreign key nothing can be sealed anew either.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::ForeignKey => {
                "The key ring does not open this organization's key. Entering the credentials again does not help: an \
                 operator must name the key ring that made it (key_ring), or restore it from a backup."
            }
            error => error.code().remedy(),
        }
    }
}

impl Engine {
    /// Opens a stored connection's credentials. Archived connections have none: `Integrity`.
    pub(crate) async fn open_credentials(
        &self,
        connection: &Connection,
    ) -> Result<Credentials, CredentialsError> {
        let sealed = connection
            .sealed
            .as_ref()
            .ok_or(CredentialsError::Integrity)?;
        let binding = Binding::of(connection);
        let opened = self
            .envelope
            .open(&binding, sealed)
            .await
            .map_err(|error| match error {
                OpenError::KeyRing(KeyRingError::Refused) => CredentialsError::ForeignKey,
                error @ (OpenError::KeyRing(_) | OpenError::Repository(_)) => {
                    CredentialsError::Engine(error.into())
                }
                _ => CredentialsError::Integrity,
            })?;
        Credentials::from_secret_bytes(connection.provider(), &opened)
            .map_err(|_| CredentialsError::Integrity)
    }
}
