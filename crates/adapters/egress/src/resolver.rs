//! From names to addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Most addresses of one name that are looked at. A longer answer is refused whole, since an address left
/// out would be one left unjudged.
pub(crate) const MOST_ANSWERS: usize = 64;

/// Looks names up. Called once per dial, and never for hosts that are addresses.
///
/// The answers are hints, not permissions: the guard judges every one. A resolver may therefore be anything,
/// but must not itself leave out answers it dislikes.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of `host`, each with `port`; none when there are none. The guard limits the time.
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let answers = tokio::net::lookup_host((host, port)).await?;
        // One over the limit tells that there were too many.
        Ok(answers.take(MOST_ANSWERS + 1).collect())
    }
}
