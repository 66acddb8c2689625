//! What a test may do that a plain role may not.

use sqlx::PgConnection;

use crate::common;

const SERVER: &str = "WHARF_TEST_POSTGRES_SUPERUSER_URL";

/// Where a superuser finds the database that the plain role finds there.
pub(crate) fn url_of(url: &str) -> String {
    let server = std::env::var(SERVER)
        .unwrap_or_else(|_| panic!("{SERVER} is not set: run `cargo xtask test`"));
    let (place, _) = server
        .rsplit_once('/')
        .expect("a URL that ends with a database");
    let (_, database) = url
        .rsplit_once('/')
        .expect("a URL that ends with a database");
    format!("{place}/{database}")
}

/// A superuser's session.
pub(crate) async fn session(url: &str) -> PgConnection {
    common::bare(&url_of(url)).await
}
