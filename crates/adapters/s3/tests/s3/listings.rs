//! Listings are complete, or an error.

use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::provider::Provider;
use wharf_domain::sync::Cursor;
use wharf_lab::{Action, FaultRule, Lab, ListingFault, Match, Operation, Seed};
use wharf_ports::{Located, ProviderFactory, Retry};

use crate::account::{PROFILES, factory, lab, list_all, only_entry, open, open_as, policy};

const TOTAL: usize = 23;

fn seeded(lab: &Lab) {
    lab.seed(Seed::bulk("media", TOTAL, "a/", 10)).unwrap();
}

fn misbehave(lab: &Lab, matching: Match, action: Action) {
    lab.set_faults([FaultRule::new(matching, action)]);
}

fn listing() -> Match {
    Match::operation(Operation::ListObjects)
}

async fn refused(lab: &Lab, limit: u32) -> (ErrorCode, String) {
    let error = list_all(&open(lab), "media", limit).await.unwrap_err();
    (error.code, error.message)
}

#[tokio::test]
async fn every_file_is_listed_once_whatever_the_size_of_the_pages() {
    let lab = lab().await;
    seeded(&lab);
    let keys: Vec<String> = lab
        .objects("media")
        .into_iter()
        .map(|object| format!("media/{}", object.key))
        .collect();
    for profile in PROFILES {
        let provider = open_as(&lab, profile);
        for limit in [1, 2, 7, 22, 23, 24, 1000, 4_000_000] {
            let (entries, pages) = list_all(&provider, "media", limit).await.unwrap();
            assert_eq!(
                entries
                    .iter()
                    .map(|entry| entry.object.clone())
                    .collect::<Vec<_>>(),
                keys,
                "{profile:?}"
            );
            assert!(pages >= TOTAL.div_ceil(limit as usize));
        }
        assert_eq!(
            provider.list("media", None, 0).await.unwrap().entries.len(),
            1
        );
    }
    let largest = lab
        .journal()
        .iter()
        .filter_map(|entry| entry.query.clone())
        .any(|query| query.contains("max-keys=4"));
    assert!(!largest, "never more than 1000 are asked for");
}

#[tokio::test]
async fn an_entry_carries_what_the_listing_tells() {
    let lab = lab().await;
    lab.put_object("media", "a/hello.txt", "hello");
    let provider = open(&lab);
    let entry = only_entry(&provider, "media").await;
    let object = lab.objects("media").remove(0);
    assert_eq!(
        (entry.object.as_str(), entry.path.as_str()),
        ("media/a/hello.txt", "media/a/hello.txt")
    );
    assert_eq!(entry.version, format!("{}|5", object.etag));
    assert_eq!((entry.size_bytes, entry.unreadable), (Some(5), None));
    assert!(entry.modified_at.is_some());

    misbehave(&lab, listing(), Action::listing(ListingFault::UnquotedEtag));
    assert_eq!(only_entry(&provider, "media").await, entry);

    misbehave(
        &lab,
        listing(),
        Action::listing(ListingFault::MissingLastModified),
    );
    let dateless = only_entry(&provider, "media").await;
    assert_eq!(
        (dateless.version, dateless.modified_at),
        (entry.version, None)
    );
}

