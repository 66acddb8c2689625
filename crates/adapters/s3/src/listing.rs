//! One page of a bucket, from the store's answer to entries, or a refusal to trust it.
//!
//! Left out of the entries, because they are no files: empty objects whose keys end in `/` or `_$folder$`, with which
//! tools mark folders; and what shares the beginning of the source path's prefix, but does not lie in that folder.

use std::borrow::Cow;

use chrono::SecondsFormat;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::BucketPath;
use wharf_domain::sync::Cursor;
use wharf_ports::{ListingPage, ProviderError, Retry};

use crate::error::{Call, Fault};
use crate::wire::{Failure, Listed, Page, PageRequest, Wire};

const MOST_KEYS: u32 = 1000;

/// How many bytes a key has at most. Nobody can have put an object under a longer one.
pub(crate) const LONGEST_KEY: usize = 1024;

/// How much of a longer key is told.
const TOLD_OF_KEY: usize = 200;

/// How many bytes an `ETag` may have to be believed.
const LONGEST_TAG: usize = 1024;

/// How many bytes a token may have: with all of them escaped, it still fits into a request.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Classes whose objects have to be restored before they can be read.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// One page, from the start or from a cursor.
pub(crate) async fn list(
    wire: &Wire,
    source_path: &str,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, ProviderError> {
    let path = BucketPath::parse(source_path, "source_path").map_err(|_| {
        ProviderError::permanent(
            ErrorCode::ResourceNotFound,
            "the source path does not start with a bucket",
        )
    })?;
    let listed = list_under(wire, &path, cursor, limit).await;
    listed.map_err(|fault| fault.during(&Call::list(path.bucket())))
}

/// The same for a path that was read, with what went wrong not yet told.
pub(crate) async fn list_under(
    wire: &Wire,
    path: &BucketPath,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, Fault> {
    let limit = limit.clamp(1, MOST_KEYS);
    let token = cursor.map(|cursor| cursor.0.as_str());
    if token.is_some_and(|token| token.len() > LONGEST_TOKEN) {
        return Err(forgotten());
    }
    let page = page(wire, path, token, limit)
        .await
        .map_err(|failure| fault(failure, token))?;
    read(page, path, token, limit)
}

async fn page(
    wire: &Wire,
    path: &BucketPath,
    token: Option<&str>,
    limit: u32,
) -> Result<Page, Failure> {
    let request = PageRequest {
        bucket: path.bucket(),
        prefix: path.list_prefix(),
        token,
        limit: i32::try_from(limit).unwrap_or(i32::MAX),
        url_encoded: false,
    };
    match wire.list(&request).await {
        // XML cannot carry every key. Not all stores know the encoding that can, so it is the second choice.
        Err(Failure::Unreadable { html: false }) => {
            wire.list(&PageRequest {
                url_encoded: true,
                ..request
            })
            .await
        }
        // Some stores put U+FFFD where XML cannot carry a character. An object really named so is listed rightly both ways.
        Ok(page)
            if page
                .objects
                .iter()
                .any(|object| object.key.contains('\u{fffd}')) =>
        {
            let encoded = wire
                .list(&PageRequest {
                    url_encoded: true,
                    ..request
                })
                .await?;
            Ok(if encoded.url_encoded { encoded } else { page })
        }
        answer => answer,
    }
}

/// What a failure means, given that a token was sent or not.
fn fault(failure: Failure, token: Option<&str>) -> Fault {
    let bad_request = matches!(&failure, Failure::Refused(refused) if refused.status == 400);
    let fault = Fault::from(failure);
    // Without a token the same request is accepted, so the token it is.
    if token.is_some() && bad_request && fault.code == ErrorCode::ConfigInvalid {
        return forgotten();
    }
    fault
}

fn forgotten() -> Fault {
    let words = "the store no longer knows where the listing stopped";
    Fault::new(ErrorCode::ProtocolUnexpectedResponse, words).retried(Retry::Restart)
}

fn read(
    page: Page,
    path: &BucketPath,
    token: Option<&str>,
    limit: u32,
) -> Result<ListingPage, Fault> {
    let untrusted = |words: &str| Err(Fault::new(ErrorCode::ProtocolUnexpectedResponse, words));
    let next = match (page.truncated, page.next.filter(|next| !next.is_empty())) {
        (Some(false), _) => None,
        (_, Some(next)) if Some(next.as_str()) == token => {
            return untrusted("the listing repeats itself: the page names itself as the next one");
        }
        (_, Some(next)) if next.len() > LONGEST_TOKEN => {
            return untrusted("the token for the next page is too long to be asked with");
        }
        (_, Some(next)) => Some(Cursor(next)),
        (Some(true), None) => {
            return untrusted("the listing is cut short: more follows, but no token to ask for it");
        }
        (None, None) => return untrusted("the listing does not say whether more follows"),
    };
    if page.objects.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        return untrusted("the page holds more objects than were asked for");
    }
    let mut entries = Vec::with_capacity(page.objects.len());
    for object in page.objects {
        let key = Key::read(&object.key, page.url_encoded);
        if key.text.is_empty() {
            return untrusted("the listing holds an object without a key");
        }
        if path.matches(&key.text) && !marks_folder(&key.text, object.size) {
            entries.push(entry(path, &key, &object));
        }
    }
    Ok(ListingPage { entries, next })
}

const TOO_LONG: &str = "key_too_long";

struct Key<'a> {
    text: Cow<'a, str>,
    /// Why the key cannot stand in a request or a database.
    unusable: Option<&'static str>,
}

