//! A store in miniature, which says exactly what a test wants it to say, and hangs up where it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wharf_domain::plan::Entry;
use wharf_domain::provider::NewProviderConfig;
use wharf_egress::{Dialer, Guard};
use wharf_ports::{OpenProvider, ProviderFactory};
use wharf_s3::S3;

use crate::account::{Here, connection, open_with, policy, s3_at};

/// A request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
}

impl Request {
    /// What stands between method and protocol: path and query.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target().split_once('?')?;
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let mut values = pairs.filter(|(found, _)| found == name);
        values.next().map(|(_, value)| value.into_owned())
    }

    /// The first byte that a `Range` header asks for.
    pub(crate) fn from(&self) -> Option<usize> {
        let range = self.header("range")?;
        let start = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        Some(start.parse().unwrap())
    }

    pub(crate) fn gets_object(&self) -> bool {
        self.target().contains("x-id=GetObject")
    }
}

/// What is sent back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
    chunked: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::new(
            status,
            format!("<Error><Code>{code}</Code><Message>no</Message></Error>"),
        )
    }

    /// The bytes of an object from `start` on, as a store that knows ranges sends them.
    pub(crate) fn part(bytes: &[u8], start: Option<usize>) -> Self {
        match start {
            None => Self::new(200, bytes),
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Self::new(206, &bytes[start..]).with("content-range", &range)
            }
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Hangs up after so many bytes of the body.
    pub(crate) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    /// In chunks, without saying how long the body is.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    async fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        use std::fmt::Write;
        let mut head = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let sent = &self.body[..self.cut.unwrap_or(self.body.len())];
        if self.chunked {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream
                .write_all(format!("{:x}\r\n", sent.len()).as_bytes())
                .await?;
            stream.write_all(sent).await?;
            let end: &[u8] = if self.cut.is_some() {
                b"\r\n"
            } else {
                b"\r\n0\r\n\r\n"
            };
            stream.write_all(end).await?;
        } else {
            write!(head, "content-length: {}\r\n\r\n", self.body.len()).unwrap();
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(sent).await?;
        }
        stream.shutdown().await?;
        // Until the other side has read it all and hung up, too.
        tokio::time::timeout(Duration::from_secs(1), stream.read_u8())
            .await
            .map(drop)
            .unwrap_or_default();
        Ok(())
    }
}

/// The store.
pub(crate) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request, of which so many came before.
    pub(crate) async fn start(
        answer: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    let request = Request {
                        head: String::from_utf8(head).unwrap(),
                    };
                    let answer = {
                        let mut seen = seen.lock().unwrap();
                        let before = seen.len();
                        seen.push(request.clone());
                        answer(&request, before)
                    };
                    // A client that has gone is the client's affair.
                    let _ = answer.send(&mut stream).await;
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// An account at this very address.
    pub(crate) fn account(&self) -> OpenProvider {
        open_with(
            policy(),
            s3_at(&format!("http://{}", self.address), "ID", "secret"),
        )
    }

    /// An account whose every connection leads here, whatever host it names.
    pub(crate) fn account_as(&self, parts: NewProviderConfig) -> OpenProvider {
        let guard = Guard::with(policy(), Arc::new(Here), Arc::new(self.dialer()));
        S3::new(Arc::new(guard))
            .open(
                &connection(),
                &parts.config,
                parts.credentials,
                crate::account::alone(),
            )
            .unwrap()
    }

    pub(crate) fn dialer(&self) -> DialHere {
        DialHere(self.address)
    }
}

/// Dials one address, whatever is asked for.
#[derive(Debug)]
pub(crate) struct DialHere(pub(crate) SocketAddr);

#[async_trait]
impl Dialer for DialHere {
    async fn connect(&self, _: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(self.0).await
    }
}

/// An entry of a listing.
pub(crate) fn entry(version: &str, size: Option<usize>) -> Entry {
    Entry {
        object: "media/film".into(),
        path: "media/film".into(),
        version: format!(
            "{version}|{}",
            size.map(|size| size.to_string()).unwrap_or_default()
        ),
        size_bytes: size.map(|size| size as u64),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}
