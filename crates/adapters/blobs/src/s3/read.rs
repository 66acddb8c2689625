//! Reading a blob.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::object::BlobKey;
use wharf_ports::{BlobError, ByteStream, ProviderError};

use super::S3Blobs;
use super::failure::Failure;
use super::fault::{Reason, S3Fault};
use super::tries::{Tries, patiently};
use super::wire::{Opened, Wire};

const GET: &str = "s3:GetObject";
/// No object is as large; not every store reads larger numbers.
const FARTHEST: u64 = i64::MAX as u64;

/// The first bytes are asked for here; a stream that breaks goes on where it broke, in the same version of the object.
pub(super) async fn open(
    store: &S3Blobs,
    key: &BlobKey,
    offset: u64,
    length: u64,
) -> Result<ByteStream, BlobError> {
    let object = store.object(key)?;
    let missing_or = |failure| match failure {
        Failure::Missing => BlobError::NotFound,
        failure => store.unavailable(GET, failure),
    };
    if length == 0 || offset >= FARTHEST {
        return match patiently(|| store.wire.size(&object)).await {
            Ok(Some(_)) => Ok(stream::empty().boxed()),
            Ok(None) => Err(BlobError::NotFound),
            Err(failure) => Err(missing_or(failure)),
        };
    }
    let opened = patiently(|| get(&store.wire, &object, offset, length, None)).await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(Failure::PastTheEnd) => return Ok(stream::empty().boxed()),
        Err(failure) => return Err(missing_or(failure)),
    };
    let reading = Reading {
        wire: Arc::clone(&store.wire),
        bucket: store.place.bucket().to_owned(),
        object,
        at: offset,
        left: opened.length.min(length),
        etag: opened.etag,
        bytes: opened.bytes,
        tries: Tries::default(),
    };
    Ok(stream::try_unfold(reading, Reading::next).boxed())
}

async fn get(
    wire: &Wire,
    object: &str,
    offset: u64,
    length: u64,
    known: Option<&str>,
) -> Result<Opened, Failure> {
    let end = offset.checked_add(length - 1).filter(|end| *end < FARTHEST);
    let range = match (offset, end) {
        (0, None) => None,
        (offset, None) => Some(format!("bytes={offset}-")),
        (offset, Some(end)) => Some(format!("bytes={offset}-{end}")),
    };
    let opened = wire.get(object, range, known).await?;
    // A store that does not heed ranges gives the whole object, which is as well where that begins.
    let begins_at = opened.begins_at.unwrap_or(0);
    if begins_at == offset {
        Ok(opened)
    } else if opened.begins_at.is_none() && opened.length <= offset {
        Err(Failure::PastTheEnd)
    } else {
        Err(Reason::OtherBytes.into())
    }
}

struct Reading {
    wire: Arc<Wire>,
    bucket: String,
    object: String,
    at: u64,
    left: u64,
    etag: String,
    bytes: BoxStream<'static, Result<Bytes, Failure>>,
    tries: Tries,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ProviderError> {
        while self.left > 0 {
            let failure = match self.bytes.next().await {
                Some(Ok(mut piece)) => {
                    piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    if piece.is_empty() {
                        continue;
                    }
                    self.at += piece.len() as u64;
                    self.left -= piece.len() as u64;
                    self.tries.renew();
                    return Ok(Some((piece, self)));
                }
                Some(Err(failure)) => failure,
                None => Reason::OtherBytes.into(),
            };
            self.go_on(failure).await.map_err(|failure| {
                let fault = S3Fault::new(GET, &self.bucket, failure.reason());
                let message = "the blob store failed while a blob was read";
                ProviderError::transient(ErrorCode::Internal, message).caused_by(fault)
            })?;
        }
        Ok(None)
    }

    /// Asks for the rest, of the same version of the object.
    async fn go_on(&mut self, failure: Failure) -> Result<(), Failure> {
        let mut failure = failure;
        loop {
            self.tries.again(failure).await?;
            let known = Some(self.etag.as_str());
            match get(&self.wire, &self.object, self.at, self.left, known).await {
                // Not every store heeds conditions, so the answer is looked at, too.
                Ok(opened) if opened.etag == self.etag && opened.length >= self.left => {
                    self.bytes = opened.bytes;
                    return Ok(());
                }
                Ok(_) => return Err(Reason::OtherBytes.into()),
                Err(next) => failure = next,
            }
        }
    }
}
