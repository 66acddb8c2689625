//! What is particular to the vendors, each as the outside sees it.

use serde_json::json;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{NewProviderConfig, Provider};
use wharf_ports::{FetchWish, Retry};

use crate::account::{config, list_all, read, s3_at};
use crate::server::{Answer, Request, Server, entry};

/// The MD5 of "hello".
const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

const R2: &str = "http://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com";
const SPACES: &str = "http://nyc3.digitaloceanspaces.com";
const WASABI: &str = "http://s3.eu-central-1.wasabisys.com";
const B2: &str = "http://s3.us-west-000.backblazeb2.com";
const GOOGLE: &str = "http://storage.googleapis.com";
const TIGRIS: &str = "http://t3.storage.dev";
const OTHER: &str = "http://store.example.com";

fn aws(region: &str) -> NewProviderConfig {
    let credentials =
        json!({"type": "access_key", "access_key_id": "ID", "secret_access_key": "secret"});
    config(
        Provider::S3,
        json!({"region": region, "use_ssl": false}),
        credentials,
    )
}

fn at(endpoint: &str) -> NewProviderConfig {
    s3_at(endpoint, "ID", "secret")
}

fn tigris() -> NewProviderConfig {
    let credentials = json!({"access_key_id": "ID", "secret_access_key": "secret"});
    config(
        Provider::Tigris,
        json!({"endpoint_url": TIGRIS}),
        credentials,
    )
}

fn page(contents: &str) -> Answer {
    Answer::new(
        200,
        format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"),
    )
}

/// The one request that a listing of `media` sends.
async fn asked(parts: NewProviderConfig) -> Request {
    let server = Server::start(|_, _| page("")).await;
    let provider = server.account_as(parts);
    list_all(&provider, "media", 10).await.unwrap();
    server.requests().remove(0)
}

/// Host, path and signing region of that request.
async fn addressed(parts: NewProviderConfig) -> (String, String, String) {
    let request = asked(parts).await;
    let signature = request.header("authorization").unwrap();
    let region = signature.split('/').nth(2).unwrap().to_owned();
    let (path, _) = request.target().split_once('?').unwrap();
    (
        request.header("host").unwrap().to_owned(),
        path.to_owned(),
        region,
    )
}

fn three(host: &str, path: &str, region: &str) -> (String, String, String) {
    (host.into(), path.into(), region.into())
}

#[tokio::test]
async fn aws_is_signed_for_the_region_and_has_the_bucket_in_the_host() {
    assert_eq!(
        addressed(aws("eu-west-1")).await,
        three("media.s3.eu-west-1.amazonaws.com", "/", "eu-west-1")
    );
    // An endpoint that is named is dialled by that name, and tells its region.
    assert_eq!(
        addressed(at("http://s3.eu-west-1.amazonaws.com")).await,
        three("s3.eu-west-1.amazonaws.com", "/media/", "eu-west-1")
    );
}

#[tokio::test]
async fn r2_google_and_tigris_are_signed_for_auto() {
    for (endpoint, parts) in [(R2, at(R2)), (GOOGLE, at(GOOGLE))] {
        let host = &endpoint["http://".len()..];
        assert_eq!(addressed(parts).await, three(host, "/media/", "auto"));
    }
    for parts in [tigris(), at(TIGRIS)] {
        assert_eq!(
            addressed(parts).await,
            three("media.t3.storage.dev", "/", "auto")
        );
    }
}

#[tokio::test]
async fn spaces_wasabi_and_b2_are_signed_for_the_region_in_their_host() {
    for (endpoint, region) in [
        (SPACES, "nyc3"),
        (WASABI, "eu-central-1"),
        (B2, "us-west-000"),
        ("http://s3.wasabisys.com", "us-east-1"),
    ] {
        let host = &endpoint["http://".len()..];
        assert_eq!(
            addressed(at(endpoint)).await,
            three(host, "/media/", region)
        );
    }
}

#[tokio::test]
async fn minio_ceph_and_others_are_signed_for_the_region_as_it_is_configured() {
    assert_eq!(
        addressed(at(OTHER)).await,
        three("store.example.com", "/media/", "us-east-1")
    );
}

#[tokio::test]
async fn a_region_that_was_chosen_is_kept_and_what_is_stored_is_never_changed() {
    for endpoint in [R2, SPACES, WASABI, B2, GOOGLE, TIGRIS, OTHER] {
        let credentials =
            json!({"type": "access_key", "access_key_id": "ID", "secret_access_key": "secret"});
        let settings = json!({"endpoint_url": endpoint, "region": "eu-north-1"});
        let parts = config(Provider::S3, settings, credentials);
        assert_eq!(addressed(parts).await.2, "eu-north-1", "{endpoint}");
        assert_eq!(at(endpoint).config.to_json()["region"], "us-east-1");
    }
}

