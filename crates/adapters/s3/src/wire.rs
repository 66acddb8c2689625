//! The SDK, and the only place that knows its types: three calls, their answers and their failures in our own words.

mod ambient;
mod failure;
mod listings;
mod signing;
mod sts;

use std::collections::HashMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime as SdkTime};
use aws_sdk_s3::types::{
    ChecksumMode, EncodingType, Object, OptionalObjectAttributes, ServerSideEncryption,
};
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use wharf_aws::PlainManners;
use wharf_domain::Timestamp;
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_domain::secret::SecretString;
use wharf_egress as egress;

pub(crate) use self::failure::{Failure, Hint, Refused};
use self::listings::WholeListings;
pub(crate) use self::signing::Signer;
pub(crate) use self::sts::{AssumeRole, Sts, StsPlace};
use crate::roles::Access;
use crate::store::Store;

/// A key that no object has to have.
const STAND_IN: &str = "-";

/// An access key, on its way to the signatures.
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// The three calls, to one store with one key.
pub(crate) struct Wire {
    store: Store,
    by_host: Client,
    by_path: Client,
}

/// What page of a listing is asked for.
pub(crate) struct PageRequest<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) limit: i32,
    /// Has the store write keys in URL encoding, for those that XML cannot carry.
    pub(crate) url_encoded: bool,
}

/// A page of a listing, as the store gave it.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// Whether the store says that it wrote keys in URL encoding.
    pub(crate) url_encoded: bool,
    pub(crate) truncated: Option<bool>,
    pub(crate) next: Option<String>,
}

/// An object of a listing, as the store gave it.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    /// Whether an archived object can be read for the time being.
    pub(crate) restored: bool,
}

/// Which version of an object is wanted.
#[derive(Debug, PartialEq, Eq)]
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
    pub(crate) length: Option<u64>,
    pub(crate) etag: Option<String>,
    /// Whether the stream ends in [`Failure::Corrupt`] unless a checksum of the whole object holds.
    pub(crate) verified: bool,
    /// Whether the `ETag` says nothing about the bytes, because of how they are encrypted.
    pub(crate) opaque_etag: bool,
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    pub(crate) version_id: Option<String>,
    pub(crate) user_metadata: HashMap<String, String>,
}

