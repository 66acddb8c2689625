//! Writing a blob.

use std::sync::atomic::Ordering;

use futures::future::try_join;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, ByteStream, StoredBlob};

use super::S3Blobs;
use super::failure::Failure;
use super::fault::Reason;
use super::parts::{Part, Parts};
use super::tries::{Tries, patiently};

const MIB: u64 = 1024 * 1024;
/// Blobs of up to one part are written by one request.
const PART: u64 = 8 * MIB;
/// A store takes no more parts than this.
const MOST_PARTS: usize = 10_000;
/// From here on parts grow with what was written before, so that 10,000 of them hold 5 TiB.
const EQUAL_PARTS: u64 = 1300;

const PUT: &str = "s3:PutObject";

/// Writes the stream by one request, or in parts. What is not completed never shows.
pub(super) async fn put(
    store: &S3Blobs,
    key: &BlobKey,
    bytes: ByteStream,
) -> Result<StoredBlob, BlobError> {
    let object = store.object(key)?;
    let mut parts = Parts::of(bytes);
    let first = parts.next(part_size(0)).await?;
    let write = Write {
        store,
        object: &object,
    };
    if parts.ended() {
        write.at_once(&first).await?;
    } else {
        write.in_parts(first, &mut parts).await?;
    }
    Ok(parts.stored())
}

/// How large the part after these many bytes is.
fn part_size(written: u64) -> usize {
    let size = (written / EQUAL_PARTS).div_ceil(MIB) * MIB;
    usize::try_from(size.max(PART)).unwrap_or(usize::MAX)
}

/// Whether a blob of this size, which not every store tells, was written in parts.
pub(super) fn may_be_of_parts(size: Option<u64>) -> bool {
    size.is_none_or(|size| size >= PART)
}

#[derive(Clone, Copy)]
struct Write<'a> {
    store: &'a S3Blobs,
    object: &'a str,
}

impl Write<'_> {
    async fn at_once(self, part: &Part) -> Result<(), BlobError> {
        let mut tries = Tries::default();
        self.refuse_second().await?;
        loop {
            let once = self.store.asks_for_once();
            let put = self.store.wire.put(self.object, part, once).await;
            let Err(failure) = put else { return Ok(()) };
            let size = part.bytes.len() as u64;
            if self.settled(failure, once, &mut tries, size).await? {
                return Ok(());
            }
        }
    }

    async fn in_parts(self, first: Part, parts: &mut Parts) -> Result<(), BlobError> {
        let wire = &self.store.wire;
        let upload = patiently(|| wire.begin(self.object))
            .await
            .map_err(|failure| self.store.unavailable(PUT, failure))?;
        let written = match self.send_parts(&upload, first, parts).await {
            Ok(etags) => self.complete(&upload, &etags, parts.size_bytes()).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            // What cannot be aborted now is swept, or ends by the bucket's lifecycle rule.
            let _ = patiently(|| wire.abort(self.object, &upload)).await;
        }
        written
    }

    /// Sends the parts in turn; one is on its way while the next one fills.
    async fn send_parts(
        self,
        upload: &str,
        first: Part,
        parts: &mut Parts,
    ) -> Result<Vec<String>, BlobError> {
        let mut etags = Vec::new();
        let mut part = first;
        loop {
            let number = i32::try_from(etags.len() + 1).unwrap_or(i32::MAX);
            let send = async {
                patiently(|| self.store.wire.put_part(self.object, upload, number, &part))
                    .await
                    .map_err(|failure| self.store.unavailable(PUT, failure))
            };
            let fill = async {
                if parts.ended() {
                    return Ok(None);
                }
                let next = parts.next(part_size(parts.size_bytes())).await?;
                Ok(Some(next).filter(|next| !next.bytes.is_empty()))
            };
            let (etag, next) = try_join(send, fill).await?;
            etags.push(etag);
            part = match next {
                None => return Ok(etags),
                Some(_) if etags.len() == MOST_PARTS => {
                    return Err(self.store.unavailable(PUT, Reason::TooLarge.into()));
                }
                Some(next) => next,
            };
        }
    }

    async fn complete(self, upload: &str, etags: &[String], size: u64) -> Result<(), BlobError> {
        let mut tries = Tries::default();
        self.refuse_second().await?;
        loop {
            let once = self.store.asks_for_once();
            let wire = &self.store.wire;
            let completed = wire.complete(self.object, upload, etags, once).await;
            let Err(failure) = completed else {
                return Ok(());
            };
            if self.settled(failure, once, &mut tries, size).await? {
                return Ok(());
            }
        }
    }

    /// Looks for the blob first, where the store may not heed that it is to be written once.
    async fn refuse_second(self) -> Result<(), BlobError> {
        if self.store.place.heeds_conditions() {
            return Ok(());
        }
        match self.size_there().await? {
            Some(_) => Err(BlobError::Exists),
            None => Ok(()),
        }
    }

    /// Whether the blob has been written although the call failed; if not, it is time to try again.
    async fn settled(
        self,
        failure: Failure,
        once: bool,
        tries: &mut Tries,
        size: u64,
    ) -> Result<bool, BlobError> {
        match failure {
            Failure::NotImplemented if once => {
                self.store.may_ask_for_once.store(false, Ordering::Relaxed);
                Ok(false)
            }
            // The upload is over: completed by an earlier try of ours, or by another writer's leave.
            Failure::Precondition | Failure::NoUpload => match self.size_there().await? {
                // Keys are never used twice, so this is the blob of the try that was not answered.
                Some(there) if tries.unclear() && there == size => Ok(true),
                Some(_) => Err(BlobError::Exists),
                None => Err(self.store.unavailable(PUT, failure)),
            },
            failure => {
                let again = tries.again(failure).await;
                again.map_err(|failure| self.store.unavailable(PUT, failure))?;
                Ok(false)
            }
        }
    }

    async fn size_there(self) -> Result<Option<u64>, BlobError> {
        patiently(|| self.store.wire.size(self.object))
            .await
            .map_err(|failure| self.store.unavailable("s3:GetObject", failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_the_largest_object_fits_into_all_of_them() {
        let (mut written, mut parts) = (0, 0);
        while written < 5 * 1024 * 1024 * MIB {
            let size = part_size(written) as u64;
            assert!(size <= 5 * 1024 * MIB, "no store takes larger ones");
            assert!(size == PART || written >= 10_000 * MIB);
            written += size;
            parts += 1;
        }
        assert!(parts <= MOST_PARTS, "{parts}");
    }
}
