//! What is kept of what a store tells about an object, beside its bytes.

mod words;

use std::borrow::Cow;

use chrono::SecondsFormat;
use serde_json::Value;
use wharf_domain::Metadata;

use crate::listing::bare_tag;
use crate::wire::{About, Tagged};

/// What was given to the object keeps the name of its header, so that it never passes for the store's own.
pub(crate) fn metadata(about: &About) -> Metadata {
    let etag = about.etag.as_deref().map(bare_tag);
    let modified = about
        .modified
        .map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let own = [
        ("etag", etag.as_deref()),
        ("last_modified", modified.as_deref()),
        ("storage_class", about.storage_class.as_deref()),
        ("version_id", about.named_version()),
        ("content_encoding", about.content_encoding.as_deref()),
        ("content_language", about.content_language.as_deref()),
        ("content_disposition", about.content_disposition.as_deref()),
        ("cache_control", about.cache_control.as_deref()),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    let given = about.user_metadata.iter().map(|(name, value)| {
        let name = format!("x-amz-meta-{}", name.to_ascii_lowercase());
        (name, words::read(value))
    });
    kept(given.chain(own))
}

/// An object's tags.
pub(crate) fn tags(tagged: Tagged) -> Metadata {
    let tags = tagged.tags.into_iter();
    kept(tags.map(|(key, value)| (key, value.into())))
}

/// As texts without NUL, which not every database can keep.
fn kept<'a>(texts: impl Iterator<Item = (String, Cow<'a, str>)>) -> Metadata {
    texts
        .map(|(name, text)| (without_nul(&name), Value::String(without_nul(&text))))
        .collect()
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_never_passes_for_the_store_s_own() {
        let about = About {
            etag: Some("\"abc\"".into()),
            cache_control: Some("no-store".into()),
            user_metadata: [
                ("ETag".to_owned(), "mine".to_owned()),
                ("title".to_owned(), "=?UTF-8?B?w5xiZXI=?=".to_owned()),
            ]
            .into(),
            ..About::default()
        };
        let expected = serde_json::json!({
            "etag": "abc",
            "cache_control": "no-store",
            "x-amz-meta-etag": "mine",
            "x-amz-meta-title": "\u{dc}ber",
        });
        assert_eq!(Value::Object(metadata(&about)), expected);
    }

    #[test]
    fn tags_are_kept_as_they_are_but_for_nul() {
        let tagged = Tagged {
            tags: vec![("a b".into(), String::new()), ("n".into(), "x\0y".into())],
            version_id: None,
        };
        let expected = serde_json::json!({"a b": "", "n": "x\u{2400}y"});
        assert_eq!(Value::Object(tags(tagged)), expected);
    }
}
