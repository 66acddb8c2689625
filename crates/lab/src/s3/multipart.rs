//! Uploads in parts.

use bytes::BytesMut;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part as ListedPart, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::backend::{Backend, etag, timestamp};
use super::checksum::{self, Algorithm};
use super::presentation::presentation_of;
use super::store::NewObject;
use super::uploads::{Beginning, Part, Upload};
use super::{conditions, put};

const SMALLEST_PART: usize = 5 * 1024 * 1024;
const PART_NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;
const MOST_LISTED: i32 = 1000;

impl Backend {
    pub(super) fn begin_upload(
        &self,
        input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        self.bucket(&input.bucket)?;
        let algorithm = input.checksum_algorithm.clone();
        let whole = input
            .checksum_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() == ChecksumType::FULL_OBJECT);
        let id = self.0.store.uploads.begin(Beginning {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            content_type: input.content_type,
            presentation: presentation_of!(input),
            metadata: input.metadata.unwrap_or_default(),
            tags: put::tags(input.tagging.as_deref()),
            storage_class: input
                .storage_class
                .as_ref()
                .map(|class| class.as_str().to_owned()),
            checksum: algorithm
                .as_ref()
                .and_then(|algorithm| Algorithm::named(algorithm.as_str())),
            whole_checksum: whole,
        });
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_algorithm: algorithm,
            checksum_type: input.checksum_type,
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(super) async fn take_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let bytes = put::read_body(request.input.body.take()).await?;
        let input = &request.input;
        if !PART_NUMBERS.contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        self.upload(&input.upload_id, &input.bucket, &input.key)?;
        put::check_md5(input.content_md5.as_deref(), &bytes)?;
        let trailers = put::trailers(request.trailing_headers.as_ref());
        let claimed = checksum::claimed(&request.headers, &trailers);
        let verified = checksum::verified(&bytes, &claimed)?;
        let part = Part::new(bytes, verified);
        let checksum = part.checksum.clone().unwrap_or_default();
        let answer = UploadPartOutput {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            e_tag: Some(ETag::Strong(part.etag.clone())),
            ..UploadPartOutput::default()
        };
        if self
            .0
            .store
            .uploads
            .take_part(&input.upload_id, input.part_number, part)
        {
            Ok(answer)
        } else {
            Err(no_such_upload())
        }
    }

    pub(super) fn complete_upload(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        self.bucket(&input.bucket)?;
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let named = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let named: Vec<_> = named
            .into_iter()
            .map(|part| (part.part_number.unwrap_or_default(), part.e_tag))
            .collect();
        let parts = chosen(&upload, &named)?;
        let present = self.0.store.object(&input.bucket, &input.key);
        conditions::check_write(
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            present.as_deref(),
        )?;
        let mut bytes = BytesMut::new();
        for part in &parts {
            bytes.extend_from_slice(&part.bytes);
        }
        let beginning = upload.beginning;
        let mut new = NewObject {
            content_type: beginning.content_type,
            presentation: beginning.presentation,
            metadata: beginning.metadata,
            tags: beginning.tags,
            storage_class: beginning.storage_class,
            parts: Some(parts.iter().map(|part| part.bytes.len()).collect()),
            modified: Some(upload.begun),
            ..NewObject::of(bytes.freeze())
        };
        if let Some(algorithm) = beginning.checksum {
            new = if beginning.whole_checksum {
                let whole = checksum::whole(&new.bytes, &[algorithm]);
                NewObject {
                    checksum: Some(whole),
                    ..new
                }
            } else {
                new.with_checksums(&[algorithm])
            };
        }
        let object = self.0.store.put(&input.bucket, &input.key, new);
        self.0.store.uploads.forget(&input.upload_id);
        let checksum = object.checksum.clone();
        Ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            e_tag: Some(etag(&object)),
            version_id: object.version_id.clone(),
            ..CompleteMultipartUploadOutput::default()
        })
    }

    pub(super) fn abort_upload(
        &self,
        input: &AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        self.upload(&input.upload_id, &input.bucket, &input.key)?;
        self.0.store.uploads.forget(&input.upload_id);
        Ok(AbortMultipartUploadOutput::default())
    }

    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        self.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = (
            input.key_marker.clone().unwrap_or_default(),
            input.upload_id_marker.clone(),
        );
        let most = page_size(input.max_uploads);
        let mut uploads: Vec<_> = self
            .0
            .store
            .uploads
            .of_bucket(&input.bucket)
            .into_iter()
            .filter(|(id, upload)| {
                let key = &upload.beginning.key;
                let follows = match &after.1 {
                    Some(marker) => (key, id) > (&after.0, marker),
                    None => *key > after.0,
                };
                key.starts_with(&prefix) && follows
            })
            .collect();
        let more = uploads.len() > most;
        uploads.truncate(most);
        let last = uploads.last().filter(|_| more);
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: input.prefix,
            key_marker: input.key_marker,
            upload_id_marker: input.upload_id_marker,
            max_uploads: i32::try_from(most).ok(),
            is_truncated: Some(more),
            next_key_marker: last.map(|(_, upload)| upload.beginning.key.clone()),
            next_upload_id_marker: last.map(|(id, _)| id.clone()),
            uploads: Some(uploads.into_iter().map(listed).collect()),
            ..ListMultipartUploadsOutput::default()
        })
    }

    pub(super) fn list_upload_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let upload = self.upload(&input.upload_id, &input.bucket, &input.key)?;
        let after = input.part_number_marker.unwrap_or_default();
        let most = page_size(input.max_parts);
        let mut parts: Vec<_> = upload
            .parts
            .into_iter()
            .filter(|(number, _)| *number > after)
            .collect();
        let more = parts.len() > most;
        parts.truncate(most);
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            max_parts: i32::try_from(most).ok(),
            is_truncated: Some(more),
            next_part_number_marker: parts.last().filter(|_| more).map(|(number, _)| *number),
            parts: Some(parts.into_iter().map(listed_part).collect()),
            ..ListPartsOutput::default()
        })
    }

    fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<Upload> {
        self.bucket(bucket)?;
        self.0
            .store
            .uploads
            .find(id, bucket, key)
            .ok_or_else(no_such_upload)
    }
}

