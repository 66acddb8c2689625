//! `GetObject`: the whole of an object, or the rest of it.

use std::collections::HashMap;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime as SdkTime};
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::http::HttpError;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use wharf_domain::Timestamp;

use super::head::{Head, KeepHead};
use super::{Checksum, Failure, Wire, failure, timestamp};

/// A key that no object has to have.
const STAND_IN: &str = "-";

/// Which object is wanted, and from where on.
#[derive(Debug)]
pub(crate) struct ObjectRequest<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) condition: &'a Condition,
    /// One version among those that the store keeps.
    pub(crate) version_id: Option<&'a str>,
    /// The first byte wanted; all are, when it is 0, and then a checksum of them is asked for.
    pub(crate) from: u64,
}

/// Which version of an object is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The one with this `ETag`, given without quotes.
    Tag(String),
    /// One that is no younger.
    UnmodifiedSince(Timestamp),
    /// Whichever there is.
    Any,
}

/// An object whose bytes are on their way.
pub(crate) struct Opened {
    pub(crate) bytes: BoxStream<'static, Result<Bytes, Failure>>,
    /// How many bytes this answer has.
    pub(crate) length: Option<u64>,
    /// Whether the answer is a part of the object.
    pub(crate) partial: bool,
    /// Which part, as the store puts it.
    pub(crate) content_range: Option<String>,
    pub(crate) etag: Option<String>,
    /// A checksum of the whole object, if the store sent one.
    pub(crate) checksum: Option<Checksum>,
    /// Whether the `ETag` says nothing about the bytes, because of how they are encrypted.
    pub(crate) opaque_etag: bool,
    /// What the server calls itself.
    pub(crate) server: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) user_metadata: HashMap<String, String>,
}

impl Wire {
    /// `GetObject`, in one piece to the end.
    pub(crate) async fn get(&self, request: &ObjectRequest<'_>) -> Result<Opened, Failure> {
        // The SDK takes a key of nothing but white space for none at all, so another one stands in for it.
        let blank = request
            .key
            .trim()
            .is_empty()
            .then(|| percent_encode(request.key.as_bytes(), NON_ALPHANUMERIC).to_string());
        let sent = if blank.is_some() {
            STAND_IN
        } else {
            request.key
        };
        let whole = request.from == 0;
        let call = self
            .client(request.bucket)
            .get_object()
            .bucket(request.bucket)
            .key(sent)
            .set_version_id(request.version_id.map(ToOwned::to_owned))
            .set_range((!whole).then(|| format!("bytes={}-", request.from)));
        let call = match request.condition {
            Condition::Tag(tag) => call.if_match(format!("\"{tag}\"")),
            Condition::UnmodifiedSince(time) => {
                // The header knows whole seconds: the next one, or the listed version itself would be too young.
                let begun = i64::from(time.timestamp_subsec_nanos() > 0);
                call.if_unmodified_since(SdkTime::from_secs(time.timestamp() + begun))
            }
            Condition::Any => call,
        };
        let head = KeepHead::default();
        let call = call
            .customize()
            .interceptor(head.clone())
            .map_request(move |mut request| {
                if let Some(key) = &blank {
                    name_key(&mut request, key)?;
                }
                if whole {
                    // Asked for in the SDK's own way, it would also be compared with the bytes of this answer alone.
                    request
                        .headers_mut()
                        .insert("x-amz-checksum-mode", "ENABLED");
                }
                Ok::<_, HttpError>(request)
            });
        let output = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(opened(output, head.kept()))
    }
}

fn name_key(request: &mut HttpRequest, key: &str) -> Result<(), HttpError> {
    let uri = request
        .uri()
        .replacen(&format!("/{STAND_IN}?"), &format!("/{key}?"), 1);
    request.set_uri(uri)
}

fn opened(output: GetObjectOutput, head: Head) -> Opened {
    let encrypted_by_others = !matches!(
        output.server_side_encryption,
        None | Some(ServerSideEncryption::Aes256)
    );
    Opened {
        length: output
            .content_length
            .and_then(|length| u64::try_from(length).ok()),
        partial: head.partial,
        checksum: Checksum::of(&output),
        opaque_etag: encrypted_by_others || output.sse_customer_algorithm.is_some(),
        server: head.server,
        content_range: output.content_range,
        etag: output.e_tag,
        content_type: output.content_type,
        content_encoding: output.content_encoding,
        modified: output.last_modified.as_ref().and_then(timestamp),
        storage_class: output.storage_class.map(|class| class.as_str().to_owned()),
        version_id: output.version_id,
        user_metadata: output.metadata.unwrap_or_default(),
        bytes: stream::unfold(output.body, next_chunk).boxed(),
    }
}

async fn next_chunk(mut body: ByteStream) -> Option<(Result<Bytes, Failure>, ByteStream)> {
    let chunk = body.next().await?;
    Some((chunk.map_err(|error| failure::of_stream(&error)), body))
}
