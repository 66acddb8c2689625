//! Repositories on Postgres.
