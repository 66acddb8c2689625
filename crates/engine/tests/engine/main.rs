//! The use cases on repositories in memory, a scripted provider, a fake clock and seeded identifiers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod connect;
mod consent;
mod contended;
mod crash;
mod dead_letters;
mod deletes;
mod events;
mod explain;
mod feed;
mod filters;
mod hostile;
mod plan;
mod run;
mod sessions;
mod setup;
mod sweep;
mod syncs;
mod trouble;
mod watch;
mod world;
