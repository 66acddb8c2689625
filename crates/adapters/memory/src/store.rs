use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::SubsecRound;
use wharf_domain::Timestamp;
use wharf_ports::{Clock, Repositories};

use crate::state::State;

/// A database in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty database whose clock is the given one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
        }
    }

    /// All its repositories.
    pub fn repositories(&self) -> Repositories {
        let store = Arc::new(self.clone());
        Repositories {
            access: store.clone(),
            across: store.clone(),
            audit: store.clone(),
            buckets: store.clone(),
            catalogue: store.clone(),
            checks: store.clone(),
            connections: store.clone(),
            dead_letters: store.clone(),
            events: store.clone(),
            external_ids: store.clone(),
            idempotency: store.clone(),
            jobs: store.clone(),
            keys: store.clone(),
            namespaces: store.clone(),
            objects: store.clone(),
            runs: store.clone(),
            syncs: store.clone(),
            webhooks: store,
        }
    }

    /// The state, for one transaction, and the time of that transaction.
    pub(crate) fn open(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state, stored_time(self.clock.now()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

/// A time as it is stored, in microseconds.
pub(crate) fn stored_time(time: Timestamp) -> Timestamp {
    time.trunc_subsecs(6)
}
