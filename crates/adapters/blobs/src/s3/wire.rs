//! The SDK, and with `failure` the only place that knows its types: ten calls, and their answers.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::{ByteStream, DateTime as SdkTime};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt};
use wharf_aws::PlainManners;
use wharf_domain::Timestamp;
use wharf_egress as egress;

use super::AccessKey;
use super::failure::{self, Failure};
use super::fault::Reason;
use super::parts::Part;
use super::place::S3Place;

/// Answers to one request have no more objects or uploads than this.
const LONGEST_PAGE: usize = 1000;

/// The calls, to one bucket with one key.
pub(super) struct Wire {
    client: Client,
    bucket: String,
}

/// An object of a listing.
pub(super) struct Listed {
    pub(super) object: String,
    pub(super) modified: Option<Timestamp>,
    pub(super) size: Option<u64>,
}

/// A page of a listing.
pub(super) struct Page {
    pub(super) objects: Vec<Listed>,
    /// What to ask for next, unless this is the last page.
    pub(super) next: Option<String>,
}

/// An upload that was begun.
pub(super) struct Unfinished {
    pub(super) object: String,
    pub(super) id: String,
    pub(super) begun: Option<Timestamp>,
}

/// An object whose bytes are on their way.
pub(super) struct Opened {
    pub(super) bytes: BoxStream<'static, Result<Bytes, Failure>>,
    /// How many bytes there will be.
    pub(super) length: u64,
    pub(super) etag: String,
    /// Where the bytes begin, if the store says that it gives a part of the object.
    pub(super) begins_at: Option<u64>,
}

