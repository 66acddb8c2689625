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

/// Runs `$work` in a transaction `$tx` of the store, which ends before the result is known: dropping it would leave its
/// locks in place for a moment. While the server ends it for the sake of another one, it runs again.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $work:expr) => {{
        let mut attempt = 1;
        loop {
            let outcome = async {
                let mut $tx = $store.begin().await?;
                match $work.await {
                    Ok(done) => {
                        // A connection that breaks here leaves open whether it was committed; see the crate's words.
                        $tx.commit().await?;
                        Ok(done)
                    }
                    Err(error) => {
                        // Where even this fails, the connection is lost and the transaction with it.
                        let _ = $tx.rollback().await;
                        Err(error)
                    }
                }
            };
            match outcome.await {
                Err(error) if error.is_conflict() && attempt < $crate::store::ATTEMPTS => attempt += 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(crate) use in_transaction;

impl Store {
    /// A connection for several reads.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Postgres>, Fault> {
        Ok(self.pool.acquire().await?)
    }

    /// A transaction, for [`in_transaction`].
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        // Said outright, because a server may be set up with another level: each statement sees what was committed
        // before it, which is what deciding under a row lock needs.
        self.pool
            .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            .await
    }

    pub(crate) async fn now(&self, connection: &mut PgConnection) -> Result<Timestamp, Fault> {
        clock::now(connection).await
    }
}
