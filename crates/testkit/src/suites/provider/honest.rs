//! What any provider shows that behaves.

use wharf_domain::Metadata;
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{CheckRequest, FetchWish, Retry};

use super::{content, entry_of, list_all, listed, look, paths, paths_in, put, put_many, read};
use crate::{Attached, Place};

/// Names that some layer between a provider and its user takes for something else.
const HOSTILE: [&str; 26] = [
    "a b",
    " leading and trailing ",
    "a+b",
    "100%",
    "a%2Fb",
    "a%20b+c",
    "a&b=c?d#e",
    "a&amp;b",
    "<a>\"b'`",
    "a\\b",
    "a:b@c,d;e=f$g!h*i(j)k~l|m^{}[]",
    "ü/é/日本語",
    "e\u{301}",
    "\u{202e}gpj.exe",
    "😀👩‍🚀",
    "a//b",
    "double//",
    "folder/",
    "a/../b",
    "..",
    "a/./b",
    ".",
    "a\nb",
    "a\tb",
    "a\u{1}b",
    "a\u{7f}b",
];
/// Every place can hold at least these.
const TAKEN_EVERYWHERE: [&str; 6] = ["a b", "a+b", "100%", "a%20b+c", "ü/é/日本語", "😀👩‍🚀"];

fn request(source_path: Option<&str>) -> CheckRequest<'_> {
    CheckRequest {
        source_path,
        budget: std::time::Duration::from_secs(30),
    }
}

pub async fn pages_hold_at_most_the_limit_and_cover_every_file_once(place: Box<dyn Place>) {
    let names = put_many(&*place, 25).await;
    let provider = place.open();
    for limit in [1, 7, 10, 25, 1000] {
        let entries = list_all(&provider, &place.scope(), limit).await.unwrap();
        assert_eq!(paths_in(&entries), paths(&*place, &names), "{limit}");
    }
}

pub async fn no_page_holds_more_than_a_thousand(place: Box<dyn Place>) {
    let names = put_many(&*place, 1003).await;
    let provider = place.open();
    let first = provider.list(&place.scope(), None, u32::MAX).await.unwrap();
    assert!(first.entries.len() <= 1000, "{}", first.entries.len());
    assert!(first.next.is_some());
    let entries = list_all(&provider, &place.scope(), 1000).await.unwrap();
    assert_eq!(paths_in(&entries), paths(&*place, &names));
}

pub async fn a_cursor_is_good_for_an_account_that_was_opened_anew(place: Box<dyn Place>) {
    let names = put_many(&*place, 7).await;
    let (mut entries, mut cursor) = (Vec::new(), None);
    loop {
        let provider = place.open();
        let page = provider.list(&place.scope(), cursor.as_ref(), 2).await;
        let page = page.unwrap();
        entries.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paths_in(&entries), paths(&*place, &names));
}

pub async fn a_cursor_may_be_used_twice(place: Box<dyn Place>) {
    put_many(&*place, 5).await;
    let (provider, scope) = (place.open(), place.scope());
    let first = provider.list(&scope, None, 2).await.unwrap();
    let again = || provider.list(&scope, first.next.as_ref(), 2);
    let (one, two) = (again().await.unwrap(), again().await.unwrap());
    assert_eq!(one.entries, two.entries);
    assert!(!one.entries.is_empty());
}

pub async fn an_empty_scope_lists_nothing_and_is_no_error(place: Box<dyn Place>) {
    let entries = list_all(&place.open(), &place.scope(), 10).await.unwrap();
    assert_eq!(entries, []);
}

pub async fn a_missing_scope_is_no_empty_one(place: Box<dyn Place>) {
    put(&*place, "here", b"here").await;
    let missing = place.missing_scope();
    let error = place.open().list(&missing, None, 10).await.unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::ResourceNotFound, Retry::Never),
        "{error}"
    );
}

