//! The last step out: one TCP connection to one approved address.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::TcpStream;

/// Opens TCP connections. Nothing reaches it that the guard did not approve, which makes it the place where
/// tests watch what would have left.
#[async_trait]
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Connects to exactly this address. The guard limits the time.
    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream>;
}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

#[async_trait]
impl Dialer for TcpDialer {
    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
