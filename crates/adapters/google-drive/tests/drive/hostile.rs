//! Servers that say what they like in Google's place.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wharf_domain::check::CheckReport;
use wharf_domain::error_code::ErrorCode;
use wharf_google_drive::Addresses;
use wharf_ports::CheckRequest;

use crate::account::{
    Off, WHOLE, by_consent, by_key, check, factory_at, lab, open, outcomes, service_account,
};

type Say = dyn Fn(&str) -> Answer + Send + Sync;

enum Answer {
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body without an end.
    Endless,
    /// A head, and then nothing.
    Silent,
}

fn said(status: u16, body: impl Into<Vec<u8>>) -> Answer {
    Answer::Whole(status, Vec::new(), body.into())
}

/// A server, and the heads of the requests that it got.
struct Server {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn saying(say: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (noted, say): (_, Arc<Say>) = (Arc::clone(&heads), Arc::new(say));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&noted), Arc::clone(&say)));
            }
        });
        Self { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, noted: Arc<Mutex<Vec<String>>>, say: Arc<Say>) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&piece[..read]),
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    noted.lock().unwrap().push(head);
    let mut written =
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    match say(&target) {
        Answer::Whole(status, headers, body) => {
            written = format!(
                "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                write!(written, "{name}: {value}\r\n").unwrap();
            }
            written.push_str("\r\n");
            stream.write_all(written.as_bytes()).await.ok();
            stream.write_all(&body).await.ok();
            stream.shutdown().await.ok();
        }
        Answer::Silent => {
            stream.write_all(written.as_bytes()).await.ok();
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        Answer::Endless => {
            stream.write_all(written.as_bytes()).await.ok();
            let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
            while stream.write_all(&chunk).await.is_ok() {}
        }
    }
}

fn at(api: &str, token: &str) -> Addresses {
    let addresses = Addresses::default().with_api(api);
    addresses
        .and_then(|addresses| addresses.with_token(token))
        .unwrap()
}

