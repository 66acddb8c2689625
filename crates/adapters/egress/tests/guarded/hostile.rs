//! Servers that answer too much, too slowly, or lies: each costs a bounded time and ends in an error that repeats none
//! of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::routing::get as on_get;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf_egress::{Client, EgressError, Guard, TlsMode, Waiting};

use crate::fakes::{get, impatient, loopback_open};
use crate::servers::{listen, serve, serve_tls, text};

fn client() -> Client {
    let guard = Arc::new(Guard::new(loopback_open()));
    Client::with_timeouts(guard, TlsMode::Verified, impatient())
}

/// A server that sends `first` once it was asked, and then `again` for as long as anybody listens.
async fn serve_endless(first: Vec<u8>, again: Vec<u8>, pause: Duration) -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (first, again) = (first.clone(), again.clone());
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                if stream.write_all(&first).await.is_err() {
                    return;
                }
                while !again.is_empty() && stream.write_all(&again).await.is_ok() {
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    addr
}

/// Asks once. Whatever comes of it, it comes soon and says nothing of what was sent.
async fn asked(server: SocketAddr) -> Result<String, EgressError> {
    let begun = Instant::now();
    let answer = async {
        let answer = client().send(get(&format!("http://{server}/"))).await?;
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
    .await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    if let Err(error) = &answer {
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    }
    answer
}

async fn answer_to(bytes: impl Into<Vec<u8>>) -> Result<String, EgressError> {
    asked(serve_endless(bytes.into(), Vec::new(), Duration::ZERO).await).await
}

fn is_broken(answer: &Result<String, EgressError>) -> bool {
    matches!(answer, Err(EgressError::Broken { .. }))
}

fn is_silent_before_the_answer(answer: &Result<String, EgressError>) -> bool {
    let waiting = Waiting::Headers;
    matches!(answer, Err(EgressError::Timeout { waiting: told, .. }) if *told == waiting)
}

#[tokio::test]
async fn headers_that_drip_do_not_hold_the_request_beyond_its_limit() {
    let first = b"HTTP/1.1 200 OK\r\nx-canary: ".to_vec();
    let server = serve_endless(first, b"a".to_vec(), Duration::from_millis(20)).await;
    let answer = asked(server).await;
    assert!(is_silent_before_the_answer(&answer), "{answer:?}");
}

#[tokio::test]
async fn preliminary_answers_without_end_do_not_either() {
    let again = b"HTTP/1.1 103 Early Hints\r\nx: canary\r\n\r\n".to_vec();
    let server = serve_endless(Vec::new(), again, Duration::from_millis(1)).await;
    let answer = asked(server).await;
    assert!(is_silent_before_the_answer(&answer), "{answer:?}");
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let first = b"HTTP/1.1 200 OK\r\nx-canary: ".to_vec();
    let answer = asked(serve_endless(first, vec![b'a'; 64 * 1024], Duration::ZERO).await).await;
    assert!(is_broken(&answer), "{answer:?}");
}

#[tokio::test]
async fn more_headers_than_a_hundred_are_too_many() {
    let with = |count: usize| {
        let headers = "x-some: canary\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{headers}\r\nok")
    };
    assert_eq!(answer_to(with(99)).await.unwrap(), "ok");
    for count in [100, 10_000] {
        let answer = answer_to(with(count)).await;
        assert!(is_broken(&answer), "{count}: {answer:?}");
    }
}

#[tokio::test]
async fn over_http_2_a_head_is_limited_too() {
    for length in [1_000, 100_000] {
        let value = HeaderValue::from_str(&"canary".repeat(length / 6)).unwrap();
        let router = Router::new().route(
            "/",
            on_get(move || async move { ([(HeaderName::from_static("x-big"), value)], "ok") }),
        );
        let (server, _) = serve_tls(router).await;
        let guard = Arc::new(Guard::new(loopback_open()));
        let client = Client::with_timeouts(guard, TlsMode::Unverified, impatient());
        let answer = client.send(get(&format!("https://{server}/"))).await;
        match answer {
            Ok(answer) => {
                assert_eq!(length, 1_000);
                assert_eq!(text(answer).await, "ok");
            }
            Err(error) => {
                assert_eq!(length, 100_000, "{error:?}");
                assert!(matches!(error, EgressError::Broken { .. }), "{error:?}");
                assert!(!format!("{error} {error:?}").contains("canary"));
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_is_a_lie_never_makes_a_whole_of_a_part() {
    for (lie, expected) in [
        ("content-length: 10", None),
        ("content-length: 2", Some("ho")),
        ("content-length: 0", Some("")),
        ("content-length: 2\r\ncontent-length: 4", None),
        ("content-length: 2, 4", None),
        ("content-length: -1", None),
        ("content-length: +4", None),
        ("content-length: 99999999999999999999", None),
        ("content-length: four", None),
        ("transfer-encoding: chunked", None),
    ] {
        let answer = answer_to(format!("HTTP/1.1 200 OK\r\n{lie}\r\n\r\nhold")).await;
        match expected {
            Some(body) => assert_eq!(answer.unwrap(), body, "{lie}"),
            None => assert!(is_broken(&answer), "{lie}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn chunks_that_are_a_lie_are_a_broken_connection() {
    let endless_extension = format!("4;{}\r\nhold\r\n0\r\n\r\n", "canary".repeat(100_000));
    for chunks in [
        "ffffffffffffffff1\r\nhold\r\n0\r\n\r\n",
        "-4\r\nhold\r\n0\r\n\r\n",
        "canary\r\n",
        "4\r\nholdcanary\r\n0\r\n\r\n",
        &endless_extension,
    ] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = answer_to(format!("{head}{chunks}")).await;
        assert!(is_broken(&answer), "{chunks:.40}: {answer:?}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_is_not_taken_for_the_answer_to_the_next_request() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst\
               HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    let (listener, server) = listen().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(two.as_bytes()).await;
            open.push(stream);
        }
    });
    let client = client();
    for _ in 0..5 {
        match client.send(get(&format!("http://{server}/"))).await {
            Ok(answer) => assert_eq!(text(answer).await, "first"),
            Err(error) => assert!(matches!(error, EgressError::Broken { .. }), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn compressed_answers_come_as_they_are_and_are_never_unpacked() {
    let router = Router::new().route(
        "/",
        on_get(|| async { ([("content-encoding", "gzip")], "not unpacked") }),
    );
    assert_eq!(asked(serve(router).await).await.unwrap(), "not unpacked");
}