impl Wire {
    pub(super) fn new(place: &S3Place, key: &AccessKey, http: egress::Client) -> Self {
        let token = key
            .session_token
            .as_ref()
            .map(|token| token.expose().to_owned());
        let credentials = Credentials::new(&key.id, key.secret.expose(), token, None, "blob_store");
        let mut config = aws_sdk_s3::Config::builder();
        config.set_endpoint_url(place.endpoint().map(ToString::to_string));
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region().as_str().to_owned()))
            .credentials_provider(credentials)
            .disable_s3_express_session_auth(true)
            .force_path_style(place.path_style())
            .http_client(wharf_aws::http_client(http, place.tls()))
            // Whoever calls decides about trying again, and the guarded client knows when to give up.
            .retry_config(
                RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections),
            )
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Bodies are signed whole and carry their MD5, which every store understands.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .interceptor(PlainManners);
        Self {
            client: Client::from_conf(config.build()),
            bucket: place.bucket().to_owned(),
        }
    }

    /// `PutObject`; with `once`, only if there is no such object.
    pub(super) async fn put(&self, object: &str, part: &Part, once: bool) -> Result<(), Failure> {
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(object)
            .content_md5(base64(&part.md5))
            .set_if_none_match(once.then(any))
            .body(ByteStream::from(part.bytes.clone()));
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        etag(answer.e_tag).map(|_| ())
    }

    /// `CreateMultipartUpload`: the identifier of the upload.
    pub(super) async fn begin(&self, object: &str) -> Result<String, Failure> {
        let call = self.client.create_multipart_upload();
        let call = call.bucket(&self.bucket).key(object);
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        answer
            .upload_id
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Reason::Unreadable.into())
    }

    /// `UploadPart`: the part's `ETag`.
    pub(super) async fn put_part(
        &self,
        object: &str,
        upload: &str,
        number: i32,
        part: &Part,
    ) -> Result<String, Failure> {
        let call = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(object)
            .upload_id(upload)
            .part_number(number)
            .content_md5(base64(&part.md5))
            .body(ByteStream::from(part.bytes.clone()));
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        etag(answer.e_tag)
    }

    /// `CompleteMultipartUpload`; with `once`, only if there is no such object.
    pub(super) async fn complete(
        &self,
        object: &str,
        upload: &str,
        parts: &[String],
        once: bool,
    ) -> Result<(), Failure> {
        let part = |(number, etag)| {
            CompletedPart::builder()
                .part_number(number)
                .e_tag(etag)
                .build()
        };
        let parts = (1..).zip(parts).map(part).collect();
        let whole = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let call = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(object)
            .upload_id(upload)
            .multipart_upload(whole.build())
            .set_if_none_match(once.then(any));
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        etag(answer.e_tag).map(|_| ())
    }

    /// `AbortMultipartUpload`.
    pub(super) async fn abort(&self, object: &str, upload: &str) -> Result<(), Failure> {
        let call = self.client.abort_multipart_upload();
        let call = call.bucket(&self.bucket).key(object).upload_id(upload);
        call.send()
            .await
            .map(|_| ())
            .map_err(|error| failure::of(&error))
    }

    /// The first page of `ListMultipartUploads`.
    pub(super) async fn unfinished(&self, prefix: &str) -> Result<Vec<Unfinished>, Failure> {
        let call = self.client.list_multipart_uploads();
        let call = call.bucket(&self.bucket).prefix(prefix);
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        let unfinished = answer.uploads.unwrap_or_default().into_iter();
        Ok(unfinished
            .filter_map(|upload| {
                Some(Unfinished {
                    object: upload.key?,
                    id: upload.upload_id?,
                    begun: upload.initiated.as_ref().and_then(timestamp),
                })
            })
            .collect())
    }

    /// `HeadObject`: the object's size, if there is one.
    pub(super) async fn size(&self, object: &str) -> Result<Option<u64>, Failure> {
        let call = self.client.head_object().bucket(&self.bucket).key(object);
        match call.send().await.map_err(|error| failure::of(&error)) {
            Ok(answer) => {
                etag(answer.e_tag)?;
                size(answer.content_length).map(Some)
            }
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// `GetObject`, of the range and the `ETag` that are given.
    pub(super) async fn get(
        &self,
        object: &str,
        range: Option<String>,
        known: Option<&str>,
    ) -> Result<Opened, Failure> {
        let call = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(object)
            .set_range(range)
            .set_if_match(known.map(ToOwned::to_owned));
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(Opened {
            etag: etag(answer.e_tag)?,
            length: size(answer.content_length)?,
            begins_at: answer.content_range.as_deref().and_then(begin),
            bytes: stream::unfold(answer.body, next_piece).boxed(),
        })
    }

    /// `DeleteObject`; one that is not there is no failure.
    pub(super) async fn remove(&self, object: &str) -> Result<(), Failure> {
        let call = self.client.delete_object().bucket(&self.bucket).key(object);
        match call.send().await.map_err(|error| failure::of(&error)) {
            Ok(_) | Err(Failure::Missing) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// One page of `ListObjectsV2`: from a token, or else after an object, or else from the start.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<String>,
        limit: usize,
    ) -> Result<Page, Failure> {
        let call = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(i32::try_from(limit.min(LONGEST_PAGE)).unwrap_or(i32::MAX))
            .set_start_after(after.map(ToOwned::to_owned))
            .set_continuation_token(token.clone());
        let page = call.send().await.map_err(|error| failure::of(&error))?;
        let next = match (page.is_truncated, page.next_continuation_token) {
            // Without a new token the rest of the listing would be lost, or the same page come again for ever.
            (Some(true), next) if next.is_none() || next == token => {
                return Err(Reason::Unreadable.into());
            }
            (Some(true), next) => next,
            (_, _) => None,
        };
        let listed = |object: aws_sdk_s3::types::Object| {
            Some(Listed {
                object: object.key?,
                modified: object.last_modified.as_ref().and_then(timestamp),
                size: object.size.and_then(|size| u64::try_from(size).ok()),
            })
        };
        Ok(Page {
            objects: page
                .contents
                .unwrap_or_default()
                .into_iter()
                .filter_map(listed)
                .collect(),
            next,
        })
    }
}

fn any() -> String {
    "*".to_owned()
}

fn base64(md5: &[u8]) -> String {
    aws_smithy_types::base64::encode(md5)
}

/// What has no `ETag` is not the answer of a store, whatever its status: a page for people, perhaps.
fn etag(etag: Option<String>) -> Result<String, Failure> {
    etag.filter(|etag| !etag.is_empty())
        .ok_or_else(|| Reason::NoStore.into())
}

fn size(length: Option<i64>) -> Result<u64, Failure> {
    length
        .and_then(|length| u64::try_from(length).ok())
        .ok_or_else(|| Reason::Unreadable.into())
}

/// Where `bytes 4-9/10` begins.
fn begin(range: &str) -> Option<u64> {
    range
        .trim()
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

async fn next_piece(mut body: ByteStream) -> Option<(Result<Bytes, Failure>, ByteStream)> {
    let piece = body.next().await?;
    Some((piece.map_err(|error| failure::of_body(&error)), body))
}

fn timestamp(time: &SdkTime) -> Option<Timestamp> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
