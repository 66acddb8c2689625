//! How the parts of a running server are.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::Engine;

/// Whether the parts that Wharf stands on answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one independent fact per part"
)]
pub struct ComponentHealth {
    /// The database answers.
    pub database: bool,
    /// The blob store can be written to.
    pub blob_store: bool,
    /// The key ring can be used.
    pub key_ring: bool,
    /// The scheduler has looked for work lately, or this process has none.
    pub scheduler: bool,
}

impl ComponentHealth {
    /// Whether every part is well.
    pub fn all_well(self) -> bool {
        self.database && self.blob_store && self.key_ring && self.scheduler
    }
}

/// When the scheduler of this process last looked for work.
#[derive(Debug, Default)]
pub struct SchedulerBeat(Mutex<Option<Instant>>);

impl SchedulerBeat {
    /// A scheduler that has not looked for this long is stuck.
    pub const STALE_AFTER: Duration = Duration::from_mins(1);

    pub(crate) fn beat(&self) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago the scheduler looked; `None` in a process without one.
    pub fn age(&self) -> Option<Duration> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .map(|at| at.elapsed())
    }
}

impl Engine {
    /// Asks every part that Wharf stands on.
    pub async fn component_health(&self) -> ComponentHealth {
        let across = self.repositories().across.clone();
        let (database, blob_store, key_ring) = tokio::join!(
            across.now(),
            self.parts.blobs.check(),
            self.parts.key_ring.check()
        );
        ComponentHealth {
            database: database.is_ok(),
            blob_store: blob_store.is_ok(),
            key_ring: key_ring.is_ok(),
            scheduler: self
                .beat
                .age()
                .is_none_or(|age| age < SchedulerBeat::STALE_AFTER),
        }
    }

    /// How long until the next check of a connection that works.
    pub(crate) fn ordinary_pause(&self) -> Duration {
        self.parts.settings.rhythm.ordinary(self.chance())
    }

    /// A random number from 0 to 1.
    pub(crate) fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.ids().fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
    }

    /// When the scheduler of this process last looked for work.
    pub fn scheduler_beat(&self) -> &SchedulerBeat {
        &self.beat
    }
}