impl<'a> Key<'a> {
    fn read(written: &'a str, url_encoded: bool) -> Self {
        if !url_encoded {
            return Self::of(Cow::Borrowed(written));
        }
        // The encoding of forms, in which a plus is a space.
        let spaced = written.replace('+', " ");
        let bytes: Vec<u8> = percent_decode_str(&spaced).collect();
        let too_long = bytes.len() > LONGEST_KEY;
        match String::from_utf8(bytes) {
            Ok(key) => Self::of(Cow::Owned(key)),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).replace('\0', "\u{2400}");
                Self {
                    text: text.into(),
                    unusable: Some(if too_long { TOO_LONG } else { "key_not_utf8" }),
                }
            }
        }
    }

    fn of(text: Cow<'a, str>) -> Self {
        let too_long = text.len() > LONGEST_KEY;
        if text.contains('\0') {
            // What is there must be told of, but NUL can be stored nowhere: its picture stands in for it.
            return Self {
                text: text.replace('\0', "\u{2400}").into(),
                unusable: Some(if too_long { TOO_LONG } else { "key_with_nul" }),
            };
        }
        Self {
            text,
            unusable: too_long.then_some(TOO_LONG),
        }
    }

    /// What the key is called in the catalogue: itself, or its beginning and a hash of the whole.
    fn name(&self) -> Cow<'_, str> {
        if self.text.len() <= LONGEST_KEY {
            return Cow::Borrowed(&self.text);
        }
        let told = &self.text[..self.text.floor_char_boundary(TOLD_OF_KEY)];
        let hash = hex::encode(Sha256::digest(self.text.as_bytes()));
        format!("{told}\u{2026}{hash}").into()
    }
}

fn marks_folder(key: &str, size: Option<u64>) -> bool {
    size == Some(0) && (key.ends_with('/') || key.ends_with("_$folder$"))
}

fn entry(path: &BucketPath, key: &Key<'_>, object: &Listed) -> Entry {
    let object_id = path.source_path_of(&key.name());
    let archived = object
        .storage_class
        .as_deref()
        .is_some_and(|class| ARCHIVES.contains(&class))
        && !object.restored;
    Entry {
        path: object_id.clone(),
        object: object_id,
        version: version(object),
        size_bytes: object.size,
        modified_at: object.modified,
        unreadable: key
            .unusable
            .or(archived.then_some(ErrorCode::ResourceArchived.as_str())),
    }
}

/// `ETag|size`, or the time in place of an `ETag` that is missing or of no credible length.
fn version(object: &Listed) -> String {
    let tag = object
        .etag
        .as_deref()
        .filter(|etag| etag.len() <= LONGEST_TAG)
        .map(bare_tag)
        .unwrap_or_default();
    let size = object.size.map(|size| size.to_string()).unwrap_or_default();
    match (tag.is_empty(), object.modified) {
        (true, Some(modified)) => format!(
            "{}|{size}",
            modified.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        ),
        _ => format!("{tag}|{size}"),
    }
}

