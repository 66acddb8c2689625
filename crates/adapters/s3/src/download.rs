//! The bytes of one object, in the version that was listed, verified as they pass.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::stream::{self, BoxStream, StreamExt};
use md5::{Digest, Md5};
use serde_json::Value;
use std::time::Duration;
use wharf_domain::Metadata;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_ports::{ByteStream, Fetched, ProviderError, Retry};

use crate::error::{Call, Fault};
use crate::listing::{LONGEST_KEY, bare_tag};
use crate::store::Profile;
use crate::wire::{Condition, Failure, Opened, Wire};

/// How long Tigris may take to know everywhere what its listing told.
const REPLICATION: Duration = Duration::from_secs(2);

/// Opens an entry of a listing.
pub(crate) async fn fetch(
    wire: &Wire,
    profile: Profile,
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
    let opened = match wire.get(bucket, key, &condition(tag)).await {
        Ok(opened) => opened,
        Err(failure) => return Err(fault(failure, profile).during(&call)),
    };
    if !is_listed_version(&opened, tag, entry.size_bytes) {
        let words = "the object has changed since it was listed";
        return Err(Fault::new(ErrorCode::ResourceChanged, words).during(&call));
    }
    let expected = Expected {
        size: entry.size_bytes.or(opened.length),
        md5: md5_of(tag).filter(|_| !opened.verified && !opened.opaque_etag),
    };
    Ok(Fetched {
        content_type: opened.content_type.clone(),
        metadata: metadata(&opened),
        bytes: verified(opened.bytes, expected, call),
    })
}

fn fault(failure: Failure, profile: Profile) -> Fault {
    let fault = Fault::from(failure);
    if profile == Profile::Tigris && fault.code == ErrorCode::ResourceNotFound {
        return fault.retried(Retry::Later {
            after: Some(REPLICATION),
        });
    }
    fault
}

/// What to ask for, given the part of the version before the size.
fn condition(tag: &str) -> Condition {
    if let Ok(time) = DateTime::parse_from_rfc3339(tag) {
        return Condition::UnmodifiedSince(time.with_timezone(&Utc));
    }
    // A weak tag never matches, and what is no plain text cannot be sent.
    let matchable =
        !tag.is_empty() && !tag.starts_with("W/") && tag.bytes().all(|b| b.is_ascii_graphic());
    if matchable {
        Condition::Tag(tag.to_owned())
    } else {
        Condition::Any
    }
}

/// Not every store heeds conditions, so the answer is looked at, too.
fn is_listed_version(opened: &Opened, tag: &str, size: Option<u64>) -> bool {
    let same_tag = match (&opened.etag, condition(tag)) {
        (Some(etag), Condition::Tag(tag)) => bare_tag(etag).trim_start_matches("W/") == tag,
        _ => true,
    };
    let same_size = opened.length.is_none() || size.is_none() || opened.length == size;
    same_tag && same_size
}

/// The MD5 of the bytes, if the tag is one: those of objects that were uploaded in parts are not.
fn md5_of(tag: &str) -> Option<String> {
    (tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| tag.to_ascii_lowercase())
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

/// What the bytes must be in the end.
#[derive(Debug)]
struct Expected {
    size: Option<u64>,
    md5: Option<String>,
}

struct Verifying {
    bytes: BoxStream<'static, Result<Bytes, Failure>>,
    expected: Expected,
    received: u64,
    md5: Md5,
    call: Call,
}

/// The same bytes, ending in an error unless they are what they must be.
fn verified(
    bytes: BoxStream<'static, Result<Bytes, Failure>>,
    expected: Expected,
    call: Call,
) -> ByteStream {
    let start = Verifying {
        bytes,
        expected,
        received: 0,
        md5: Md5::new(),
        call,
    };
    stream::try_unfold(start, Verifying::step).boxed()
}

impl Verifying {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, ProviderError> {
        let chunk = match self.bytes.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(failure)) => return Err(self.broken(failure)),
            None => return self.end(),
        };
        self.received += chunk.len() as u64;
        if self.expected.size.is_some_and(|size| self.received > size) {
            return Err(self.mismatch("the object is longer than the listing told"));
        }
        if self.expected.md5.is_some() {
            self.md5.update(&chunk);
        }
        Ok(Some((chunk, self)))
    }

    fn broken(&self, failure: Failure) -> ProviderError {
        let cut = matches!(
            &failure,
            Failure::Egress(wharf_egress::EgressError::Broken { .. })
        );
        let fault = Fault::from(failure);
        let words = format!("{} in the middle of the object", fault.words);
        let fault = if cut { fault.worded(words) } else { fault };
        fault.during(&self.call)
    }

    fn end(self) -> Result<Option<(Bytes, Self)>, ProviderError> {
        if self.expected.size.is_some_and(|size| self.received < size) {
            return Err(self.mismatch("the object was cut short"));
        }
        match &self.expected.md5 {
            Some(md5) if *md5 != hex::encode(self.md5.clone().finalize()) => {
                Err(self.mismatch("the bytes do not match the object's ETag"))
            }
            _ => Ok(None),
        }
    }

    fn mismatch(&self, words: &str) -> ProviderError {
        Fault::new(ErrorCode::IntegrityMismatch, words).during(&self.call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_says_what_to_ask_for() {
        let date = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (tag, expected) in [
            (
                "d41d8cd98f00b204e9800998ecf8427e",
                Condition::Tag("d41d8cd98f00b204e9800998ecf8427e".into()),
            ),
            ("abc-3", Condition::Tag("abc-3".into())),
            ("W/abc", Condition::Any),
            ("a\nb", Condition::Any),
            ("", Condition::Any),
            ("2023-11-14T22:13:20Z", Condition::UnmodifiedSince(date)),
        ] {
            assert_eq!(condition(tag), expected, "{tag}");
        }
    }

    #[test]
    fn only_a_tag_that_is_an_md5_is_compared() {
        assert_eq!(
            md5_of("D41D8CD98F00B204E9800998ECF8427E").as_deref(),
            Some("d41d8cd98f00b204e9800998ecf8427e")
        );
        assert_eq!(md5_of("d41d8cd98f00b204e9800998ecf8427e-2"), None);
        assert_eq!(md5_of("opaque"), None);
    }

    async fn through(chunks: &[&'static str], expected: Expected) -> (String, Option<ErrorCode>) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        let mut bytes = verified(stream::iter(chunks).boxed(), expected, Call::get("bkt"));
        let mut text = String::new();
        while let Some(chunk) = bytes.next().await {
            match chunk {
                Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Err(error) => return (text, Some(error.code)),
            }
        }
        (text, None)
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_and_end_well_only_if_they_are_all_there() {
        let md5 = Some(hex::encode(Md5::digest("hello")));
        let expected = |size, md5: &Option<String>| Expected {
            size,
            md5: md5.clone(),
        };
        let mismatch = Some(ErrorCode::IntegrityMismatch);
        for (chunks, expected, text, error) in [
            (&["he", "llo"][..], expected(Some(5), &md5), "hello", None),
            (&["hello"], expected(None, &None), "hello", None),
            (&[], expected(Some(0), &None), "", None),
            (&["hel"], expected(Some(5), &md5), "hel", mismatch),
            (&["hello", "!"], expected(Some(5), &md5), "hello", mismatch),
            (&["hellO"], expected(Some(5), &md5), "hellO", mismatch),
        ] {
            assert_eq!(
                through(chunks, expected).await,
                (text.to_owned(), error),
                "{chunks:?}"
            );
        }
    }
}
