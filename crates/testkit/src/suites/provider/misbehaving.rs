//! What a provider makes of a place that misbehaves: an error with its name, never a wrong answer.

use std::time::Duration;

use futures::StreamExt;
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{CheckRequest, FetchWish, ProviderError, Retry};

use super::{content, entry_of, list_all, listed, look, paths, paths_in, put, put_many, read};
use crate::{Mishap, UnrulyPlace};

const LARGE: usize = 6 * 1024 * 1024;

fn assert_told(error: &ProviderError, code: ErrorCode, retry: Retry) {
    assert_eq!((error.code, error.retry), (code, retry), "{error}");
}

/// The errors of a listing, of a fetch and of a look while that goes wrong.
async fn errors_under(place: &dyn UnrulyPlace, mishap: Mishap) -> [ProviderError; 3] {
    put(place, "file", b"one").await;
    let entry = entry_of(place, "file").await;
    let provider = place.open();
    place.misbehave(mishap).await;
    let scope = place.scope();
    [
        provider.list(&scope, None, 10).await.unwrap_err(),
        read(&provider, &entry).await.unwrap_err(),
        look(place, &provider, &entry.object).await.unwrap_err(),
    ]
}

pub async fn throttling_is_told_with_the_time_to_wait(place: Box<dyn UnrulyPlace>) {
    let after = Duration::from_secs(7);
    let retry = Retry::Later { after: Some(after) };
    let [list, fetch, look] = errors_under(&*place, Mishap::Throttled(after)).await;
    for error in [list, fetch] {
        assert_told(&error, ErrorCode::QuotaRateLimited, retry);
    }
    // The answer to so small a question may be too short to tell this from an outage.
    assert_eq!(look.retry, retry, "{look}");
}

pub async fn an_outage_is_told_and_may_pass(place: Box<dyn UnrulyPlace>) {
    for error in errors_under(&*place, Mishap::Unavailable).await {
        let retry = Retry::Later { after: None };
        assert_told(&error, ErrorCode::ProviderUnavailable, retry);
    }
    place.behave().await;
    assert_eq!(listed(&*place).await.len(), 1);
}

pub async fn broken_connections_may_pass(place: Box<dyn UnrulyPlace>) {
    for error in errors_under(&*place, Mishap::Disconnected).await {
        assert!(error.code.as_str().starts_with("network."), "{error}");
        assert_eq!(error.retry, Retry::Later { after: None }, "{error}");
    }
}

pub async fn credentials_that_expire_between_pages_are_told(place: Box<dyn UnrulyPlace>) {
    put_many(&*place, 4).await;
    let (provider, scope) = (place.open(), place.scope());
    let first = provider.list(&scope, None, 2).await.unwrap();
    place.misbehave(Mishap::CredentialsExpired).await;
    let expired = place.told_of_expiry();
    let second = provider.list(&scope, first.next.as_ref(), 2).await;
    assert_told(&second.unwrap_err(), expired, Retry::Never);
    let fetched = read(&provider, &first.entries[0]).await;
    assert_told(&fetched.unwrap_err(), expired, Retry::Never);
    let looked = look(&*place, &provider, &first.entries[0].object).await;
    assert_told(&looked.unwrap_err(), expired, Retry::Never);
    let request = CheckRequest {
        source_path: None,
        budget: Duration::from_secs(30),
    };
    let report = provider.check(request).await;
    assert_eq!(report.error_code(), Some(expired));
}

pub async fn a_denied_listing_is_no_empty_one(place: Box<dyn UnrulyPlace>) {
    put_many(&*place, 4).await;
    let (provider, scope) = (place.open(), place.scope());
    let first = provider.list(&scope, None, 2).await.unwrap();
    place.misbehave(Mishap::ListingDenied).await;
    for cursor in [None, first.next.as_ref()] {
        let error = provider.list(&scope, cursor, 2).await.unwrap_err();
        assert_told(&error, ErrorCode::PermDenied, Retry::Never);
    }
}

pub async fn a_listing_that_is_cut_short_never_ends_well(place: Box<dyn UnrulyPlace>) {
    put_many(&*place, 4).await;
    place.misbehave(Mishap::ListingCutShort).await;
    list_all(&place.open(), &place.scope(), 2)
        .await
        .expect_err("a part of the files was taken for all of them");
}

pub async fn a_listing_that_leads_to_itself_never_ends_well(place: Box<dyn UnrulyPlace>) {
    put_many(&*place, 6).await;
    place.misbehave(Mishap::ListingRepeated).await;
    list_all(&place.open(), &place.scope(), 2)
        .await
        .expect_err("a part of the files was taken for all of them");
}

