//! Repositories on Postgres: any number of processes on one database.
//!
//! Every write is one transaction that locks what it decides about. Rows are always locked in the same order, so that
//! transactions wait for each other instead of in a circle:
//!
//! 1. the connection (`FOR UPDATE` where its state changes, `FOR SHARE` where a write relies on it),
//! 2. syncs, by identifier,
//! 3. a namespace, where it changes or goes; buckets, by organization and identifier,
//! 4. objects, which only a person who deletes or restores one touches without their bucket's lock,
//! 5. jobs, the catalogue and dead letters, which the locks above make one transaction's own,
//! 6. last of all the head of the organization's audit chain; a new webhook, which nobody waits for, comes behind it.
//!
//! Every access says whose rows it is about, and the tables' row-level security shows it no others: the second wall beneath
//! the statements' own conditions.
//!
//! Where Postgres still ends one transaction for the sake of another, nothing of it has happened and it runs again.
//!
//! A call is `Unavailable` when the server cannot be reached or entered, lacks resources or is being stopped. Where the
//! connection breaks at the very end, while the transaction is committed, nobody here can know whether it was: after
//! `Unavailable` from a write, the caller has to look. Every other refusal is a fault of the program or of what is stored,
//! is told by step and code, and is not worth another try.
//!
//! Times come from the server's clock, read after the locks are held.
//!
//! This crate keeps the promises of the repository ports and knows nothing else: no HTTP, no providers, no keys. It
//! sees credentials in their sealed form only.

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
mod leases;
mod namespaces;
mod objects;
mod page;
mod row;
mod runs;
mod sessions;
mod store;
mod syncs;
mod webhooks;

pub use database::{MigrateError, OpenError, PostgresDatabase, SchemaError};
