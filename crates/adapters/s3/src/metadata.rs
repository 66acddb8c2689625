//! What is kept of what a store tells about an object, beside its bytes.

use std::borrow::Cow;

use chrono::SecondsFormat;
use serde_json::Value;
use wharf_domain::Metadata;

use crate::listing::bare_tag;
use crate::wire::{About, Tagged};

/// What was given to the object keeps the name of its header; the store's own comes after it.
pub(crate) fn metadata(about: &About) -> Metadata {
    let own = [
        ("etag", about.etag.as_deref().map(bare_tag)),
        (
            "last_modified",
            about
                .modified
                .map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()),
        ),
        ("storage_class", plain(about.storage_class.as_deref())),
        ("version_id", plain(about.version_id.as_deref())),
        ("content_encoding", plain(about.content_encoding.as_deref())),
        ("content_language", plain(about.content_language.as_deref())),
        (
            "content_disposition",
            plain(about.content_disposition.as_deref()),
        ),
        ("cache_control", plain(about.cache_control.as_deref())),
    ];
    let given = about.user_metadata.iter().map(|(name, value)| {
        let name = format!("x-amz-meta-{}", name.to_ascii_lowercase());
        (name, value.as_str().into())
    });
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given
        .chain(own)
        .map(|(name, value)| (name, Value::String(Cow::into_owned(value))))
        .collect()
}

fn plain(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Into::into)
}

/// An object's tags.
pub(crate) fn tags(tagged: Tagged) -> Metadata {
    tagged
        .tags
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)))
        .collect()
}
