//! The lab's Google: the token endpoint, the consent page and Drive v3 as Google publishes them, on a port
//! of their own. It keeps people, service accounts, shared drives and files in memory, refuses what the
//! real one refuses, and remembers every change for those it concerns.

mod admin;
mod call;
mod drive;
mod front;
mod handle;
mod mask;
mod oauth;
mod push;
mod refusal;
mod sample;
mod seed;
pub mod surface;
mod tree;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

pub use handle::{FileSummary, GoogleLab};
pub use oauth::directory::{Grant, GrantState, ServiceAccountKey};
pub use push::Delivery;
pub use seed::{
    Bulk, NewClient, NewGrant, NewServiceAccount, NewUser, Seed, SeedDrive, SeedError, SeedMyDrive,
    Seeded, SeededFile,
};
pub use surface::surface;
pub use tree::Restrictions;
pub use tree::access::Role;
pub use tree::mutation::{Mutation, MutationError};
pub use tree::new_item::{Holding, NewItem};

pub(crate) use front::{Front, refused_by_name};

use self::push::Push;
use self::world::GoogleWorld;

/// A Google that listens here: its handle, its way in, and the sending of messages to watch channels.
pub(crate) fn open(address: SocketAddr) -> (GoogleLab, Front, impl Future<Output = ()> + Send) {
    let (push, work) = Push::new();
    let world = Arc::new(GoogleWorld::new(format!("http://{address}"), push));
    let front = Front::new(Arc::clone(&world));
    (GoogleLab::new(world), front, work)
}
