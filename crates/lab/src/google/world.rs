//! Everything the lab's Google remembers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::oauth::directory::{Account, Directory};
use super::push::{Channel, Deliveries, Push};
use super::tree::Tree;
use crate::clock::ServerClock;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::world::lock;

/// A download that takes its time: asked for once, done when asked about.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) email: String,
    pub(crate) path: String,
    pub(crate) asked: u32,
}

/// What lies at an address a download led to.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) bytes: Bytes,
    pub(crate) mime_type: String,
    pub(crate) expires: DateTime<Utc>,
}

/// What people and clients can change.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) directory: Directory,
    pub(crate) tree: Tree,
    pub(crate) channels: Vec<Channel>,
    pub(crate) downloads: HashMap<String, Download>,
    pub(crate) fetched: HashMap<String, Fetched>,
}

impl State {
    pub(crate) fn add_account(&mut self, email: &str, display_name: &str, now: DateTime<Utc>) {
        if self.directory.accounts.contains_key(email) {
            return;
        }
        let account = Account {
            display_name: display_name.to_owned(),
            permission_id: self.tree.number(20),
        };
        self.directory.accounts.insert(email.to_owned(), account);
        self.tree.add_account(email, now);
    }

    /// Gives out an access token.
    pub(crate) fn open(
        &mut self,
        email: &str,
        app: &str,
        scopes: Vec<String>,
        grant: Option<usize>,
        now: DateTime<Utc>,
    ) -> String {
        let token = format!("ya29.lab.{}", self.tree.opaque("access", 43));
        self.directory
            .open(token.clone(), email, app, scopes, grant, now);
        token
    }

    pub(crate) fn refresh_token(&mut self) -> String {
        format!("1//0{}", self.tree.opaque("refresh", 43))
    }
}

#[derive(Debug)]
pub(crate) struct GoogleWorld {
    pub(crate) url: String,
    pub(crate) clock: ServerClock,
    pub(crate) push: Push,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
}

impl GoogleWorld {
    pub(crate) fn new(url: String, push: Push) -> Self {
        Self {
            url,
            clock: ServerClock::default(),
            push,
            state: Mutex::default(),
            faults: Mutex::default(),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(crate) fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        self.push.deliveries()
    }

    /// Tells the watch channels of what changed since they were last told.
    pub(crate) fn tell_channels(&self, state: &mut State) {
        let stirred = state.tree.feed.take_stirred();
        if stirred.is_empty() {
            return;
        }
        let now = self.clock.now();
        state.channels.retain(|channel| channel.expires > now);
        for channel in &mut state.channels {
            if stirred.contains(&channel.whose) {
                self.push.send(channel.message("change"));
            }
        }
    }

    /// Back to an empty Google: nobody, nothing, no rules, no journal, and the right time.
    pub(crate) fn reset(&self) {
        *self.state() = State::default();
        self.clock.set_offset(0);
        self.faults().replace(Vec::new());
        self.journal().clear();
        self.deliveries().clear();
    }
}
