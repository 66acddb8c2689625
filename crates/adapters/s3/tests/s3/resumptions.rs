//! A download that breaks goes on where it broke, in the same version, or ends in an error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use wharf_domain::error_code::ErrorCode;
use wharf_egress::{Guard, Resolver};
use wharf_lab::generated_content;
use wharf_ports::{ProviderError, ProviderFactory, Retry};
use wharf_s3::S3;

use crate::account::{connection, policy, read, s3_at};
use crate::server::{Answer, Request, Server, entry};

const SIZE: usize = 300_000;
const TAG: &str = "0123456789abcdef0123456789abcdef-2";

fn film() -> Bytes {
    generated_content("film", SIZE)
}

fn tagged(answer: Answer) -> Answer {
    answer.with("etag", &format!("\"{TAG}\""))
}

/// What a store that knows ranges answers.
fn right(request: &Request) -> Answer {
    tagged(Answer::part(&film(), request.from()))
}

async fn fetch(server: &Server) -> Result<Bytes, ProviderError> {
    read(&server.account(), &entry(TAG, Some(SIZE))).await
}

/// The first answer breaks in the middle, the second is this one.
async fn taken_up(
    second: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Result<Bytes, ProviderError>, Vec<Request>) {
    let server = Server::start(move |request, before| match before {
        0 => right(request).cut(SIZE / 2),
        1 => second(request),
        _ => right(request),
    })
    .await;
    let result = fetch(&server).await;
    (result, server.requests())
}

