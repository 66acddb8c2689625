use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use wharf_ports::{BlobStore, Repositories};

use crate::{FakeClock, SeededIds};

/// How time passes for what is under test.
enum Time {
    Fake(Arc<FakeClock>),
    Real,
}

impl Time {
    async fn pass(&self, duration: Duration) {
        match self {
            Self::Fake(clock) => clock.advance(duration),
            Self::Real => tokio::time::sleep(duration).await,
        }
    }
}

/// Makes what histories hold older.
type Ageing = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Repositories on an empty database of their own, for one promise.
pub struct Harness {
    /// What is under test.
    pub repositories: Repositories,
    /// Where the promise takes its identifiers from.
    pub ids: Arc<SeededIds>,
    time: Time,
    ageing: Option<Ageing>,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Harness {
    /// For repositories whose time is a fake clock's.
    pub fn with_clock(repositories: Repositories, clock: Arc<FakeClock>) -> Self {
        Self::new(repositories, Time::Fake(clock))
    }

    /// For repositories with a clock of their own: letting time pass is waiting.
    pub fn in_real_time(repositories: Repositories) -> Self {
        Self::new(repositories, Time::Real)
    }

    fn new(repositories: Repositories, time: Time) -> Self {
        Self {
            repositories,
            ids: Arc::new(SeededIds::new(1)),
            time,
            ageing: None,
            kept: Vec::new(),
        }
    }

    /// How all times of what is kept for days are moved into the past, because in real time no promise can wait for that: of dead
    /// letters, of checks in histories (`at`), of claims of requests (`claimed_at`), the last uses of API keys, and when the rights to
    /// access tokens end.
    #[must_use]
    pub fn ageing(
        mut self,
        age: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        self.ageing = Some(Box::new(age));
        self
    }

    /// Makes dead letters, checks, claims, uses of keys and rights to tokens older, without waiting for that.
    pub async fn age(&self, duration: Duration) {
        match (&self.time, &self.ageing) {
            (Time::Fake(clock), _) => clock.advance(duration),
            (Time::Real, Some(age)) => age(duration).await,
            (Time::Real, None) => {
                panic!("in real time the harness has to tell how what it holds ages")
            }
        }
    }

    /// Keeps something alive until the promise has been looked at, such as the folder of a database.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Lets time pass.
    pub async fn pass(&self, duration: Duration) {
        self.time.pass(duration).await;
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Harness")
    }
}

/// An empty blob store, for one promise.
pub struct BlobHarness {
    /// What is under test.
    pub store: Arc<dyn BlobStore>,
    /// Where the promise takes its identifiers from.
    pub ids: Arc<SeededIds>,
    /// What ages are told in; whoever compares two has to let more than that pass between them.
    pub grain: Duration,
    time: Time,
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl BlobHarness {
    /// For a store whose time is a fake clock's.
    pub fn with_clock(store: Arc<dyn BlobStore>, clock: Arc<FakeClock>) -> Self {
        Self::new(store, Time::Fake(clock))
    }

    /// For a store with a clock of its own: letting time pass is waiting.
    pub fn in_real_time(store: Arc<dyn BlobStore>) -> Self {
        Self::new(store, Time::Real)
    }

    fn new(store: Arc<dyn BlobStore>, time: Time) -> Self {
        Self {
            store,
            ids: Arc::new(SeededIds::new(1)),
            grain: Duration::from_millis(200),
            time,
            kept: Vec::new(),
        }
    }

    /// For a store that tells ages in steps of this.
    #[must_use]
    pub fn with_grain(mut self, grain: Duration) -> Self {
        self.grain = grain;
        self
    }

    /// Keeps something alive until the promise has been looked at.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(guard));
        self
    }

    /// Lets time pass.
    pub async fn pass(&self, duration: Duration) {
        self.time.pass(duration).await;
    }
}

impl fmt::Debug for BlobHarness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobHarness")
    }
}

/// Runs one promise of a repository on a runtime of several threads.
pub fn keep(harness: impl AsyncFnOnce() -> Harness, promise: impl AsyncFnOnce(Harness)) {
    runtime().block_on(async { promise(harness().await).await });
}

/// Runs one promise of a blob store on a runtime of several threads.
pub fn keep_blobs(
    harness: impl AsyncFnOnce() -> BlobHarness,
    promise: impl AsyncFnOnce(BlobHarness),
) {
    runtime().block_on(async { promise(harness().await).await });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be started")
}
