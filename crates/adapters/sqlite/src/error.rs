//! What can go wrong here, and what the ports call it. Stored values never get into a message.

use wharf_ports::{InsertError, RepositoryError};

/// The repository could not answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The driver or the database failed.
    Driver(sqlx::Error),
    /// A stored row does not make sense: table, column and why.
    Corrupt(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Fault> for RepositoryError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Driver(error) => Self::Unavailable(Box::new(error)),
            Fault::Corrupt(place) => Self::Corrupt(place),
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
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl<E> From<Fault> for Failure<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
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
pub(crate) fn inserting(error: sqlx::Error) -> Failure<InsertError> {
    if name_taken(&error) {
        Failure::Refused(InsertError::NameTaken)
    } else if parent_missing(&error) {
        Failure::Refused(InsertError::ParentMissing)
    } else {
        error.into()
    }
}

/// Whether a unique index was violated. Primary keys have a code of their own and are no names.
pub(crate) fn name_taken(error: &sqlx::Error) -> bool {
    has_code(error, "2067")
}

/// Whether a foreign key was violated.
pub(crate) fn parent_missing(error: &sqlx::Error) -> bool {
    has_code(error, "787")
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|found| found == code)
}
