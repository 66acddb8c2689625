//! The promises of every repository port, kept on Postgres.

mod common;

use wharf_testkit::Harness;

wharf_testkit::repository_suites!(async || {
    let (database, guard) = common::migrated_database().await;
    Harness::in_real_time(database.repositories()).keeping(guard)
});