pub async fn a_folder_is_no_beginning_of_a_name(place: Box<dyn Place>) {
    for name in [
        "photos/a",
        "photos/deep/b",
        "photos2/c",
        "photos.txt",
        "phot",
    ] {
        put(&*place, name, name.as_bytes()).await;
    }
    let provider = place.open();
    let inside = ["a", "deep/b"].map(|name| place.path_in("photos", name));
    for folder in ["photos", "photos/"] {
        let entries = list_all(&provider, &place.scope_of(folder), 10).await;
        assert_eq!(paths_in(&entries.unwrap()), inside, "{folder}");
    }
}

pub async fn an_empty_file_is_a_file(place: Box<dyn Place>) {
    put(&*place, "empty", b"").await;
    let entry = entry_of(&*place, "empty").await;
    assert_eq!(entry.size_bytes, Some(0));
    assert_eq!(read(&place.open(), &entry).await.unwrap(), b"");
}

pub async fn every_byte_of_a_file_arrives(place: Box<dyn Place>) {
    let sizes = [1, 1000, 65_537, 9 * 1024 * 1024 + 1];
    for size in sizes {
        put(&*place, &format!("of-{size}"), &content(size, size)).await;
    }
    let provider = place.open();
    for size in sizes {
        let entry = entry_of(&*place, &format!("of-{size}")).await;
        assert_eq!(entry.size_bytes, Some(size as u64));
        let bytes = read(&provider, &entry).await.unwrap();
        assert!(bytes == content(size, size), "{size} bytes came changed");
    }
}

pub async fn files_fetched_at_the_same_time_are_not_mixed_up(place: Box<dyn Place>) {
    for number in 0..12 {
        put(
            &*place,
            &format!("file-{number:02}"),
            &content(number, 100_000),
        )
        .await;
    }
    let (provider, entries) = (place.open(), listed(&*place).await);
    let reads = entries.values().map(|entry| read(&provider, entry));
    let read = futures::future::join_all(reads).await;
    for (number, bytes) in read.into_iter().enumerate() {
        assert!(bytes.unwrap() == content(number, 100_000), "{number}");
    }
}

pub async fn hostile_names_come_back_as_they_are(place: Box<dyn Place>) {
    let mut taken = Vec::new();
    for name in HOSTILE.map(str::to_owned) {
        if place.put(&name, name.as_bytes()).await {
            taken.push(name);
        }
    }
    for name in TAKEN_EVERYWHERE {
        assert!(taken.iter().any(|taken| taken == name), "{name:?}");
    }
    let provider = place.open();
    for limit in [1, 1000] {
        let entries = list_all(&provider, &place.scope(), limit).await.unwrap();
        assert_eq!(paths_in(&entries), paths(&*place, &taken), "{limit}");
    }
    let entries = listed(&*place).await;
    for name in taken {
        let entry = &entries[&place.path_of(&name)];
        let bytes = read(&provider, entry).await;
        let bytes = bytes.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert!(bytes == name.as_bytes(), "another file came for {name:?}");
    }
}

pub async fn a_name_of_1024_bytes_comes_back_as_it_is(place: Box<dyn Place>) {
    // In parts, since most file systems end a part at 255 bytes.
    let name = [
        "ab".repeat(102),
        "ü".repeat(102),
        "+%".repeat(102),
        "c".repeat(204),
        "d".repeat(204),
    ];
    let name = name.join("/");
    assert_eq!(name.len(), 1024);
    if place.put(&name, b"deep").await {
        let entry = entry_of(&*place, &name).await;
        assert_eq!(read(&place.open(), &entry).await.unwrap(), b"deep");
    }
}

pub async fn a_changed_file_has_another_version_and_no_other_file_has(place: Box<dyn Place>) {
    put(&*place, "changing", b"one").await;
    put(&*place, "staying", b"one").await;
    let before = listed(&*place).await;
    put(&*place, "changing", b"two").await;
    put(&*place, "new", b"one").await;
    let after = listed(&*place).await;
    let (changing, staying) = (place.path_of("changing"), place.path_of("staying"));
    assert_ne!(before[&changing].version, after[&changing].version);
    assert_eq!(before[&changing].object, after[&changing].object);
    assert_eq!(before[&staying], after[&staying]);
}

