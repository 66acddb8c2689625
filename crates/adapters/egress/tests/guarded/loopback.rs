//! Whole exchanges with servers on this machine.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get as on_get, post};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use wharf_egress::{
    Client, ConnectReason, EgressError, Guard, Policy, TcpDialer, TlsMode, TlsReason, Waiting,
};

use crate::fakes::{RecordingDialer, ScriptedResolver, get, impatient, loopback_open, opening};
use crate::servers::{listen, serve, serve_raw, serve_tls, text};

fn client(tls: TlsMode) -> Client {
    Client::new(Arc::new(Guard::new(loopback_open())), tls)
}

fn impatient_client() -> Client {
    let guard = Arc::new(Guard::new(loopback_open()));
    Client::with_timeouts(guard, TlsMode::Verified, impatient())
}

/// When certificates of our own making run out: with the year 4095.
const MADE_UNTIL: i64 = 67_090_118_400;

#[tokio::test]
async fn a_request_and_its_answer_make_the_round_trip() {
    let router = Router::new().route(
        "/echo",
        post(|headers: HeaderMap, body: Bytes| async move {
            let mut answer = HeaderMap::new();
            answer.insert("x-length", headers[header::CONTENT_LENGTH].clone());
            (StatusCode::CREATED, answer, body)
        }),
    );
    let addr = serve(router).await;
    let request = Request::post(format!("http://{addr}/echo?a=b"))
        .body(Full::from("ahoy"))
        .unwrap();
    let answer = client(TlsMode::Verified).send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(
        answer.headers()["x-length"],
        "4",
        "a body of known length is sent with it"
    );
    assert_eq!(text(answer).await, "ahoy");
}

