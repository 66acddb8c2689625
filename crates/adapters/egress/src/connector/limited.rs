//! The guard as a connector for HTTP stacks of others, which know no limits themselves.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{Connecting, Door, target_of};
use crate::client::Timeouts;
use crate::error::{EgressError, Waiting};
use crate::guard::Guard;
use crate::tls::TlsMode;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// Connections through the guard for an HTTP stack that reads answers whole: over each, one exchange at a time (HTTP/1.1
/// alone is offered), an answer that goes silent or grows beyond a limit breaks the connection.
///
/// As with a [`Client`](crate::Client), make one per connection and audience.
#[derive(Debug, Clone)]
pub struct Connector {
    door: Door,
    timeouts: Timeouts,
    largest_answer: u64,
}

impl Connector {
    /// Answers may have `largest_answer` bytes, heads included.
    pub fn new(guard: Arc<Guard>, tls: TlsMode, timeouts: Timeouts, largest_answer: u64) -> Self {
        Self {
            door: Door::of_http1(guard, tls, timeouts.connect),
            timeouts,
            largest_answer,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Limited<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = EgressError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        self.door.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let target = target_of(&uri);
        let connecting = self.door.call(uri);
        let (timeouts, most) = (self.timeouts, self.largest_answer);
        Box::pin(async move { Ok(Limited::new(connecting.await?, target, timeouts, most)) })
    }
}

/// A connection under limits. What is read belongs to the answer to what was written last.
#[derive(Debug)]
pub struct Limited<T> {
    inner: T,
    target: String,
    timeouts: Timeouts,
    most: u64,
    /// Of the answer.
    read: u64,
    /// When the wait for the next piece ends.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<T> Limited<T> {
    fn new(inner: T, target: String, timeouts: Timeouts, most: u64) -> Self {
        Self {
            inner,
            target,
            timeouts,
            most,
            read: 0,
            alarm: None,
            waiting: false,
        }
    }

    fn patience(&self) -> (Duration, Waiting) {
        match self.read {
            0 => (self.timeouts.headers, Waiting::Headers),
            _ => (self.timeouts.idle, Waiting::Body),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (limit, waiting) = self.patience();
        let starts = !std::mem::replace(&mut self.waiting, true);
        let deadline = Instant::now() + limit;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if starts {
            alarm.as_mut().reset(deadline);
        }
        ready!(alarm.as_mut().poll(cx));
        let target = self.target.clone();
        Poll::Ready(io::Error::other(EgressError::Timeout { target, waiting }))
    }

    /// A new request begins, and with it the wait for another answer.
    fn written(&mut self) {
        self.read = 0;
        self.waiting = false;
    }
}

impl<T: Read + Unpin> Read for Limited<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut piece = [0; PIECE];
        let room = buf.remaining().min(PIECE);
        let mut piece = ReadBuf::new(&mut piece[..room]);
        let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, piece.unfilled()) else {
            return this.poll_silence(cx).map(Err);
        };
        this.waiting = false;
        read?;
        this.read += piece.filled().len() as u64;
        if this.read > this.most {
            let target = this.target.clone();
            return Poll::Ready(Err(io::Error::other(EgressError::Broken { target })));
        }
        buf.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> Write for Limited<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf));
        this.written();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs));
        this.written();
        Poll::Ready(written)
    }
}

impl<T: Connection> Connection for Limited<T> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::client::legacy;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::policy::Policy;

    /// A server that answers every request of its one connection with the next of these, and then says no more.
    async fn server(answers: Vec<Vec<u8>>) -> Uri {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|read| read == 0) {
                    break;
                }
                stream.write_all(&answer).await.ok();
            }
            std::future::pending::<()>().await;
        });
        format!("http://{address}/").parse().unwrap()
    }

    fn client(most: u64) -> legacy::Client<Connector, Empty<bytes::Bytes>> {
        let policy = Policy {
            allow_loopback: true,
            ..Policy::default()
        };
        let short = Duration::from_millis(200);
        let timeouts = Timeouts {
            headers: short,
            idle: short,
            ..Timeouts::default()
        };
        let guard = Arc::new(Guard::new(policy));
        let connector = Connector::new(guard, TlsMode::Verified, timeouts, most);
        legacy::Client::builder(TokioExecutor::new()).build(connector)
    }

    fn answer(bytes: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; bytes]].concat()
    }

    #[tokio::test]
    async fn the_limit_is_each_answer_s_own() {
        let uri = server(vec![answer(50_000), answer(50_000), answer(70_000)]).await;
        let client = client(60_000);
        for _ in 0..2 {
            let answer = client.get(uri.clone()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len(), 50_000);
        }
        let too_large = client.get(uri).await.unwrap().into_body().collect().await;
        let target = EgressError::find(&too_large.unwrap_err()).cloned();
        assert!(matches!(target, Some(EgressError::Broken { .. })));
    }

    #[tokio::test]
    async fn silence_breaks_the_connection_before_the_answer_and_in_it() {
        let silent = client(60_000).get(server(Vec::new()).await).await;
        let silent = silent.unwrap_err();
        let told = EgressError::find(&silent).map(ToString::to_string);
        assert!(
            told.is_some_and(|told| told.ends_with("went silent before it answered")),
            "{silent:?}"
        );
        let mut half = answer(1000);
        half.truncate(500);
        let half = client(60_000).get(server(vec![half]).await).await.unwrap();
        let half = half.into_body().collect().await.unwrap_err();
        let told = EgressError::find(&half).map(ToString::to_string);
        assert!(
            told.is_some_and(|told| told.ends_with("in the middle of its answer")),
            "{half:?}"
        );
    }

    #[tokio::test]
    async fn the_guard_decides_where_connections_go() {
        let guard = Arc::new(Guard::new(Policy::default()));
        let connector = Connector::new(guard, TlsMode::Verified, Timeouts::default(), 1);
        let client: legacy::Client<_, Empty<bytes::Bytes>> =
            legacy::Client::builder(TokioExecutor::new()).build(connector);
        let uri = Uri::from_static("http://127.0.0.1:9/");
        let error = client.get(uri).await.unwrap_err();
        assert!(matches!(
            EgressError::find(&error),
            Some(EgressError::Refused(_))
        ));
    }
}