pub async fn a_removed_file_is_listed_no_more(place: Box<dyn Place>) {
    put(&*place, "going", b"one").await;
    put(&*place, "staying", b"two").await;
    assert_eq!(listed(&*place).await.len(), 2);
    place.remove("going").await;
    let left: Vec<String> = listed(&*place).await.into_keys().collect();
    assert_eq!(left, [place.path_of("staying")]);
}

pub async fn an_older_version_is_not_to_be_had(place: Box<dyn Place>) {
    // Of equal length, so that the length gives nothing away.
    put(&*place, "changing", b"one").await;
    let entry = entry_of(&*place, "changing").await;
    put(&*place, "changing", b"two").await;
    let error = read(&place.open(), &entry).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceChanged, "{error}");
    let entry = entry_of(&*place, "changing").await;
    assert_eq!(read(&place.open(), &entry).await.unwrap(), b"two");
}

pub async fn a_removed_file_is_not_to_be_had(place: Box<dyn Place>) {
    put(&*place, "going", b"one").await;
    let entry = entry_of(&*place, "going").await;
    place.remove("going").await;
    let error = read(&place.open(), &entry).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceNotFound, "{error}");
}

pub async fn a_look_tells_of_a_file_what_the_listing_does(place: Box<dyn Place>) {
    put(&*place, "empty", b"").await;
    for name in HOSTILE {
        place.put(name, name.as_bytes()).await;
    }
    let provider = place.open();
    for (path, entry) in listed(&*place).await {
        let looked = look(&*place, &provider, &entry.object).await;
        let looked = looked.unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(looked.map(|looked| looked.entry), Some(entry));
    }
}

pub async fn a_look_at_what_is_not_there_finds_nothing(place: Box<dyn Place>) {
    put(&*place, "going", b"one").await;
    put(&*place, "staying", b"two").await;
    let (going, staying) = (
        entry_of(&*place, "going").await,
        entry_of(&*place, "staying").await,
    );
    place.remove("going").await;
    let provider = place.open();
    let never = format!("{}-never", staying.object);
    for object in [going.object, never] {
        let looked = look(&*place, &provider, &object).await.unwrap();
        assert_eq!(looked, None, "{object}");
    }
    let looked = look(&*place, &provider, &staying.object).await.unwrap();
    assert_eq!(looked.map(|looked| looked.entry), Some(staying));
}

pub async fn a_look_sees_the_present_version(place: Box<dyn Place>) {
    put(&*place, "changing", b"one").await;
    let before = entry_of(&*place, "changing").await;
    put(&*place, "changing", b"two").await;
    let looked = look(&*place, &place.open(), &before.object).await.unwrap();
    let entry = looked.expect("it is there").entry;
    assert_ne!(entry.version, before.version);
    assert_eq!(entry, entry_of(&*place, "changing").await);
}

pub async fn tags_come_with_a_file_when_they_are_wished(place: Box<dyn Place>) {
    let tags = [("berth", "north"), ("a key", "1 + 1 = 2"), ("mood", "")];
    let attached = Attached {
        tags: &tags,
        ..Attached::default()
    };
    let has_tags = place.put_with("tagged", b"one", &attached).await;
    if !has_tags {
        put(&*place, "tagged", b"one").await;
    }
    put(&*place, "plain", b"two").await;
    let told: Metadata = tags
        .iter()
        .filter(|_| has_tags)
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let provider = place.open();
    for (name, wished, expected) in [
        ("tagged", true, &told),
        ("tagged", false, &Metadata::new()),
        ("plain", true, &Metadata::new()),
    ] {
        let entry = entry_of(&*place, name).await;
        let fetched = provider.fetch(&entry, FetchWish { tags: wished }).await;
        assert_eq!(&fetched.unwrap().tags, expected, "{name} {wished}");
    }
}

