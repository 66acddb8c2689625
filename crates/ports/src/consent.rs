use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::Timestamp;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_domain::secret::SecretString;

use crate::{ProviderError, RepositoryError};

/// An application at a provider that people give their consent to.
#[derive(Debug)]
pub struct ConsentClient<'a> {
    /// Its identifier.
    pub client_id: &'a str,
    /// Its secret.
    pub client_secret: &'a SecretString,
}

/// What a person's browser brings back.
#[derive(Debug)]
pub struct ConsentAnswer<'a> {
    /// The code that is worth a grant, once.
    pub code: &'a SecretString,
    /// The PKCE verifier whose hash the consent began with.
    pub verifier: &'a SecretString,
    /// Our address, as the consent began with it.
    pub redirect_uri: &'a str,
}

/// A provider's consent in a browser (OAuth 2.0 authorization code with PKCE, RFC 6749 and 7636).
#[async_trait]
pub trait ConsentFlow: Send + Sync {
    /// Where a person's browser is to be sent. `challenge` is the base64url SHA-256 of the verifier. Dials nothing.
    fn address(&self, client_id: &str, redirect_uri: &str, state: &str, challenge: &str) -> String;

    /// Exchanges the code for the grant's refresh token.
    async fn exchange(
        &self,
        client: ConsentClient<'_>,
        answer: ConsentAnswer<'_>,
    ) -> Result<SecretString, ProviderError>;
}

/// A consent that somebody has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsent {
    /// SHA-256 of the state, in lower-case hex.
    pub state_sha256: String,
    /// Whose.
    pub organization: OrganizationId,
    /// Who began it.
    pub user: UserId,
    /// With which key.
    pub api_key: ApiKeyId,
    /// What is needed to finish it, sealed.
    pub sealed: Vec<u8>,
    /// Until when it can be finished.
    pub expires_at: Timestamp,
}

/// Why a consent could not be stored.
#[derive(Debug, Error)]
pub enum ConsentError {
    /// The organization has begun too many that are neither finished nor expired.
    #[error("too many consents are under way")]
    TooMany,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Consents under way.
#[async_trait]
pub trait ConsentRepository: Send + Sync {
    /// Stores a consent for `ttl` from now; `expires_at` is set by the database's clock. Removes the organization's expired ones.
    /// At most [`MOST_CONSENTS`] of an organization are under way.
    async fn begin(
        &self,
        consent: StoredConsent,
        ttl: std::time::Duration,
    ) -> Result<StoredConsent, ConsentError>;
}

/// Most consents of one organization under way at a time.
pub const MOST_CONSENTS: u32 = 100;
