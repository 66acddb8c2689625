//! The operations of the protocol; those that are more than a few lines have files of their own.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, BucketLocationConstraint,
    BucketVersioningStatus, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CreateBucketInput, CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETag, Error, GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectInput, GetObjectOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, Owner, PutBucketVersioningInput, PutBucketVersioningOutput,
    PutObjectInput, PutObjectOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag, Timestamp,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::bucket::{BucketSettings, DEFAULT_REGION, Versioning};
use super::read::no_such_key;
use super::store::Object;
use super::versions::{Found, NULL};
use super::{access, conditions, put};
use crate::operation::Operation;
use crate::world::World;

pub(crate) const OWNER: &str = "lab";

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
        let region = self.region(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(region),
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let region = self.region(&request.input.bucket)?;
        // The oldest region has no name here.
        let named = (region != DEFAULT_REGION).then(|| BucketLocationConstraint::from(region));
        Ok(S3Response::new(GetBucketLocationOutput {
            location_constraint: named,
        }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let status = match self.settings(&request.input.bucket)?.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
            Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
        };
        Ok(S3Response::new(GetBucketVersioningOutput {
            status: status.map(BucketVersioningStatus::from_static),
            ..GetBucketVersioningOutput::default()
        }))
    }

    async fn put_bucket_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let input = request.input;
        let settings = self.settings(&input.bucket)?;
        let status = input.versioning_configuration.status;
        let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => {
                return Err(s3_error!(
                    IllegalVersioningConfigurationException,
                    "The Versioning element must be specified"
                ));
            }
        };
        let settings = settings.versioning(versioning);
        self.0.store.set_bucket(&input.bucket, settings);
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request).map(S3Response::new)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request).map(S3Response::new)
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.bucket(&request.input.bucket)?;
        let new = put::read(&mut request).await?;
        let input = request.input;
        let present = self.0.store.object(&input.bucket, &input.key);
        conditions::check_write(
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            present.as_deref(),
        )?;
        let object = self.0.store.put(&input.bucket, &input.key, new);
        let checksum = object.checksum.clone();
        Ok(S3Response::new(PutObjectOutput {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            e_tag: Some(etag(&object)),
            version_id: object.version_id.clone(),
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        self.bucket(&input.bucket)?;
        let version = input.version_id.as_deref();
        let deletion = self.0.store.delete(&input.bucket, &input.key, version);
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deletion.delete_marker.then_some(true),
            version_id: deletion.version_id,
            ..DeleteObjectOutput::default()
        }))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = request.input;
        let object = self.object(&input.bucket, &input.key, input.version_id.as_deref())?;
        let tag = |(key, value): (&String, &String)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        let tag_set = object.tags.iter().map(tag).collect();
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set,
            version_id: self.version_id(&input.bucket, &object),
        }))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let input = request.input;
        self.bucket(&input.bucket)?;
        let tags = input
            .tagging
            .tag_set
            .into_iter()
            .filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
            .collect();
        let version = input.version_id.as_deref();
        let tagged = self.0.store.tag(&input.bucket, &input.key, version, tags);
        let object = tagged.ok_or_else(no_such_key)?;
        Ok(S3Response::new(PutObjectTaggingOutput {
            version_id: self.version_id(&input.bucket, &object),
        }))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let signer = request.credentials.map(|signer| signer.access_key);
        let signer = access::principal(&self.0, &signer.unwrap_or_default())?;
        let input = request.input;
        self.bucket(&input.bucket)?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let key = object.key;
            let resource = format!("{}/{key}", input.bucket);
            if let Err(error) = access::permit(&signer, Operation::DeleteObjects, &resource) {
                errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(key),
                    message: error.message().map(ToOwned::to_owned),
                    version_id: None,
                });
                continue;
            }
            let version = object.version_id;
            let deletion = self.0.store.delete(&input.bucket, &key, version.as_deref());
            deleted.push(DeletedObject {
                key: Some(key),
                delete_marker: deletion.delete_marker.then_some(true),
                delete_marker_version_id: deletion.version_id.filter(|_| deletion.delete_marker),
                version_id: version,
            });
        }
        if input.delete.quiet == Some(true) {
            deleted.clear();
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            request_charged: None,
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin_upload(request.input).map(S3Response::new)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.take_part(request).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete_upload(request.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort_upload(&request.input).map(S3Response::new)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.list_uploads(request.input).map(S3Response::new)
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.list_upload_parts(request.input).map(S3Response::new)
    }
}

impl Backend {
    pub(super) fn bucket(&self, name: &str) -> S3Result<()> {
        self.region(name).map(drop)
    }

    fn region(&self, bucket: &str) -> S3Result<String> {
        Ok(self.settings(bucket)?.region_name().to_owned())
    }

    fn settings(&self, bucket: &str) -> S3Result<BucketSettings> {
        self.0
            .store
            .settings(bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(super) fn object(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> S3Result<Arc<Object>> {
        self.bucket(bucket)?;
        match (self.0.store.find(bucket, key, version), version) {
            (Found::Object(object), _) => Ok(object),
            (Found::DeleteMarker(marker), version) => Err(deleted(&marker, version.is_some())),
            (Found::Nothing, None) => Err(no_such_key()),
            (Found::Nothing, Some(_)) => Err(s3_error!(
                NoSuchVersion,
                "The specified version does not exist."
            )),
        }
    }

    /// What the version of an object is called, in a bucket that has kept versions or if it was given a name.
    pub(super) fn version_id(&self, bucket: &str, object: &Object) -> Option<String> {
        let settings = self.0.store.settings(bucket).unwrap_or_default();
        let unnamed = (settings.versioning != Versioning::Off).then_some(NULL);
        object
            .version_id
            .clone()
            .or_else(|| unnamed.map(ToOwned::to_owned))
    }
}

/// The answer of a delete marker: of a version that is one, or of an object whose present version is.
fn deleted(marker: &str, by_name: bool) -> S3Error {
    let mut error = if by_name {
        s3_error!(
            MethodNotAllowed,
            "The specified method is not allowed against this resource."
        )
    } else {
        no_such_key()
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(version) = HeaderValue::try_from(marker) {
        headers.insert("x-amz-version-id", version);
    }
    error.set_headers(headers);
    error
}

pub(super) fn etag(object: &Object) -> ETag {
    ETag::Strong(object.etag.clone())
}

pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp::from(SystemTime::from(time))
}
