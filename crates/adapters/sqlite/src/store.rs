//! The open database behind every repository.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use wharf_domain::Timestamp;
use wharf_ports::AuditSeal;

use crate::audit::{self, Recorded};
use crate::clock::Clock;
use crate::error::Fault;

/// Every repository port is implemented on this one value, in the file named after the port. Clones share the database.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) reads: SqlitePool,
    /// Holds exactly one connection: whoever has it is the writer.
    pub(crate) writes: SqlitePool,
    pub(crate) clock: Arc<Clock>,
    pub(crate) seal: Arc<dyn AuditSeal>,
}

/// A transaction, and the audit rows of what it changes, which are stored at its very end.
pub(crate) struct Tx {
    transaction: Transaction<'static, Sqlite>,
    pub(crate) recorded: Vec<Recorded>,
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

/// Runs `$work` in a transaction `$tx` of the store, which ends before the result is known.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $work:expr) => {{
        let outcome = async {
            let mut $tx = $store.begin().await?;
            match $work.await {
                Ok(done) => {
                    $store.commit($tx).await?;
                    Ok(done)
                }
                Err(error) => {
                    $tx.roll_back().await;
                    Err(error)
                }
            }
        };
        outcome.await
    }};
}
pub(crate) use in_transaction;

impl Tx {
    /// Ends the transaction as if it had never been. Where even this fails, the connection is lost and the transaction with
    /// it.
    pub(crate) async fn roll_back(self) {
        let _ = self.transaction.rollback().await;
    }
}

impl Store {
    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Sqlite>, Fault> {
        Ok(self.reads.acquire().await?)
    }

    /// A transaction that holds the write lock from its start, for [`in_transaction`].
    pub(crate) async fn begin(&self) -> Result<Tx, Fault> {
        Ok(Tx {
            transaction: self.writes.begin_with("BEGIN IMMEDIATE").await?,
            recorded: Vec::new(),
        })
    }

    /// Stores the audit rows that the transaction has collected, and ends it.
    pub(crate) async fn commit(&self, mut tx: Tx) -> Result<(), Fault> {
        match audit::append(&mut tx, &*self.seal).await {
            Ok(()) => Ok(tx.transaction.commit().await?),
            Err(error) => {
                tx.roll_back().await;
                Err(error)
            }
        }
    }

    pub(crate) async fn now(&self, connection: &mut SqliteConnection) -> Result<Timestamp, Fault> {
        self.clock.now(connection).await
    }
}

/// Empties the write-ahead log into the database file and cuts it to nothing, so that the log no longer holds what a
/// transaction has just overwritten.
pub(crate) async fn truncate_log(writes: &SqlitePool) {
    for _ in 0..3 {
        let busy = sqlx::query_scalar::<_, i64>("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(writes)
            .await;
        match busy {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the write-ahead log could not be truncated"),
        }
    }
    tracing::warn!(
        "the write-ahead log is in use; overwritten credentials stay in it until its next truncation"
    );
}
