//! What can go wrong in a use case, told apart as far as a caller can act on it.

use std::time::Duration;

use thiserror::Error;
use wharf_domain::check::CheckReport;
use wharf_domain::connection::TransitionError;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::input::InvalidInput;
use wharf_envelope::{OpenError, SealError};
use wharf_ports::{
    ApplyError, BlobError, InsertError, KeyRingError, RecordError, RepositoryError, Source,
};

/// Why a use case did not do what it was asked. Nothing is half done.
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is no such thing, or it is another organization's.
    #[error("{resource} not found")]
    NotFound {
        /// What kind of thing.
        resource: &'static str,
        /// As the request named it.
        id: String,
    },
    /// Something in the request makes no sense here.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// The state of things does not allow it.
    #[error("{message}")]
    Conflict {
        /// A stable word, such as `connection_name_taken`.
        code: &'static str,
        /// For the person who asked.
        message: String,
    },
    /// The request was meant for another revision of the thing; nothing was changed.
    #[error("the {resource} has revision {current} by now")]
    RevisionMismatch {
        /// What kind of thing.
        resource: &'static str,
        /// Its revision now.
        current: u64,
    },
    /// The connection was tested and does not work; nothing was saved.
    #[error("{}", .0.message())]
    ConnectionTestFailed(CheckReport),
    /// The connection could not be tested for a reason that is not its own; nothing was saved.
    #[error("{}", .0.message())]
    ConnectionTestUnavailable(CheckReport),
    /// A secret must be entered again, because it would otherwise go where it was not meant to.
    #[error("{why}")]
    CredentialsReentryRequired {
        /// The fields to enter.
        fields: Vec<String>,
        /// Why.
        why: String,
    },
    /// This connection cannot do that.
    #[error("{0}")]
    NotSupported(String),
    /// The scopes of the API key do not cover this.
    #[error("the API key's scopes do not cover this {resource}")]
    ScopeDenied {
        /// What kind of thing.
        resource: &'static str,
        /// As the request named it.
        id: String,
    },
    /// The API key is not enough for this, whatever its permission.
    #[error("{message}")]
    Forbidden {
        /// A stable word, such as `grant_exceeds_key`.
        code: &'static str,
        /// For the person who asked.
        message: String,
    },
    /// The API key is missing, unknown, expired or revoked.
    #[error("the API key is missing, unknown, expired or revoked")]
    Unauthenticated,
    /// The provider could not be asked now; nothing was stored and the call may be made again.
    #[error("the provider could not be asked ({code}): {message}")]
    ProviderAway {
        /// What was wrong.
        code: ErrorCode,
        /// What happened, for a person.
        message: String,
        /// When it may be asked again, if it told.
        after: Option<Duration>,
    },
    /// Something that Wharf needs is away; nothing was stored and the call may be made again.
    #[error("{what} is not available; try again")]
    Unavailable {
        /// Such as `the database`.
        what: &'static str,
        /// For the log.
        #[source]
        source: Option<Source>,
    },
    /// Our own fault.
    #[error("something went wrong inside Wharf")]
    Internal(#[source] Source),
}

impl EngineError {
    pub(crate) fn not_found(resource: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound {
            resource,
            id: id.into(),
        }
    }

    /// Refuses a request that was meant for another revision.
    pub(crate) fn refuse_other_revision(
        resource: &'static str,
        wanted: Option<u64>,
        current: u64,
    ) -> Result<(), Self> {
        match wanted {
            Some(wanted) if wanted != current => Err(Self::RevisionMismatch { resource, current }),
            _ => Ok(()),
        }
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            message: message.into(),
        }
    }
}

impl From<RepositoryError> for EngineError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Unavailable(source) => Self::Unavailable {
                what: "the database",
                source: Some(source),
            },
            RepositoryError::ClaimLost => Self::conflict(
                "idempotency_key_in_use",
                "A later request with this Idempotency-Key took over; this one changed nothing.",
            ),
            error @ RepositoryError::Corrupt(_) => Self::Internal(error.into()),
        }
    }
}

impl From<KeyRingError> for EngineError {
    fn from(error: KeyRingError) -> Self {
        match error {
            KeyRingError::Unavailable(source) => Self::Unavailable {
                what: "the key ring",
                source: Some(source),
            },
            error @ KeyRingError::Refused => Self::Internal(error.into()),
        }
    }
}

impl From<SealError> for EngineError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::KeyRing(error) => error.into(),
            SealError::Repository(error) => error.into(),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<OpenError> for EngineError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::KeyRing(error) => error.into(),
            OpenError::Repository(error) => error.into(),
            error => Self::Internal(error.into()),
        }
    }
}

impl From<BlobError> for EngineError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable(source) => Self::Unavailable {
                what: "the blob store",
                source: Some(source),
            },
            error => Self::Internal(error.into()),
        }
    }
}

impl From<TransitionError> for EngineError {
    fn from(error: TransitionError) -> Self {
        let code = match error {
            TransitionError::Archived => "connection_archived",
            TransitionError::TestRequired => "connection_test_required",
        };
        let message = match error {
            TransitionError::Archived => {
                "The connection is archived: it can be read, but not used or changed any more."
            }
            TransitionError::TestRequired => {
                "The connection was stopped after repeated failures and must pass a test before it is active again."
            }
        };
        Self::conflict(code, message)
    }
}

/// An insert's failure: `taken` says what a clash of names means, `parent` what a missing parent is.
pub(crate) fn insert_failed(
    error: InsertError,
    taken: EngineError,
    parent: EngineError,
) -> EngineError {
    match error {
        InsertError::NameTaken => taken,
        InsertError::ParentMissing => parent,
        InsertError::Repository(error) => error.into(),
    }
}

pub(crate) fn apply_failed(error: ApplyError, id: &str) -> EngineError {
    match error {
        ApplyError::NotFound => EngineError::not_found("connection", id),
        ApplyError::RevisionConflict => EngineError::conflict(
            "revision_conflict",
            "The connection was changed by somebody else at the same time; read it again and repeat the change.",
        ),
        ApplyError::NameTaken => name_taken(),
        ApplyError::Transition(error) => error.into(),
        ApplyError::Repository(error) => error.into(),
    }
}

pub(crate) fn record_failed(error: RecordError, id: &str) -> EngineError {
    match error {
        RecordError::Apply(error) => apply_failed(error, id),
        error @ RecordError::LeaseLost => EngineError::Internal(error.into()),
    }
}

pub(crate) fn name_taken() -> EngineError {
    EngineError::conflict(
        "connection_name_taken",
        "Another connection of this organization has this name; choose another name or archive that connection.",
    )
}
