//! The open database behind every repository.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use wharf_domain::Timestamp;

use crate::clock;
use crate::error::Fault;

/// Every repository port is implemented on this one value, in the file named after the port.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) pool: PgPool,
}

/// How often a transaction runs before its conflict with others is reported.
pub(crate) const ATTEMPTS: u32 = 5;

/// Runs a transaction, and runs it again while the server ends it for the sake of another one.
macro_rules! retried {
    ($transaction:expr) => {{
        let mut attempt = 1;
        loop {
            match $transaction.await {
                Err(error) if error.is_conflict() && attempt < $crate::store::ATTEMPTS => attempt += 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(crate) use retried;

impl Store {
    /// A connection for several reads.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Postgres>, Fault> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction; dropped without `commit`, it never was.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Fault> {
        // Said outright, because a server may be set up with another level: each statement sees what was committed
        // before it, which is what deciding under a row lock needs.
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?)
    }

    pub(crate) async fn now(&self, connection: &mut PgConnection) -> Result<Timestamp, Fault> {
        clock::now(connection).await
    }
}
