//! The provider lab: simulators of storage providers, usable by anyone's tests.
//!
//! A [`Lab`] is an HTTP server on a loopback port, with its Google ([`google`]) on another. It speaks the S3
//! protocol (Tigris speaks the same) over objects kept in memory and STS for the roles it knows, verifies
//! signatures like a real store, writes down every request it
//! sees, and misbehaves exactly as its fault rules say. Tests drive it through this library or, from
//! another process, through `/__admin/`.
//!
//! ```
//! use wharf_lab::{Action, FaultRule, Lab, LabConfig, Match, Operation};
//!
//! # async fn example() -> std::io::Result<()> {
//! let lab = Lab::start(LabConfig::default()).await?;
//! lab.put_object("photos", "2024/pier.jpg", "…");
//! lab.add_fault(FaultRule::new(
//!     Match::operation(Operation::GetObject).nth(1).times(1),
//!     Action::s3_error("SlowDown").header("retry-after", "7"),
//! ));
//! // Point any S3 client at `lab.endpoint()`, with `lab.access_key_id()` and `lab.secret_access_key()`.
//! assert!(lab.journal().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! The lab must not know the program it tests: it depends on no other crate of this workspace, so a
//! misreading of a protocol cannot be shared between a provider adapter and its simulator.

mod admin;
mod clock;
mod config;
mod fault;
mod front;
pub mod google;
mod identity;
mod journal;
mod lab;
mod operation;
mod s3;
mod sigv4;
mod sts;
mod world;
mod xml;

pub use config::LabConfig;
pub use fault::{Action, FaultRule, ListingFault, Match, ObjectFault};
pub use identity::key::KeyPair;
pub use identity::permission::Because;
pub use identity::role::Role;
pub use journal::JournalEntry;
pub use lab::Lab;
pub use operation::Operation;
pub use s3::bucket::{BucketSettings, Versioning, WrongRegion};
pub use s3::checksum::Algorithm;
pub use s3::presentation::Presentation;
pub use s3::seed::{Content, Seed, SeedError, SeedObject, generated_content};
pub use s3::store::{Encryption, ObjectSummary, Restore};
