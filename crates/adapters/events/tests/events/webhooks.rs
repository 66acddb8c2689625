use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use futures::stream;
use tokio::net::TcpListener;
use wharf_domain::Timestamp;
use wharf_domain::secret::SecretString;
use wharf_egress::{Guard, Policy};
use wharf_events::GuardedSender;
use wharf_ports::{Clock, SendError, WebhookRequest, WebhookSender};

#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

async fn take(State(got): State<Got>, headers: HeaderMap, body: Bytes) -> StatusCode {
    got.0.lock().unwrap().push((headers, body));
    StatusCode::NO_CONTENT
}

/// An answer that never ends, in small pieces.
async fn endless() -> Response {
    let pieces = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(vec![b'x'; 4096]), ()))
    });
    (StatusCode::OK, Body::from_stream(pieces)).into_response()
}

async fn huge() -> Response {
    (StatusCode::ACCEPTED, vec![b'x'; 50 << 20]).into_response()
}

async fn silent() -> StatusCode {
    tokio::time::sleep(Duration::from_mins(1)).await;
    StatusCode::OK
}

/// A receiver on a free port of this machine; its address and what it gets.
async fn receiver() -> (String, Got) {
    let got = Got::default();
    let routes = Router::new()
        .route("/take", post(take))
        .route("/moved", post(|| async { Redirect::temporary("/take") }))
        .route("/gone", post(|| async { StatusCode::GONE }))
        .route("/endless", post(endless))
        .route("/huge", post(huge))
        .route("/silent", post(silent))
        .with_state(got.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, got)
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_timestamp(1_700_000_000, 0).unwrap()
    }
}

fn sender(allow_loopback: bool) -> GuardedSender {
    let policy = Policy {
        allow_loopback,
        ..Policy::default()
    };
    GuardedSender::new(Arc::new(Guard::new(policy)), Arc::new(Noon))
}

fn delivery(url: &str) -> WebhookRequest {
    let header = |name: &str, value: &str| (name.to_owned(), SecretString::new(value.to_owned()));
    WebhookRequest {
        webhook: "wh_0123456789abcdef".parse().unwrap(),
        url: SecretString::new(url.to_owned()),
        headers: vec![
            header("x-wharf-event-id", "evt_1"),
            header("authorization", "Bearer t"),
        ],
        body: Bytes::from_static(br#"{"a": 1}"#),
        signing_secret: Some(SecretString::new("hunter2".to_owned())),
        timeout: Duration::from_secs(2),
    }
}

/// HMAC-SHA256 by its definition, out of nothing but the hash.
fn hmac(key: &[u8], message: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    assert!(key.len() <= 64);
    let pad = |byte: u8| -> Vec<u8> {
        let mut block = vec![byte; 64];
        for (b, k) in block.iter_mut().zip(key) {
            *b ^= k;
        }
        block
    };
    let inner = Sha256::digest([pad(0x36).as_slice(), message].concat());
    hex::encode(Sha256::digest([pad(0x5c).as_slice(), &inner].concat()))
}

#[tokio::test]
async fn a_delivery_arrives_as_it_is_with_a_signature_that_its_receiver_can_verify() {
    let (address, got) = receiver().await;
    let status = sender(true)
        .send(delivery(&format!("{address}/take?x=1")))
        .await;
    assert_eq!(status, Ok(204));
    let (headers, body) = got.0.lock().unwrap()[0].clone();
    assert_eq!(body, r#"{"a": 1}"#);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Bearer t");
    assert_eq!(headers["x-wharf-event-id"], "evt_1");
    let signature = headers["x-mixpeek-signature"].to_str().unwrap();
    let (time, proof) = signature.split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    assert_eq!(time, "1700000000");
    let signed = [time.as_bytes(), b".", &body].concat();
    assert_eq!(proof, hmac(b"hunter2", &signed));
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let (address, got) = receiver().await;
    let unsigned = WebhookRequest {
        signing_secret: None,
        ..delivery(&format!("{address}/take"))
    };
    assert_eq!(sender(true).send(unsigned).await, Ok(204));
    assert!(
        !got.0.lock().unwrap()[0]
            .0
            .contains_key("x-mixpeek-signature")
    );
}

#[tokio::test]
async fn redirects_are_answers_and_nothing_follows_them() {
    let (address, got) = receiver().await;
    let sender = sender(true);
    assert_eq!(
        sender.send(delivery(&format!("{address}/moved"))).await,
        Ok(307)
    );
    assert_eq!(
        sender.send(delivery(&format!("{address}/gone"))).await,
        Ok(410)
    );
    assert!(got.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn huge_and_endless_answers_are_left_and_silent_ones_are_not_waited_for() {
    let (address, _) = receiver().await;
    let sender = sender(true);
    let began = Instant::now();
    assert_eq!(
        sender.send(delivery(&format!("{address}/huge"))).await,
        Ok(202)
    );
    assert_eq!(
        sender.send(delivery(&format!("{address}/endless"))).await,
        Ok(200)
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let silent = sender.send(delivery(&format!("{address}/silent"))).await;
    assert_eq!(silent, Err(SendError::TimedOut(Duration::from_secs(2))));
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn what_no_operator_opened_is_refused_in_words_without_the_path() {
    let (address, got) = receiver().await;
    let sender = sender(false);
    for url in [
        format!("{address}/take"),
        "http://169.254.169.254/secret-path".to_owned(),
        "https://10.0.0.1/secret-path".to_owned(),
        "http://93.184.216.34/secret-path".to_owned(),
        "https://metadata.internal/secret-path".to_owned(),
    ] {
        let Err(SendError::Refused(words)) = sender.send(delivery(&url)).await else {
            panic!("{url} was not refused")
        };
        assert!(!words.contains("secret-path"), "{words}");
    }
    assert!(got.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_listening_and_what_cannot_be_sent_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let sender = sender(true);
    let unreachable = sender.send(delivery(&format!("http://{address}/"))).await;
    assert!(
        matches!(unreachable, Err(SendError::Unreachable(_))),
        "{unreachable:?}"
    );
    let mut broken = delivery(&format!("http://{address}/"));
    broken
        .headers
        .push(("a b".to_owned(), SecretString::new("x".to_owned())));
    let refused = sender.send(broken).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}
