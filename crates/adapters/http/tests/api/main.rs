//! The API as its callers see it: through the router, on repositories in memory and a fake provider.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authorization;
mod buckets;
mod connections;
mod errors;
mod health;
mod hostile;
mod namespaces;
mod objects;
mod operator;
mod pagination;
mod setup;
mod syncs;
mod world;
