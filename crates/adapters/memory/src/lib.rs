//! Repositories and a blob store in memory, for tests and for embedding. Nothing survives the process.
//!
//! All repositories of a [`MemoryStore`] share one state behind one lock, so that every call is a transaction. Time is
//! the injected clock's. This crate knows ports and model only; it must never know a database or another adapter.
#![warn(missing_docs)]

mod access;
mod across_organizations;
mod audit;
mod blobs;
mod buckets;
mod catalogue;
mod checks;
mod commits;
mod connections;
mod consents;
mod dead_letters;
mod deletes;
mod dispatch;
mod events;
mod external_ids;
mod idempotency;
mod jobs;
mod keys;
mod leases;
mod namespaces;
mod objects;
mod page;
mod pruning;
mod runs;
mod sessions;
mod state;
mod store;
mod syncs;
mod trail;
mod webhooks;

pub use blobs::MemoryBlobs;
pub use store::MemoryStore;
