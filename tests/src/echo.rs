//! A store that answers with what it was sent and with all it knows: the most talkative other side there can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
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

/// A running one, stopped when dropped.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

struct Words {
    known: Vec<String>,
    planted: Vec<Vec<u8>>,
}

impl Echo {
    /// Starts one that knows these texts. `GET /planted/{n}` is answered with the nth planted bytes and nothing else.
    pub async fn start(known: Vec<String>, planted: Vec<Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let words = Arc::new(Words { known, planted });
        let asked = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let words = Arc::clone(&words);
                tokio::spawn(async move {
                    // Who hangs up early is answered no more.
                    let _ = words.answer(stream, number).await;
                });
            }
        });
        Ok(Self {
            address,
            asked,
            serving,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections it was sent so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
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

impl Words {
    async fn answer(&self, mut stream: TcpStream, number: usize) -> Result<()> {
        let head = read_head(&mut stream).await?;
        let planted = head
            .strip_prefix("GET /planted/")
            .and_then(|rest| rest.split([' ', '?']).next()?.parse::<usize>().ok());
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
            None => self.refusal(&head, number),
        };
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        Ok(())
    }

    fn refusal(&self, head: &str, number: usize) -> Vec<u8> {
        let (status, code, sound) = REFUSALS[number % REFUSALS.len()];
        let told = format!("{head} {}", self.known.join(" "));
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
            self.known.first().map_or("", String::as_str),
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

/// The request line and the headers.
async fn read_head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
