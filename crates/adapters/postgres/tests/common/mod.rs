//! A database of its own for every test, on the server that `WHARF_TEST_POSTGRES_URL` names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use wharf_ports::Repositories;
use wharf_postgres::PostgresDatabase;
use wharf_testkit::TestSeal;

const SERVER: &str = "WHARF_TEST_POSTGRES_URL";
const ALLOW_MISSING: &str = "WHARF_TEST_ALLOW_MISSING";

/// The URL of the server's database `postgres`. Without it there is nothing to test, which is a failure unless it was
/// said to be none.
fn server() -> String {
    if let Ok(url) = std::env::var(SERVER) {
        return url;
    }
    let may_be_missing = std::env::var(ALLOW_MISSING).is_ok_and(|value| value == "1");
    assert!(
        may_be_missing,
        "{SERVER} is not set: run `cargo xtask test`, which starts a server for the tests"
    );
    eprintln!("not tested: {SERVER} is not set, and {ALLOW_MISSING} says that it may be missing");
    std::process::exit(0);
}

/// The URL of another database on the same server.
fn url_of(database: &str) -> String {
    let server = server();
    let (place, query) = server
        .split_once('?')
        .map_or((server.as_str(), None), |(place, query)| {
            (place, Some(query))
        });
    let (place, _) = place
        .rsplit_once('/')
        .expect("a URL that ends with a database");
    query.map_or_else(
        || format!("{place}/{database}"),
        |query| format!("{place}/{database}?{query}"),
    )
}

/// A database as somebody with Postgres alone sees it who looks at the rows of all organizations.
pub(crate) async fn bare(url: &str) -> PgConnection {
    let options: PgConnectOptions = url.parse().expect("a URL of a Postgres server");
    let options = options.options([("wharf.across", "on")]);
    options.connect().await.expect("the server answers")
}

/// Its repositories, whose chains tests can follow.
pub(crate) fn repositories(database: &PostgresDatabase) -> Repositories {
    database.repositories(Arc::new(TestSeal))
}

async fn execute(url: &str, statement: String) {
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut bare(url).await)
        .await
        .expect("the statement succeeds");
}

/// A database that goes with this value.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    name: String,
    pub(crate) url: String,
}

impl TestDatabase {
    /// Creates an empty one.
    pub(crate) async fn create() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf_test_{}_{count}", std::process::id());
        execute(
            &server(),
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        execute(
            &server(),
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        Self {
            url: url_of(&name),
            name,
        }
    }

    pub(crate) async fn connect(&self) -> PostgresDatabase {
        PostgresDatabase::connect(&self.url)
            .await
            .expect("the database answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A runtime of its own: this may run within another one.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(execute(&server(), statement));
        });
        if dropped.join().is_err() {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

/// A new database, brought up to date.
pub(crate) async fn migrated_database() -> (PostgresDatabase, TestDatabase) {
    let guard = TestDatabase::create().await;
    let database = guard.connect().await;
    database.migrate().await.expect("the migrations apply");
    (database, guard)
}
