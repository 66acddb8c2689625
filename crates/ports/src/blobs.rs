use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::object::BlobKey;

use crate::{ByteStream, ProviderError, Source};

/// A blob that was written in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlob {
    /// Bytes written.
    pub size_bytes: u64,
    /// Their SHA-256, in lower-case hex, computed on the way.
    pub sha256: String,
}

/// A blob as the sweep sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPlace {
    /// Its key.
    pub key: BlobKey,
    /// How long ago it was written.
    pub age: Duration,
}

/// Why a blob could not be written or read.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The stream that was being stored failed; nothing was stored.
    #[error("the source failed while its bytes were stored: {0}")]
    Source(#[source] ProviderError),
    /// The key is there already: keys are written once.
    #[error("the blob exists already")]
    Exists,
    /// There is no such blob.
    #[error("the blob does not exist")]
    NotFound,
    /// The store cannot be reached, is full or failed; nothing was stored.
    #[error("the blob store is not available")]
    Unavailable(#[source] Source),
}

/// Where the bytes of objects lie. Keys are written once and never changed.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Stores a stream under a new key. The blob appears whole and durable, or not at all; memory use does not grow
    /// with its size. An interrupted call leaves at most scraps that [`list`](Self::list) does not show.
    async fn put(&self, key: &BlobKey, bytes: ByteStream) -> Result<StoredBlob, BlobError>;

    /// The bytes from `offset` on, at most `length` of them. `offset` at or past the end gives an empty stream. Reading
    /// goes on to the end even if the blob is removed meanwhile.
    async fn open(&self, key: &BlobKey, offset: u64, length: u64) -> Result<ByteStream, BlobError>;

    /// Removes a blob; one that is not there is no error.
    async fn remove(&self, key: &BlobKey) -> Result<(), BlobError>;

    /// Up to `limit` blobs in the order of their keys, after the given one.
    async fn list(
        &self,
        after: Option<&BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobPlace>, BlobError>;

    /// Whether the store can be written to now.
    async fn check(&self) -> Result<(), BlobError>;
}
