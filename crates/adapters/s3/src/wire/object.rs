//! `GetObject`: the whole of an object, or the rest of it; and `HeadObject`: what there is to know about it.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime as SdkTime};
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::http::HttpError;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use wharf_domain::Timestamp;

use super::about::about;
use super::head::{Head, KeepHead};
use super::{About, Checksum, Failure, Wire, failure};

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

/// An object without its bytes.
pub(crate) struct Headed {
    pub(crate) about: About,
    /// Whether it has moved into an archive tier of its storage class.
    pub(crate) archived: bool,
}

/// An object whose bytes are on their way.
pub(crate) struct Opened {
    pub(crate) bytes: BoxStream<'static, Result<Bytes, Failure>>,
    pub(crate) about: About,
    /// Whether the answer is a part of the object.
    pub(crate) partial: bool,
    /// Which part, as the store puts it.
    pub(crate) content_range: Option<String>,
    /// A checksum of the whole object, if the store sent one.
    pub(crate) checksum: Option<Checksum>,
    /// Whether the `ETag` says nothing about the bytes, because of how they are encrypted.
    pub(crate) opaque_etag: bool,
    /// What the server calls itself.
    pub(crate) server: Option<String>,
}

impl Wire {
    /// `GetObject`, in one piece to the end.
    pub(crate) async fn get(&self, request: &ObjectRequest<'_>) -> Result<Opened, Failure> {
        let (sent, blank) = sendable(request.key);
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
                // Some stores know more than whole seconds: the next one, or the listed version itself would be too young.
                call.if_unmodified_since(SdkTime::from_secs(time.timestamp() + 1))
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

    /// `HeadObject`, of which a refusal gives no reason but its status.
    pub(crate) async fn head(&self, bucket: &str, key: &str) -> Result<Headed, Failure> {
        let (sent, blank) = sendable(key);
        let call = self.client(bucket).head_object().bucket(bucket).key(sent);
        let call = call.customize().map_request(move |mut request| {
            if let Some(key) = &blank {
                name_key(&mut request, key)?;
            }
            Ok::<_, HttpError>(request)
        });
        let output = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(Headed {
            archived: output.archive_status.is_some(),
            about: about!(output),
        })
    }
}

/// An object's key as the SDK takes it, and what then has to be written in its place: the SDK takes a key of nothing but
/// white space for none at all, so another one stands in for it.
fn sendable(key: &str) -> (&str, Option<String>) {
    if key.trim().is_empty() {
        let written = percent_encode(key.as_bytes(), NON_ALPHANUMERIC);
        (STAND_IN, Some(written.to_string()))
    } else {
        (key, None)
    }
}

fn name_key(request: &mut HttpRequest, key: &str) -> Result<(), HttpError> {
    let (path, query) = request.uri().split_once('?').unwrap_or((request.uri(), ""));
    let place = path.strip_suffix(STAND_IN).unwrap_or(path);
    let uri = match query {
        "" => format!("{place}{key}"),
        query => format!("{place}{key}?{query}"),
    };
    request.set_uri(uri)
}

fn opened(output: GetObjectOutput, head: Head) -> Opened {
    let encrypted_by_others = !matches!(
        output.server_side_encryption,
        None | Some(ServerSideEncryption::Aes256)
    );
    Opened {
        partial: head.partial,
        checksum: Checksum::of(&output),
        opaque_etag: encrypted_by_others || output.sse_customer_algorithm.is_some(),
        server: head.server,
        content_range: output.content_range,
        about: about!(output),
        bytes: stream::unfold(output.body, next_chunk).boxed(),
    }
}

async fn next_chunk(mut body: ByteStream) -> Option<(Result<Bytes, Failure>, ByteStream)> {
    let chunk = body.next().await?;
    Some((chunk.map_err(|error| failure::of_stream(&error)), body))
}