/// A check with a token service that gives tokens, and this in the API's place.
async fn with_api(say: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (CheckReport, Server) {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let server = Server::saying(say).await;
    let factory = factory_at(at(&server.url, &google.token_url()), Off(0));
    let account = open(&factory, json!({}), by_key(&key));
    (account.check(WHOLE).await, server)
}

/// A check with this in the token service's place.
async fn with_token_service(
    say: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> (CheckReport, Server) {
    let server = Server::saying(say).await;
    let factory = factory_at(at(&server.url, &server.url), Off(0));
    let account = open(&factory, json!({}), by_consent("1//refresh-token-canary"));
    (account.check(WHOLE).await, server)
}

#[tokio::test]
async fn a_token_service_that_talks_nonsense_is_told() {
    for (answer, name, code) in [
        (
            "<!DOCTYPE html><html>",
            "sign_in",
            "protocol.unexpected_response",
        ),
        ("{}", "sign_in", "protocol.unexpected_response"),
        ("[]", "sign_in", "protocol.unexpected_response"),
        (
            r#"{"access_token": "ya29.x", "token_type": "Bearer"}"#,
            "sign_in",
            "protocol.unexpected_response",
        ),
        (
            r#"{"access_token": "ya29.x\r\nx: y", "expires_in": 3599, "token_type": "Bearer"}"#,
            "sign_in",
            "protocol.unexpected_response",
        ),
        (
            r#"{"access_token": "", "expires_in": 3599, "token_type": "Bearer"}"#,
            "sign_in",
            "protocol.unexpected_response",
        ),
        (
            r#"{"access_token": "ya29.x", "expires_in": -1, "token_type": "Bearer"}"#,
            "sign_in",
            "protocol.unexpected_response",
        ),
        (
            r#"{"access_token": "ya29.x", "expires_in": 3599, "token_type": "mac"}"#,
            "sign_in",
            "protocol.unexpected_response",
        ),
    ] {
        let (report, server) = with_token_service(move |_| said(200, answer)).await;
        let failed = report.first_failure().unwrap();
        assert_eq!(failed.name, name, "{answer}: {report:?}");
        assert_eq!(
            failed.error_code.map(ErrorCode::as_str),
            Some(code),
            "{answer}"
        );
        let told = format!("{report:?}");
        assert!(
            !told.contains("canary") && !told.contains("GOCSPX"),
            "{told}"
        );
        assert!(
            server
                .heads()
                .iter()
                .all(|head| head.starts_with("POST /token "))
        );
    }
}

#[tokio::test]
async fn an_endless_answer_of_the_token_service_is_given_up() {
    let begun = Instant::now();
    let (report, _) = with_token_service(|_| Answer::Endless).await;
    assert_eq!(
        check(&report, "sign_in").error_code.map(ErrorCode::as_str),
        Some("protocol.unexpected_response")
    );
    assert!(begun.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn a_redirect_of_the_token_service_is_not_followed() {
    let thief = Server::saying(|_| said(200, "{}")).await;
    let place = thief.url.clone();
    let (report, _) = with_token_service(move |_| {
        let headers = vec![("location", format!("{place}/token"))];
        Answer::Whole(307, headers, Vec::new())
    })
    .await;
    assert!(!report.success());
    assert_eq!(thief.heads(), [""; 0]);
}

#[tokio::test]
async fn an_api_that_talks_nonsense_is_told() {
    for (status, answer, code) in [
        (
            200,
            "<html>Welcome to the hotel's network</html>",
            "protocol.unexpected_response",
        ),
        (200, "{}", "protocol.unexpected_response"),
        (200, "[7]", "protocol.unexpected_response"),
        (
            200,
            "{\"user\": {\"emailAddress\"",
            "protocol.unexpected_response",
        ),
        (200, "", "network.connect"),
        (404, "<html>no such page</html>", "config.endpoint_invalid"),
        (404, "nothing here", "config.endpoint_invalid"),
        (418, "{\"error\": 7}", "config.invalid"),
        (500, "<html>", "provider.unavailable"),
    ] {
        let (report, _) = with_api(move |_| said(status, answer)).await;
        let failed = report.first_failure().unwrap();
        let found = failed.error_code.map(ErrorCode::as_str);
        assert_eq!(found, Some(code), "{status} {answer}: {report:?}");
        assert_eq!(
            check(&report, "drive_visible").outcome,
            wharf_domain::check::Outcome::Skipped
        );
        assert!(!format!("{report:?}").contains("hotel"));
    }
}

#[tokio::test]
async fn an_endless_answer_of_the_api_is_given_up() {
    let begun = Instant::now();
    let (report, _) = with_api(|_| Answer::Endless).await;
    assert_eq!(
        check(&report, "connection")
            .error_code
            .map(ErrorCode::as_str),
        Some("network.connect"),
        "{report:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn an_api_that_falls_silent_ends_with_the_test_s_time() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let server = Server::saying(|_| Answer::Silent).await;
    let factory = factory_at(at(&server.url, &google.token_url()), Off(0));
    let account = open(&factory, json!({}), by_key(&key));
    let request = CheckRequest {
        budget: Duration::from_secs(1),
        ..WHOLE
    };
    let report = account.check(request).await;
    assert_eq!(
        check(&report, "connection")
            .error_code
            .map(ErrorCode::as_str),
        Some("network.timeout")
    );
}

#[tokio::test]
async fn a_redirect_of_a_question_is_not_followed() {
    let thief = Server::saying(|_| said(200, "{}")).await;
    let place = thief.url.clone();
    let (report, server) =
        with_api(move |_| Answer::Whole(302, vec![("location", place.clone())], Vec::new())).await;
    let failed = report.first_failure().unwrap();
    assert_eq!(
        failed.error_code.map(ErrorCode::as_str),
        Some("config.endpoint_invalid")
    );
    assert_eq!(thief.heads(), [""; 0]);
    assert!(
        server
            .heads()
            .iter()
            .all(|head| head.contains("user-agent: wharf/"))
    );
}

/// An API with one file, whose bytes lie at that place.
fn pointing_to(place: String) -> impl Fn(&str) -> Answer + Send + Sync + 'static {
    move |target| {
        let folder = r#""mimeType": "application/vnd.google-apps.folder""#;
        if target.contains("/about") {
            said(200, r#"{"user": {"emailAddress": "a@b.c"}}"#)
        } else if target.contains("alt=media") {
            Answer::Whole(302, vec![("location", place.clone())], Vec::new())
        } else if target.contains("/files/") {
            said(200, format!(r#"{{"id": "root1", {folder}}}"#))
        } else {
            said(
                200,
                r#"{"files": [{"id": "f1", "name": "a", "mimeType": "text/plain", "size": "5"}]}"#,
            )
        }
    }
}

const WITH_PATH: CheckRequest<'static> = CheckRequest {
    source_path: Some("root1"),
    ..WHOLE
};

#[tokio::test]
async fn bytes_may_lie_elsewhere_but_the_token_does_not_go_there() {
    let elsewhere = Server::saying(|target| {
        if target == "/token" {
            return said(
                200,
                r#"{"access_token": "ya29.canary", "expires_in": 3599, "token_type": "Bearer"}"#,
            );
        }
        let headers = vec![("content-range", "bytes 0-0/5".to_owned())];
        Answer::Whole(206, headers, b"h".to_vec())
    })
    .await;
    let server = Server::saying(pointing_to(format!("{}/bytes", elsewhere.url))).await;
    let factory = factory_at(at(&server.url, &elsewhere.url), Off(0));
    let account = open(&factory, json!({}), by_consent("1//refresh"));
    let report = account.check(WITH_PATH).await;
    assert_eq!(outcomes(&report), "pspspppppp", "{report:?}");
    let heads = elsewhere.heads();
    let bytes: Vec<_> = heads
        .iter()
        .filter(|head| head.starts_with("GET /bytes"))
        .collect();
    assert_eq!(bytes.len(), 1);
    assert!(bytes[0].contains("range: bytes=0-0"), "{bytes:?}");
    assert!(!bytes[0].contains("canary"), "{bytes:?}");
    let media = server.heads();
    assert!(media.iter().all(|head| head.contains("Bearer ya29.canary")));
}

#[tokio::test]
async fn an_address_that_an_answer_names_passes_the_guard() {
    let lab = lab().await;
    let google = lab.google();
    let key = service_account(google);
    let elsewhere = Server::saying(|_| said(200, "hello")).await;
    let server = Server::saying(pointing_to(format!("{}/bytes", elsewhere.url))).await;
    let factory = factory_at(at(&server.url, &google.token_url()), Off(0));
    let account = open(&factory, json!({}), by_key(&key));
    let report = account.check(WITH_PATH).await;
    let read = check(&report, "file_readable");
    assert_eq!(
        read.error_code.map(ErrorCode::as_str),
        Some("egress.refused"),
        "{report:?}"
    );
    assert_eq!(elsewhere.heads(), [""; 0]);
}
