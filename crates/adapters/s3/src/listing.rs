//! One page of a bucket, from the store's answer to entries, or a refusal to trust it.
//!
//! Left out of the entries, because they are no files: empty objects whose keys end in `/` or `_$folder$`, with which
//! tools mark folders; and what shares the beginning of the source path's prefix, but does not lie in that folder.

mod key;
mod position;

use std::borrow::Cow;

use chrono::{SecondsFormat, SubsecRound};
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::BucketPath;
use wharf_domain::sync::Cursor;
use wharf_ports::{ListingPage, ProviderError, Retry};

use self::key::Key;
use self::key::LONGEST_KEY;
use crate::error::{Call, Fault};
use crate::wire::{Failure, Listed, Page, PageRequest, Position, Wire};

const MOST_KEYS: u32 = 1000;

/// How many bytes an `ETag` may have to be believed.
const LONGEST_TAG: usize = 1024;

/// How many bytes a token may have: with all of them escaped, it still fits into a request.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Classes whose objects have to be restored before they can be read.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// What stands for a character that cannot be written.
const REPLACEMENT: char = '\u{fffd}';

/// One page, from the start or from a cursor.
pub(crate) async fn list(
    wire: &Wire,
    source_path: &str,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, ProviderError> {
    let path = BucketPath::parse_scope(source_path, "source_path").map_err(|_| {
        ProviderError::permanent(
            ErrorCode::ResourceNotFound,
            "the source path does not start with a bucket",
        )
    })?;
    let listed = list_under(wire, &path, cursor, limit).await;
    listed.map_err(|fault| fault.during(&Call::list(&path)))
}

/// The same for a path that was read, with what went wrong not yet told.
pub(crate) async fn list_under(
    wire: &Wire,
    path: &BucketPath,
    cursor: Option<&Cursor>,
    limit: u32,
) -> Result<ListingPage, Fault> {
    let limit = limit.clamp(1, MOST_KEYS);
    let position = match cursor {
        None => Position::Start,
        Some(cursor) => position::read(cursor).ok_or_else(forgotten)?,
    };
    let begun = position != Position::Start;
    let (page, position) = page(wire, path, position, limit)
        .await
        .map_err(|failure| fault(failure, begun))?;
    read(page, path, &position, limit)
}

/// A page, and the position that it was asked at.
///
/// Some stores only know the older version of the protocol. They refuse the newer one, or answer it as if they had been
/// asked in theirs: cut off, without a token, and without anything that only the newer version has. Then the page is asked
/// for in the older version, and if the answer is plainly of that version, the listing goes on in it. An answer that is of
/// neither is left as it came.
async fn page(
    wire: &Wire,
    path: &BucketPath,
    position: Position,
    limit: u32,
) -> Result<(Page, Position), Failure> {
    let request = PageRequest {
        bucket: path.bucket(),
        prefix: path.list_prefix(),
        position: &position,
        limit: i32::try_from(limit).unwrap_or(i32::MAX),
        url_encoded: false,
    };
    let answer = readable(wire, &request).await;
    if position == Position::Start && may_be_older(&answer) {
        let start = Position::Marker(String::new());
        let older = readable(
            wire,
            &PageRequest {
                position: &start,
                ..request
            },
        )
        .await?;
        if older.of_asked_version {
            return Ok((older, start));
        }
    }
    answer.map(|page| (page, position))
}

fn may_be_older(answer: &Result<Page, Failure>) -> bool {
    match answer {
        Ok(page) => page.truncated == Some(true) && !page.of_asked_version,
        Err(Failure::Refused(refused)) => {
            refused.status == 501
                || matches!(
                    refused.code.as_deref(),
                    Some("NotImplemented" | "InvalidArgument")
                )
        }
        Err(_) => false,
    }
}

/// A page with its keys as they are.
async fn readable(wire: &Wire, request: &PageRequest<'_>) -> Result<Page, Failure> {
    let answer = wire.list(request).await;
    if !wire.knows_url_encoding() {
        return answer;
    }
    let inexact = match &answer {
        // XML cannot carry every key. Not all stores know the encoding that can, so it is the second choice.
        Err(Failure::Unreadable { html }) => !html,
        Err(_) => false,
        // Some stores put U+FFFD where XML cannot carry a character. An object really named so is listed rightly both ways.
        Ok(page) => page
            .objects
            .iter()
            .any(|object| object.key.contains(REPLACEMENT)),
    };
    if !inexact {
        return answer;
    }
    let encoded = wire
        .list(&PageRequest {
            url_encoded: true,
            ..*request
        })
        .await?;
    // Without the store's word there is no telling whether a `%41` is one.
    if encoded.url_encoded {
        Ok(encoded)
    } else {
        answer
    }
}

/// What a failure means, given where the page was to begin.
fn fault(failure: Failure, begun: bool) -> Fault {
    let bad_request = matches!(&failure, Failure::Refused(refused) if refused.status == 400);
    let fault = Fault::from(failure);
    // From the start the same request is accepted, so the token it is.
    if begun && bad_request && fault.code == ErrorCode::ConfigInvalid {
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
    position: &Position,
    limit: u32,
) -> Result<ListingPage, Fault> {
    let next = next(&page, position)?;
    if page.objects.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        return Err(untrusted("the page holds more objects than were asked for"));
    }
    let mut entries = Vec::with_capacity(page.objects.len());
    for object in page.objects {
        let key = Key::read(&object.key, page.url_encoded);
        if key.text.is_empty() {
            return Err(untrusted("the listing holds an object without a key"));
        }
        if path.matches(&key.text) && !marks_folder(&key.text, object.size) {
            entries.push(entry(path.bucket(), &key, &object));
        }
    }
    Ok(ListingPage {
        entries,
        next: next.map(position::write),
        denied: Vec::new(),
    })
}

/// The entry that a listing would have of an object asked for by its key, unless it would leave it out.
pub(crate) fn entry_of(bucket: &str, object: &Listed) -> Option<Entry> {
    let key = Key::read(&object.key, false);
    (!marks_folder(&key.text, object.size)).then(|| entry(bucket, &key, object))
}

/// Where the listing goes on; nowhere only if the store says that this was all.
fn next(page: &Page, position: &Position) -> Result<Option<Position>, Fault> {
    if page.truncated == Some(false) {
        return Ok(None);
    }
    let told = page.next.as_deref().filter(|next| !next.is_empty());
    let next = match position {
        Position::Start | Position::Token(_) => told.map(|token| Position::Token(token.to_owned())),
        // That more follows must be said; a marker stands with it, or can be made.
        Position::Marker(_) if page.truncated.is_none() => None,
        Position::Marker(_) => marker(page, told)?.map(Position::Marker),
    };
    let text = match &next {
        Some(next) if next == position => {
            let words = "the listing repeats itself: the page names itself as the next one";
            return Err(untrusted(words));
        }
        Some(Position::Token(text) | Position::Marker(text)) => text,
        _ if page.truncated.is_none() => {
            return Err(untrusted("the listing does not say whether more follows"));
        }
        _ => {
            let words = "the listing is cut short: more follows, but no token to ask for it";
            return Err(untrusted(words));
        }
    };
    if text.len() > LONGEST_TOKEN {
        let words = "the token for the next page is too long to be asked with";
        return Err(untrusted(words));
    }
    Ok(next)
}

/// The key after which the older version of the protocol goes on: the one that the store names, or else the last one of
/// the page, which only leaves nothing out if the page is in order. A key that XML could not carry is not known well enough.
fn marker(page: &Page, told: Option<&str>) -> Result<Option<String>, Fault> {
    let exact = |written: &str| {
        let exact = page.url_encoded || !written.contains(REPLACEMENT);
        exact.then(|| key::decoded(written, page.url_encoded))?
    };
    if let Some(marker) = told.and_then(exact) {
        return Ok(Some(marker));
    }
    let keys: Vec<String> = page
        .objects
        .iter()
        .filter_map(|object| exact(&object.key))
        .collect();
    if !keys.is_sorted() && !keys.is_sorted_by_key(|key| key.encode_utf16().collect::<Vec<_>>()) {
        let words = "the page is not in order, and does not say after which key to go on";
        return Err(untrusted(words));
    }
    Ok(keys.into_iter().next_back())
}

fn untrusted(words: &str) -> Fault {
    Fault::new(ErrorCode::ProtocolUnexpectedResponse, words)
}

fn marks_folder(key: &str, size: Option<u64>) -> bool {
    size == Some(0) && (key.ends_with('/') || key.ends_with("_$folder$"))
}

fn entry(bucket: &str, key: &Key<'_>, object: &Listed) -> Entry {
    let object_id = format!("{bucket}/{}", key.name());
    let archived = object
        .storage_class
        .as_deref()
        .is_some_and(|class| ARCHIVES.contains(&class))
        // Where the listing does not tell, reading it will.
        && object.restored == Some(false);
    Entry {
        path: object_id.clone(),
        object: object_id,
        version: version(object),
        size_bytes: object.size,
        modified_at: object.modified.map(whole_seconds),
        unreadable: key
            .unusable
            .or(archived.then_some(ErrorCode::ResourceArchived.as_str())),
        lineage: String::new(),
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
            whole_seconds(modified).to_rfc3339_opts(SecondsFormat::Secs, true)
        ),
        _ => format!("{tag}|{size}"),
    }
}

