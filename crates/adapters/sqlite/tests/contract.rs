//! The promises of every repository port, kept on `SQLite`.

mod common;

use wharf_testkit::Harness;

wharf_testkit::repository_suites!(async || {
    let (database, folder) = common::empty_database().await;
    Harness::in_real_time(database.repositories()).keeping(folder)
});
