//! The S3 adapter against the lab, as the two providers it stands for.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod account;
mod checks;
mod contract;
mod downloads;
mod independent;
mod injection;
mod keys;
mod listings;
mod looks;
mod refusals;
mod requests;
mod resumptions;
mod roles;
mod secrecy;
mod server;
mod setup;
mod tags;
mod vendors;
