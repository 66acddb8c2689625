//! Which sync's turn it is, over all organizations.

use sqlx::PgConnection;
use wharf_domain::Timestamp;
use wharf_domain::job::JobEnd;

use crate::error::Fault;
use crate::jobs;
use crate::row::Columns;
use crate::store::Tx;

/// Since when or from when a sync can be leased. Spelled out, because the planner takes COALESCE for something that could
/// leak rows, and does not look it up in an index before row-level security has let each row through.
macro_rules! due_at {
    ($sync:literal) => {
        concat!(
            "CASE WHEN ",
            $sync,
            ".lease_expires_at IS NULL THEN ",
            $sync,
            ".next_run_at ELSE ",
            $sync,
            ".lease_expires_at END"
        )
    };
}

/// The status of the connection of sync `s`. Asked for of each sync that is looked at, and not joined: beneath row-level
/// security the planner believes that there are few connections, and would start with them.
macro_rules! connection_status {
    () => {
        "(SELECT c.status FROM connections c WHERE c.organization = s.organization AND c.id = s.connection)"
    };
}

/// A sync `s` that can be leased at `$1`.
macro_rules! due {
    () => {
        concat!(
            "syncs s WHERE s.paused_at IS NULL AND ",
            due_at!("s"),
            " <= $1 AND ",
            connection_status!(),
            " = 'ACTIVE'"
        )
    };
}

/// How many leases organizations have at `$1`: as many rows as there are workers at most.
macro_rules! at_work {
    () => {
        "at_work AS (SELECT organization, COUNT(*) AS leases FROM syncs WHERE lease_expires_at > $1 GROUP BY organization)"
    };
}

/// How many of what has been due longest are looked at first.
macro_rules! glance {
    () => {
        100
    };
}

/// What has been due longest, over all organizations.
const LONGEST_DUE: &str = concat!(
    "WITH ",
    at_work!(),
    ", longest AS (SELECT s.organization, ",
    due_at!("s"),
    " AS at FROM ",
    due!(),
    " ORDER BY ",
    due_at!("s"),
    " LIMIT ",
    glance!(),
    ") \
     SELECT longest.organization, COALESCE(at_work.leases, 0) AS leases FROM longest \
     LEFT JOIN at_work ON at_work.organization = longest.organization ORDER BY leases, longest.at"
);

/// The organizations that something is due of, each looked at once, however many syncs of it are due.
const ORGANIZATIONS: &str = concat!(
    "WITH RECURSIVE ",
    at_work!(),
    ", planned (organization) AS ( \
     (SELECT s.organization FROM syncs s WHERE s.paused_at IS NULL AND ",
    due_at!("s"),
    " IS NOT NULL ORDER BY s.organization, ",
    due_at!("s"),
    " LIMIT 1) \
     UNION ALL \
     SELECT (SELECT s.organization FROM syncs s WHERE s.organization > planned.organization \
             AND s.paused_at IS NULL AND ",
    due_at!("s"),
    " IS NOT NULL ORDER BY s.organization, ",
    due_at!("s"),
    " LIMIT 1) FROM planned WHERE planned.organization IS NOT NULL) \
     SELECT planned.organization FROM planned \
     CROSS JOIN LATERAL (SELECT ",
    due_at!("s"),
    " AS at FROM ",
    due!(),
    " AND s.organization = planned.organization ORDER BY ",
    due_at!("s"),
    " LIMIT 1) AS longest \
     LEFT JOIN at_work ON at_work.organization = planned.organization \
     ORDER BY COALESCE(at_work.leases, 0), longest.at"
);

/// The organizations whose turn it is, in this order: those with the fewest leases first, then those of which something has
/// been due longest.
async fn turns(tx: &mut PgConnection, now: Timestamp) -> Result<Vec<String>, Fault> {
    let longest: Vec<(String, i64)> = sqlx::query_as(LONGEST_DUE)
        .bind(now)
        .fetch_all(&mut *tx)
        .await?;
    // A glance tells if it saw all, or one of those that are not at work. Else somebody's many may hide them.
    let told = longest.len() < glance!() || longest.first().is_some_and(|(_, leases)| *leases == 0);
    if !told {
        return Ok(sqlx::query_scalar(ORGANIZATIONS)
            .bind(now)
            .fetch_all(tx)
            .await?);
    }
    let mut turns: Vec<String> = Vec::new();
    for (organization, _) in longest {
        if !turns.contains(&organization) {
            turns.push(organization);
        }
    }
    Ok(turns)
}

/// Locks the sync whose turn it is until the transaction ends, and returns its organization and identifier.
pub(crate) async fn lock_next(
    tx: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<(String, String)>, Fault> {
    for organization in turns(tx, now).await? {
        // What another worker leases at this moment is left to it.
        let next = sqlx::query_as(concat!(
            "SELECT s.organization, s.id FROM ",
            due!(),
            " AND s.organization = $2 ORDER BY ",
            due_at!("s"),
            ", s.id LIMIT 1 FOR UPDATE OF s SKIP LOCKED"
        ))
        .bind(now)
        .bind(organization)
        .fetch_optional(&mut *tx)
        .await?;
        if next.is_some() {
            return Ok(next);
        }
    }
    Ok(None)
}

/// Ends the jobs whose lease has expired while their sync is not to run: its connection is not active, or it is paused.
/// Their syncs wait, due at once, until they are to run again.
pub(crate) async fn release_abandoned(tx: &mut Tx, now: Timestamp) -> Result<(), Fault> {
    let released = sqlx::query(concat!(
        "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
         lease_ttl = NULL, next_run_at = $1, resume_of = lease_job, updated_at = $1 \
         WHERE (organization, id) IN (SELECT s.organization, s.id FROM syncs s \
         WHERE s.lease_expires_at <= $1 AND (s.paused_at IS NOT NULL OR ",
        connection_status!(),
        " <> 'ACTIVE') FOR UPDATE OF s SKIP LOCKED) RETURNING organization, id, resume_of",
    ))
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    let end = JobEnd::interrupted("lease_expired");
    for row in &released {
        let columns = Columns::of("syncs", row);
        let (organization, sync) = (columns.parse("organization")?, columns.parse("id")?);
        let job = columns.parse("resume_of")?;
        jobs::end_alone(tx, &organization, &sync, &job, &end, now).await?;
    }
    Ok(())
}