#[tokio::test]
async fn only_aws_is_asked_whether_archived_objects_are_restored() {
    for (parts, asks) in [
        (aws("eu-west-1"), true),
        (at("http://s3.eu-west-1.amazonaws.com"), true),
        (at(R2), false),
        (at(OTHER), false),
        (tigris(), false),
    ] {
        let request = asked(parts).await;
        let asked = request.header("x-amz-optional-object-attributes");
        assert_eq!(asked, asks.then_some("RestoreStatus"));
    }
}

#[tokio::test]
async fn what_is_signed_is_not_changed_by_what_stands_before_google() {
    let request = asked(at(GOOGLE)).await;
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    let signed = request.header("authorization").unwrap();
    assert!(!signed.contains("accept-encoding"), "{signed}");
}

#[tokio::test]
async fn spaces_are_not_asked_for_keys_in_an_encoding_that_they_do_not_know() {
    for (endpoint, requests) in [(SPACES, 1), (WASABI, 2), (OTHER, 2)] {
        let server = Server::start(|_, _| page("<Contents><Key>a\u{fffd}b</Key></Contents>")).await;
        let provider = server.account_as(at(endpoint));
        let (entries, _) = list_all(&provider, "media", 10).await.unwrap();
        assert_eq!(entries[0].object, "media/a\u{fffd}b");
        assert_eq!(server.requests().len(), requests, "{endpoint}");
    }
}

#[tokio::test]
async fn an_etag_is_held_against_the_bytes_where_it_is_their_md5() {
    for (parts, server_name, trusted) in [
        (aws("eu-west-1"), None, true),
        (at(WASABI), None, true),
        (at(B2), None, true),
        (at(OTHER), Some("MinIO"), true),
        (at(OTHER), Some("nginx"), false),
        (at(OTHER), None, false),
        (at(R2), None, false),
        (at(SPACES), None, false),
        (at(GOOGLE), None, false),
        (tigris(), None, false),
    ] {
        let server = Server::start(move |_, before| {
            let bytes = if before == 0 { "hello" } else { "hellO" };
            let answer = Answer::new(200, bytes).with("etag", &format!("\"{HELLO}\""));
            match server_name {
                Some(name) => answer.with("server", name),
                None => answer,
            }
        })
        .await;
        let provider = server.account_as(parts);
        let listed = entry(HELLO, Some(5));
        assert_eq!(read(&provider, &listed).await.unwrap(), "hello");
        let code = read(&provider, &listed).await.err().map(|error| error.code);
        let expected = trusted.then_some(ErrorCode::IntegrityMismatch);
        assert_eq!(code, expected, "{server_name:?} {:?}", server.requests());
    }
}

#[tokio::test]
async fn an_etag_without_quotes_is_the_same_etag() {
    let server = Server::start(|_, _| {
        Answer::new(200, "hello")
            .with("etag", HELLO)
            .with("server", "MinIO")
    })
    .await;
    let bytes = read(&server.account(), &entry(HELLO, Some(5))).await;
    assert_eq!(bytes.unwrap(), "hello");
}

#[tokio::test]
async fn what_aws_tells_as_archived_is_not_asked_for_elsewhere_reading_decides() {
    let archive = || {
        page(
            "<Contents><Key>film</Key><Size>5</Size><StorageClass>GLACIER</StorageClass></Contents>",
        )
    };
    for (parts, told) in [
        (aws("eu-west-1"), Some("resource.archived")),
        (at(OTHER), None),
    ] {
        let server = Server::start(move |request, _| {
            if request.gets_object() {
                Answer::error(403, "InvalidObjectState")
            } else {
                archive()
            }
        })
        .await;
        let provider = server.account_as(parts);
        let (entries, _) = list_all(&provider, "media", 10).await.unwrap();
        assert_eq!(entries[0].unreadable, told);
        let error = provider
            .fetch(&entries[0], FetchWish::default())
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceArchived);
    }
}

#[tokio::test]
async fn an_archive_tier_that_only_reading_tells_of_has_its_code() {
    let server = Server::start(|request, _| {
        if request.gets_object() {
            return Answer::error(403, "InvalidObjectState");
        }
        page(
            "<Contents><Key>film</Key><Size>5</Size>\
             <StorageClass>INTELLIGENT_TIERING</StorageClass></Contents>",
        )
    })
    .await;
    let provider = server.account_as(aws("eu-west-1"));
    let (entries, _) = list_all(&provider, "media", 10).await.unwrap();
    assert_eq!(entries[0].unreadable, None);
    let error = provider
        .fetch(&entries[0], FetchWish::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::ResourceArchived, Retry::Never)
    );
}