impl Wire {
    /// `stand_in` answers in AWS's place, and is asked by path only.
    pub(crate) fn new(
        store: &Store,
        stand_in: Option<&EndpointUrl>,
        access: &Access,
        http: egress::Client,
    ) -> Self {
        let session_over = signing::SessionOver(access.clone());
        let tls = stand_in.map_or(store.tls, |url| url.scheme() == Scheme::Https);
        let signer = Signer::of_account(access.clone());
        let mut config = aws_sdk_s3::Config::builder();
        config.set_endpoint_url(
            stand_in
                .or(store.endpoint.as_ref())
                .map(ToString::to_string),
        );
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(store.region.as_str().to_owned()))
            .credentials_provider(signer.credentials)
            .identity_cache(signer.cache)
            .disable_s3_express_session_auth(true)
            .http_client(wharf_aws::http_client(http, tls))
            // Whoever calls decides about trying again, and the guarded client knows when to give up.
            .retry_config(signing::attempts(access))
            .retry_classifier(session_over.clone())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .interceptor(PlainManners)
            .interceptor(session_over)
            .interceptor(WholeListings);
        let by_host = config.clone().force_path_style(stand_in.is_some());
        Self {
            store: store.clone(),
            by_host: Client::from_conf(by_host.build()),
            by_path: Client::from_conf(config.force_path_style(true).build()),
        }
    }

    /// `ListBuckets`, of which only the success matters.
    pub(crate) async fn list_buckets(&self, most: Option<i32>) -> Result<(), Failure> {
        let call = self.by_path.list_buckets().set_max_buckets(most);
        call.send()
            .await
            .map(|_| ())
            .map_err(|error| failure::of(&error))
    }

    /// One page of `ListObjectsV2`.
    pub(crate) async fn list(&self, request: &PageRequest<'_>) -> Result<Page, Failure> {
        let call = self
            .client(request.bucket)
            .list_objects_v2()
            .bucket(request.bucket)
            .max_keys(request.limit)
            .set_prefix(Some(request.prefix.to_owned()).filter(|prefix| !prefix.is_empty()))
            .set_continuation_token(request.token.map(ToOwned::to_owned))
            .set_encoding_type(request.url_encoded.then_some(EncodingType::Url))
            .set_optional_object_attributes(
                self.store
                    .is_aws()
                    .then(|| vec![OptionalObjectAttributes::RestoreStatus]),
            );
        let page = call.send().await.map_err(|error| failure::of(&error))?;
        Ok(Page {
            url_encoded: page.encoding_type == Some(EncodingType::Url),
            truncated: page.is_truncated,
            next: page.next_continuation_token,
            objects: page
                .contents
                .unwrap_or_default()
                .into_iter()
                .map(listed)
                .collect(),
        })
    }

    /// `GetObject` of the whole object.
    pub(crate) async fn get(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> Result<Opened, Failure> {
        // The SDK takes a key of nothing but white space for none at all, so another one stands in for it.
        let blank = key
            .trim()
            .is_empty()
            .then(|| percent_encode(key.as_bytes(), NON_ALPHANUMERIC).to_string());
        let sent = if blank.is_some() { STAND_IN } else { key };
        let call = self
            .client(bucket)
            .get_object()
            .bucket(bucket)
            .key(sent)
            .checksum_mode(ChecksumMode::Enabled);
        let call = match condition {
            Condition::Tag(tag) => call.if_match(format!("\"{tag}\"")),
            Condition::UnmodifiedSince(time) => {
                // The header knows whole seconds: the next one, or the listed version itself would be too young.
                let begun = i64::from(time.timestamp_subsec_nanos() > 0);
                call.if_unmodified_since(SdkTime::from_secs(time.timestamp() + begun))
            }
            Condition::Any => call,
        };
        let call = call.customize().map_request(move |mut request| {
            if let Some(key) = &blank {
                let uri = request
                    .uri()
                    .replacen(&format!("/{STAND_IN}?"), &format!("/{key}?"), 1);
                request.set_uri(uri)?;
            }
            Ok::<_, HttpError>(request)
        });
        Ok(opened(
            call.send().await.map_err(|error| failure::of(&error))?,
        ))
    }

    fn client(&self, bucket: &str) -> &Client {
        if self.store.names_bucket_in_path(bucket) {
            &self.by_path
        } else {
            &self.by_host
        }
    }
}

fn listed(object: Object) -> Listed {
    let restored = object.restore_status.is_some_and(|status| {
        status.is_restore_in_progress != Some(true) && status.restore_expiry_date.is_some()
    });
    Listed {
        key: object.key.unwrap_or_default(),
        etag: object.e_tag,
        size: object.size.and_then(|size| u64::try_from(size).ok()),
        modified: object.last_modified.as_ref().and_then(timestamp),
        storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
        restored,
    }
}

fn opened(output: GetObjectOutput) -> Opened {
    let opaque_etag = output.sse_customer_algorithm.is_some()
        || matches!(
            output.server_side_encryption,
            Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse)
        );
    Opened {
        length: output
            .content_length
            .and_then(|length| u64::try_from(length).ok()),
        verified: verified(&output),
        opaque_etag,
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

/// Whether the SDK verifies a checksum: the first of these, if it is one of the whole object.
fn verified(output: &GetObjectOutput) -> bool {
    let checksums = [
        &output.checksum_crc64_nvme,
        &output.checksum_crc32_c,
        &output.checksum_crc32,
        &output.checksum_sha1,
        &output.checksum_sha256,
    ];
    let first = checksums.into_iter().flatten().next();
    first.is_some_and(|sum| !sum.contains('-') && aws_smithy_types::base64::decode(sum).is_ok())
}

async fn next_chunk(mut body: ByteStream) -> Option<(Result<Bytes, Failure>, ByteStream)> {
    let chunk = body.next().await?;
    Some((chunk.map_err(|error| failure::of_stream(&error)), body))
}

fn timestamp(time: &SdkTime) -> Option<Timestamp> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
