use thiserror::Error;

/// The cause beneath an error, for logs only: it is never shown outside.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a repository could not answer.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// The database cannot be reached or is overloaded; try again.
    #[error("the database is not available")]
    Unavailable(#[source] Source),
    /// A stored row does not make sense. Names table, row and column, never the value.
    #[error("a stored row is corrupt: {0}")]
    Corrupt(String),
    /// The request's claim on its `Idempotency-Key` was taken over by a later attempt; nothing was stored.
    #[error("the request's idempotency key was taken over by a later attempt")]
    ClaimLost,
}

/// Why something could not be inserted.
#[derive(Debug, Error)]
pub enum InsertError {
    /// The name (or address) is taken by another row of the same organization.
    #[error("the name is taken")]
    NameTaken,
    /// What the row must belong to (bucket, connection, user, organization) is not there, or no longer usable.
    #[error("what the row belongs to is not there")]
    ParentMissing,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}
