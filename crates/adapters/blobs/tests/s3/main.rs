//! The bucket of an S3-compatible store as a blob store: the promises of the port on two stores, and what it promises
//! beside them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod on_seaweedfs;
mod on_the_lab;
mod reading;
mod stores;
mod writing;
