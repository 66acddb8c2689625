//! Why a run stops before its end, and whom a provider's failure speaks about: one file, the sync's path, or the connection.

use wharf_domain::error_code::ErrorCode;
use wharf_ports::{ProviderError, RunError};

use crate::EngineError;

/// Why a pass stopped before its end.
pub(super) enum Stop {
    /// Another worker has the sync, or the sync is gone: leave everything as it is.
    LeaseLost,
    /// The connection was suspended, archived or changed.
    ConnectionChanged,
    /// The provider failed in a way that concerns the whole run.
    Provider(ProviderError),
    /// Our own database, blob store or key ring failed.
    Ours(EngineError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        match error {
            RunError::LeaseLost => Self::LeaseLost,
            RunError::ConnectionChanged => Self::ConnectionChanged,
            RunError::Repository(error) => Self::Ours(error.into()),
        }
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Ours(error)
    }
}

/// Whether a run's failure speaks about its connection; what is wrong with a path concerns the sync alone.
pub(super) fn concerns_connection(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::PermDenied
            | ErrorCode::PermPolicyBlocked
            | ErrorCode::ConfigInvalid
            | ErrorCode::ConfigWrongRegion
            | ErrorCode::ResourceNotFound
            | ErrorCode::ResourceArchived
            | ErrorCode::ResourceChanged
            | ErrorCode::ObjectCustomerKey
            | ErrorCode::ObjectRequesterPays
            | ErrorCode::IntegrityMismatch
    )
}

/// Whether a failure to copy speaks about that file alone.
pub(super) fn concerns_file_only(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PermDenied
            | ErrorCode::PermPolicyBlocked
            | ErrorCode::IntegrityMismatch
            | ErrorCode::ProtocolUnexpectedResponse
            | ErrorCode::ConfigInvalid
            | ErrorCode::Internal
    )
}

/// Whether a file that could not be copied is there and well, but not to be had: it is skipped, and no failure.
pub(super) fn is_not_to_be_had(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ResourceArchived | ErrorCode::ObjectCustomerKey | ErrorCode::ObjectRequesterPays
    )
}
