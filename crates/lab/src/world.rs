//! Everything a running lab remembers, shared by its connections, its admin surface and its handle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::ServerClock;
use crate::fault::Faults;
use crate::identity::Identities;
use crate::identity::key::KeyPair;
use crate::journal::Journal;
use crate::s3::store::Store;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) identities: Identities,
    pub(crate) bucket_domains: Vec<String>,
    pub(crate) store: Store,
    pub(crate) clock: ServerClock,
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
}

impl World {
    pub(crate) fn new(keys: Vec<KeyPair>, bucket_domains: Vec<String>) -> Self {
        Self {
            identities: Identities::new(keys),
            bucket_domains,
            store: Store::default(),
            clock: ServerClock::default(),
            faults: Mutex::default(),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Back to an empty lab: no buckets, no roles, no fault rules, no journal. Keys stay.
    pub(crate) fn reset(&self) {
        self.store.clear();
        self.clock.set_offset(0);
        self.identities.forget_roles();
        self.faults().replace(Vec::new());
        self.journal().clear();
    }
}

/// Takes a lock whether or not an earlier holder panicked: what the lab keeps is valid between any two
/// statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
