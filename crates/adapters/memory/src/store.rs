use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::SubsecRound;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_ports::{AuditSeal, Clock, Repositories, RepositoryError};

use crate::state::State;
use crate::trail::Trail;

/// A database in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// An empty database whose clock is the given one, and whose audit chains anybody could link.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::over(State::default(), clock)
    }

    /// An empty database whose audit chains are linked by this seal.
    pub fn with_seal(clock: Arc<dyn Clock>, seal: Arc<dyn AuditSeal>) -> Self {
        let state = State {
            trail: Trail::sealed_by(seal),
            ..State::default()
        };
        Self::over(state, clock)
    }

    fn over(state: State, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
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
            consents: store.clone(),
            sessions: store.clone(),
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

    /// The same, for a transaction that would store these rows: refused if the claim of one of them was taken over. It is asked
    /// first, so that nothing is ever half done.
    pub(crate) fn open_for<'a>(
        &self,
        organization: &OrganizationId,
        rows: impl IntoIterator<Item = &'a NewAuditRow>,
    ) -> Result<(MutexGuard<'_, State>, Timestamp), RepositoryError> {
        let (state, now) = self.open();
        for claim in rows.into_iter().filter_map(|row| row.origin.claim.as_ref()) {
            state.trail.check(organization, claim)?;
        }
        Ok((state, now))
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
