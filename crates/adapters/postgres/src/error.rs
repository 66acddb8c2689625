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
    /// A later attempt has taken the request's claim over.
    ClaimLost,
    /// What the step had decided on is not what is stored any more.
    Outrun,
}

impl Fault {
    /// Whether the step is to run again: the server ended the transaction for the sake of another one (a deadlock, or a failed
    /// serialization), or another one was faster.
    pub(crate) fn is_conflict(&self) -> bool {
        match self {
            Self::Driver(error, _) => is_conflict(error),
            Self::Outrun => true,
            Self::Corrupt(_) | Self::ClaimLost => false,
        }
    }
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
            Fault::Outrun => Self::Unavailable("others were faster, again and again".into()),
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
    /// See [`Fault::is_conflict`].
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_conflict())
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

/// Whether a name's unique index was violated. Primary keys are no names.
fn name_taken(error: &sqlx::Error) -> bool {
    let index = error
        .as_database_error()
        .and_then(DatabaseError::constraint);
    has_code(error, "23505") && index.is_none_or(|index| !index.ends_with("_pkey"))
}

/// Whether a foreign key was violated.
fn parent_missing(error: &sqlx::Error) -> bool {
    has_code(error, "23503")
}

/// A deadlock, or a failed serialization.
fn is_conflict(error: &sqlx::Error) -> bool {
    has_code(error, "40P01") || has_code(error, "40001")
}

/// Whether the same call may succeed later: the server cannot be reached or entered, lacks resources or is being stopped,
/// or ended the transaction for the sake of others more often than it was tried.
fn is_passing(error: &sqlx::Error) -> bool {
    // Connections; authentication and the database's name, which are looked at when connecting; resources; operators.
    const CLASSES: [&str; 5] = ["08", "28", "3D", "53", "57"];
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            is_conflict(error) || CLASSES.iter().any(|class| code.starts_with(class))
        }
        _ => false,
    }
}

/// What was refused, by the step and the server's code: its message may repeat values.
fn refusal(error: &sqlx::Error, place: &Location<'_>) -> String {
    let step = Path::new(place.file()).file_stem().unwrap_or_default();
    let step = format!("{}, line {}", step.display(), place.line());
    match error {
        sqlx::Error::Database(refusal) => format!(
            "{step}: the database refuses, SQLSTATE {}, table {}",
            refusal.code().unwrap_or_default(),
            refusal.table().unwrap_or("unknown")
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