#[tokio::test]
async fn tigris_is_asked_once_more_for_what_its_listing_told_of() {
    for (found_later, code) in [(true, None), (false, Some(ErrorCode::ResourceNotFound))] {
        let server = Server::start(move |_, before| {
            if before > 0 && found_later {
                Answer::new(200, "hello").with("etag", "\"t\"")
            } else {
                Answer::error(404, "NoSuchKey")
            }
        })
        .await;
        let provider = server.account_as(tigris());
        let result = read(&provider, &entry("t", Some(5))).await;
        let error = result.err();
        assert_eq!(error.as_ref().map(|error| error.code), code);
        assert!(error.is_none_or(|error| error.retry == Retry::Never));
        assert_eq!(server.requests().len(), 2);
    }
}

/// How a store that knows only the older listing meets the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    Ignoring,
    IgnoringAndNamingTheMarker,
    Refusing(u16, &'static str),
}

const KEYS: [&str; 9] = [
    "a", "a b", "a%2Bb", "a+b", "b/1", "b/2", "b/c/3", "d&e", "ü",
];

/// What such a store answers, in the manner of Ceph: `Marker` always, `NextMarker` only with a delimiter.
fn older(request: &Request, meets: Meets) -> Answer {
    if let (Meets::Refusing(status, code), true) = (meets, request.query("list-type").is_some()) {
        return Answer::error(status, code);
    }
    let marker = request.query("marker").unwrap_or_default();
    let limit: usize = request.query("max-keys").unwrap().parse().unwrap();
    let prefix = request.query("prefix").unwrap_or_default();
    let escaped = |text: &str| text.replace('&', "&amp;");
    let mut left = KEYS
        .into_iter()
        .filter(|key| *key > marker.as_str() && key.starts_with(&prefix));
    let keys: Vec<&str> = left.by_ref().take(limit).collect();
    let truncated = left.next().is_some();
    let next = keys
        .last()
        .filter(|_| truncated && meets == Meets::IgnoringAndNamingTheMarker)
        .map(|key| format!("<NextMarker>{}</NextMarker>", escaped(key)));
    let contents: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                "<Contents><Key>{}</Key><Size>1</Size></Contents>",
                escaped(key)
            )
        })
        .collect();
    let document = format!(
        "<ListBucketResult><Name>media</Name><Marker>{}</Marker><MaxKeys>{limit}</MaxKeys>\
         <IsTruncated>{truncated}</IsTruncated>{}{}</ListBucketResult>",
        escaped(&marker),
        next.unwrap_or_default(),
        contents.concat()
    );
    Answer::new(200, document)
}

fn keys(entries: &[Entry]) -> Vec<&str> {
    entries
        .iter()
        .map(|entry| &entry.object["media/".len()..])
        .collect()
}

#[tokio::test]
async fn ceph_and_others_that_know_only_the_older_listing_are_listed_in_it() {
    for meets in [
        Meets::Ignoring,
        Meets::IgnoringAndNamingTheMarker,
        Meets::Refusing(501, "NotImplemented"),
        Meets::Refusing(400, "InvalidArgument"),
    ] {
        for limit in [1, 2, 4, 8, 9, 10] {
            let server = Server::start(move |request, _| older(request, meets)).await;
            let provider = server.account();
            let (entries, pages) = list_all(&provider, "media", limit).await.unwrap();
            assert_eq!(keys(&entries), KEYS, "{meets:?} {limit}");
            // The newer one is tried at the start alone: a cursor remembers.
            let newer = |request: &Request| request.query("list-type").is_some();
            let newer = server.requests().iter().filter(|one| newer(one)).count();
            assert_eq!(newer, 1, "{meets:?} {limit}");
            assert!(server.requests().len() <= pages + 1);
        }
        let server = Server::start(move |request, _| older(request, meets)).await;
        let (entries, _) = list_all(&server.account(), "media/b", 1).await.unwrap();
        assert_eq!(keys(&entries), ["b/1", "b/2", "b/c/3"]);
    }
}

