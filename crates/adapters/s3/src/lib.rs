//! Amazon S3 and every S3-compatible store; Tigris is a profile of it.
//!
//! [`S3`] opens accounts. Requests, signatures and XML are the official SDK's, sent through the egress guard and nothing
//! else: no default credentials, no environment, no redirects, no retries. What the SDK reads too kindly (a listing cut
//! short, a page that repeats itself) is refused here.
//!
//! The SDK's types stay in `wire`. This crate must never know what becomes of the files, nor who asks for them; texts of
//! the store never get into its errors.

mod check;
mod download;
mod error;
mod factory;
mod listing;
mod look;
mod metadata;
mod profile;
mod provider;
mod roles;
mod setup;
mod store;
mod vet;
mod wire;

pub use factory::S3;
pub use roles::{Aws, Identity};