pub async fn pages_that_are_short_or_empty_end_no_listing(place: Box<dyn UnrulyPlace>) {
    let names = put_many(&*place, 5).await;
    for mishap in [Mishap::ShortPages, Mishap::EmptyFirstPage] {
        place.misbehave(mishap.clone()).await;
        let entries = list_all(&place.open(), &place.scope(), 3).await.unwrap();
        assert_eq!(paths_in(&entries), paths(&*place, &names), "{mishap:?}");
    }
}

pub async fn an_expired_cursor_asks_for_a_new_start(place: Box<dyn UnrulyPlace>) {
    let names = put_many(&*place, 4).await;
    let (provider, scope) = (place.open(), place.scope());
    let first = provider.list(&scope, None, 2).await.unwrap();
    place.misbehave(Mishap::CursorsExpired).await;
    // A listing may begin a part of it anew, but not again and again.
    let mut cursor = first.next;
    let mut refused = None;
    for _ in 0..3 {
        match provider.list(&scope, cursor.as_ref(), 2).await {
            Ok(page) => cursor = Some(page.next.expect("a part was taken for all of it")),
            Err(error) => {
                refused = Some(error.retry);
                break;
            }
        }
    }
    assert_eq!(refused, Some(Retry::Restart));
    place.behave().await;
    let entries = list_all(&provider, &scope, 2).await.unwrap();
    assert_eq!(paths_in(&entries), paths(&*place, &names));
}

pub async fn a_changed_byte_is_noticed(place: Box<dyn UnrulyPlace>) {
    put(&*place, "film", &content(1, 300_000)).await;
    let entry = entry_of(&*place, "film").await;
    for at in [0, 150_000, 299_999] {
        let name = "film".to_owned();
        place.misbehave(Mishap::ByteChanged { name, at }).await;
        let error = read(&place.open(), &entry).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::IntegrityMismatch, "{at}: {error}");
    }
}

pub async fn bytes_that_break_off_are_gone_on_with_where_they_broke(place: Box<dyn UnrulyPlace>) {
    put(&*place, "film", &content(1, LARGE)).await;
    let entry = entry_of(&*place, "film").await;
    for after in [0, 1, LARGE / 2, LARGE - 1] {
        let name = "film".to_owned();
        place.misbehave(Mishap::CutOnce { name, after }).await;
        let bytes = read(&place.open(), &entry).await;
        let bytes = bytes.unwrap_or_else(|error| panic!("{after}: {error}"));
        assert!(bytes == content(1, LARGE), "cut after {after}");
    }
}

pub async fn bytes_that_always_break_off_are_an_error_and_no_short_file(
    place: Box<dyn UnrulyPlace>,
) {
    put(&*place, "film", &content(1, 300_000)).await;
    let entry = entry_of(&*place, "film").await;
    let name = "film".to_owned();
    place.misbehave(Mishap::CutAlways { name }).await;
    let error = read(&place.open(), &entry).await.unwrap_err();
    assert_ne!(error.retry, Retry::Never, "{error}");
}

pub async fn bytes_of_two_versions_are_never_mixed(place: Box<dyn UnrulyPlace>) {
    // Of another length the second time: the size changes in the middle of a download.
    for size in [LARGE, LARGE + 7] {
        put(&*place, "film", &content(1, LARGE)).await;
        let entry = entry_of(&*place, "film").await;
        let (name, after) = ("film".to_owned(), LARGE / 2);
        place.misbehave(Mishap::CutOnce { name, after }).await;
        let provider = place.open();
        let mut stream = provider
            .fetch(&entry, FetchWish::default())
            .await
            .unwrap()
            .bytes;
        let mut bytes = stream.next().await.unwrap().unwrap().to_vec();
        put(&*place, "film", &content(2, size)).await;
        let outcome = loop {
            match stream.next().await {
                Some(Ok(more)) => bytes.extend(more),
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        let code = outcome.expect_err("the rest came from nowhere").code;
        assert_eq!(code, ErrorCode::ResourceChanged);
        assert!(content(1, LARGE).starts_with(&bytes));
    }
}

pub async fn a_file_that_is_denied_spoils_no_other(place: Box<dyn UnrulyPlace>) {
    put_many(&*place, 3).await;
    let name = "file-0001".to_owned();
    place.misbehave(Mishap::FileDenied(name.clone())).await;
    let (provider, entries) = (place.open(), listed(&*place).await);
    assert_eq!(entries.len(), 3);
    for (path, entry) in entries {
        let bytes = read(&provider, &entry).await;
        let looked = look(&*place, &provider, &entry.object).await;
        if path == place.path_of(&name) {
            assert_told(&bytes.unwrap_err(), ErrorCode::PermDenied, Retry::Never);
            assert_told(&looked.unwrap_err(), ErrorCode::PermDenied, Retry::Never);
        } else {
            assert!(path.as_bytes().ends_with(&bytes.unwrap()));
            assert_eq!(looked.unwrap().map(|looked| looked.entry), Some(entry));
        }
    }
}