#[tokio::test]
async fn a_prefix_means_a_folder() {
    let lab = lab().await;
    for key in [
        "media", "media/", "media/x", "media//y", "media2/x", "medi", "other",
    ] {
        lab.put_object("bkt", key, if key.ends_with('/') { "" } else { "x" });
    }
    let provider = open(&lab);
    for (path, expected) in [
        (
            "bkt/media",
            &["bkt/media", "bkt/media//y", "bkt/media/x"][..],
        ),
        ("bkt/media/", &["bkt/media//y", "bkt/media/x"]),
        ("bkt/nothing", &[]),
    ] {
        let (entries, _) = list_all(&provider, path, 2).await.unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.path.as_str())
                .collect::<Vec<_>>(),
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn short_and_empty_pages_are_no_end() {
    let lab = lab().await;
    seeded(&lab);
    for fault in [ListingFault::ShortPages(3), ListingFault::EmptyPage] {
        misbehave(&lab, listing(), Action::listing(fault.clone()));
        let (entries, pages) = list_all(&open(&lab), "media", 10).await.unwrap();
        assert_eq!(entries.len(), TOTAL, "{fault:?}");
        assert!(pages > 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_trusted_is_an_error() {
    let lab = lab().await;
    seeded(&lab);
    for (fault, words) in [
        (ListingFault::TruncatedWithoutToken, "no token"),
        (ListingFault::RepeatedToken, "repeats itself"),
    ] {
        misbehave(&lab, listing(), Action::listing(fault.clone()));
        let (code, message) = refused(&lab, 10).await;
        assert_eq!(code, ErrorCode::ProtocolUnexpectedResponse, "{fault:?}");
        assert!(message.contains(words), "{message}");
    }
    // Spoiled only once, the listing could go on as if it had ended.
    misbehave(
        &lab,
        listing().nth(2).times(1),
        Action::listing(ListingFault::TruncatedWithoutToken),
    );
    assert_eq!(
        refused(&lab, 10).await.0,
        ErrorCode::ProtocolUnexpectedResponse
    );
}

#[tokio::test]
async fn a_page_that_is_too_long_is_an_error() {
    let lab = lab().await;
    let padding = " ".repeat(16 * 1024 * 1024);
    let body =
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{padding}</ListBucketResult>");
    let action = Action {
        body: Some(body),
        ..Action::default()
    };
    misbehave(&lab, listing(), action);
    assert_eq!(
        refused(&lab, 10).await.0,
        ErrorCode::ProtocolUnexpectedResponse
    );
}

#[tokio::test]
async fn a_token_too_long_to_be_asked_with_is_an_error() {
    let lab = lab().await;
    let page = |token: &str| Action {
        body: Some(format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
        )),
        ..Action::default()
    };
    let longest = "%".repeat(8192);
    misbehave(&lab, listing(), page(&longest));
    let next = open(&lab).list("media", None, 10).await.unwrap().next;
    misbehave(&lab, listing(), page("another"));
    let next = open(&lab).list("media", next.as_ref(), 10).await.unwrap();
    assert_eq!(next.next, Some(Cursor("another".into())));
    for length in [8193, 100_000] {
        let token = "t".repeat(length);
        misbehave(&lab, listing(), page(&token));
        let (code, message) = refused(&lab, 10).await;
        assert_eq!(code, ErrorCode::ProtocolUnexpectedResponse);
        assert!(message.contains("token"), "{message}");
        let kept = Cursor(token);
        let error = open(&lab).list("media", Some(&kept), 10).await.unwrap_err();
        assert_eq!(error.retry, Retry::Restart);
    }
}

#[tokio::test]
async fn a_document_that_stops_early_is_an_error_wherever_it_stops() {
    let lab = lab().await;
    let whole = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>\
                 <Contents><Key>b</Key></Contents></ListBucketResult>";
    let answer = |body: &str| Action {
        body: Some(body.to_owned()),
        ..Action::default()
    };
    lab.create_bucket("media");
    let provider = open(&lab);
    misbehave(&lab, listing(), answer(whole));
    assert_eq!(list_all(&provider, "media", 10).await.unwrap().0.len(), 2);
    for end in 0..whole.len() {
        misbehave(&lab, listing(), answer(&whole[..end]));
        let error = provider
            .list("media", None, 10)
            .await
            .expect_err(&whole[..end]);
        assert_eq!(
            error.code,
            ErrorCode::ProtocolUnexpectedResponse,
            "{}",
            &whole[..end]
        );
    }
    let broken = whole.replace("<Contents><Key>b", "<Owner>\u{1}</Owner><Contents><Key>b");
    misbehave(&lab, listing(), answer(&broken));
    assert_eq!(
        refused(&lab, 10).await.0,
        ErrorCode::ProtocolUnexpectedResponse
    );
    misbehave(
        &lab,
        listing(),
        answer("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"),
    );
    assert!(refused(&lab, 10).await.1.contains("whether more follows"));
    misbehave(&lab, listing(), Action::html());
    assert!(refused(&lab, 10).await.1.contains("page for people"));
}

#[tokio::test]
async fn a_listing_cut_on_its_way_is_an_error() {
    let lab = lab().await;
    seeded(&lab);
    for cut in [0, 1, 40, 500, 2000] {
        misbehave(&lab, listing(), Action::truncate_at(cut));
        assert_eq!(
            refused(&lab, 10).await.0,
            ErrorCode::NetworkConnect,
            "{cut}"
        );
    }
}

#[tokio::test]
async fn a_cursor_the_store_forgot_starts_the_listing_over() {
    let lab = lab().await;
    seeded(&lab);
    let provider = open(&lab);
    let forgotten = Cursor("zz".into());
    let error = provider
        .list("media", Some(&forgotten), 10)
        .await
        .unwrap_err();
    assert_eq!(error.retry, Retry::Restart);
    // What is wrong with the key is no fault of the cursor.
    let next = provider.list("media", None, 10).await.unwrap().next;
    misbehave(&lab, listing(), Action::s3_error("ExpiredToken"));
    let error = provider.list("media", next.as_ref(), 10).await.unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::AuthExpired, Retry::Never)
    );
}

#[tokio::test]
async fn a_cursor_outlives_the_account_that_gave_it() {
    let lab = lab().await;
    seeded(&lab);
    let first = open(&lab).list("media", None, 10).await.unwrap();
    let rest = open(&lab)
        .list("media", first.next.as_ref(), 1000)
        .await
        .unwrap();
    assert_eq!(
        (first.entries.len(), rest.entries.len(), rest.next),
        (10, 13, None)
    );
}

#[tokio::test]
async fn archived_objects_are_told_apart_from_restored_ones() {
    let lab = lab().await;
    let object = |key: &str, rest: &str| {
        format!(
            "<Contents><Key>{key}</Key><Size>1</Size><StorageClass>GLACIER</StorageClass>{rest}</Contents>"
        )
    };
    let restoring =
        "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>";
    let restored = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
                    <RestoreExpiryDate>2099-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>";
    let objects = object("a", "") + &object("b", restoring) + &object("c", restored);
    let body =
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>");
    misbehave(
        &lab,
        listing(),
        Action {
            body: Some(body),
            ..Action::default()
        },
    );
    let (entries, _) = list_all(&open(&lab), "media", 10).await.unwrap();
    let archived = Some("resource.archived");
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.unreadable)
            .collect::<Vec<_>>(),
        // Of the first nothing is told, so reading it will.
        [None, archived, None]
    );
}

