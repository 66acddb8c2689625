//! `PutObject`: reading the body and believing nothing that is said about it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::HeaderMap;
use md5::{Digest, Md5};
use s3s::dto::{PutObjectInput, StreamingBlob};
use s3s::{S3Request, S3Result, s3_error};
use url::form_urlencoded;

use super::checksum;
use super::presentation::presentation_of;
use super::store::NewObject;

pub(crate) async fn read(request: &mut S3Request<PutObjectInput>) -> S3Result<NewObject> {
    let bytes = read_body(request.input.body.take()).await?;
    let input = &request.input;
    check_md5(input.content_md5.as_deref(), &bytes)?;
    let trailers = trailers(request.trailing_headers.as_ref());
    let claimed = checksum::claimed(&request.headers, &trailers);
    Ok(NewObject {
        checksum: checksum::verified(&bytes, &claimed)?,
        presentation: presentation_of!(input),
        content_type: input.content_type.clone(),
        metadata: input.metadata.clone().unwrap_or_default(),
        tags: tags(input.tagging.as_deref()),
        storage_class: input
            .storage_class
            .as_ref()
            .map(|class| class.as_str().to_owned()),
        bytes,
        ..NewObject::default()
    })
}

/// Checksums may come after the body.
pub(super) fn trailers(trailers: Option<&s3s::TrailingHeaders>) -> HeaderMap {
    trailers
        .and_then(s3s::TrailingHeaders::take)
        .unwrap_or_default()
}

pub(super) async fn read_body(body: Option<StreamingBlob>) -> S3Result<Bytes> {
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

/// Refuses bytes that do not have the MD5 digest said.
pub(super) fn check_md5(claimed: Option<&str>, bytes: &[u8]) -> S3Result<()> {
    let Some(claimed) = claimed else {
        return Ok(());
    };
    let claimed = STANDARD
        .decode(claimed)
        .ok()
        .filter(|digest| digest.len() == 16)
        .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))?;
    if claimed == Md5::digest(bytes)[..] {
        Ok(())
    } else {
        Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ))
    }
}

/// The tags of a header, written as a query is.
pub(super) fn tags(header: Option<&str>) -> BTreeMap<String, String> {
    form_urlencoded::parse(header.unwrap_or_default().as_bytes())
        .into_owned()
        .collect()
}
