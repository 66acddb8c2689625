//! What is broken about access tokens.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::connection::{ConnectionIdentifier, SealedCredentials};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_ports::{
    ConnectionRepository, RefreshRight, Repositories, RepositoryError, SessionRepository,
    StoredSession, StoredToken, TokenWish,
};

/// The same repositories, but whoever finds that somebody else is getting a token gets the right to do so, too.
pub fn with_two_rights(repositories: Repositories) -> Repositories {
    let sessions = Arc::new(Generous(repositories.sessions.clone()));
    Repositories {
        sessions,
        ..repositories
    }
}

/// The same repositories, but a token is that of the connection, whatever credentials it was got with.
pub fn without_credential_versions(repositories: Repositories) -> Repositories {
    let sessions = Arc::new(Unversioned {
        sessions: repositories.sessions.clone(),
        connections: repositories.connections.clone(),
    });
    Repositories {
        sessions,
        ..repositories
    }
}

struct Generous(Arc<dyn SessionRepository>);

#[async_trait]
impl SessionRepository for Generous {
    async fn take(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        wish: TokenWish,
    ) -> Result<StoredSession, RepositoryError> {
        let taken = self
            .0
            .take(organization, connection, credential_version, wish)
            .await?;
        let right = RefreshRight {
            serial: 1,
            fence: 1,
        };
        Ok(match taken {
            StoredSession::Busy => StoredSession::Refresh(right),
            other => other,
        })
    }

    async fn keep(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        right: RefreshRight,
        token: StoredToken,
        rotated: Option<SealedCredentials>,
    ) -> Result<bool, RepositoryError> {
        self.0
            .keep(
                organization,
                connection,
                credential_version,
                right,
                token,
                rotated,
            )
            .await
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError> {
        self.0.let_go(organization, connection, right).await
    }
}

struct Unversioned {
    sessions: Arc<dyn SessionRepository>,
    connections: Arc<dyn ConnectionRepository>,
}

impl Unversioned {
    async fn present_version(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<u64, RepositoryError> {
        let identifier = ConnectionIdentifier::Id(connection.clone());
        let found = self.connections.find(organization, &identifier).await?;
        Ok(found.map_or(0, |found| found.credential_version))
    }
}

#[async_trait]
impl SessionRepository for Unversioned {
    async fn take(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        _credential_version: u64,
        wish: TokenWish,
    ) -> Result<StoredSession, RepositoryError> {
        let version = self.present_version(organization, connection).await?;
        self.sessions
            .take(organization, connection, version, wish)
            .await
    }

    async fn keep(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        _credential_version: u64,
        right: RefreshRight,
        token: StoredToken,
        rotated: Option<SealedCredentials>,
    ) -> Result<bool, RepositoryError> {
        let version = self.present_version(organization, connection).await?;
        self.sessions
            .keep(organization, connection, version, right, token, rotated)
            .await
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError> {
        self.sessions.let_go(organization, connection, right).await
    }
}
