//! Key rings: where the keys that wrap organization keys live.
//!
//! [`FileKeyRing`] keeps them in a file beside the server. That protects a stolen database; whoever has the file too can
//! open everything.
//!
//! This crate must not know what organization keys seal, nor where wrapped keys are stored.
#![warn(missing_docs)]

mod error;
mod file;
mod ring;

pub use error::{InvalidKeyRing, KeyRingFileError};
pub use ring::FileKeyRing;