pub async fn what_was_attached_to_a_file_comes_with_it_and_with_a_look(place: Box<dyn Place>) {
    let attached = Attached {
        content_type: Some("application/x-crate"),
        metadata: &[("tide", "high"), ("berth-number", "7 b")],
        ..Attached::default()
    };
    let kept = place.put_with("crate", b"one", &attached).await;
    if !kept {
        put(&*place, "crate", b"one").await;
    }
    let (provider, entry) = (place.open(), entry_of(&*place, "crate").await);
    let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
    let looked = look(&*place, &provider, &entry.object).await.unwrap();
    let looked = looked.expect("it is there");
    assert_eq!(fetched.metadata, looked.metadata);
    assert_eq!(fetched.content_type, looked.content_type);
    for (name, value) in attached.metadata {
        let told = fetched.metadata.get(&place.metadata_key(name));
        let expected = kept.then(|| (*value).into());
        assert_eq!(told, expected.as_ref(), "{name}");
    }
    if kept {
        assert_eq!(fetched.content_type.as_deref(), attached.content_type);
    }
}

pub async fn the_name_of_a_version_comes_with_its_bytes_and_with_a_look(place: Box<dyn Place>) {
    let kept = place.name_versions().await;
    let provider = place.open();
    let mut names = Vec::new();
    for text in ["one", "two", "one"] {
        put(&*place, "changing", text.as_bytes()).await;
        let entry = entry_of(&*place, "changing").await;
        let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
        let looked = look(&*place, &provider, &entry.object).await.unwrap();
        assert_eq!(looked.expect("it is there").version_id, fetched.version_id);
        assert_eq!(fetched.version_id.is_some(), kept);
        names.extend(fetched.version_id);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), if kept { 3 } else { 0 });
    let entry = entry_of(&*place, "changing").await;
    place.remove("changing").await;
    assert!(listed(&*place).await.is_empty());
    let looked = look(&*place, &provider, &entry.object).await.unwrap();
    assert_eq!(looked, None);
}

pub async fn wrong_credentials_are_told_by_every_call(place: Box<dyn Place>) {
    put(&*place, "file", b"one").await;
    let entry = entry_of(&*place, "file").await;
    let provider = place.open_with_wrong_credentials();
    let errors = [
        provider.list(&place.scope(), None, 10).await.unwrap_err(),
        read(&provider, &entry).await.unwrap_err(),
        look(&*place, &provider, &entry.object).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            (error.code, error.retry),
            (ErrorCode::AuthInvalidCredentials, Retry::Never),
            "{error}"
        );
    }
    let report = provider.check(request(None)).await;
    assert_eq!(
        report.error_code(),
        Some(ErrorCode::AuthInvalidCredentials),
        "{report:?}"
    );
}

pub async fn a_working_connection_passes_its_check(place: Box<dyn Place>) {
    let report = place.open().check(request(None)).await;
    assert!(report.success(), "{report:?}");
    assert!(report.checks.len() > 1, "{report:?}");
    assert!(report.checks.iter().all(|check| !check.of_path));
}

pub async fn a_check_of_a_path_that_works_passes_and_says_so(place: Box<dyn Place>) {
    put(&*place, "file", b"one").await;
    let scope = place.scope();
    let report = place.open().check(request(Some(&scope))).await;
    assert!(report.success(), "{report:?}");
    let of_path = report.checks.iter().filter(|check| check.of_path).count();
    assert!(of_path > 0, "{report:?}");
}

pub async fn a_check_of_a_missing_path_fails_for_the_path_alone(place: Box<dyn Place>) {
    let scope = place.missing_scope();
    let report = place.open().check(request(Some(&scope))).await;
    assert_eq!(
        report.error_code(),
        Some(ErrorCode::ResourceNotFound),
        "{report:?}"
    );
    assert!(report.of_connection().success(), "{report:?}");
}

pub async fn the_authority_is_the_same_at_every_opening(place: Box<dyn Place>) {
    let authority = place.open().authority();
    assert!(!authority.is_empty());
    assert_eq!(place.open().authority(), authority);
    assert_eq!(place.open_with_wrong_credentials().authority(), authority);
}
