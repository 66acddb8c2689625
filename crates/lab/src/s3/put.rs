//! `PutObject`: reading the body and believing nothing that is said about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::HeaderMap;
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, PutObjectInput, StreamingBlob};
use s3s::{S3Request, S3Result, s3_error};
use url::form_urlencoded;

use super::store::NewObject;

pub(crate) async fn read(request: &mut S3Request<PutObjectInput>) -> S3Result<NewObject> {
    let bytes = read_body(request.input.body.take()).await?;
    let input = &request.input;
    if let Some(claimed) = &input.content_md5 {
        let claimed = STANDARD
            .decode(claimed)
            .map_err(|_| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))?;
        if claimed != Md5::digest(&bytes)[..] {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
    }
    let trailers = request
        .trailing_headers
        .as_ref()
        .and_then(s3s::TrailingHeaders::take)
        .unwrap_or_default();
    Ok(NewObject {
        checksum: verified_checksum(&bytes, claimed_checksum(input, &trailers))?,
        content_type: input.content_type.clone(),
        metadata: input.metadata.clone().unwrap_or_default(),
        tags: input
            .tagging
            .as_deref()
            .map(|tags| {
                form_urlencoded::parse(tags.as_bytes())
                    .into_owned()
                    .collect()
            })
            .unwrap_or_default(),
        storage_class: input
            .storage_class
            .as_ref()
            .map(|class| class.as_str().to_owned()),
        bytes,
    })
}

async fn read_body(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| {
                s3_error!(
                    IncompleteBody,
                    "The body ended early or did not match what was signed."
                )
            })?;
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes.freeze())
}

/// Checksums come as headers, or after the body as trailers.
fn claimed_checksum(input: &PutObjectInput, trailers: &HeaderMap) -> Checksum {
    let claimed = |header: &Option<String>, trailer: &str| {
        let trailing = || trailers.get(trailer)?.to_str().ok().map(str::to_owned);
        header.clone().or_else(trailing)
    };
    Checksum {
        checksum_crc32: claimed(&input.checksum_crc32, "x-amz-checksum-crc32"),
        checksum_crc32c: claimed(&input.checksum_crc32c, "x-amz-checksum-crc32c"),
        checksum_crc64nvme: claimed(&input.checksum_crc64nvme, "x-amz-checksum-crc64nvme"),
        checksum_sha1: claimed(&input.checksum_sha1, "x-amz-checksum-sha1"),
        checksum_sha256: claimed(&input.checksum_sha256, "x-amz-checksum-sha256"),
        ..Checksum::default()
    }
}

fn verified_checksum(bytes: &[u8], claimed: Checksum) -> S3Result<Option<Checksum>> {
    if claimed == Checksum::default() {
        return Ok(None);
    }
    let mut hasher = ChecksumHasher {
        crc32: claimed
            .checksum_crc32
            .as_ref()
            .map(|_| s3s::crypto::Crc32::default()),
        crc32c: claimed
            .checksum_crc32c
            .as_ref()
            .map(|_| s3s::crypto::Crc32c::default()),
        sha1: claimed
            .checksum_sha1
            .as_ref()
            .map(|_| s3s::crypto::Checksum::new()),
        sha256: claimed
            .checksum_sha256
            .as_ref()
            .map(|_| s3s::crypto::Checksum::new()),
        crc64nvme: claimed
            .checksum_crc64nvme
            .as_ref()
            .map(|_| s3s::crypto::Crc64Nvme::default()),
    };
    hasher.update(bytes);
    if hasher.finalize() == claimed {
        Ok(Some(claimed))
    } else {
        Err(s3_error!(
            BadDigest,
            "The checksum you specified did not match the calculated checksum."
        ))
    }
}
