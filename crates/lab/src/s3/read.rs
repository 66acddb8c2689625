//! `GetObject` and `HeadObject`.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Duration;
use s3s::dto::{
    Checksum, ChecksumMode, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ServerSideEncryption, StreamingBlob,
};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::access;
use super::backend::{Backend, etag, timestamp};
use super::conditions::Conditions;
use super::store::{Encryption, Object, Restore};
use crate::clock::{self, http_date};
use crate::fault::ObjectFault;

const KMS_KEY: &str = "arn:aws:kms:us-east-1:999988887777:key/00000000-1111-2222-3333-444444444444";

impl Backend {
    pub(super) fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<GetObjectOutput> {
        let fault = request.extensions.get::<ObjectFault>().copied();
        let signer = request.credentials.map(|signer| signer.access_key);
        let input = request.input;
        let object = self.readable(
            &input.bucket,
            &input.key,
            input.version_id.as_deref(),
            fault,
        )?;
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
        demand_key(&object, input.sse_customer_algorithm.is_some())?;
        if object.encryption == Encryption::KmsDenied {
            return Err(self.decryption_denied(&signer.unwrap_or_default())?);
        }
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: object.presentation.cache_control.clone(),
            content_disposition: object.presentation.content_disposition.clone(),
            content_encoding: object.presentation.content_encoding.clone(),
            content_language: object.presentation.content_language.clone(),
            content_type: Some(object.content_type.clone()),
            e_tag: Some(etag(&object)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(sendable(&object.metadata)),
            restore: restore(&object),
            server_side_encryption: kms(&object),
            ssekms_key_id: kms(&object).map(|_| KMS_KEY.to_owned()),
            storage_class: storage_class(&object).map(Into::into),
            tag_count: i32::try_from(object.tags.len())
                .ok()
                .filter(|count| *count > 0),
            version_id: self.version_id(&input.bucket, &object),
            ..GetObjectOutput::default()
        };
        let range = input
            .range
            .filter(|_| fault != Some(ObjectFault::RangeIgnored));
        let whole = range.is_none();
        let bytes = if let Some(range) = range {
            let Range { start, end } = satisfy(range, object.size())?;
            output.content_range = Some(format!("bytes {start}-{}/{}", end - 1, object.size()));
            let place = |offset| usize::try_from(offset).unwrap_or(object.bytes.len());
            object.bytes.slice(place(start)..place(end))
        } else {
            object.bytes.clone()
        };
        let careless = fault == Some(ObjectFault::RangeWithWholeChecksum);
        if careless || (whole && wants_checksum(input.checksum_mode.as_ref())) {
            let checksum: Checksum = object.checksum.clone();
            output.checksum_crc32 = checksum.checksum_crc32;
            output.checksum_crc32c = checksum.checksum_crc32c;
            output.checksum_crc64nvme = checksum.checksum_crc64nvme;
            output.checksum_sha1 = checksum.checksum_sha1;
            output.checksum_sha256 = checksum.checksum_sha256;
            output.checksum_type = checksum.checksum_type;
        }
        output.content_length = i64::try_from(bytes.len()).ok();
        output.body = Some(StreamingBlob::from(Body::from(bytes)));
        Ok(output)
    }

    pub(super) fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<HeadObjectOutput> {
        let fault = request.extensions.get::<ObjectFault>().copied();
        let input = request.input;
        let object = self.readable(
            &input.bucket,
            &input.key,
            input.version_id.as_deref(),
            fault,
        )?;
        demand_key(&object, input.sse_customer_algorithm.is_some())?;
        Conditions {
            tag: input.if_match.as_ref(),
            other_tag: input.if_none_match.as_ref(),
            modified_since: input.if_modified_since.as_ref(),
            unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(&object)?;
        let mut output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: object.presentation.cache_control.clone(),
            content_disposition: object.presentation.content_disposition.clone(),
            content_encoding: object.presentation.content_encoding.clone(),
            content_language: object.presentation.content_language.clone(),
            content_length: i64::try_from(object.bytes.len()).ok(),
            content_type: Some(object.content_type.clone()),
            e_tag: Some(etag(&object)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(sendable(&object.metadata)),
            restore: restore(&object),
            server_side_encryption: kms(&object),
            storage_class: storage_class(&object).map(Into::into),
            version_id: self.version_id(&input.bucket, &object),
            ..HeadObjectOutput::default()
        };
        if wants_checksum(input.checksum_mode.as_ref()) {
            let checksum: Checksum = object.checksum.clone();
            output.checksum_crc32 = checksum.checksum_crc32;
            output.checksum_crc32c = checksum.checksum_crc32c;
            output.checksum_crc64nvme = checksum.checksum_crc64nvme;
            output.checksum_sha1 = checksum.checksum_sha1;
            output.checksum_sha256 = checksum.checksum_sha256;
            output.checksum_type = checksum.checksum_type;
        }
        Ok(output)
    }

    fn readable(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        fault: Option<ObjectFault>,
    ) -> S3Result<Arc<Object>> {
        let object = self.object(bucket, key, version)?;
        if let Some(ObjectFault::LagMs(lag)) = fault
            && clock::now() - object.put < Duration::milliseconds(i64::from(lag))
        {
            return Err(no_such_key());
        }
        Ok(object)
    }

    fn decryption_denied(&self, access_key_id: &str) -> S3Result<S3Error> {
        let arn = access::principal(&self.0, access_key_id)?.arn;
        Ok(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            format!(
                "User: {arn} is not authorized to perform: kms:Decrypt on resource: {KMS_KEY} because \
                 no identity-based policy allows the kms:Decrypt action"
            ),
        ))
    }
}

pub(super) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// User metadata as headers carry it: what is not ASCII in the encoding of mail headers, as S3 sends it.
fn sendable(metadata: &HashMap<String, String>) -> HashMap<String, String> {
    let value = |value: &String| {
        if value.is_ascii() {
            value.clone()
        } else {
            format!("=?UTF-8?B?{}?=", STANDARD.encode(value))
        }
    };
    metadata
        .iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .collect()
}

fn demand_key(object: &Object, offered: bool) -> S3Result<()> {
    if object.encryption == Encryption::CustomerKey && !offered {
        return Err(s3_error!(
            InvalidRequest,
            "The object was stored using a form of Server Side Encryption. The correct parameters must \
             be provided to retrieve the object."
        ));
    }
    Ok(())
}

fn kms(object: &Object) -> Option<ServerSideEncryption> {
    matches!(object.encryption, Encryption::Kms | Encryption::KmsDenied)
        .then(|| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS))
}

/// S3 names every class but the usual one.
fn storage_class(object: &Object) -> Option<String> {
    (object.storage_class != "STANDARD").then(|| object.storage_class.clone())
}

fn restore(object: &Object) -> Option<String> {
    Some(match object.restore? {
        Restore::Ongoing => r#"ongoing-request="true""#.to_owned(),
        Restore::Done => format!(
            r#"ongoing-request="false", expiry-date="{}""#,
            http_date(object.restored_until())
        ),
    })
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
