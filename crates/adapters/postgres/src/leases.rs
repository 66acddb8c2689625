//! Which sync's turn it is, over all organizations.

use sqlx::PgConnection;
use wharf_domain::Timestamp;
use wharf_domain::job::JobEnd;

use crate::error::Fault;
use crate::jobs;
use crate::row::Columns;

/// Since when or from when a sync can be leased.
macro_rules! due_at {
    ($sync:literal) => {
        concat!(
            "COALESCE(",
            $sync,
            ".lease_expires_at, ",
            $sync,
            ".next_run_at)"
        )
    };
}

/// A sync `s` that can be leased at `$1`.
macro_rules! due {
    () => {
        concat!(
            "syncs s JOIN connections c ON c.organization = s.organization AND c.id = s.connection \
             AND c.status = 'ACTIVE' WHERE s.paused_at IS NULL AND ",
            due_at!("s"),
            " <= $1"
        )
    };
}

/// The organizations that something is due of, those first whose turn it is: with the fewest leases, then with what has
/// been due longest. Each organization is looked at once, however many syncs of it are due; none is where nothing is.
const ORGANIZATIONS: &str = concat!(
    "WITH RECURSIVE planned AS ( \
     (SELECT s.organization FROM syncs s WHERE s.paused_at IS NULL AND ",
    due_at!("s"),
    " IS NOT NULL AND EXISTS (SELECT 1 FROM ",
    due!(),
    ") ORDER BY s.organization LIMIT 1) \
     UNION ALL \
     SELECT (SELECT s.organization FROM syncs s WHERE s.organization > planned.organization \
             AND s.paused_at IS NULL AND ",
    due_at!("s"),
    " IS NOT NULL ORDER BY s.organization LIMIT 1) \
     FROM planned WHERE planned.organization IS NOT NULL), \
     at_work AS (SELECT organization, COUNT(*) AS leases FROM syncs WHERE lease_expires_at > $1 GROUP BY organization) \
     SELECT planned.organization FROM planned \
     CROSS JOIN LATERAL (SELECT ",
    due_at!("s"),
    " AS at FROM ",
    due!(),
    " AND s.organization = planned.organization ORDER BY ",
    due_at!("s"),
    " LIMIT 1) AS longest \
     LEFT JOIN at_work ON at_work.organization = planned.organization \
     ORDER BY COALESCE(at_work.leases, 0), longest.at, planned.organization"
);

/// Locks the sync whose turn it is until the transaction ends, and returns its organization and identifier.
pub(crate) async fn lock_next(
    tx: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<(String, String)>, Fault> {
    let organizations: Vec<String> = sqlx::query_scalar(ORGANIZATIONS)
        .bind(now)
        .fetch_all(&mut *tx)
        .await?;
    for organization in organizations {
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
pub(crate) async fn release_abandoned(tx: &mut PgConnection, now: Timestamp) -> Result<(), Fault> {
    let released = sqlx::query(
        "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
         lease_ttl = NULL, next_run_at = $1, resume_of = lease_job, updated_at = $1 \
         WHERE (organization, id) IN (SELECT s.organization, s.id FROM syncs s \
         JOIN connections c ON c.organization = s.organization AND c.id = s.connection \
         WHERE s.lease_expires_at <= $1 AND (c.status <> 'ACTIVE' OR s.paused_at IS NOT NULL) \
         FOR UPDATE OF s SKIP LOCKED) \
         RETURNING organization, id, resume_of",
    )
    .bind(now)
    .fetch_all(&mut *tx)
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