#[tokio::test]
async fn a_scope_is_what_of_the_source_path_begins_with_the_prefix() {
    let lab = lab().await;
    for key in [
        "in/2024-05/a",
        "in/2024-06",
        "in/2023/a",
        "in2024-x",
        "in",
        "2024-x",
    ] {
        lab.put_object("media", key, "x");
    }
    let (factory, provider) = (factory(policy()), open(&lab));
    for (source_path, prefix, expected) in [
        (
            "media/in",
            Some("2024-"),
            &["in/2024-05/a", "in/2024-06"][..],
        ),
        ("media/in/", Some("2024-05/"), &["in/2024-05/a"]),
        (
            "media",
            Some("in"),
            &["in", "in/2023/a", "in/2024-05/a", "in/2024-06", "in2024-x"],
        ),
        ("media", Some("2024-"), &["2024-x"]),
        (
            "media/in",
            Some(""),
            &["in", "in/2023/a", "in/2024-05/a", "in/2024-06"],
        ),
        (
            "media/in",
            None,
            &["in", "in/2023/a", "in/2024-05/a", "in/2024-06"],
        ),
    ] {
        let scope = factory
            .scope(Provider::S3, source_path, &narrowed(prefix))
            .unwrap();
        for limit in [1, 1000] {
            let (entries, _) = list_all(&provider, &scope, limit).await.unwrap();
            let keys = entries.iter().map(|entry| &entry.object["media/".len()..]);
            assert_eq!(keys.collect::<Vec<_>>(), expected, "{scope}");
        }
        for key in expected
            .iter()
            .filter(|_| prefix.is_some_and(|prefix| !prefix.is_empty()))
        {
            let object = format!("media/{key}");
            let relative = factory.relative_path(Provider::S3, source_path, &object);
            assert!(relative.starts_with(prefix.unwrap()), "{relative}");
        }
    }
    let error = factory.scope(Provider::Tigris, "media/in", &narrowed(Some("../out")));
    assert_eq!(error.unwrap_err().0[0].path(), "provider_filters.prefix");
    assert!(
        factory
            .scope(Provider::Snowflake, "media", &narrowed(None))
            .is_err()
    );
}

fn narrowed(prefix: Option<&str>) -> ProviderFilters {
    ProviderFilters {
        prefix: prefix.map(ToOwned::to_owned),
        ..ProviderFilters::default()
    }
}

#[test]
fn export_formats_are_for_google_drive() {
    let mut filters = narrowed(None);
    filters.export_formats.document = "pdf".to_owned();
    let error = factory(policy()).scope(Provider::S3, "media", &filters);
    let path = "provider_filters.export_formats";
    assert_eq!(error.unwrap_err().0[0].path(), path);
}

#[test]
fn what_a_person_typed_is_located_without_asking_anyone() {
    let factory = factory(policy());
    let locate = |source_path, typed| factory.locate(Provider::S3, source_path, typed);
    for (typed, object, in_scope) in [
        ("2024/a.jpg", "media/in/2024/a.jpg", true),
        ("media/in/a.jpg", "media/in/a.jpg", true),
        ("s3://media/in/a.jpg", "media/in/a.jpg", true),
        ("media/out/a.jpg", "media/out/a.jpg", false),
        ("s3://other/in/a.jpg", "other/in/a.jpg", false),
    ] {
        let expected = Located {
            object: object.to_owned(),
            in_scope,
        };
        assert_eq!(locate("media/in", typed), Some(expected), "{typed}");
    }
    assert_eq!(locate("media/in", ""), None);
    assert_eq!(locate("no", "a"), None);
    let folders = factory.folder_path(Provider::S3, "media/in/2024/a.jpg");
    assert_eq!(folders, "in/2024");
}
