//! A storage provider that is a map of files, does what it is told and counts what it is asked.

mod consent;
mod drive;
mod factory;
mod source;
mod storage;

pub use consent::{Exchange, FakeConsent};
pub use drive::{Asked, Channel, FakeDrive, SignIns};
pub use factory::FakeProviderFactory;
pub use source::{Calls, Failure, FakeSource, Times};
pub use storage::FakeProvider;
