//! Blobs.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use wharf_domain::Timestamp;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, BlobPlace, BlobStore, ByteStream, Clock, StoredBlob};

/// How much of a blob one item of its stream holds.
const CHUNK: usize = 256 * 1024;

struct Blob {
    bytes: Bytes,
    written_at: Timestamp,
}

/// A blob store in memory. Clones share it. Unlike any other store, it holds a blob whole.
#[derive(Clone)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<BlobKey, Blob>>>,
    clock: Arc<dyn Clock>,
}

impl MemoryBlobs {
    /// An empty store that tells ages by the given clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            blobs: Arc::default(),
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Blob>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBlobs")
    }
}

/// The part of `bytes` from `offset` on, at most `length` of it.
fn range(bytes: &Bytes, offset: u64, length: u64) -> Bytes {
    let start = usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
    let end = usize::try_from(length).map_or(bytes.len(), |length| {
        start.saturating_add(length).min(bytes.len())
    });
    bytes.slice(start..end)
}

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn put(&self, key: &BlobKey, mut bytes: ByteStream) -> Result<StoredBlob, BlobError> {
        if self.lock().contains_key(key) {
            return Err(BlobError::Exists);
        }
        let mut whole = Vec::new();
        while let Some(part) = bytes.next().await {
            whole.extend_from_slice(&part.map_err(BlobError::Source)?);
        }
        let stored = StoredBlob {
            size_bytes: whole.len() as u64,
            sha256: hex::encode(Sha256::digest(&whole)),
        };
        let blob = Blob {
            bytes: whole.into(),
            written_at: self.clock.now(),
        };
        let mut blobs = self.lock();
        // Another writer may have been faster while the bytes arrived.
        if blobs.contains_key(key) {
            return Err(BlobError::Exists);
        }
        blobs.insert(key.clone(), blob);
        Ok(stored)
    }

    async fn open(&self, key: &BlobKey, offset: u64, length: u64) -> Result<ByteStream, BlobError> {
        let rest = range(
            &self.lock().get(key).ok_or(BlobError::NotFound)?.bytes,
            offset,
            length,
        );
        let parts = stream::unfold(rest, async |mut rest| {
            let part = rest.split_to(CHUNK.min(rest.len()));
            (!part.is_empty()).then_some((Ok(part), rest))
        });
        Ok(parts.boxed())
    }

    async fn remove(&self, key: &BlobKey) -> Result<(), BlobError> {
        self.lock().remove(key);
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobPlace>, BlobError> {
        let now = self.clock.now();
        let blobs = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let places = blobs
            .range((from, Bound::Unbounded))
            .take(limit)
            .map(|(key, blob)| BlobPlace {
                key: key.clone(),
                age: (now - blob.written_at).to_std().unwrap_or(Duration::ZERO),
            });
        Ok(places.collect())
    }

    async fn check(&self) -> Result<(), BlobError> {
        Ok(())
    }
}
