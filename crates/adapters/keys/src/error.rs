//! Why a key ring file could not be used or made.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a key ring file could not be used or made. The texts are for the operator and hold nothing of the file's content
/// but key ids.
#[derive(Debug, Error)]
pub enum KeyRingFileError {
    /// There is no such file.
    #[error("there is no key ring at {path}")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a file already, which is never replaced.
    #[error("there is something at {path} already; a key ring is never overwritten")]
    Exists {
        /// Where it is.
        path: PathBuf,
    },
    /// Others than the owner may read or write it.
    #[error(
        "the key ring at {path} has mode {mode:03o}, so others can reach it; run: chmod 600 {path}"
    )]
    Exposed {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is there, but does not make sense.
    #[error("the key ring at {path} cannot be used: {reason}")]
    Invalid {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: InvalidKeyRing,
    },
    /// It could not be read.
    #[error("the key ring at {path} cannot be read")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be written.
    #[error("no key ring can be written at {path}")]
    Write {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with a key ring's content.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidKeyRing {
    /// Longer than any key ring.
    #[error("it is longer than a mebibyte")]
    TooLong,
    /// No JSON, or not the fields of a key ring.
    #[error("it is not the JSON of a key ring (line {line}, column {column})")]
    Json {
        /// Where reading stopped.
        line: usize,
        /// Where reading stopped.
        column: usize,
    },
    /// Another format than the one known here.
    #[error("its format is not {known}")]
    Format {
        /// The one format that can be read.
        known: &'static str,
    },
    /// A key's id is none. Ids are shorter than keys, so that a misplaced key is never printed as an id.
    #[error("a key's id must be 1 to 32 letters, digits, - or _")]
    KeyId,
    /// Two keys with one id.
    #[error("two of its keys are called {id:?}")]
    DuplicateKey {
        /// Their id.
        id: String,
    },
    /// No key has the primary's id.
    #[error("its primary key is not among its keys")]
    UnknownPrimary,
    /// The primary key may not wrap.
    #[error("its primary key {id:?} is not active")]
    InactivePrimary {
        /// The primary's id.
        id: String,
    },
    /// A key is not the base64 of 32 bytes.
    #[error("{name} is not the base64 of 32 bytes")]
    KeyLength {
        /// Which one.
        name: String,
    },
}
