use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::Timestamp;
use wharf_domain::connection::SealedCredentials;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::secret::SecretString;

use crate::{RepositoryError, Source};

/// An access token that a provider gave for a connection's credentials.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: SecretString,
    /// From when on another is to take its place, some time before its end.
    pub renew_at: Timestamp,
    /// Grows with every token of the connection.
    pub serial: u64,
}

/// Which token is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenWish {
    /// Any that is not to be replaced yet.
    Any,
    /// One that came after the token with this serial, which was refused or is not to be relied on.
    After(u64),
}

/// The sole right to ask the provider for a connection's next token. It ends by itself after a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshRight {
    /// The serial of the token that is to come.
    pub serial: u64,
    /// Grows with every right.
    pub fence: u64,
}

/// The answer to a wish for a token.
#[derive(Debug)]
pub enum Taken {
    /// There is one.
    Token(AccessToken),
    /// There is none, and whoever asked is to get it: to be answered by [`Sessions::keep`] or [`Sessions::let_go`].
    Refresh(RefreshRight),
    /// Somebody else is getting it. Asking again soon tells.
    Busy,
}

/// Why the shared token cannot be had. The token itself never gets in.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The connection's credentials were changed or shredded since it was opened.
    #[error("the connection's credentials are not what they were")]
    Superseded,
    /// What keeps the token cannot answer.
    #[error("the place where access tokens are kept is not available")]
    Unavailable(#[source] Source),
}

/// The access token of one opened connection, shared by all replicas: at any time at most one of them asks the provider for a
/// new one.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// The token, the right to get one, or the word that somebody else is at it. Does not wait.
    async fn take(&self, wish: TokenWish) -> Result<Taken, SessionError>;

    /// Keeps a new token, and a refresh token that the provider gave in place of the old one, as one step; from then on the old
    /// one is not used any more. If the right has ended meanwhile, a rotated refresh token is kept all the same unless a newer one
    /// is there.
    async fn keep(
        &self,
        right: RefreshRight,
        token: SecretString,
        renew_at: Timestamp,
        rotated: Option<SecretString>,
    ) -> Result<(), SessionError>;

    /// Gives the right back: the provider gave no token.
    async fn let_go(&self, right: RefreshRight) -> Result<(), SessionError>;

    /// The refresh token as it is stored now, which another replica may have rotated; `None` where it is the one that the
    /// connection was opened with. Asked by whoever holds the right.
    async fn rotated(&self) -> Result<Option<SecretString>, SessionError>;
}

/// A sealed access token as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The sealed form.
    pub sealed: Vec<u8>,
    /// From when on another is to take its place, some time before its end.
    pub renew_at: Timestamp,
    /// Grows with every token of the connection.
    pub serial: u64,
}

/// What is stored about a connection's token, as somebody wishes for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredSession {
    /// There is one.
    Token(StoredToken),
    /// There is none, and whoever asked is to get it.
    Refresh(RefreshRight),
    /// Somebody else is getting it.
    Busy,
    /// The connection is archived, or its credentials are of another version.
    Superseded,
}

/// Access tokens of connections, sealed.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// The connection's token if it answers the wish by the database's clock, else the right to get one if nobody has it. Of several
    /// callers at once, exactly one gets the right; it ends [`RIGHT`] later, and then another may. What belongs to an older credential
    /// version answers no wish.
    async fn take(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        wish: TokenWish,
    ) -> Result<StoredSession, RepositoryError>;

    /// Stores a token and ends the right. With `rotated`, the connection's sealed credentials become these in the same step, at the
    /// same credential version. Whether it was stored: not if the right was somebody else's by then (then `rotated` is stored all the
    /// same, if no token came meanwhile), nor if the credential version is another one.
    async fn keep(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        right: RefreshRight,
        token: StoredToken,
        rotated: Option<SealedCredentials>,
    ) -> Result<bool, RepositoryError>;

    /// Ends the right, if it still is this one.
    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError>;
}

/// How long the right to get a token lasts.
pub const RIGHT: std::time::Duration = std::time::Duration::from_mins(1);
