//! Access tokens of stored connections, sealed in the database, where all replicas share them.

use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::connection::{Connection, ConnectionIdentifier, SealedCredentials};
use wharf_domain::provider::Credentials;
use wharf_domain::secret::{SecretBytes, SecretString};
use wharf_envelope::{Binding, OpenError, SessionBinding};
use wharf_ports::{
    AccessToken, RefreshRight, SessionError, SessionRepository, Sessions, Source, StoredSession,
    StoredToken, Taken, TokenWish,
};

use crate::Engine;
use crate::connections::CredentialsError;

/// How often a rotated refresh token is tried to be stored, since the one before it is worth nothing any more.
const TRIES: u32 = 5;

/// The pause before the second try.
const PAUSE: Duration = Duration::from_millis(100);

/// The token of one stored connection, as it was opened.
pub(crate) struct StoredSessions {
    engine: Engine,
    binding: Binding,
    /// The credentials that it was opened with.
    credentials: SecretBytes,
}

impl StoredSessions {
    pub(crate) fn new(engine: Engine, connection: &Connection, credentials: &Credentials) -> Self {
        Self {
            engine,
            binding: Binding::of(connection),
            credentials: credentials.to_secret_bytes(),
        }
    }

    fn repository(&self) -> &dyn SessionRepository {
        &*self.engine.repositories().sessions
    }

    fn token_binding(&self) -> SessionBinding {
        SessionBinding::of(self.binding.clone())
    }

    /// What it was opened with.
    fn opened(&self) -> Result<Credentials, SessionError> {
        let provider = self.binding.provider;
        Credentials::from_secret_bytes(provider, &self.credentials).map_err(unavailable)
    }

    async fn ask(&self, wish: TokenWish) -> Result<StoredSession, SessionError> {
        let Binding {
            organization,
            connection,
            credential_version,
            ..
        } = &self.binding;
        self.repository()
            .take(organization, connection, *credential_version, wish)
            .await
            .map_err(unavailable)
    }

    /// The token, if it opens: one that was changed or belongs elsewhere is none.
    async fn open(&self, stored: &StoredToken) -> Result<Option<AccessToken>, SessionError> {
        let opened = self
            .engine
            .envelope
            .open_token(&self.token_binding(), &stored.sealed)
            .await;
        let opened = match opened {
            Ok(opened) => opened,
            Err(error @ (OpenError::KeyRing(_) | OpenError::Repository(_))) => {
                return Err(unavailable(error));
            }
            Err(error) => {
                tracing::warn!(%error, connection = %self.binding.connection, "a stored access token does not open");
                return Ok(None);
            }
        };
        let text = std::str::from_utf8(opened.expose()).map_err(unavailable)?;
        Ok(Some(AccessToken {
            secret: SecretString::new(text.to_owned()),
            renew_at: stored.renew_at,
            serial: stored.serial,
        }))
    }

    /// The credentials with a refresh token in place of theirs, sealed for the same row.
    async fn seal_rotated(&self, rotated: SecretString) -> Result<SealedCredentials, SessionError> {
        let plaintext = self.opened()?.rotated(rotated).to_secret_bytes();
        let envelope = &self.engine.envelope;
        envelope
            .seal(&self.binding, &plaintext)
            .await
            .map_err(unavailable)
    }

    async fn store(
        &self,
        right: RefreshRight,
        secret: &SecretString,
        renew_at: Timestamp,
        rotated: Option<&SecretString>,
    ) -> Result<bool, SessionError> {
        let plaintext = SecretBytes::new(secret.expose().as_bytes().to_vec());
        let sealed = self
            .engine
            .envelope
            .seal_token(&self.token_binding(), &plaintext)
            .await
            .map_err(unavailable)?;
        let rotated = match rotated {
            Some(token) => Some(self.seal_rotated(token.duplicate()).await?),
            None => None,
        };
        let token = StoredToken {
            sealed,
            renew_at,
            serial: right.serial,
        };
        let Binding {
            organization,
            connection,
            credential_version,
            ..
        } = &self.binding;
        self.repository()
            .keep(
                organization,
                connection,
                *credential_version,
                right,
                token,
                rotated,
            )
            .await
            .map_err(unavailable)
    }
}

#[async_trait]
impl Sessions for StoredSessions {
    async fn take(&self, wish: TokenWish) -> Result<Taken, SessionError> {
        let mut wish = wish;
        loop {
            match self.ask(wish).await? {
                StoredSession::Token(stored) => {
                    if let Some(token) = self.open(&stored).await? {
                        return Ok(Taken::Token(token));
                    }
                    // Serials grow, so that this comes to an end.
                    wish = TokenWish::After(stored.serial);
                }
                StoredSession::Refresh(right) => return Ok(Taken::Refresh(right)),
                StoredSession::Busy => return Ok(Taken::Busy),
                StoredSession::Superseded => return Err(SessionError::Superseded),
            }
        }
    }

    async fn keep(
        &self,
        right: RefreshRight,
        secret: SecretString,
        renew_at: Timestamp,
        rotated: Option<SecretString>,
    ) -> Result<(), SessionError> {
        metrics::counter!("wharf_tokens_total").increment(1);
        let is_rotated = rotated.is_some();
        let mut tries = if is_rotated { TRIES } else { 1 };
        let mut pause = PAUSE;
        loop {
            tries -= 1;
            let stored = self.store(right, &secret, renew_at, rotated.as_ref()).await;
            match stored {
                Ok(kept) => {
                    self.tell_of_kept(kept, is_rotated);
                    return Ok(());
                }
                Err(error) if tries == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, connection = %self.binding.connection, "a rotated refresh token is not stored yet");
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn let_go(&self, right: RefreshRight) -> Result<(), SessionError> {
        let Binding {
            organization,
            connection,
            ..
        } = &self.binding;
        self.repository()
            .let_go(organization, connection, right)
            .await
            .map_err(unavailable)
    }

    async fn rotated(&self) -> Result<Option<SecretString>, SessionError> {
        let Binding {
            organization,
            connection,
            credential_version,
            ..
        } = &self.binding;
        let found = self
            .engine
            .repositories()
            .connections
            .find(organization, &ConnectionIdentifier::Id(connection.clone()))
            .await
            .map_err(unavailable)?;
        let stored = found
            .filter(|row| row.sealed.is_some() && row.credential_version == *credential_version)
            .ok_or(SessionError::Superseded)?;
        let current = match self.engine.open_credentials(&stored).await {
            Ok(current) => current,
            Err(CredentialsError::Engine(error)) => return Err(unavailable(error)),
            Err(error) => return Err(unavailable(error.remedy())),
        };
        let opened = self.opened()?;
        let (Some(current), Some(opened)) = (current.refresh_token(), opened.refresh_token())
        else {
            return Ok(None);
        };
        let differs = current.expose() != opened.expose();
        Ok(differs.then(|| current.duplicate()))
    }
}

impl StoredSessions {
    fn tell_of_kept(&self, kept: bool, rotated: bool) {
        let connection = &self.binding.connection;
        if rotated {
            tracing::info!(%connection, kept, "the provider gave a refresh token in place of the old one");
        } else {
            tracing::debug!(%connection, kept, "signed in for a new access token");
        }
    }
}

fn unavailable(error: impl Into<Source>) -> SessionError {
    SessionError::Unavailable(error.into())
}
