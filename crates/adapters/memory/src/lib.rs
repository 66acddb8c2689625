//! Repositories in memory, for tests and for embedding.
