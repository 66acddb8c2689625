//! Repositories on `SQLite`: one file, one server, one writer at a time.
//!
//! Every write is one `BEGIN IMMEDIATE` transaction on the only connection that may write, so that writes never
//! interleave; reads go through a small pool of their own and see the last committed state. Times come from `SQLite`'s
//! clock.
//!
//! A call is `Unavailable` when the file is locked, cannot be reached or written now, or the disk is full. Where writing
//! fails at the very end, while the transaction is committed, nobody here can know whether it was: after `Unavailable`
//! from a write, the caller has to look. Every other refusal is a fault of the program or of what is stored, is told by
//! step and code, and is not worth another try.
//!
//! This crate keeps the promises of the repository ports and knows nothing else: no HTTP, no providers, no keys. It sees
//! credentials in their sealed form only, and links audit rows by a seal whose key it does not hold.

mod access;
mod across_organizations;
mod audit;
mod buckets;
mod catalogue;
mod checks;
mod clock;
mod connections;
mod consents;
mod database;
mod dead_letters;
mod dispatch;
mod error;
mod events;
mod external_ids;
mod idempotency;
mod jobs;
mod keys;
mod namespaces;
mod objects;
mod page;
#[cfg(test)]
mod plans;
mod row;
mod runs;
mod sessions;
mod store;
mod syncs;
mod webhooks;

pub use database::{OpenError, SqliteDatabase};