/// As much of a time as the head of an answer can tell, so that a listing never seems to know of another version.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(0)
}

/// The bucket and the key in an object's identity, if an object can have the key.
pub(crate) fn bucket_and_key(object: &str) -> Option<(&str, &str)> {
    object
        .split_once('/')
        .filter(|(_, key)| (1..=LONGEST_KEY).contains(&key.len()))
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
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::wire::Refused;

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
        let position = token.map_or(Position::Start, |token| Position::Token(token.into()));
        read_at(path, page, &position)
    }

    fn read_at(path: &str, page: Page, position: &Position) -> Result<ListingPage, Fault> {
        read(
            page,
            &BucketPath::parse(path, "source_path").unwrap(),
            position,
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
    fn the_older_version_goes_on_after_the_last_key_unless_the_store_names_another() {
        let next = |told: Option<&str>, keys: &[&str], url_encoded, marker: &str| {
            let page = Page {
                objects: keys.iter().map(|key| object(key)).collect(),
                url_encoded,
                truncated: Some(true),
                next: told.map(Into::into),
                ..Page::default()
            };
            read_at("bkt", page, &Position::Marker(marker.into()))
                .map(|page| page.next.expect("more follows").0)
                .map_err(|fault| fault.words)
        };
        for (told, keys, url_encoded, expected) in [
            (None, &["a", "b"][..], false, "marker:b"),
            (Some(""), &["a", "b"], false, "marker:b"),
            (Some("c"), &["a", "b"], false, "marker:c"),
            (Some("c"), &["b", "a"], false, "marker:c"),
            (Some("c"), &[], false, "marker:c"),
            (None, &["a+b"], false, "marker:a+b"),
            (None, &["a%2Bb+%01"], true, "marker:a+b %01"),
            (Some("c+d"), &["a"], true, "marker:c d"),
            // What stands for a character that XML cannot carry is none of the key.
            (None, &["a", "b\u{fffd}"], false, "marker:a"),
            (Some("b\u{fffd}"), &["a", "b\u{fffd}"], false, "marker:a"),
            (None, &["a", "b%EF%BF%BD"], true, "marker:b%EF%BF%BD"),
            (None, &["a", "b%FF"], true, "marker:a"),
            // In the order of UTF-16, as some stores have it.
            (None, &["\u{10000}", "\u{ff5e}"], false, "marker:%EF%BD%9E"),
        ] {
            let next = next(told, keys, url_encoded, "");
            assert_eq!(next.as_deref(), Ok(expected), "{told:?} {keys:?}");
        }
        for (keys, marker, words) in [
            (&["a", "c", "b"][..], "", "not in order"),
            (&[], "", "cut short"),
            (&["b\u{fffd}"], "", "cut short"),
            (&["a", "b"], "b", "repeats itself"),
        ] {
            let refused = next(None, keys, false, marker).unwrap_err();
            assert!(refused.contains(words), "{keys:?}: {refused}");
        }
        let silent = Page {
            objects: vec![object("a")],
            next: Some("a".into()),
            ..Page::default()
        };
        assert!(read_at("bkt", silent, &Position::Marker(String::new())).is_err());
    }

    #[test]
    fn only_an_answer_without_a_mark_of_the_newer_version_may_be_of_the_older() {
        let page = |truncated, of_asked_version| {
            Ok(Page {
                truncated,
                of_asked_version,
                ..Page::default()
            })
        };
        assert!(may_be_older(&page(Some(true), false)));
        assert!(!may_be_older(&page(Some(true), true)));
        assert!(!may_be_older(&page(Some(false), false)));
        assert!(!may_be_older(&page(None, false)));
        let refused = |status, code: Option<&str>| {
            Err(Failure::Refused(Refused {
                status,
                code: code.map(Into::into),
                ..Refused::default()
            }))
        };
        assert!(may_be_older(&refused(501, None)));
        assert!(may_be_older(&refused(400, Some("NotImplemented"))));
        assert!(may_be_older(&refused(400, Some("InvalidArgument"))));
        assert!(!may_be_older(&refused(403, Some("AccessDenied"))));
        assert!(!may_be_older(&refused(503, Some("SlowDown"))));
        assert!(!may_be_older(&Err(Failure::Unreadable { html: false })));
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
    fn archived_objects_are_unreadable_where_the_store_tells_that_they_are_not_restored() {
        let archived = Some("resource.archived");
        for (class, restored, unreadable) in [
            ("STANDARD", Some(false), None),
            ("GLACIER", Some(false), archived),
            ("DEEP_ARCHIVE", Some(false), archived),
            ("GLACIER", Some(true), None),
            ("GLACIER", None, None),
            ("GLACIER_IR", Some(false), None),
            ("INTELLIGENT_TIERING", Some(false), None),
            ("SOME_DAY", Some(false), None),
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