async fn code_after(second: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> ErrorCode {
    let (result, requests) = taken_up(second).await;
    assert_eq!(requests.len(), 2);
    result.unwrap_err().code
}

#[tokio::test]
async fn a_body_that_breaks_is_asked_for_again_from_where_it_broke_in_the_same_version() {
    for cut in [0, 1, 100_000, SIZE - 1] {
        let server = Server::start(move |request, before| match before {
            0 => right(request).cut(cut),
            _ => right(request),
        })
        .await;
        assert_eq!(fetch(&server).await.unwrap(), film(), "{cut}");
        let [first, second] = &server.requests()[..] else {
            panic!("{cut}")
        };
        let condition = format!("\"{TAG}\"");
        for request in [first, second] {
            assert_eq!(request.header("if-match"), Some(condition.as_str()));
        }
        assert_eq!(first.header("range"), None);
        assert_eq!(first.header("x-amz-checksum-mode"), Some("ENABLED"));
        let whole = (cut == 0).then_some("ENABLED");
        assert_eq!(second.from(), Some(cut).filter(|cut| *cut > 0));
        assert_eq!(second.header("x-amz-checksum-mode"), whole);
    }
}

#[tokio::test]
async fn a_body_may_break_as_often_as_it_makes_progress() {
    let server = Server::start(|request, _| {
        let left = SIZE - request.from().unwrap_or(0);
        right(request).cut(left.min(70_000))
    })
    .await;
    assert_eq!(fetch(&server).await.unwrap(), film());
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_body_that_makes_no_progress_ends_in_an_error() {
    let server = Server::start(|request, _| right(request).cut(1)).await;
    let error = fetch(&server).await.unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::NetworkConnect, Retry::Later { after: None })
    );
    assert!(
        error.message.contains("broke in the middle of the object"),
        "{}",
        error.message
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn an_answer_that_ends_well_but_early_is_taken_up_too() {
    let server = Server::start(|request, before| match before {
        0 => tagged(Answer::new(200, &film()[..1000]).chunked()),
        _ => right(request),
    })
    .await;
    assert_eq!(fetch(&server).await.unwrap(), film());
    // And nothing is missing when the connection breaks after the last byte.
    let server = Server::start(|_, _| tagged(Answer::new(200, film()).chunked().cut(SIZE))).await;
    assert_eq!(fetch(&server).await.unwrap(), film());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn without_a_size_the_rest_says_how_much_there_is() {
    let server = Server::start(|request, before| match before {
        0 => tagged(Answer::new(200, film()).chunked().cut(1000)),
        1 => tagged(Answer::part(&film(), request.from())).cut(1000),
        _ => right(request),
    })
    .await;
    let bytes = read(&server.account(), &entry(TAG, None)).await.unwrap();
    assert_eq!(bytes, film());
}

#[tokio::test]
async fn a_server_that_does_not_know_ranges_sends_the_whole_again() {
    let (result, requests) = taken_up(|_| tagged(Answer::part(&film(), None))).await;
    assert_eq!(result.unwrap(), film());
    assert_eq!(requests[1].from(), Some(SIZE / 2));
    // It may break again, even before anything new came.
    let (result, requests) = taken_up(|_| tagged(Answer::part(&film(), None)).cut(SIZE / 3)).await;
    assert_eq!(result.unwrap(), film());
    assert_eq!(requests[2].from(), Some(SIZE / 2));
}

#[tokio::test]
async fn another_version_is_never_put_behind_the_first_part() {
    let changed = ErrorCode::ResourceChanged;
    for status in [404, 412, 416] {
        let code = code_after(move |_| {
            Answer::error(
                status,
                match status {
                    404 => "NoSuchKey",
                    412 => "PreconditionFailed",
                    _ => "InvalidRange",
                },
            )
        });
        assert_eq!(code.await, changed, "{status}");
    }
    let other = |answer: Answer| answer.with("etag", "\"another\"");
    assert_eq!(
        code_after(move |request| other(Answer::part(&film(), request.from()))).await,
        changed
    );
    assert_eq!(
        code_after(move |_| other(Answer::new(200, film()))).await,
        changed
    );
    let untagged = |request: &Request| Answer::part(&film(), request.from());
    assert_eq!(code_after(untagged).await, changed);
    let longer = |_: &Request| tagged(Answer::new(200, [film(), "x".into()].concat()));
    assert_eq!(code_after(longer).await, changed);
    let longer = |request: &Request| {
        let bytes = [film(), "x".into()].concat();
        tagged(Answer::part(&bytes, request.from()))
    };
    assert_eq!(code_after(longer).await, changed);
}

#[tokio::test]
async fn another_part_than_was_asked_for_is_not_believed() {
    for range in [
        Some("bytes 149999-299999/300000"),
        Some("bytes 150000-1/300000"),
        Some("bytes */300000"),
        None,
    ] {
        let second = move |_: &Request| {
            let answer = tagged(Answer::new(206, &film()[SIZE / 2..]));
            match range {
                Some(range) => answer.with("content-range", range),
                None => answer,
            }
        };
        let code = code_after(second).await;
        assert_eq!(code, ErrorCode::ProtocolUnexpectedResponse, "{range:?}");
    }
    // Nor as a first answer.
    let server = Server::start(|_, _| tagged(Answer::part(&film(), Some(5)))).await;
    let error = fetch(&server).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolUnexpectedResponse);
}

#[tokio::test]
async fn a_named_version_is_named_again_unless_that_is_not_allowed() {
    let versioned = |id: &'static str, allowed: bool| {
        move |request: &Request, before: usize| {
            if !allowed && request.query("versionId").is_some() {
                return Answer::error(403, "AccessDenied");
            }
            let answer = right(request).with("x-amz-version-id", id);
            if before == 0 {
                answer.cut(1000)
            } else {
                answer
            }
        }
    };
    let asked = |server: &Server| -> Vec<Option<String>> {
        let requests = server.requests();
        requests
            .iter()
            .map(|request| request.query("versionId"))
            .collect()
    };
    let named = Some("L4kq+/v1".to_owned());
    for (id, allowed, expected) in [
        ("L4kq+/v1", true, vec![None, named.clone()]),
        ("L4kq+/v1", false, vec![None, named, None]),
        ("null", true, vec![None, None]),
    ] {
        let server = Server::start(versioned(id, allowed)).await;
        assert_eq!(fetch(&server).await.unwrap(), film());
        assert_eq!(asked(&server), expected);
        for request in server.requests() {
            assert!(request.header("if-match").is_some());
        }
    }
}

#[tokio::test]
async fn without_a_strong_tag_only_the_beginning_is_asked_for_again() {
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    // Whole seconds are all that is known: the version itself may be a little younger.
    const NEXT_SECOND: &str = "Tue, 14 Nov 2023 22:13:21 GMT";
    let listed = entry("2023-11-14T22:13:20Z", Some(SIZE));
    for tag in [None, Some("W/\"film\"")] {
        for (cut, code, requests) in [(0, None, 2), (1000, Some(ErrorCode::NetworkConnect), 1)] {
            // Another version of the same second and size would not be told apart.
            let server = Server::start(move |request, before| {
                let answer = Answer::part(&film(), request.from()).with("last-modified", DATE);
                let answer = match tag {
                    Some(tag) => answer.with("etag", tag),
                    None => answer,
                };
                if before == 0 { answer.cut(cut) } else { answer }
            })
            .await;
            let result = read(&server.account(), &listed).await;
            assert_eq!(result.err().map(|error| error.code), code, "{tag:?}");
            let asked = server.requests();
            assert_eq!(asked.len(), requests, "{tag:?}");
            assert_eq!(asked[0].header("if-unmodified-since"), Some(NEXT_SECOND));
        }
    }
}

#[tokio::test]
async fn a_checksum_of_the_whole_is_held_against_the_whole_however_it_came() {
    // Of the nine digits, as published.
    const DIGITS: &[u8] = b"123456789";
    for (name, sum) in [
        ("crc64nvme", "rosUhgp5mIg="),
        ("crc32c", "4waSgw=="),
        ("crc32", "y/Q5Jg=="),
        ("sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ] {
        for (second, code) in [
            (&b"56789"[..], None),
            (b"5678X", Some(ErrorCode::IntegrityMismatch)),
        ] {
            // Some stores send the checksum of the whole with every part of it.
            let server = Server::start(move |request, before| {
                let answer = match before {
                    0 => Answer::part(DIGITS, None).cut(4),
                    _ => Answer::new(206, second).with("content-range", "bytes 4-8/9"),
                };
                assert_eq!(request.from(), (before > 0).then_some(4));
                tagged(answer)
                    .with(&format!("x-amz-checksum-{name}"), sum)
                    .with("x-amz-checksum-type", "FULL_OBJECT")
            })
            .await;
            let result = read(&server.account(), &entry(TAG, Some(9))).await;
            assert_eq!(result.err().map(|error| error.code), code, "{name}");
        }
    }
}

#[tokio::test]
async fn the_store_s_wish_to_be_left_alone_is_heeded() {
    let begun = Instant::now();
    let (result, requests) =
        taken_up(|_| Answer::error(503, "SlowDown").with("retry-after", "1")).await;
    assert_eq!(result.unwrap(), film());
    assert_eq!(requests.len(), 3);
    assert!(begun.elapsed() >= Duration::from_millis(1250));

    let code = code_after(|_| Answer::error(503, "SlowDown").with("retry-after", "3600"));
    assert_eq!(code.await, ErrorCode::QuotaRateLimited);
}

#[tokio::test]
async fn what_is_refused_is_not_asked_for_again() {
    for (status, code, meaning) in [
        (403, "InvalidAccessKeyId", ErrorCode::AuthInvalidCredentials),
        (400, "ExpiredToken", ErrorCode::AuthExpired),
        (403, "RequestTimeTooSkewed", ErrorCode::AuthClockSkew),
        (403, "AccessDenied", ErrorCode::PermDenied),
    ] {
        let answer = move |_: &Request| Answer::error(status, code);
        assert_eq!(code_after(answer).await, meaning, "{code}");
    }
}

/// A name that is on this machine at first, and then where nobody may go.
#[derive(Debug, Default)]
struct Moving(AtomicUsize);

#[async_trait]
impl Resolver for Moving {
    async fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let address = match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => [127, 0, 0, 1],
            _ => [169, 254, 169, 254],
        };
        Ok(vec![(address, port).into()])
    }
}

#[tokio::test]
async fn the_guard_judges_every_dial_and_its_no_is_final() {
    let server = Server::start(|request, _| right(request).cut(1000)).await;
    let moving = Arc::new(Moving::default());
    let resolver: Arc<dyn Resolver> = Arc::<Moving>::clone(&moving);
    let guard = Guard::with(policy(), resolver, Arc::new(server.dialer()));
    let parts = s3_at("http://store.example.com", "ID", "secret");
    let provider = S3::new(Arc::new(guard))
        .open(
            &connection(),
            &parts.config,
            parts.credentials,
            crate::account::alone(),
        )
        .unwrap();
    let error = read(&provider, &entry(TAG, Some(SIZE))).await.unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::EgressRefused, Retry::Never)
    );
    assert_eq!(moving.0.load(Ordering::Relaxed), 2);
    assert_eq!(server.requests().len(), 1);
}
