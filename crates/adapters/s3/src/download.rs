//! The bytes of one object, in the version that was listed, verified as they pass.

mod patience;
mod proof;
mod source;
mod unbroken;
mod version;

use std::sync::Arc;

use wharf_domain::Metadata;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{FetchWish, Fetched, ProviderError};

use self::proof::Proof;
use self::source::Source;
use self::unbroken::Unbroken;
use self::version::{Version, another_part, changed, condition, is_listed, start, total};
use crate::error::{Call, Fault};
use crate::listing::{bare_tag, bucket_and_key};
use crate::metadata::{metadata, tags};
use crate::profile::Profile;
use crate::wire::{About, Failure, ObjectRequest, Opened, Wire};

/// Opens an entry of a listing.
pub(crate) async fn fetch(
    wire: &Arc<Wire>,
    profile: &Profile,
    entry: &Entry,
    wish: FetchWish,
) -> Result<Fetched, ProviderError> {
    let Some((bucket, key)) = bucket_and_key(&entry.object) else {
        return Err(ProviderError::permanent(
            ErrorCode::ResourceNotFound,
            "the entry names no object of a bucket",
        ));
    };
    let call = Call::get(bucket);
    let tag = entry.version.rsplit_once('|').map_or("", |(tag, _)| tag);
    let request = ObjectRequest {
        bucket,
        key,
        condition: &condition(tag),
        version_id: None,
        from: 0,
    };
    let opened = open(wire, profile, &request)
        .await
        .map_err(|fault| fault.during(&call))?;
    if start(&opened) != Some(0) {
        return Err(another_part().during(&call));
    }
    if !is_listed(&opened, tag, entry.size_bytes) {
        return Err(changed().during(&call));
    }
    let tags = if wish.tags {
        tags_of(wire, bucket, key, &opened.about)
            .await
            .map_err(|fault| fault.during(&Call::tags(bucket)))?
    } else {
        Metadata::new()
    };
    let trusted = !opened.opaque_etag && profile.has_md5_tags(bucket, opened.server.as_deref());
    let tag = opened
        .about
        .etag
        .as_deref()
        .map_or(tag.into(), bare_tag)
        .into_owned();
    let content_type = opened.about.content_type.clone();
    let metadata = metadata(&opened.about);
    let version_id = opened.about.named_version().map(ToOwned::to_owned);
    let unbroken = Unbroken {
        source: Source {
            wire: Arc::clone(wire),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: Version::of(&opened),
        },
        size: entry.size_bytes.or(total(&opened)),
        proof: Proof::of(opened.checksum, trusted.then_some(&tag)),
        bytes: opened.bytes,
        call,
    };
    Ok(Fetched {
        content_type,
        metadata,
        tags,
        version_id,
        bytes: unbroken.stream(),
    })
}

/// The first answer. Where what is listed may be on its way still, what is not found is asked for once more.
async fn open(
    wire: &Wire,
    profile: &Profile,
    request: &ObjectRequest<'_>,
) -> Result<Opened, Fault> {
    let fault = match wire.get(request).await {
        Ok(opened) => return Ok(opened),
        Err(failure) => Fault::from(failure),
    };
    match profile.lag {
        Some(lag) if fault.code == ErrorCode::ResourceNotFound => {
            tokio::time::sleep(lag).await;
            wire.get(request).await.map_err(Fault::from)
        }
        _ => Err(fault),
    }
}

/// The tags of the version whose bytes are on their way.
async fn tags_of(wire: &Wire, bucket: &str, key: &str, about: &About) -> Result<Metadata, Fault> {
    let tagged = match wire.tags(bucket, key).await {
        Ok(tagged) => tagged,
        // Not every store has tags, and some that have none answer with the object itself.
        Err(Failure::Unreadable { html: false }) => return Ok(Metadata::new()),
        Err(failure) => {
            let fault = Fault::from(failure);
            return match fault.code {
                ErrorCode::ConfigEndpointInvalid => Ok(Metadata::new()),
                // It was there a moment ago.
                ErrorCode::ResourceNotFound => Err(changed()),
                _ => Err(fault),
            };
        }
    };
    let another = |tagged: &str| about.version_id.as_deref().is_some_and(|id| id != tagged);
    if tagged.version_id.as_deref().is_some_and(another) {
        return Err(changed());
    }
    Ok(tags(tagged))
}
