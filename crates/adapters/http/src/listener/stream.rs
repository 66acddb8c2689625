//! A connection's bytes: which protocol they speak, and signs of life as they come and go.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pulse::Pulse;

/// What a connection with HTTP/2 begins with.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection with the bytes that were read to learn its protocol, to be read again.
pub(super) struct Stream {
    tcp: TcpStream,
    first: [u8; PREFACE.len()],
    /// Which of them were read, and which of these again.
    read: usize,
    again: usize,
    protocol: Protocol,
    pulse: Arc<Pulse>,
}

impl Stream {
    /// Reads until it is clear what the connection speaks.
    pub(super) async fn recognized(mut tcp: TcpStream, pulse: Arc<Pulse>) -> io::Result<Self> {
        let mut first = [0; PREFACE.len()];
        let mut read = 0;
        let protocol = loop {
            match tcp.read(&mut first[read..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => read += more,
            }
            if !PREFACE.starts_with(&first[..read]) {
                break Protocol::Http1;
            }
            if read == PREFACE.len() {
                break Protocol::Http2;
            }
        };
        Ok(Self {
            tcp,
            first,
            read,
            again: 0,
            protocol,
            pulse,
        })
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.again < self.read {
            let end = self.read.min(self.again + buffer.remaining());
            buffer.put_slice(&self.first[self.again..end]);
            self.again = end;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        // Many requests share a connection with HTTP/2, and clients say that they live between them.
        if self.protocol == Protocol::Http1 && buffer.filled().len() > before {
            self.pulse.came();
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.pulse.went(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write_vectored(cx, pieces);
        self.pulse.went(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
