//! The API as its callers see it: through the router, on repositories in memory and a fake provider.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api_keys;
mod audit;
mod authorization;
mod browsers;
mod browsing;
mod buckets;
mod checks;
mod connections;
mod consent;
mod dead_letters;
mod errors;
mod explain;
mod health;
mod held_deletes;
mod hooks;
mod hostile;
mod idempotency;
mod job_events;
mod namespaces;
mod objects;
mod operator;
mod pagination;
mod plan;
mod rate_limits;
mod revisions;
mod scopes;
mod setup;
mod slow_clients;
mod sync_changes;
mod sync_lifecycle;
mod sync_metrics;
mod syncs;
mod users;
mod webhooks;
mod world;
