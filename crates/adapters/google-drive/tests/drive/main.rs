//! The Google Drive adapter against the lab's Google, and against servers that say what they like.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod account;
mod browsing;
mod changes;
mod checks;
mod consent;
mod contract;
mod downloads;
mod histories;
mod hostile;
mod listings;
mod pushes;
mod refusals;
mod secrecy;
mod setup;
mod source;
mod tokens;
mod traces;
