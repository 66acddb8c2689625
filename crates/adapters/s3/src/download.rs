//! The bytes of one object, in the version that was listed, verified as they pass.

mod patience;
mod proof;
mod source;
mod unbroken;
mod version;

use std::sync::Arc;

use chrono::SecondsFormat;
use serde_json::Value;
use wharf_domain::Metadata;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{Fetched, ProviderError};

use self::proof::Proof;
use self::source::Source;
use self::unbroken::Unbroken;
use self::version::{Version, another_part, changed, condition, is_listed, start, total};
use crate::error::{Call, Fault};
use crate::listing::{LONGEST_KEY, bare_tag};
use crate::profile::Profile;
use crate::wire::{ObjectRequest, Opened, Wire};

/// Opens an entry of a listing.
pub(crate) async fn fetch(
    wire: &Arc<Wire>,
    profile: &Profile,
    entry: &Entry,
) -> Result<Fetched, ProviderError> {
    let Some((bucket, key)) = entry
        .object
        .split_once('/')
        .filter(|(_, key)| (1..=LONGEST_KEY).contains(&key.len()))
    else {
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
    let trusted = !opened.opaque_etag && profile.has_md5_tags(bucket, opened.server.as_deref());
    let tag = opened
        .etag
        .as_deref()
        .map_or(tag.into(), bare_tag)
        .into_owned();
    let content_type = opened.content_type.clone();
    let metadata = metadata(&opened);
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

/// Metadata that was given to the object keeps the name of its header; the store's own comes after it.
fn metadata(opened: &Opened) -> Metadata {
    let own = [
        (
            "etag",
            opened
                .etag
                .as_deref()
                .map(|etag| bare_tag(etag).into_owned()),
        ),
        (
            "last_modified",
            opened
                .modified
                .map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        ),
        ("storage_class", opened.storage_class.clone()),
        ("version_id", opened.version_id.clone()),
        ("content_encoding", opened.content_encoding.clone()),
    ];
    let given = opened
        .user_metadata
        .iter()
        .map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone()));
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given
        .chain(own)
        .map(|(name, value)| (name, Value::String(value)))
        .collect()
}
