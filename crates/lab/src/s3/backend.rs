//! The operations on buckets and objects, except listings.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    Bucket, ChecksumMode, ChecksumType, CreateBucketInput, CreateBucketOutput, DeleteObjectInput,
    DeleteObjectOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput, Owner, PutObjectInput,
    PutObjectOutput, StreamingBlob, Tag, Timestamp,
};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::put;
use super::store::Object;
use crate::world::World;

pub(crate) const OWNER: &str = "lab";
const REGION: &str = "us-east-1";

pub(crate) struct Backend(pub(crate) Arc<World>);

#[async_trait]
impl S3 for Backend {
    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let prefix = request.input.prefix.unwrap_or_default();
        let bucket = |(name, created): (String, DateTime<Utc>)| Bucket {
            bucket_region: None,
            creation_date: Some(timestamp(created)),
            name: Some(name),
        };
        let buckets = self
            .0
            .store
            .buckets()
            .into_iter()
            .filter(|(name, _)| name.starts_with(&prefix));
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.map(bucket).collect()),
            owner: Some(Owner {
                display_name: None,
                id: Some(OWNER.to_owned()),
            }),
            ..ListBucketsOutput::default()
        }))
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = request.input.bucket;
        if !self.0.store.create_bucket(&name) {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "You own this bucket already."
            ));
        }
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{name}")),
        }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(REGION.to_owned()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        Conditions {
            tag: input.if_match.as_ref(),
            other_tag: input.if_none_match.as_ref(),
            modified_since: input.if_modified_since.as_ref(),
            unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(&object)?;
        if object.is_archived() {
            return Err(s3_error!(
                InvalidObjectState,
                "The operation is not valid for the object's storage class"
            ));
        }
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_type: Some(object.content_type.clone()),
            e_tag: Some(etag(&object)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.metadata.clone()),
            tag_count: i32::try_from(object.tags.len())
                .ok()
                .filter(|count| *count > 0),
            ..GetObjectOutput::default()
        };
        let bytes = if let Some(range) = input.range {
            let Range { start, end } = satisfy(range, object.size())?;
            output.content_range = Some(format!("bytes {start}-{}/{}", end - 1, object.size()));
            let place = |offset| usize::try_from(offset).unwrap_or(object.bytes.len());
            object.bytes.slice(place(start)..place(end))
        } else {
            if wants_checksum(input.checksum_mode.as_ref()) {
                let checksum = object.checksum.clone();
                output.checksum_crc32 = checksum.checksum_crc32;
                output.checksum_crc32c = checksum.checksum_crc32c;
                output.checksum_crc64nvme = checksum.checksum_crc64nvme;
                output.checksum_sha1 = checksum.checksum_sha1;
                output.checksum_sha256 = checksum.checksum_sha256;
                output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
            }
            object.bytes.clone()
        };
        output.content_length = i64::try_from(bytes.len()).ok();
        output.body = Some(StreamingBlob::from(Body::from(bytes)));
        Ok(S3Response::new(output))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key)?;
        Conditions {
            tag: input.if_match.as_ref(),
            other_tag: input.if_none_match.as_ref(),
            modified_since: input.if_modified_since.as_ref(),
            unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(&object)?;
        let mut output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.bytes.len()).ok(),
            content_type: Some(object.content_type.clone()),
            e_tag: Some(etag(&object)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.metadata.clone()),
            ..HeadObjectOutput::default()
        };
        if wants_checksum(input.checksum_mode.as_ref()) {
            let checksum = object.checksum.clone();
            output.checksum_crc32 = checksum.checksum_crc32;
            output.checksum_crc32c = checksum.checksum_crc32c;
            output.checksum_crc64nvme = checksum.checksum_crc64nvme;
            output.checksum_sha1 = checksum.checksum_sha1;
            output.checksum_sha256 = checksum.checksum_sha256;
            output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
        }
        Ok(S3Response::new(output))
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.bucket(&request.input.bucket)?;
        let new = put::read(&mut request).await?;
        let input = request.input;
        let present = self.0.store.object(&input.bucket, &input.key);
        let blocked = match (&input.if_match, &input.if_none_match) {
            (Some(wanted), _) => !present
                .as_deref()
                .is_some_and(|object| matches(wanted, object)),
            (None, Some(unwanted)) => present
                .as_deref()
                .is_some_and(|object| matches(unwanted, object)),
            (None, None) => false,
        };
        if blocked {
            return Err(precondition_failed());
        }
        let object = self.0.store.put(&input.bucket, &input.key, new);
        let checksum = object.checksum.clone();
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            e_tag: Some(etag(&object)),
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        self.bucket(&input.bucket)?;
        self.0.store.delete(&input.bucket, &input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let object = self.object(&request.input.bucket, &request.input.key)?;
        let tag = |(key, value): (&String, &String)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        let tag_set = object.tags.iter().map(tag).collect();
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set,
            version_id: None,
        }))
    }
}

impl Backend {
    fn bucket(&self, name: &str) -> S3Result<()> {
        self.0
            .store
            .in_bucket(name, |_| ())
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        self.bucket(bucket)?;
        self.0
            .store
            .object(bucket, key)
            .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }
}

/// The conditional headers of a read.
struct Conditions<'a> {
    tag: Option<&'a ETagCondition>,
    other_tag: Option<&'a ETagCondition>,
    modified_since: Option<&'a Timestamp>,
    unmodified_since: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    /// A condition on the tag, where there is one, overrules that on the date.
    fn check(&self, object: &Object) -> S3Result<()> {
        let modified = timestamp(object.modified);
        let changed = match (self.tag, self.unmodified_since) {
            (Some(wanted), _) => !matches(wanted, object),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if changed {
            return Err(precondition_failed());
        }
        let unchanged = match (self.other_tag, self.modified_since) {
            (Some(known), _) => matches(known, object),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if unchanged {
            Err(not_modified(object))
        } else {
            Ok(())
        }
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == object.etag,
    }
}

fn precondition_failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the preconditions you specified did not hold."
    )
}

fn not_modified(object: &Object) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", object.etag)) {
        headers.insert(ETAG, tag);
    }
    if let Ok(date) = HeaderValue::try_from(
        object
            .modified
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string(),
    ) {
        headers.insert(LAST_MODIFIED, date);
    }
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_headers(headers);
    error
}

fn satisfy(range: s3s::dto::Range, size: u64) -> S3Result<Range<u64>> {
    let unsatisfiable = || s3_error!(InvalidRange, "The requested range is not satisfiable");
    let bytes = range.check(size).map_err(|_| unsatisfiable())?;
    if bytes.is_empty() {
        Err(unsatisfiable())
    } else {
        Ok(bytes)
    }
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn etag(object: &Object) -> ETag {
    ETag::Strong(object.etag.clone())
}

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from(SystemTime::from(time))
}
