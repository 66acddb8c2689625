//! A database file of its own for every test.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use wharf_ports::Repositories;
use wharf_sqlite::SqliteDatabase;
use wharf_testkit::TestSeal;

/// The file within the folder.
pub(crate) fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("wharf.db")
}

/// Opens the file within the folder.
pub(crate) async fn open(folder: &TempDir) -> SqliteDatabase {
    SqliteDatabase::open(&url(folder))
        .await
        .expect("the database opens")
}

/// The file as `database_url` names it.
pub(crate) fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", file(folder).display())
}

/// Its repositories, whose chains tests can follow.
pub(crate) fn repositories(database: &SqliteDatabase) -> Repositories {
    database.repositories(Arc::new(TestSeal))
}

/// A new database; it goes with the folder.
pub(crate) async fn empty_database() -> (SqliteDatabase, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (open(&folder).await, folder)
}

/// The file as somebody with the database library alone sees it; it is created if it is not there.
pub(crate) async fn bare(folder: &TempDir) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file(folder))
        .create_if_missing(true)
        .connect()
        .await
        .expect("a connection")
}
