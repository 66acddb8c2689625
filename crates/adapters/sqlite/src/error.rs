//! What can go wrong here, and what the ports call it. Stored values never get into a message.

use std::panic::Location;
use std::path::Path;

use sqlx::error::DatabaseError;
use wharf_ports::{AccessError, ApplyError, ChangeError, InsertError, RepositoryError};

/// The repository could not answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The driver or the database failed, at this place.
    Driver(sqlx::Error, &'static Location<'static>),
    /// A stored row does not make sense: table, column and why.
    Corrupt(String),
    /// The request's claim on its key was taken over by a later attempt.
    ClaimLost,
}

impl From<sqlx::Error> for Fault {
    #[track_caller]
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error, Location::caller())
    }
}

impl From<Fault> for RepositoryError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Driver(error, _) if is_passing(&error) => Self::Unavailable(Box::new(error)),
            Fault::Driver(error, place) => Self::Corrupt(refusal(&error, place)),
            Fault::Corrupt(place) => Self::Corrupt(place),
            Fault::ClaimLost => Self::ClaimLost,
        }
    }
}

/// The repository could not answer, or refused for one of the port's own reasons `E`.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Fault(Fault),
    Refused(E),
}

impl<E> From<sqlx::Error> for Failure<E> {
    #[track_caller]
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(Fault::from(error))
    }
}

impl<E> From<Fault> for Failure<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<E> Failure<E> {
    /// The same, refused for another port's reasons.
    pub(crate) fn map<F>(self, refusal: impl FnOnce(E) -> F) -> Failure<F> {
        match self {
            Self::Fault(fault) => Failure::Fault(fault),
            Self::Refused(error) => Failure::Refused(refusal(error)),
        }
    }
}

impl<E: From<RepositoryError>> Failure<E> {
    /// The error as the port has it.
    pub(crate) fn into_port(self) -> E {
        match self {
            Self::Fault(fault) => RepositoryError::from(fault).into(),
            Self::Refused(error) => error,
        }
    }
}

/// What a failed insertion means: a name's unique index, or a parent's foreign key.
#[track_caller]
pub(crate) fn inserting(error: sqlx::Error) -> Failure<InsertError> {
    if name_taken(&error) {
        Failure::Refused(InsertError::NameTaken)
    } else if parent_missing(&error) {
        Failure::Refused(InsertError::ParentMissing)
    } else {
        error.into()
    }
}

/// A port's error for names that are taken.
pub(crate) trait NameTaken {
    const NAME_TAKEN: Self;
}

impl NameTaken for AccessError {
    const NAME_TAKEN: Self = Self::NameTaken;
}

impl NameTaken for ApplyError {
    const NAME_TAKEN: Self = Self::NameTaken;
}

impl NameTaken for ChangeError {
    const NAME_TAKEN: Self = Self::NameTaken;
}

/// What a failed change means: a name's unique index.
#[track_caller]
pub(crate) fn changing<E: NameTaken>(error: sqlx::Error) -> Failure<E> {
    if name_taken(&error) {
        Failure::Refused(E::NAME_TAKEN)
    } else {
        error.into()
    }
}

/// Whether a unique index was violated. Primary keys have a code of their own and are no names.
fn name_taken(error: &sqlx::Error) -> bool {
    has_code(error, "2067")
}

/// Whether a foreign key was violated.
pub(crate) fn parent_missing(error: &sqlx::Error) -> bool {
    has_code(error, "787")
}

/// Whether the same call may succeed later: the file is locked, cannot be reached or written now, or memory or the disk is
/// full.
fn is_passing(error: &sqlx::Error) -> bool {
    // SQLITE_BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN and PROTOCOL.
    const CODES: [i32; 8] = [5, 6, 7, 8, 10, 13, 14, 15];
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default().parse::<i32>();
            // The lowest byte says what, the rest says more.
            code.is_ok_and(|code| CODES.contains(&(code & 0xff)))
        }
        _ => false,
    }
}

/// What was refused, by the step and the library's code: its message may repeat values.
fn refusal(error: &sqlx::Error, place: &Location<'_>) -> String {
    let step = Path::new(place.file()).file_stem().unwrap_or_default();
    let step = format!("{}, line {}", step.display(), place.line());
    match error {
        sqlx::Error::Database(refusal) => format!(
            "{step}: the database refuses, code {}",
            refusal.code().unwrap_or_default()
        ),
        _ => format!("{step}: statement and answer do not fit together"),
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error
        .as_database_error()
        .and_then(DatabaseError::code)
        .is_some_and(|found| found == code)
}
