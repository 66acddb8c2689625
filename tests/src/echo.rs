//! A store that answers with what it was sent and with all it knows: the most talkative other side there can be.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it refuses, one after the other. Each is a status, a code for the body and whether the body is sound XML.
const REFUSALS: [(&str, &str, bool); 10] = [
    ("403 Forbidden", "SignatureDoesNotMatch", true),
    ("400 Bad Request", "InvalidToken", true),
    ("403 Forbidden", "InvalidAccessKeyId", true),
    ("500 Internal Server Error", "InternalError", true),
    ("200 OK", "Error", false),
    ("400 Bad Request", "AuthorizationHeaderMalformed", true),
    ("301 Moved Permanently", "PermanentRedirect", true),
    ("503 Slow Down", "SlowDown", true),
    ("404 Not Found", "NoSuchBucket", true),
    ("403 Forbidden", "nothing that anyone knows", false),
];

/// Which requests it refuses and echoes. The others are answered by the store behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echoed {
    /// None: it behaves.
    Nothing,
    /// Listings of a bucket.
    Listings,
    /// The reading of files.
    Files,
    /// What is asked of STS.
    Sessions,
    /// All of them.
    Everything,
}

impl Echoed {
    fn covers(self, head: &str) -> bool {
        let line = head.lines().next().unwrap_or_default();
        let to_sts = line.starts_with("POST / ");
        let listing = line.contains("list-type=2");
        match self {
            Self::Nothing => false,
            Self::Listings => listing,
            Self::Files => !listing && !to_sts,
            Self::Sessions => to_sts,
            Self::Everything => true,
        }
    }
}

/// A running one, stopped when dropped.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    words: Arc<Words>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Words {
    /// What it tells with every refusal, beside the request.
    known: Mutex<Vec<String>>,
    planted: Vec<Vec<u8>>,
    /// The store behind it: host and port.
    behind: Option<String>,
    echoed: Mutex<Echoed>,
    asked: AtomicUsize,
    refused: AtomicUsize,
    sessions: Mutex<Vec<String>>,
}

impl Echo {
    /// Starts one that knows these texts and refuses everything. `GET /planted/{n}` and what lies below it are answered
    /// with the nth planted bytes and nothing else.
    pub async fn start(known: Vec<String>, planted: Vec<Vec<u8>>) -> Result<Self> {
        Self::serve(known, planted, None).await
    }

    /// The same before a store at this URL, which answers what is not refused.
    pub async fn before(url: &str, known: Vec<String>, planted: Vec<Vec<u8>>) -> Result<Self> {
        let behind = url.strip_prefix("http://").context("a plain URL")?;
        Self::serve(known, planted, Some(behind.to_owned())).await
    }

