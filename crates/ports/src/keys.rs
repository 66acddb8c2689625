use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::ids::OrganizationId;
use wharf_domain::secret::SecretKey;

use crate::{RepositoryError, Source};

/// What a wrapped organization key is bound to; a key wrapped under another context does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyContext {
    /// Whose key it is.
    pub organization: OrganizationId,
    /// Which of that organization's keys, from 1.
    pub version: u32,
}

/// An organization key wrapped by a key ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which of the ring's keys wrapped it.
    pub ring_key: String,
    /// The wrapped bytes; their format is the ring's.
    pub bytes: Vec<u8>,
}

/// Why a key ring could not do its work.
#[derive(Debug, Error)]
pub enum KeyRingError {
    /// The ring does not hold the key that wrapped this, or the context or bytes were changed.
    #[error("the key ring cannot open this key: it was wrapped by another key ring or was changed")]
    Refused,
    /// The ring cannot be reached; try again.
    #[error("the key ring is not available")]
    Unavailable(#[source] Source),
}

/// The key-encryption keys: wraps organization keys and never lets its own keys out.
#[async_trait]
pub trait KeyRing: Send + Sync {
    /// Wraps a key under the ring's primary key, bound to the context.
    async fn wrap(&self, context: &KeyContext, key: &SecretKey)
    -> Result<WrappedKey, KeyRingError>;

    /// Opens a wrapped key. `Refused` for another context, a changed byte or a key of another ring; no other key than
    /// the named one is tried.
    async fn unwrap(
        &self,
        context: &KeyContext,
        wrapped: &WrappedKey,
    ) -> Result<SecretKey, KeyRingError>;

    /// The keyed hash under which API keys are stored: stable over rotations of the wrapping keys.
    async fn hash_api_key(&self, api_key: &[u8]) -> Result<[u8; 32], KeyRingError>;

    /// A keyed hash over a request's parts, each after its length; under another key than the one of API keys, stable like it. Parts
    /// may hold secrets that are short: without the key, the hash tells nothing about them.
    async fn hash_request(&self, parts: &[&[u8]]) -> Result<[u8; 32], KeyRingError>;

    /// Whether the ring can be used now.
    async fn check(&self) -> Result<(), KeyRingError>;
}

/// A stored organization key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationKey {
    /// From 1; the highest one seals.
    pub version: u32,
    /// The key, wrapped by the key ring.
    pub wrapped: WrappedKey,
}

/// Where wrapped organization keys are kept.
#[async_trait]
pub trait OrganizationKeyRepository: Send + Sync {
    /// The organization's newest key, if it has one.
    async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, RepositoryError>;

    /// One of the organization's keys.
    async fn find(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, RepositoryError>;

    /// Stores a key unless that version is there, and returns what is stored then: of two callers with the same
    /// version, both get the first one's key. `None` when the organization is unknown.
    async fn insert_if_absent(
        &self,
        organization: &OrganizationId,
        key: OrganizationKey,
    ) -> Result<Option<OrganizationKey>, RepositoryError>;
}
