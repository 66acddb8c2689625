//! Contract suites, builders and fakes for Wharf's ports.
//!
//! Each port has a suite: one named, public test function per promise of its documentation. An adapter runs all of
//! them with one line, [`repository_suites!`], [`blob_store_suite!`] or [`provider_suite!`], against implementations that
//! it opens afresh for every promise.
//!
//! This crate knows ports and model only. It must never know an adapter; its own tests use the one in memory.
#![warn(missing_docs)]
#![expect(
    clippy::missing_panics_doc,
    reason = "everything here exists to panic when something is not as promised"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a promise that cannot be looked at is a broken one"
)]

pub mod broken;
pub mod build;
mod clock;
mod harness;
mod ids;
mod paging;
mod place;
mod promises;
pub mod provider;
mod seal;
mod stream;
pub mod suites;
mod tenant;
mod trail;

pub use clock::FakeClock;
pub use harness::{BlobHarness, Harness, keep, keep_blobs};
pub use ids::SeededIds;
pub use place::{Attached, Mishap, Place, ProviderPromise, UnrulyPlace, keep_provider};
pub use promises::{NamedPromise, provider_promises, repository_promises};
pub use seal::TestSeal;
pub use stream::RecordingStream;
pub use tenant::{LONG, Run, SHORT, SOON, Tenant};
