//! Why credentials could not be sealed or opened.

use thiserror::Error;
use wharf_ports::{KeyRingError, RepositoryError};

use crate::IncompleteBinding;
use crate::organization_keys::KeyError;

/// Why credentials could not be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The binding has an empty part.
    #[error(transparent)]
    Binding(#[from] IncompleteBinding),
    /// The text is longer than a mebibyte, which no credentials are.
    #[error("the credentials are too long to be sealed")]
    TooLong,
    /// There is no such organization to keep a key for.
    #[error("the organization of the credentials is unknown")]
    UnknownOrganization,
    /// The key ring could not do its part.
    #[error(transparent)]
    KeyRing(KeyRingError),
    /// The organization key could not be read or stored.
    #[error(transparent)]
    Repository(RepositoryError),
}

/// Why sealed credentials could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The binding has an empty part.
    #[error(transparent)]
    Binding(#[from] IncompleteBinding),
    /// The bytes do not have the form of sealed credentials.
    #[error("these are not sealed credentials")]
    Malformed,
    /// The bytes were changed, belong to another binding or were sealed under a key that is gone. Which one is not told
    /// apart.
    #[error("the sealed credentials were changed or belong elsewhere")]
    Integrity,
    /// The key ring could not do its part.
    #[error(transparent)]
    KeyRing(KeyRingError),
    /// The organization key could not be read.
    #[error(transparent)]
    Repository(RepositoryError),
}

impl From<KeyError> for SealError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::KeyRing(error) => Self::KeyRing(error),
            KeyError::Repository(error) => Self::Repository(error),
        }
    }
}

impl From<KeyError> for OpenError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::KeyRing(error) => Self::KeyRing(error),
            KeyError::Repository(error) => Self::Repository(error),
        }
    }
}
