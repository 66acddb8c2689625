//! Blobs as objects of a bucket.
//!
//! Requests, signatures and XML are the official SDK's, sent through an egress guard that knows no address but the one
//! the operator named. The SDK's types stay in `wire` and `failure`.

mod failure;
mod fault;
mod listing;
mod parts;
mod place;
mod put;
mod read;
mod tries;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use md5::{Digest, Md5};
use wharf_domain::object::BlobKey;
use wharf_domain::secret::SecretString;
use wharf_egress::{Client, Guard, Policy, Timeouts, TlsMode};
use wharf_ports::{BlobError, BlobPlace, BlobStore, ByteStream, Clock, StoredBlob};

use self::failure::Failure;
use self::fault::Reason;
pub use self::fault::S3Fault;
use self::parts::Part;
pub use self::place::{InvalidPlace, S3Place};
use self::tries::patiently;
use self::wire::Wire;

/// Completing a large upload keeps a store busy for a while.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    headers: Duration::from_mins(1),
    idle: Duration::from_mins(1),
};
/// A check that takes longer says that the store cannot be used.
const CHECK_PATIENCE: Duration = Duration::from_secs(5);

/// An access key of the store.
#[derive(Debug)]
pub struct AccessKey {
    /// Its identifier.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
    /// What a temporary key needs beside it.
    pub session_token: Option<SecretString>,
}

/// A blob store in a bucket of Amazon S3, or of a store that speaks its protocol.
///
/// A blob is one object, written by one request or, if it is larger than 8 MiB, in parts, of which two at a time are held
/// in memory. Up to some 10 GiB parts are equal; after that each is about a thousandth of what came before it, so that
/// the largest objects fit into the 10,000 parts that a store takes.
///
/// A store that heeds `If-None-Match` writes under a key once even if two try at the same moment. Others are asked first
/// whether the object is there.
pub struct S3Blobs {
    place: S3Place,
    wire: Arc<Wire>,
    clock: Arc<dyn Clock>,
    /// Whether the store knows the condition that makes it write once.
    may_ask_for_once: AtomicBool,
    /// Whether the last check found nothing wrong.
    well: AtomicBool,
}

impl S3Blobs {
    /// A store at this place. Nothing is asked of it yet.
    pub fn new(place: S3Place, key: &AccessKey, clock: Arc<dyn Clock>) -> Self {
        let policy = Policy {
            trusted_origins: place.origin().into_iter().collect(),
            ..Policy::default()
        };
        let guard = Arc::new(Guard::new(policy));
        let client = Client::with_timeouts(guard, TlsMode::Verified, TIMEOUTS);
        let wire = Arc::new(Wire::new(&place, key, client));
        Self {
            place,
            wire,
            clock,
            may_ask_for_once: AtomicBool::new(true),
            well: AtomicBool::new(true),
        }
    }

    fn object(&self, key: &BlobKey) -> Result<String, BlobError> {
        self.place
            .object(key)
            .ok_or_else(|| BlobError::Unavailable("this is not the key of a blob".into()))
    }

    fn asks_for_once(&self) -> bool {
        self.may_ask_for_once.load(Ordering::Relaxed)
    }

    fn unavailable(&self, action: &'static str, failure: Failure) -> BlobError {
        let fault = S3Fault::new(action, self.place.bucket(), failure.reason());
        BlobError::Unavailable(fault.into())
    }

    /// Writes and removes an object that is no blob.
    async fn probe(&self) -> Result<(), BlobError> {
        let object = self.place.probe();
        let bytes = Bytes::from_static(b"probe");
        let md5 = Md5::digest(&bytes).into();
        let part = Part { bytes, md5 };
        let put = self.wire.put(&object, &part, false).await;
        put.map_err(|failure| self.unavailable("s3:PutObject", failure))?;
        let removed = self.wire.remove(&object).await;
        removed.map_err(|failure| self.unavailable("s3:DeleteObject", failure))
    }

    /// Tells the log when the store becomes unusable, and when it can be used again.
    fn note(&self, checked: &Result<(), BlobError>) {
        let was_well = self.well.swap(checked.is_ok(), Ordering::Relaxed);
        match checked {
            Err(BlobError::Unavailable(reason)) if was_well => {
                tracing::warn!(%reason, "the blob store cannot be used");
            }
            Ok(()) if !was_well => tracing::info!("the blob store can be used again"),
            _ => {}
        }
    }
}

/// Tells the log what an operator has to mend; whoever asked for a blob learns only that the store is not available.
fn tell(error: &BlobError) {
    if let BlobError::Unavailable(reason) = error {
        tracing::warn!(%reason, "the blob store failed");
    }
}

impl fmt::Debug for S3Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Blobs")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl BlobStore for S3Blobs {
    /// An interrupted call leaves at most an unfinished upload.
    async fn put(&self, key: &BlobKey, bytes: ByteStream) -> Result<StoredBlob, BlobError> {
        put::put(self, key, bytes).await.inspect_err(tell)
    }

    async fn open(&self, key: &BlobKey, offset: u64, length: u64) -> Result<ByteStream, BlobError> {
        read::open(self, key, offset, length)
            .await
            .inspect_err(tell)
    }

    async fn remove(&self, key: &BlobKey) -> Result<(), BlobError> {
        let object = self.object(key)?;
        patiently(|| self.wire.remove(&object))
            .await
            .map_err(|failure| self.unavailable("s3:DeleteObject", failure))
            .inspect_err(tell)
    }

    /// A list from the start ends uploads that were left unfinished a week ago, too.
    async fn list(
        &self,
        after: Option<&BlobKey>,
        limit: usize,
    ) -> Result<Vec<BlobPlace>, BlobError> {
        let now = self.clock.now();
        if after.is_none() {
            listing::clear_abandoned(self, now).await;
        }
        listing::list(self, after, limit, now)
            .await
            .inspect_err(tell)
    }

    /// Writes and removes a small object, once: whoever asks for health wants to know how it is now.
    async fn check(&self) -> Result<(), BlobError> {
        let checked = tokio::time::timeout(CHECK_PATIENCE, self.probe()).await;
        let checked = checked
            .unwrap_or_else(|_| Err(self.unavailable("s3:PutObject", Reason::Silent.into())));
        self.note(&checked);
        checked
    }
}
