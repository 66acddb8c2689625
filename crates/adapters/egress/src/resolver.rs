//! From names to addresses.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

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

/// Most look-ups that the operating system is asked for at a time. Each keeps a thread until it is answered,
/// however long that takes, and names whose servers stay silent must not use up the threads of everything else.
const MOST_LOOKUPS: usize = 64;

/// The operating system's resolver.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        let lookups = Arc::new(Semaphore::new(MOST_LOOKUPS));
        Self { lookups }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.lookups)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = spawn_blocking(move || {
            // Given back by the thread, not by a caller who no longer waits for it.
            let _permit = permit;
            let answers = (host.as_str(), port).to_socket_addrs()?;
            // One over the limit tells that there were too many.
            Ok(answers.take(MOST_ANSWERS + 1).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
