//! Any answer in Google's place to the real adapter: a check, a listing, changes, a look, a download. None panics, none is
//! taken for more than it is, and no error repeats a word of it.
//!
//! The input is cut at `\xff\xfe`: each piece is the raw answer to one request, head and body, in order; the last one
//! answers all that follow. Pieces that do not begin like HTTP get a sound head. A piece that begins with `T` answers the
//! token service, which otherwise gives a token.
#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures::TryStreamExt;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use wharf_domain::Timestamp;
use wharf_domain::ids::{Alphabet, ConnectionId};
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Provider, parse_new};
use wharf_domain::sync::Cursor;
use wharf_egress::{Dialer, Guard, Policy, SystemResolver};
use wharf_google_drive::{Addresses, GoogleDrive};
use wharf_ports::{
    CheckRequest, Clock, FetchWish, IdSource, LoneSession, OpenProvider, ProviderError,
    ProviderFactory,
};

const SECRETS: [&str; 3] = [
    "the-client-secret-of-the-fuzzer",
    "1//the-refresh-token",
    "ya29.the-token",
];
/// Stands in the head of every answer that a piece without one gets; an error that quotes an answer would quote it.
const MARK: &str = "quoted0answer";
const TOKEN: &[u8] =
    br#"{"access_token": "ya29.the-token", "expires_in": 3599, "token_type": "Bearer"}"#;
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

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default()
    }
}

impl IdSource for Noon {
    fn token(&self, _: Alphabet, length: usize) -> String {
        "a".repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
    }
}

#[derive(Default)]
struct Script {
    token: Option<Vec<u8>>,
    api: VecDeque<Vec<u8>>,
}

struct Bench {
    runtime: Runtime,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
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
        let script = Arc::<Mutex<Script>>::default();
        runtime.spawn(answer_all(listener, Arc::clone(&script)));
        Self {
            runtime,
            address,
            script,
        }
    }

    /// An account without a past: what is remembered of one, and how fast it may ask, depends on earlier answers.
    fn open(&self) -> OpenProvider {
        let dialer = Arc::new(ToListener(self.address));
        let resolver = Arc::new(SystemResolver::default());
        let guard = Guard::with(Policy::default(), resolver, dialer);
        let url = format!("http://{}", self.address);
        let addresses = Addresses::default()
            .with_api(&url)
            .and_then(|addresses| addresses.with_token(&url))
            .unwrap();
        let config = json!({
            "credentials": {
                "type": "oauth", "client_id": "fuzzer", "client_secret": SECRETS[0], "refresh_token": SECRETS[1]
            },
        });
        let parts = parse_new(Provider::GoogleDrive, object(config), "provider_config").unwrap();
        let connection: ConnectionId = "conn_testtesttesttes".parse().unwrap();
        GoogleDrive::new(&guard, addresses, Arc::new(Noon), Arc::new(Noon))
            .open(
                &connection,
                &parts.config,
                parts.credentials,
                Arc::new(LoneSession::new(Arc::new(Noon))),
            )
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn set(&self, input: &[u8]) {
        let mut script = Script::default();
        let mut rest = &input[..input.len().min(LONGEST)];
        let mut add = |piece: &[u8]| match piece.strip_prefix(b"T") {
            Some(token) => script.token = Some(whole(token)),
            None => script.api.push_back(whole(piece)),
        };
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\xff\xfe") {
            add(&rest[..end]);
            rest = &rest[end + 2..];
        }
        add(rest);
        *self.script.lock().unwrap() = script;
    }
}

/// A raw answer: the piece, under a head if it brings none.
fn whole(piece: &[u8]) -> Vec<u8> {
    if piece.starts_with(b"HTTP/") {
        return piece.to_vec();
    }
    let head = format!(
        "HTTP/1.1 200 {MARK}\r\nServer: {MARK}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        piece.len()
    );
    [head.as_bytes(), piece].concat()
}

async fn answer_all(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Clients open connections that they do not use at once: none may keep the others waiting.
        tokio::spawn(answer_one(stream, Arc::clone(&script)));
    }
}