/// The parts a completion names, if it names them rightly.
fn chosen(upload: &Upload, named: &[(i32, Option<ETag>)]) -> S3Result<Vec<Part>> {
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    if !named.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let parts = named
        .iter()
        .map(|(number, tag)| {
            let part = upload.parts.get(number)?;
            let same = tag.as_ref().is_some_and(|tag| tag.value() == part.etag);
            same.then(|| part.clone())
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have been \
                 uploaded, or the specified entity tag may not match the part's entity tag."
            )
        })?;
    let all_but_last = &parts[..parts.len() - 1];
    if all_but_last
        .iter()
        .any(|part| part.bytes.len() < SMALLEST_PART)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    Ok(parts)
}

fn listed((id, upload): (String, Upload)) -> MultipartUpload {
    MultipartUpload {
        initiated: Some(timestamp(upload.begun)),
        key: Some(upload.beginning.key),
        upload_id: Some(id),
        ..MultipartUpload::default()
    }
}

fn listed_part((number, part): (i32, Part)) -> ListedPart {
    let checksum = part.checksum.unwrap_or_default();
    ListedPart {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        e_tag: Some(ETag::Strong(part.etag)),
        last_modified: Some(timestamp(part.came)),
        part_number: Some(number),
        size: i64::try_from(part.bytes.len()).ok(),
    }
}

fn page_size(asked: Option<i32>) -> usize {
    usize::try_from(asked.unwrap_or(MOST_LISTED).clamp(0, MOST_LISTED)).unwrap_or_default()
}

fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed."
    )
}
