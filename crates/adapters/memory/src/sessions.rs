//! Access tokens of connections, sealed, and the right to get the next one.

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::connection::{Connection, Intent, SealedCredentials};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_ports::{
    RIGHT, RefreshRight, RepositoryError, SessionRepository, StoredSession, StoredToken, TokenWish,
};

use crate::MemoryStore;
use crate::state::State;
use crate::store::stored_time;

/// What is stored about a connection's token.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// The last token of the connection's present credentials.
    token: Option<StoredToken>,
    /// The serial of the last token, whatever became of it.
    serial: u64,
    /// Grows with every right.
    fence: u64,
    /// Until when somebody has the right with that fence.
    right_ends_at: Option<Timestamp>,
}

impl Session {
    /// Whether nobody got the right after this one, and it was not given back.
    fn is_out(&self, right: RefreshRight) -> bool {
        self.fence == right.fence && self.right_ends_at.is_some()
    }
}

impl State {
    /// The connection, if it is what the caller opened.
    fn opened(
        &mut self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
    ) -> Option<&mut Connection> {
        self.connections.get_mut(connection).filter(|found| {
            found.organization == *organization
                && found.intent != Intent::Archived
                && found.credential_version == credential_version
        })
    }

    /// Forgets what credentials of an earlier version brought. Serials and fences go on growing.
    pub(crate) fn forget_token(&mut self, connection: &ConnectionId) {
        if let Some(session) = self.sessions.get_mut(connection) {
            session.token = None;
            session.right_ends_at = None;
        }
    }
}

#[async_trait]
impl SessionRepository for MemoryStore {
    async fn take(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        wish: TokenWish,
    ) -> Result<StoredSession, RepositoryError> {
        let (mut state, now) = self.open();
        if state
            .opened(organization, connection, credential_version)
            .is_none()
        {
            return Ok(StoredSession::Superseded);
        }
        let session = state.sessions.entry(connection.clone()).or_default();
        let after = match wish {
            TokenWish::Any => 0,
            TokenWish::After(serial) => serial,
        };
        let token = session
            .token
            .clone()
            .filter(|token| token.serial > after && token.renew_at > now);
        if let Some(token) = token {
            return Ok(StoredSession::Token(token));
        }
        if session.right_ends_at.is_some_and(|ends_at| ends_at > now) {
            return Ok(StoredSession::Busy);
        }
        session.fence += 1;
        session.right_ends_at = Some(now + RIGHT);
        Ok(StoredSession::Refresh(RefreshRight {
            serial: session.serial + 1,
            fence: session.fence,
        }))
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
        let (mut state, _) = self.open();
        if state
            .opened(organization, connection, credential_version)
            .is_none()
        {
            return Ok(false);
        }
        let session = state.sessions.entry(connection.clone()).or_default();
        if session.serial >= right.serial {
            return Ok(false);
        }
        let is_out = session.is_out(right);
        if is_out {
            session.serial = right.serial;
            session.right_ends_at = None;
            session.token = Some(StoredToken {
                serial: right.serial,
                renew_at: stored_time(token.renew_at),
                ..token
            });
        }
        if let Some(rotated) = rotated
            && let Some(opened) = state.opened(organization, connection, credential_version)
        {
            opened.sealed = Some(rotated);
        }
        Ok(is_out)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError> {
        let (mut state, _) = self.open();
        let of_organization = state
            .connections
            .get(connection)
            .is_some_and(|found| found.organization == *organization);
        let session = state.sessions.get_mut(connection);
        if let Some(session) = session.filter(|it| of_organization && it.is_out(right)) {
            session.right_ends_at = None;
        }
        Ok(())
    }
}
