//! The gates of a process, by account and connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use wharf_domain::ids::ConnectionId;
use wharf_domain::provider::Provider;
#[cfg(test)]
use wharf_ports::StorageProvider;
use wharf_ports::{IdSource, OpenProvider};

use super::Gate;
use super::gated::Gated;
use super::room::Room;

/// Whom requests are counted against.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// An account of the provider's that several connections may share.
    Account { provider: Provider, account: String },
    /// A connection's own.
    Connection {
        provider: Provider,
        authority: String,
        connection: ConnectionId,
    },
}

/// Every gate that is in use or closed, and the room that all copies share.
pub(crate) struct Gates {
    by_account: Mutex<HashMap<Key, Arc<Gate>>>,
    room: Arc<Room>,
    ids: Arc<dyn IdSource>,
}

impl Gates {
    pub(crate) fn new(ids: Arc<dyn IdSource>) -> Self {
        Self {
            by_account: Mutex::default(),
            room: Arc::default(),
            ids,
        }
    }

    /// The same account behind its gate.
    pub(crate) fn guard(
        &self,
        provider: Provider,
        connection: &ConnectionId,
        opened: OpenProvider,
    ) -> OpenProvider {
        let key = match opened.quota_account() {
            Some(account) => Key::Account { provider, account },
            None => Key::Connection {
                provider,
                authority: opened.authority(),
                connection: connection.clone(),
            },
        };
        let gate = self.gate(key);
        Arc::new(Gated::new(opened, gate, self.room.clone()))
    }

    fn gate(&self, key: Key) -> Arc<Gate> {
        let mut gates = self
            .by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&key) {
            return gate.clone();
        }
        // Nobody holds them, and they keep nobody out: a new one would do as well.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1 || gate.is_closed());
        let gate = Arc::new(Gate::new(self.ids.clone()));
        gates.insert(key, gate.clone());
        gate
    }

    #[cfg(test)]
    pub(super) fn of_connection(
        &self,
        connection: &ConnectionId,
        account: &Arc<impl StorageProvider>,
    ) -> Arc<Gate> {
        self.gate(Key::Connection {
            provider: Provider::S3,
            authority: account.authority(),
            connection: connection.clone(),
        })
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gates")
    }
}