/// An `ETag` without its quotes, which some stores leave out; a weak one keeps its mark.
pub(crate) fn bare_tag(etag: &str) -> Cow<'_, str> {
    match etag.strip_prefix("W/") {
        Some(weak) => format!("W/{}", weak.trim_matches('"')).into(),
        None => etag.trim_matches('"').into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> Listed {
        Listed {
            key: key.to_owned(),
            etag: Some("\"abc\"".into()),
            size: Some(1),
            ..Listed::default()
        }
    }

    fn last_page(objects: Vec<Listed>) -> Page {
        Page {
            objects,
            truncated: Some(false),
            ..Page::default()
        }
    }

    fn read_page(path: &str, page: Page, token: Option<&str>) -> Result<ListingPage, Fault> {
        read(
            page,
            &BucketPath::parse(path, "source_path").unwrap(),
            token,
            10,
        )
    }

    fn only_entry(object: Listed) -> Entry {
        let mut entries = read_page("bkt", last_page(vec![object]), None)
            .unwrap()
            .entries;
        assert_eq!(entries.len(), 1);
        entries.remove(0)
    }

    #[test]
    fn a_last_page_is_one_that_says_so() {
        let page = |truncated, next: Option<&str>| Page {
            truncated,
            next: next.map(Into::into),
            ..Page::default()
        };
        let next = |page, token| {
            read_page("bkt", page, token)
                .map(|page| page.next.map(|cursor| cursor.0))
                .ok()
        };
        let some = |token: &str| Some(Some(token.to_owned()));
        assert_eq!(next(page(Some(false), None), None), Some(None));
        assert_eq!(next(page(Some(false), Some("t")), None), Some(None));
        assert_eq!(next(page(Some(true), Some("t")), None), some("t"));
        assert_eq!(next(page(None, Some("t")), None), some("t"));
        assert_eq!(next(page(Some(true), Some("t2")), Some("t1")), some("t2"));
        assert_eq!(next(page(Some(true), None), None), None);
        assert_eq!(next(page(Some(true), Some("")), None), None);
        assert_eq!(next(page(None, None), None), None);
        assert_eq!(next(page(Some(true), Some("t")), Some("t")), None);
    }

    #[test]
    fn more_than_was_asked_for_and_objects_without_a_key_are_not_trusted() {
        let many = (0..11).map(|index| object(&index.to_string())).collect();
        assert!(read_page("bkt", last_page(many), None).is_err());
        assert!(read_page("bkt", last_page(vec![object("")]), None).is_err());
    }

    #[test]
    fn markers_of_folders_and_neighbours_of_the_prefix_are_left_out() {
        let empty = |key| Listed {
            size: Some(0),
            ..object(key)
        };
        let objects = vec![
            object("media"),
            empty("media/"),
            object("media/a"),
            empty("media/b_$folder$"),
            object("media/c_$folder$"),
            empty("media/d"),
            object("media/e/"),
            object("media2/x"),
        ];
        let page = read_page("bkt/media", last_page(objects), None).unwrap();
        let paths: Vec<_> = page
            .entries
            .iter()
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(
            paths,
            [
                "bkt/media",
                "bkt/media/a",
                "bkt/media/c_$folder$",
                "bkt/media/d",
                "bkt/media/e/"
            ]
        );
    }

    #[test]
    fn a_version_is_the_bare_tag_and_the_size() {
        let modified = chrono::DateTime::from_timestamp(1_700_000_000, 0);
        let endless = "e".repeat(1025);
        for (etag, size, modified, version) in [
            (Some("\"abc\""), Some(1), modified, "abc|1"),
            (Some("abc"), Some(1), None, "abc|1"),
            (Some("W/\"abc\""), Some(1), None, "W/abc|1"),
            (Some("\"abc-3\""), None, None, "abc-3|"),
            (None, Some(1), modified, "2023-11-14T22:13:20Z|1"),
            (Some("\"\""), Some(1), modified, "2023-11-14T22:13:20Z|1"),
            (None, Some(1), None, "|1"),
            (Some(&endless), Some(1), modified, "2023-11-14T22:13:20Z|1"),
        ] {
            let object = Listed {
                etag: etag.map(Into::into),
                size,
                modified,
                ..object("k")
            };
            assert_eq!(only_entry(object).version, version);
        }
    }

    #[test]
    fn archived_objects_are_unreadable_unless_restored() {
        for (class, restored, unreadable) in [
            ("STANDARD", false, None),
            ("GLACIER", false, Some("resource.archived")),
            ("DEEP_ARCHIVE", false, Some("resource.archived")),
            ("GLACIER", true, None),
            ("GLACIER_IR", false, None),
            ("INTELLIGENT_TIERING", false, None),
            ("SOME_DAY", false, None),
        ] {
            let object = Listed {
                storage_class: Some(class.into()),
                restored,
                ..object("k")
            };
            assert_eq!(only_entry(object).unreadable, unreadable, "{class}");
        }
    }

    #[test]
    fn keys_are_decoded_only_when_the_store_says_that_it_encoded_them() {
        let key = |written: &str, url_encoded| {
            let page = Page {
                url_encoded,
                ..last_page(vec![object(written)])
            };
            let entry = read_page("bkt", page, None).unwrap().entries.remove(0);
            (entry.object, entry.unreadable)
        };
        let readable = |object: &str| (object.to_owned(), None);
        assert_eq!(key("a+b%2Bc%01/%C3%BC", true), readable("bkt/a b+c\u{1}/ü"));
        assert_eq!(key("a+b%2Bc", false), readable("bkt/a+b%2Bc"));
        assert_eq!(
            key("a\0b", false),
            ("bkt/a\u{2400}b".to_owned(), Some("key_with_nul"))
        );
        assert_eq!(
            key("a%00b", true),
            ("bkt/a\u{2400}b".to_owned(), Some("key_with_nul"))
        );
        assert_eq!(
            key("a%FFb", true),
            ("bkt/a\u{fffd}b".to_owned(), Some("key_not_utf8"))
        );
    }
    #[test]
    fn a_key_longer_than_any_key_keeps_its_beginning_and_a_hash() {
        let named = |written: &str, url_encoded| {
            let page = Page {
                url_encoded,
                ..last_page(vec![object(written)])
            };
            let entry = read_page("bkt", page, None).unwrap().entries.remove(0);
            assert_eq!(entry.object, entry.path);
            (entry.object, entry.unreadable)
        };
        let longest = "ü".repeat(512);
        assert_eq!(named(&longest, false), (format!("bkt/{longest}"), None));
        let hashed = |told: &str, whole: &str| {
            let hash = hex::encode(Sha256::digest(whole));
            format!("bkt/{told}…{hash}")
        };
        let long = format!("a{}", "ü".repeat(512));
        let told = format!("a{}", "ü".repeat(99));
        assert_eq!(
            named(&long, false),
            (hashed(&told, &long), Some("key_too_long"))
        );
        let other = named(&format!("{long}b"), false);
        assert_ne!(other.0, named(&long, false).0);
        // Only what it stands for is long.
        assert_eq!(
            named(&"%41".repeat(1024), true),
            (format!("bkt/{}", "A".repeat(1024)), None)
        );
        assert_eq!(named(&"%41".repeat(1025), true).1, Some("key_too_long"));
        for (written, stand_in, reason) in [
            ("%FF".repeat(1024), "\u{fffd}", "key_not_utf8"),
            ("%00".repeat(1024), "\u{2400}", "key_with_nul"),
        ] {
            let whole = stand_in.repeat(1024);
            let name = hashed(&stand_in.repeat(66), &whole);
            assert_eq!(named(&written, true), (name, Some(reason)));
            let longer = named(&format!("{written}a"), true);
            assert_eq!(longer.1, Some("key_too_long"));
        }
    }

    #[test]
    fn a_key_that_is_too_long_lies_in_its_folder_all_the_same() {
        let folder = "f".repeat(300);
        let inside = object(&format!("{folder}/{}", "x".repeat(1024)));
        let beside = object(&format!("{folder}2/{}", "x".repeat(1024)));
        let page = last_page(vec![inside, beside]);
        let entries = read_page(&format!("bkt/{folder}"), page, None)
            .unwrap()
            .entries;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].unreadable, Some("key_too_long"));
    }
}
