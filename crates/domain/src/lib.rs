//! The storage connection model that Wharf is built on: identifiers, provider configurations, the connection's
//! lifecycle, syncs and what a run of one would do.
//!
//! Everything here is a value or a pure function. This crate must never know I/O, async, clocks, randomness, SQL or
//! HTTP: times and identifiers come in as arguments, decisions go out as return values.
//!
//! ```
//! use wharf_domain::connection::{Health, Intent, PublicStatus, public_status};
//!
//! // Five counted failures in a row trip a connection that nobody suspended.
//! let tripped = Health::Tripped { consecutive_failures: 5 };
//! assert_eq!(public_status(Intent::Enabled, tripped), PublicStatus::Suspended);
//! ```
#![warn(missing_docs)]

pub mod access;
pub mod audit;
pub mod bucket;
pub mod check;
pub mod connection;
pub mod dead_letter;
pub mod error_code;
pub mod estimate;
pub mod event;
pub mod explain;
pub mod filter;
pub mod health;
pub mod idempotency;
pub mod ids;
pub mod input;
pub mod job;
pub mod job_progress;
pub mod mapping;
pub mod namespace;
pub mod object;
pub mod page;
pub mod plan;
pub mod provider;
pub mod rate_limit;
pub mod run;
pub mod scope;
pub mod secret;
pub mod setup;
pub mod sync;
pub mod sync_edit;
pub mod sync_metrics;
pub mod webhook;

/// An instant in UTC. Stored with microsecond precision by every repository.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Free-form key-value pairs that a person attached.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// A time as answers and messages write it: RFC 3339 in UTC, with microseconds.
pub fn time_text(time: &Timestamp) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
