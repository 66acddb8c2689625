//! Whole exchanges with servers on this machine.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::fakes::{RecordingDialer, ScriptedResolver, addr, get, impatient, loopback_open};
use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{any, get as on_get, post};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Version};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;
use wharf_egress::{
    Client, ConnectReason, EgressError, Guard, Policy, TcpDialer, TlsMode, TlsReason, Waiting,
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

async fn serve(router: Router) -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// A server that reads a request, answers these bytes, and then does as told.
async fn serve_raw(answer: &'static [u8], hangs_up: bool) -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
            if !hangs_up {
                open.push(stream);
            }
        }
    });
    addr
}

/// A TLS server with a certificate of its own making; tells the name each client asked for.
async fn serve_tls(router: Router) -> (SocketAddr, mpsc::UnboundedReceiver<Option<String>>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let cert = CertificateDer::from(own.cert.der().to_vec());
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let (listener, addr) = listen().await;
    let (names, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, names, router) = (Arc::clone(&config), names.clone(), router.clone());
            tokio::spawn(async move {
                let handshake =
                    LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
                        .await
                        .unwrap();
                let name = handshake.client_hello().server_name().map(str::to_owned);
                let _ = names.send(name);
                if let Ok(stream) = handshake.into_stream(config).await {
                    let service = TowerToHyperService::new(router);
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    (addr, asked)
}

fn client(tls: TlsMode) -> Client {
    Client::new(Arc::new(Guard::new(loopback_open())), tls)
}

fn impatient_client() -> Client {
    let guard = Arc::new(Guard::new(loopback_open()));
    Client::with_timeouts(guard, TlsMode::Verified, impatient())
}

async fn text(answer: http::Response<wharf_egress::Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

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
    let policy = Policy {
        allow: vec!["10.0.0.1:80".parse().unwrap()],
        ..Policy::default()
    };
    let (resolver, dialer) = (
        ScriptedResolver::saying(&[&["10.0.0.1"]]),
        RecordingDialer::to(addr),
    );
    let guard = Guard::with(policy, resolver.clone(), dialer.clone());
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
async fn redirects_come_back_unfollowed_whatever_their_code() {
    let router = Router::new().route(
        "/{code}",
        any(|Path(code): Path<u16>| async move {
            let code = StatusCode::from_u16(code).unwrap();
            (
                code,
                [(header::LOCATION, "http://10.0.0.1/latest/meta-data")],
            )
        }),
    );
    let addr = serve(router).await;
    let dialer = RecordingDialer::to(addr);
    let guard = Guard::with(
        loopback_open(),
        ScriptedResolver::saying(&[]),
        dialer.clone(),
    );
    let client = Client::new(Arc::new(guard), TlsMode::Verified);
    for code in [301, 302, 303, 307, 308] {
        let request = Request::post(format!("http://{addr}/{code}"))
            .body(Full::from("secret"))
            .unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), code);
    }
    assert!(dialer.dialled().iter().all(|dialled| *dialled == addr));
}

/// Also the body of the test below, run there with proxies in its environment.
#[tokio::test]
async fn the_environment_changes_nothing() {
    let router = Router::new().route("/", on_get(|| async { "straight" }));
    let addr = serve(router).await;
    let answer = client(TlsMode::Verified)
        .send(get(&format!("http://{addr}/")))
        .await
        .unwrap();
    assert_eq!(text(answer).await, "straight");
}

#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &url).env(name.to_lowercase(), &url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = child
        .args(["--exact", "loopback::the_environment_changes_nothing"])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "the test above was renamed"
    );
    assert!(proxy.accept().is_err(), "the proxy was contacted");
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
async fn tls_asks_for_the_name_while_the_dial_goes_to_the_judged_address() {
    let (server, mut asked) = serve_tls(Router::new()).await;
    let dialer = RecordingDialer::to(server);
    let resolver = ScriptedResolver::saying(&[&["93.184.216.34"]]);
    let guard = Guard::with(Policy::default(), resolver, dialer.clone());
    let client = Client::new(Arc::new(guard), TlsMode::Verified);
    let error = client
        .send(get("https://storage.example.com/"))
        .await
        .unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    assert_eq!(
        asked.recv().await.unwrap().as_deref(),
        Some("storage.example.com")
    );
    assert_eq!(dialer.dialled(), [addr("93.184.216.34:443")]);
}

#[tokio::test]
async fn a_dead_first_address_leaves_time_for_a_living_second() {
    let server = serve(Router::new().route("/", on_get(|| async { "second" }))).await;
    let policy = Policy {
        allow: vec!["10.0.0.0/24:80".parse().unwrap()],
        ..Policy::default()
    };
    let dialer = RecordingDialer::with_dead(Some(server), vec![addr("10.0.0.1:80")]);
    let resolver = ScriptedResolver::saying(&[&["10.0.0.1", "10.0.0.2"]]);
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