#[tokio::test]
async fn loopback_stays_closed_unless_it_was_opened() {
    let addr = serve(Router::new()).await;
    let client = Client::new(Arc::new(Guard::new(Policy::default())), TlsMode::Verified);
    for url in [
        format!("http://{addr}/"),
        format!("http://localhost:{}/", addr.port()),
    ] {
        let error = client.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused(_)), "{error:?}");
        assert!(
            error.to_string().contains("egress.allow_loopback"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn connections_are_pooled_and_a_name_is_resolved_once_per_connection() {
    let addr = serve(Router::new().route("/", on_get(|| async { "hello" }))).await;
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1"]]);
    let dialer = RecordingDialer::opened(&["10.0.0.1"], Some(addr));
    let guard = Guard::with(opening("10.0.0.1:80"), resolver.clone(), dialer.clone());
    let client = Client::new(Arc::new(guard), TlsMode::Verified);
    for _ in 0..3 {
        let answer = client
            .send(get("http://storage.example.com/"))
            .await
            .unwrap();
        assert_eq!(text(answer).await, "hello");
        // The connection goes back to the pool from a task of its own.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dialer.dialled().len(), 1);
    assert_eq!(resolver.asked(), ["storage.example.com"]);
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_header_limit() {
    let addr = serve_raw(b"", false).await;
    let error = impatient_client()
        .send(get(&format!("http://{addr}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                waiting: Waiting::Headers,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_upload_longer_than_the_header_limit_succeeds_while_it_moves() {
    let addr = serve(Router::new().route(
        "/",
        post(|body: Bytes| async move { body.len().to_string() }),
    ))
    .await;
    let pieces = stream::iter(0..8).then(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(b"piece")))
    });
    let request = Request::post(format!("http://{addr}/"))
        .body(StreamBody::new(pieces))
        .unwrap();
    let answer = impatient_client().send(request).await.unwrap();
    assert_eq!(text(answer).await, "40");
}

#[tokio::test]
async fn a_request_body_that_fails_is_the_requests_failure() {
    let addr = serve(Router::new().route("/", post(|_: Bytes| async {}))).await;
    let broken = stream::iter([Err::<http_body::Frame<Bytes>, _>(EgressError::Broken {
        target: "another.example.com:443".into(),
    })]);
    let request = Request::post(format!("http://{addr}/"))
        .body(StreamBody::new(broken))
        .unwrap();
    let error = client(TlsMode::Verified).send(request).await.unwrap_err();
    assert!(matches!(error, EgressError::Request { .. }), "{error:?}");
}

#[tokio::test]
async fn a_request_without_an_absolute_uri_is_not_sent() {
    let error = client(TlsMode::Verified)
        .send(get("/relative"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Request { .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_stops_coming_fails_after_the_idle_limit() {
    let addr = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", false).await;
    let answer = impatient_client()
        .send(get(&format!("http://{addr}/")))
        .await
        .unwrap();
    let mut body = answer.into_body();
    let piece = body.frame().await.unwrap().unwrap();
    assert_eq!(piece.into_data().unwrap(), "half");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            EgressError::Timeout {
                waiting: Waiting::Body,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_cut_short_is_a_broken_connection_not_an_end() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let addr = serve_raw(answer, true).await;
        let answer = client(TlsMode::Verified)
            .send(get(&format!("http://{addr}/")))
            .await
            .unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        assert!(matches!(error, EgressError::Broken { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_broken_connection_and_none_of_it_is_repeated() {
    for noise in [&b"SSH-2.0-canary\r\n"[..], b"", b"HTTP/1.1 canary\r\n\r\n"] {
        let addr = serve_raw(noise, true).await;
        let error = client(TlsMode::Verified)
            .send(get(&format!("http://{addr}/")))
            .await
            .unwrap_err();
        assert!(matches!(error, EgressError::Broken { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_refused_connection() {
    let (listener, addr) = listen().await;
    drop(listener);
    let error = client(TlsMode::Verified)
        .send(get(&format!("http://{addr}/")))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("no connection to {addr}: the connection was refused")
    );
    assert!(matches!(
        error,
        EgressError::Connect {
            reason: ConnectReason::Refused,
            ..
        }
    ));
}

#[tokio::test]
async fn an_unverified_client_talks_http_2_to_a_self_made_certificate_on_an_opened_address() {
    let router = Router::new().route("/", on_get(|| async { AxumBody::from("sealed") }));
    let (addr, _) = serve_tls(router).await;
    let answer = client(TlsMode::Unverified)
        .send(get(&format!("https://{addr}/")))
        .await
        .unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(text(answer).await, "sealed");
}

#[tokio::test]
async fn a_client_knows_when_the_certificate_that_it_was_shown_runs_out() {
    let (addr, _) = serve_tls(Router::new()).await;
    let client = client(TlsMode::Unverified);
    assert_eq!(client.certificate_expires_at(), None);
    let url = format!("https://{addr}/");
    client.clone().send(get(&url)).await.unwrap();
    assert_eq!(client.certificate_expires_at(), Some(MADE_UNTIL));
}

#[tokio::test]
async fn a_verified_client_does_not_accept_a_self_made_certificate() {
    let (addr, _) = serve_tls(Router::new()).await;
    let url = format!("https://localhost:{}/", addr.port());
    let error = client(TlsMode::Verified).send(get(&url)).await.unwrap_err();
    let EgressError::Tls { reason, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(reason, TlsReason::UnknownIssuer);
}

#[tokio::test]
async fn a_dead_first_address_leaves_time_for_a_living_second() {
    let server = serve(Router::new().route("/", on_get(|| async { "second" }))).await;
    let dialer = RecordingDialer::dead_then(["10.0.0.1", "10.0.0.2"], 80, server);
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1", "10.0.0.2"]]);
    let policy = opening("10.0.0.0/24:80");
    let guard = Arc::new(Guard::with(policy, resolver, dialer.clone()));
    let mut timeouts = impatient();
    timeouts.connect = Duration::from_millis(400);
    timeouts.headers = Duration::from_secs(5);
    let client = Client::with_timeouts(guard, TlsMode::Verified, timeouts);
    let answer = client
        .send(get("http://storage.example.com/"))
        .await
        .unwrap();
    assert_eq!(text(answer).await, "second");
    assert_eq!(dialer.dialled().len(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_told_from_one_that_hangs_up() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsReason::NotTls),
        (b"", TlsReason::Closed),
    ] {
        let addr = serve_raw(answer, true).await;
        let error = client(TlsMode::Unverified)
            .send(get(&format!("https://{addr}/")))
            .await
            .unwrap_err();
        let EgressError::Tls { reason, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(reason, expected);
    }
}

#[tokio::test]
async fn a_server_that_never_finishes_the_handshake_runs_into_the_connect_limit() {
    let addr = serve_raw(b"", false).await;
    let mut timeouts = impatient();
    timeouts.connect = Duration::from_millis(200);
    timeouts.headers = Duration::from_secs(5);
    let guard = Guard::with(
        loopback_open(),
        ScriptedResolver::saying(&[]),
        Arc::new(TcpDialer),
    );
    let client = Client::with_timeouts(Arc::new(guard), TlsMode::Unverified, timeouts);
    let error = client
        .send(get(&format!("https://{addr}/")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EgressError::ConnectTimeout { .. }),
        "{error:?}"
    );
}
