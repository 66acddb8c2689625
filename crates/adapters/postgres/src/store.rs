//! The open database behind every repository. Every access runs in a transaction that says whose rows it may touch; the tables'
//! row-level security shows it no others, whatever its statements ask for.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use wharf_domain::Timestamp;
use wharf_domain::ids::OrganizationId;
use wharf_ports::AuditSeal;

use crate::audit::Recorded;
use crate::clock;
use crate::error::Fault;

/// Every repository port is implemented on this one value, in the file named after the port.
pub(crate) struct Store {
    /// Private: whoever could reach it could ask without saying whose rows.
    pool: PgPool,
    pub(crate) seal: Arc<dyn AuditSeal>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// Whose rows a transaction may touch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Those of one organization.
    Organization(&'a OrganizationId),
    /// All; for what cannot be asked within one organization.
    Across,
}

/// See [`Scope::Across`].
pub(crate) const ACROSS: Scope<'static> = Scope::Across;

impl<'a> From<&'a OrganizationId> for Scope<'a> {
    fn from(organization: &'a OrganizationId) -> Self {
        Self::Organization(organization)
    }
}

impl Scope<'_> {
    /// The transaction's first words: one message to the server, whose answer is waited for once. An identifier is letters,
    /// digits and an underscore by its type, so it can stand in the text. The isolation is said outright, because a server may be
    /// set up with another level: each statement sees what was committed before it, which is what deciding under a row lock needs.
    fn begin(self, access: &str) -> AssertSqlSafe<String> {
        let setting = match self {
            Self::Organization(organization) => format!("wharf.organization = '{organization}'"),
            Self::Across => "wharf.across = 'on'".to_owned(),
        };
        AssertSqlSafe(format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {access}; SET LOCAL {setting}"
        ))
    }
}

/// A transaction that writes, with the audit rows that go in at its end.
pub(crate) struct Tx {
    inner: Transaction<'static, Postgres>,
    pub(crate) recorded: Vec<Recorded>,
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl Tx {
    /// For [`in_transaction`], which has appended what was recorded.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    /// Where even this fails, the connection is lost and the transaction with it.
    pub(crate) async fn rollback(self) {
        let _ = self.inner.rollback().await;
    }
}

/// How often a transaction runs before its conflict with others is reported.
pub(crate) const ATTEMPTS: u32 = 5;

/// Runs `$work` in a transaction `$tx` that touches the rows of `$scope`: an organization, or [`ACROSS`]. The audit rows that the
/// work stores go in at the end. The transaction ends before the result is known: dropping it would leave its locks in place for a
/// moment. While the server ends it for the sake of another one, it runs again.
macro_rules! in_transaction {
    ($store:expr, $scope:expr, $tx:ident => $work:expr) => {{
        let mut attempt = 1;
        loop {
            let outcome = async {
                let mut $tx = $store.begin($scope).await?;
                let done = match $work.await {
                    Ok(done) => $crate::audit::append(&mut $tx, &*$store.seal)
                        .await
                        .map(|()| done)
                        .map_err(Into::into),
                    Err(error) => Err(error),
                };
                match done {
                    Ok(done) => {
                        // A connection that breaks here leaves open whether it was committed; see the crate's words.
                        $tx.commit().await?;
                        Ok(done)
                    }
                    Err(error) => {
                        $tx.rollback().await;
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
    pub(crate) fn new(pool: PgPool, seal: Arc<dyn AuditSeal>) -> Self {
        Self { pool, seal }
    }

    /// A transaction that reads the rows of an organization, or [`ACROSS`]. It ends when it is dropped.
    pub(crate) async fn read(
        &self,
        scope: impl Into<Scope<'_>>,
    ) -> Result<Transaction<'static, Postgres>, Fault> {
        let begin = scope.into().begin("READ ONLY");
        Ok(self.pool.begin_with(begin).await?)
    }

    /// A transaction that writes, for [`in_transaction`].
    pub(crate) async fn begin(&self, scope: impl Into<Scope<'_>>) -> Result<Tx, sqlx::Error> {
        let begin = scope.into().begin("READ WRITE");
        Ok(Tx {
            inner: self.pool.begin_with(begin).await?,
            recorded: Vec::new(),
        })
    }

    pub(crate) async fn now(&self, connection: &mut PgConnection) -> Result<Timestamp, Fault> {
        clock::now(connection).await
    }
}
