//! Any answer of a store to the real adapter: a listing, a check, a download. None panics, none is taken for more than
//! it is, and no error repeats a word of it.
//!
//! The input is cut at `\xff\xfe`: each piece is the raw answer to one request, head and body, in order; the last one
//! answers all that follow. Pieces that do not begin like HTTP get a sound head, so that bodies are reached easily.
//! Everything runs in one thread over a loopback socket, behind the real egress guard.
#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use wharf_domain::Timestamp;
use wharf_domain::ids::ConnectionId;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Provider, parse_new};
use wharf_domain::secret::SecretString;
use wharf_egress::{Dialer, Guard, Policy, SystemResolver};
use wharf_ports::{
    CheckRequest, FetchWish, ListingPage, OpenProvider, ProviderError, ProviderFactory,
    RefreshRight, SessionError, Sessions, Taken, TokenWish,
};
use wharf_s3::S3;

const SECRET: &str = "the-secret-access-key-of-the-fuzzer";
/// Stands in every answer that a piece without a head gets; an error that quotes an answer would quote it.
const MARK: &str = "quoted0answer";
const LIMIT: u32 = 100;
const PATIENCE: Duration = Duration::from_millis(40);
/// Answers are read over a real socket; longer ones would only cost time.
const LONGEST: usize = 64 * 1024;

/// Connects to the one listener there is, whatever the address.
#[derive(Debug)]
struct ToListener(SocketAddr);

#[async_trait]
impl Dialer for ToListener {
    async fn connect(&self, _: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// An access key needs no session.
struct NoSession;

#[async_trait]
impl Sessions for NoSession {
    async fn take(&self, _: TokenWish) -> Result<Taken, SessionError> {
        Err(SessionError::Superseded)
    }

    async fn keep(
        &self,
        _: RefreshRight,
        _: SecretString,
        _: Timestamp,
        _: Option<SecretString>,
    ) -> Result<(), SessionError> {
        Err(SessionError::Superseded)
    }

    async fn let_go(&self, _: RefreshRight) -> Result<(), SessionError> {
        Err(SessionError::Superseded)
    }

    async fn rotated(&self) -> Result<Option<SecretString>, SessionError> {
        Err(SessionError::Superseded)
    }
}

type Script = Arc<Mutex<VecDeque<Vec<u8>>>>;

struct Bench {
    runtime: Runtime,
    script: Script,
    provider: OpenProvider,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::new());
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl Bench {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script::default();
        runtime.spawn(answer_all(listener, Arc::clone(&script)));
        let policy = Policy {
            allow_loopback: true,
            ..Policy::default()
        };
        let dialer = Arc::new(ToListener(address));
        let guard = Guard::with(policy, Arc::new(SystemResolver::default()), dialer);
        let config = json!({
            "endpoint_url": format!("http://{address}"),
            "credentials": {"type": "access_key", "access_key_id": "FUZZER", "secret_access_key": SECRET},
        });
        let parts = parse_new(Provider::S3, object(config), "provider_config").unwrap();
        let connection: ConnectionId = "conn_testtesttesttes".parse().unwrap();
        let provider = S3::new(Arc::new(guard))
            .open(
                &connection,
                &parts.config,
                parts.credentials,
                Arc::new(NoSession),
            )
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            runtime,
            script,
            provider,
        }
    }

    fn set(&self, input: &[u8]) {
        let mut pieces: VecDeque<Vec<u8>> = VecDeque::new();
        let mut rest = &input[..input.len().min(LONGEST)];
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\xff\xfe") {
            pieces.push_back(whole(&rest[..end]));
            rest = &rest[end + 2..];
        }
        pieces.push_back(whole(rest));
        *self.script.lock().unwrap() = pieces;
    }
}

/// A raw answer: the piece, under a head if it brings none.
fn whole(piece: &[u8]) -> Vec<u8> {
    if piece.starts_with(b"HTTP/") {
        return piece.to_vec();
    }
    let head = format!(
        "HTTP/1.1 200 {MARK}\r\nServer: {MARK}\r\nETag: \"{MARK}\"\r\nContent-Length: {}\r\n\r\n",
        piece.len()
    );
    [head.as_bytes(), piece].concat()
}

async fn answer_all(listener: TcpListener, script: Script) {
    while let Ok((stream, _)) = listener.accept().await {
        // Clients open connections that they do not use at once: none may keep the others waiting.
        tokio::spawn(answer_one(stream, Arc::clone(&script)));
    }
}

/// One request per connection: its head is read, its answer written, and that was it.
async fn answer_one(mut stream: TcpStream, script: Script) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let answer = {
        let mut script = script.lock().unwrap();
        match script.len() {
            0 | 1 => script.front().cloned().unwrap_or_default(),
            _ => script.pop_front().unwrap_or_default(),
        }
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn assert_own_words(error: &ProviderError) {
    let told = format!("{error} {error:?}");
    assert!(!told.contains(SECRET), "an error holds the secret: {told}");
    assert!(
        !error.message.contains(MARK),
        "an error quotes the store: {}",
        error.message
    );
}

fn assert_sound(page: &ListingPage) {
    assert!(page.entries.len() <= LIMIT as usize);
    for entry in &page.entries {
        assert!(entry.object.starts_with("bucket/"), "{entry:?}");
    }
}

async fn list(provider: &OpenProvider) {
    match provider.list("bucket/some", None, LIMIT).await {
        Ok(page) => {
            assert_sound(&page);
            if let Some(next) = &page.next {
                match provider.list("bucket/some", Some(next), LIMIT).await {
                    Ok(page) => assert_sound(&page),
                    Err(error) => assert_own_words(&error),
                }
            }
        }
        Err(error) => assert_own_words(&error),
    }
}

async fn fetch(provider: &OpenProvider) {
    let entry = Entry {
        object: "bucket/some/file".to_owned(),
        path: "bucket/some/file".to_owned(),
        version: "5d41402abc4b2a76b9719d911017c592".to_owned(),
        size_bytes: Some(5),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    };
    match provider.fetch(&entry, FetchWish { tags: true }).await {
        Ok(fetched) => {
            if let Err(error) = fetched.bytes.try_for_each(|_| async { Ok(()) }).await {
                assert_own_words(&error);
            }
        }
        Err(error) => assert_own_words(&error),
    }
}

async fn look(provider: &OpenProvider) {
    match provider.look("bucket/some", "bucket/some/file").await {
        Ok(None) => {}
        Ok(Some(looked)) => assert_eq!(looked.entry.object, "bucket/some/file"),
        Err(error) => assert_own_words(&error),
    }
}

async fn check(provider: &OpenProvider) {
    let request = CheckRequest {
        source_path: Some("bucket/some"),
        budget: PATIENCE,
    };
    let report = format!("{:?}", provider.check(request).await);
    assert!(
        !report.contains(SECRET) && !report.contains(MARK),
        "{report}"
    );
}

fuzz_target!(|input: &[u8]| {
    BENCH.with_borrow(|bench| {
        bench.set(input);
        // Waiting for more of an answer is sound, and costs the fuzzer time only.
        bench.runtime.block_on(async {
            let provider = &bench.provider;
            let _ = timeout(PATIENCE, list(provider)).await;
            let _ = timeout(PATIENCE, fetch(provider)).await;
            let _ = timeout(PATIENCE, look(provider)).await;
            let _ = timeout(PATIENCE, check(provider)).await;
        });
    });
});
