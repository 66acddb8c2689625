//! Repositories on SQLite.