    async fn serve(
        known: Vec<String>,
        planted: Vec<Vec<u8>>,
        behind: Option<String>,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let words = Arc::new(Words {
            known: Mutex::new(known),
            planted,
            behind,
            echoed: Mutex::new(Echoed::Everything),
            asked: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            sessions: Mutex::default(),
        });
        let answering = Arc::clone(&words);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                answering.asked.fetch_add(1, Ordering::SeqCst);
                let words = Arc::clone(&answering);
                tokio::spawn(async move {
                    // Who hangs up early is answered no more.
                    let _ = words.answer(stream).await;
                });
            }
        });
        Ok(Self {
            address,
            words,
            serving,
        })
    }

    /// From now on it refuses these, the first of them in this way and each one after it in the next.
    pub fn refuse(&self, echoed: Echoed, way: usize) {
        self.words.refused.store(way, Ordering::SeqCst);
        *lock(&self.words.echoed) = echoed;
    }

    /// How far it has come in its ways of refusing since [`Echo::refuse`] said where to begin.
    pub fn refused(&self) -> usize {
        self.words.refused.load(Ordering::SeqCst)
    }

    /// From now on it says these, too.
    pub fn learn(&self, known: &str) {
        lock(&self.words.known).push(known.to_owned());
    }

    /// Key ids, secret keys and tokens of all sessions that passed through.
    pub fn sessions(&self) -> Vec<String> {
        lock(&self.words.sessions).clone()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it was sent so far.
    pub fn asked(&self) -> usize {
        self.words.asked.load(Ordering::SeqCst)
    }

    /// How many requests it takes to be answered in every way.
    pub fn ways() -> usize {
        REFUSALS.len()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Words {
    async fn answer(&self, mut stream: TcpStream) -> Result<()> {
        let (head, rest) = read_head(&mut stream).await?;
        let planted = head
            .strip_prefix("GET /planted/")
            .and_then(|rest| rest.split([' ', '/', '?']).next()?.parse::<usize>().ok());
        let answer = match planted.and_then(|number| self.planted.get(number)) {
            Some(bytes) => {
                let mut head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n".to_vec();
                let fit = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
                if bytes.iter().all(fit) {
                    head.extend([b"X-Planted: ", bytes.as_slice(), b"\r\n"].concat());
                }
                head.extend(format!("Content-Length: {}\r\n\r\n", bytes.len()).bytes());
                [head, bytes.clone()].concat()
            }
            None => match &self.behind {
                Some(behind) if !lock(&self.echoed).covers(&head) => {
                    let answer = pass_on(behind, &head, rest, &mut stream).await?;
                    self.remember_session(&answer);
                    answer
                }
                _ => self.refusal(&head, self.refused.fetch_add(1, Ordering::SeqCst)),
            },
        };
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        Ok(())
    }

    fn remember_session(&self, answer: &[u8]) {
        let text = String::from_utf8_lossy(answer);
        for element in ["AccessKeyId", "SecretAccessKey", "SessionToken"] {
            let value = text
                .split_once(&format!("<{element}>"))
                .and_then(|(_, rest)| rest.split_once("</"));
            if let Some((value, _)) = value {
                lock(&self.sessions).push(value.to_owned());
                lock(&self.known).push(value.to_owned());
            }
        }
    }

    fn refusal(&self, head: &str, number: usize) -> Vec<u8> {
        let (status, code, sound) = REFUSALS[number % REFUSALS.len()];
        let known = lock(&self.known).clone();
        let told = format!("{head} {}", known.join(" "));
        let encoded = STANDARD.encode(&told);
        let (open, close) = if sound {
            ("<Error>", "</Error>")
        } else {
            ("<Error", "")
        };
        let body = format!(
            "<?xml version=\"1.0\"?>{open}<Code>{code}</Code><Message>{told}</Message><StringToSign>{told}\
             </StringToSign><StringToSignBytes>{}</StringToSignBytes><SignatureProvided>{encoded}</SignatureProvided>\
             <AWSAccessKeyId>{told}</AWSAccessKeyId><Region>{}</Region><RequestId>{told}</RequestId>{close}",
            hex::encode(&told),
            known.first().map_or("", String::as_str),
        );
        let line = told.replace(['\r', '\n'], " ");
        format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nServer: {line}\r\nETag: \"{line}\"\r\nx-amz-request-id: {line}\r\n\
             x-amz-id-2: {encoded}\r\nx-amz-bucket-region: {line}\r\nLocation: http://example.com/{encoded}\r\n\
             WWW-Authenticate: {line}\r\nRetry-After: 0\r\nContent-Type: application/xml; of={line}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// The request line and the headers, and what of the body came with them.
async fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut head).await? == 0 {
            break head.len();
        }
    };
    let rest = head.split_off(end);
    Ok((String::from_utf8_lossy(&head).into_owned(), rest))
}

/// What the store behind answers to the request as it was signed, on a connection for it alone.
async fn pass_on(
    behind: &str,
    head: &str,
    mut body: Vec<u8>,
    stream: &mut TcpStream,
) -> Result<Vec<u8>> {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or_default() {
        if stream.read_buf(&mut body).await? == 0 {
            break;
        }
    }
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut store = TcpStream::connect(behind).await?;
    store.write_all(head.as_bytes()).await?;
    store.write_all(&body).await?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer).await?;
    Ok(answer)
}
