//! What each port promises: one function per promise, named after it.
#![expect(missing_docs, reason = "the name of a promise is its documentation")]

pub mod access;
pub mod across_organizations;
pub mod audit;
pub mod blobs;
pub mod buckets;
pub mod catalogue;
pub mod checks;
pub mod connections;
pub mod consents;
pub mod dead_letters;
pub mod events;
pub mod external_ids;
pub mod idempotency;
pub mod jobs;
pub mod keys;
pub mod namespaces;
pub mod objects;
pub mod provider;
pub mod runs;
pub mod sessions;
pub mod syncs;
pub mod webhooks;
