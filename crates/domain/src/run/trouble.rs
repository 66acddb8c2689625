//! What goes wrong at a provider during a run, and whom it speaks about: one file, the sync's path, or the connection.

use std::fmt;
use std::time::Duration;

use crate::error_code::ErrorCode;

/// Whether and when trying again makes sense; decided once, in the provider's adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again until a person acts.
    Never,
    /// The same call may succeed later, not before `after` if the provider named a time.
    Later {
        /// The provider's own wish.
        after: Option<Duration>,
    },
    /// The cursor is no longer valid: the listing must start over.
    Restart,
}

/// Why a provider could not do what it was asked, after all tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What went wrong.
    pub code: ErrorCode,
    /// Whether to try again.
    pub retry: Retry,
    /// What happened, in our own words.
    pub message: String,
}

impl Trouble {
    /// One that stays until a person acts.
    pub fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            retry: Retry::Never,
            message: message.into(),
        }
    }

    /// What is stored for people: code and message, at most 1000 characters.
    pub fn text(&self) -> String {
        self.to_string().chars().take(1000).collect()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Whom a failure to copy a file speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// The file is gone or has changed since it was listed, which the next run sees, or it is there and well but not to be
    /// had: it is skipped, and no failure.
    Skipped,
    /// That file alone: it failed.
    File,
    /// The whole run.
    Run,
    /// Either: one small question about the same source decides.
    Unclear,
}

impl Concern {
    /// Whom a failure with this code speaks about.
    pub fn of(code: ErrorCode, retry: Retry) -> Self {
        match code {
            ErrorCode::ResourceNotFound
            | ErrorCode::ResourceChanged
            | ErrorCode::ResourceArchived
            | ErrorCode::ObjectCustomerKey
            | ErrorCode::ObjectRequesterPays => Self::Skipped,
            ErrorCode::PermDenied
            | ErrorCode::PermPolicyBlocked
            | ErrorCode::IntegrityMismatch
            | ErrorCode::ProtocolUnexpectedResponse
            | ErrorCode::ConfigInvalid
            | ErrorCode::MappingFailed
            | ErrorCode::ObjectNotExportable
            | ErrorCode::ObjectTooLargeToExport
            | ErrorCode::ObjectFlaggedMalware
            | ErrorCode::ObjectDownloadBlocked
            | ErrorCode::Internal => Self::File,
            // A quota that no pause of the run renews is that of one file.
            ErrorCode::QuotaExhausted if retry == Retry::Never => Self::File,
            // Throttling is nobody's fault and passes by leaving the provider alone.
            ErrorCode::QuotaRateLimited | ErrorCode::QuotaExhausted => Self::Run,
            _ => Self::Unclear,
        }
    }
}

/// Whether a run's failure speaks about its connection; what is wrong with a path concerns the sync alone.
pub fn concerns_connection(code: ErrorCode) -> bool {
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
            | ErrorCode::MappingFailed
            | ErrorCode::ObjectNotExportable
            | ErrorCode::ObjectTooLargeToExport
            | ErrorCode::ObjectFlaggedMalware
            | ErrorCode::ObjectDownloadBlocked
            | ErrorCode::CursorExpired
    )
}

/// So many files in a row that the provider fails to deliver are not the files' fault.
const TOO_MANY: u32 = 5;

/// Files in a row whose failure may be the provider's rather than their own.
#[derive(Debug, Default)]
pub(super) struct Streak(u32);

impl Streak {
    /// The provider delivered.
    pub(super) fn broken(&mut self) {
        self.0 = 0;
    }

    /// A file failed; whether that is one too many.
    pub(super) fn failed(&mut self, trouble: &Trouble) -> bool {
        if Concern::of(trouble.code, trouble.retry) != Concern::File {
            self.0 += 1;
        }
        self.0 >= TOO_MANY
    }
}