#[tokio::test]
async fn a_cursor_of_the_older_listing_outlives_the_account_that_gave_it() {
    let server = Server::start(|request, _| older(request, Meets::Ignoring)).await;
    let first = server.account().list("media", None, 4).await.unwrap();
    let next = first.next.as_ref();
    let rest = server.account().list("media", next, 100).await.unwrap();
    assert_eq!(
        (keys(&first.entries), keys(&rest.entries)),
        (KEYS[..4].to_vec(), KEYS[4..].to_vec())
    );
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn a_store_that_takes_no_notice_of_the_marker_is_found_out() {
    let server = Server::start(|_, _| {
        Answer::new(
            200,
            "<ListBucketResult><Marker/><IsTruncated>true</IsTruncated>\
             <Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></ListBucketResult>",
        )
    })
    .await;
    let error = list_all(&server.account(), "media", 2).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolUnexpectedResponse);
    assert!(
        error.message.contains("repeats itself"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_broken_page_of_the_newer_listing_is_not_taken_for_one_of_the_older() {
    let truncated = |rest: &str| {
        format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>{rest}<Contents><Key>a</Key></Contents></ListBucketResult>"
        )
    };
    for (rest, requests) in [
        // Plainly of the newer version.
        ("<KeyCount>1</KeyCount>", 1),
        ("<KeyCount>1</KeyCount><Marker/>", 1),
        ("<StartAfter/>", 1),
        ("<NextContinuationToken/>", 1),
        // Of neither, which only the answer to an older request shows.
        ("", 2),
        ("<NextMarker>a</NextMarker>", 2),
    ] {
        let document = truncated(rest);
        let server = Server::start(move |_, _| Answer::new(200, document.clone())).await;
        let error = list_all(&server.account(), "media", 2).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProtocolUnexpectedResponse, "{rest}");
        assert!(error.message.contains("cut short"), "{}", error.message);
        assert_eq!(server.requests().len(), requests, "{rest}");
    }
    // Whatever it looks like after a token: the listing has begun in the newer version.
    let document = truncated("<Marker/>");
    let server = Server::start(move |_, before| {
        let first = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                     <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        Answer::new(200, if before == 0 { first } else { &document })
    })
    .await;
    let error = list_all(&server.account(), "media", 2).await.unwrap_err();
    assert!(error.message.contains("cut short"), "{}", error.message);
}

#[tokio::test]
async fn a_refusal_that_has_another_reason_is_told_as_it_is() {
    for (status, code, meaning) in [
        (400, "InvalidArgument", ErrorCode::ConfigInvalid),
        (501, "NotImplemented", ErrorCode::ConfigEndpointInvalid),
        (403, "AccessDenied", ErrorCode::PermDenied),
    ] {
        let server = Server::start(move |_, _| Answer::error(status, code)).await;
        let error = list_all(&server.account(), "media", 2).await.unwrap_err();
        assert_eq!(error.code, meaning, "{code}");
    }
}

#[tokio::test]
async fn keys_in_url_encoding_are_read_and_gone_on_after_in_the_older_listing_too() {
    let server = Server::start(|request, _| {
        let page = match (
            request.query("marker").as_deref(),
            request.query("encoding-type"),
        ) {
            (_, None) => "<Marker/><Contents><Key>a\u{1}</Key></Contents>",
            (None, _) => {
                "<EncodingType>url</EncodingType><Marker/><Contents><Key>a+%01</Key></Contents>\
                 <Contents><Key>a+%2B%25</Key></Contents>"
            }
            (Some("a +%"), _) => {
                "<EncodingType>url</EncodingType><Marker>a+%2B%25</Marker>\
                 <Contents><Key>b</Key></Contents>"
            }
            _ => return Answer::error(400, "InvalidArgument"),
        };
        let truncated = request.query("marker").is_none();
        Answer::new(
            200,
            format!(
                "<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{page}</ListBucketResult>"
            ),
        )
    })
    .await;
    let (entries, _) = list_all(&server.account(), "media", 2).await.unwrap();
    assert_eq!(keys(&entries), ["a \u{1}", "a +%", "b"]);
}

#[tokio::test]
async fn an_object_of_which_the_listing_tells_nothing_but_the_key_is_copied_all_the_same() {
    let server = Server::start(|request, _| {
        if request.gets_object() {
            Answer::new(200, "hello")
        } else {
            page("<Contents><Key>film</Key></Contents>")
        }
    })
    .await;
    let (entries, _) = list_all(&server.account(), "media", 2).await.unwrap();
    assert_eq!(
        (entries[0].version.as_str(), entries[0].size_bytes),
        ("|", None)
    );
    let bytes = read(&server.account(), &entries[0]).await.unwrap();
    assert_eq!(bytes, "hello");
}

#[tokio::test]
async fn bytes_that_are_stored_compressed_stay_so_over_a_break() {
    let stored: Vec<u8> = [0x1f, 0x8b].into_iter().chain(0..200).collect();
    let bytes = stored.clone();
    let server = Server::start(move |request, before| {
        let answer = Answer::part(&bytes, request.from())
            .with("etag", "\"t\"")
            .with("content-encoding", "gzip");
        if before == 0 { answer.cut(50) } else { answer }
    })
    .await;
    let read = read(&server.account(), &entry("t", Some(stored.len()))).await;
    assert_eq!(read.unwrap(), stored);
}
