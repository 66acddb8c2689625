//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;
use crate::network::network;

/// Counts who is in.
pub(super) struct Doors {
    room: Arc<Semaphore>,
    from: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most_from_one: usize,
}

/// The right to be in, given back when it is dropped.
pub(super) struct Place {
    _room: OwnedSemaphorePermit,
    from: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Doors {
    pub(super) fn new(limits: &Limits) -> Self {
        let room = limits.connections.min(descriptors() / 2).max(1);
        if room < limits.connections {
            tracing::warn!(
                room,
                "fewer connections than configured are let in: the process may not open more files"
            );
        }
        Self {
            room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
            from: Arc::default(),
            most_from_one: limits.connections_per_address,
        }
    }

    /// Waits until there is room for one more. Until then, others wait in the system's queue.
    pub(super) async fn room(&self) -> OwnedSemaphorePermit {
        let room = Arc::clone(&self.room).acquire_owned().await;
        room.expect("the room is never closed")
    }

    /// Lets somebody from this address in, unless too many from there are.
    pub(super) fn enter(&self, room: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let count = from.entry(address).or_default();
        if *count >= self.most_from_one {
            if *count == 0 {
                from.remove(&address);
            }
            return None;
        }
        *count += 1;
        Some(Place {
            _room: room,
            from: Arc::clone(&self.from),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = from.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                from.remove(&self.address);
            }
        }
    }
}

/// Files and sockets that the process may have open at a time. Half of them are left for what is not a connection.
fn descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).current;
    most.and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_counted_by_address_and_given_back() {
        let doors = Doors::new(&Limits {
            connections: 3,
            connections_per_address: 2,
            ..Limits::default()
        });
        let one = IpAddr::from([192, 0, 2, 1]);
        let first = doors.enter(doors.room().await, one);
        let second = doors.enter(doors.room().await, one);
        assert!(first.is_some() && second.is_some());
        assert!(doors.enter(doors.room().await, one).is_none());
        let other = doors.enter(doors.room().await, IpAddr::from([192, 0, 2, 2]));
        assert!(other.is_some());
        assert_eq!(doors.room.available_permits(), 0);
        drop((first, second, other));
        assert_eq!(doors.room.available_permits(), 3);
        assert!(doors.from.lock().expect("unpoisoned").is_empty());
    }
}