/// One request per connection: its head is read, its answer written, and that was it.
async fn answer_one(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let answer = {
        let mut script = script.lock().unwrap();
        if head.starts_with(b"POST /token ") {
            script.token.clone().unwrap_or_else(|| whole(TOKEN))
        } else {
            match script.api.len() {
                0 | 1 => script.api.front().cloned().unwrap_or_default(),
                _ => script.api.pop_front().unwrap_or_default(),
            }
        }
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

fn assert_no_secret(told: &str) {
    for secret in SECRETS {
        assert!(!told.contains(secret), "{told}");
    }
}

fn assert_own_words(error: &ProviderError) {
    assert_no_secret(&format!("{error} {error:?}"));
    assert!(
        !error.message.contains(MARK),
        "an error quotes Google: {}",
        error.message
    );
}

fn assert_sound(entries: &[Entry]) {
    assert!(entries.len() <= 1000);
    for entry in entries {
        assert!(
            !entry.object.is_empty() && !entry.path.is_empty(),
            "{entry:?}"
        );
        assert!(!entry.object.contains('/'), "{entry:?}");
    }
}

async fn list(provider: &OpenProvider) {
    match provider.list("/", None, LIMIT).await {
        Ok(page) => {
            assert_sound(&page.entries);
            if let Some(next) = &page.next {
                match provider.list("/", Some(next), LIMIT).await {
                    Ok(page) => assert_sound(&page.entries),
                    Err(error) => assert_own_words(&error),
                }
            }
        }
        Err(error) => assert_own_words(&error),
    }
}

async fn changes(provider: &OpenProvider) {
    let begun = match provider.feed_start("root").await {
        Ok(begun) => begun,
        Err(error) => return assert_own_words(&error),
    };
    let Some(cursor): Option<Cursor> = begun else {
        return;
    };
    match provider.changes("root", &cursor, LIMIT).await {
        Ok(page) => {
            assert_sound(&page.entries);
            assert!(page.caught_up || page.next != cursor);
        }
        Err(error) => assert_own_words(&error),
    }
}

async fn fetch(provider: &OpenProvider) {
    let entry = Entry {
        object: "file1".to_owned(),
        path: "file".to_owned(),
        version: "5d41402abc4b2a76b9719d911017c592:5".to_owned(),
        size_bytes: Some(5),
        modified_at: None,
        unreadable: None,
        lineage: "/root1/".to_owned(),
    };
    match provider.fetch(&entry, FetchWish::default()).await {
        Ok(fetched) => {
            if let Err(error) = fetched.bytes.try_for_each(|_| async { Ok(()) }).await {
                assert_own_words(&error);
            }
        }
        Err(error) => assert_own_words(&error),
    }
}

async fn look(provider: &OpenProvider) {
    match provider.look("root", "file1").await {
        Ok(looked) => assert_sound(looked.map(|looked| looked.entry).as_slice()),
        Err(error) => assert_own_words(&error),
    }
}

async fn check(provider: &OpenProvider) {
    let request = CheckRequest {
        source_path: Some("/a"),
        budget: PATIENCE,
    };
    let report = format!("{:?}", provider.check(request).await);
    assert_no_secret(&report);
    assert!(!report.contains(MARK), "{report}");
}

fuzz_target!(|input: &[u8]| {
    BENCH.with_borrow(|bench| {
        // Waiting for more of an answer is sound, and costs the fuzzer time only.
        bench.runtime.block_on(async {
            let provider = &bench.open();
            bench.set(input);
            let _ = timeout(PATIENCE, list(provider)).await;
            bench.set(input);
            let _ = timeout(PATIENCE, changes(provider)).await;
            bench.set(input);
            let _ = timeout(PATIENCE, fetch(provider)).await;
            bench.set(input);
            let _ = timeout(PATIENCE, look(provider)).await;
            bench.set(input);
            let _ = timeout(PATIENCE, check(provider)).await;
        });
    });
});
