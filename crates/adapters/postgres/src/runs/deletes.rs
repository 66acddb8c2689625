//! What a complete pass found missing, and what becomes of it. Every step takes on at most as many rows as it is told to.

use sqlx::PgConnection;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::Counters;
use wharf_domain::run::commit::Standing;
use wharf_domain::run::deletes::{Hold, LetGo, MarkMissing, RowKey, Survey};
use wharf_domain::sync::{HeldDeletes, Lease, Sync};

use super::{Outcome, Progress, advance, hold_standing, leased};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx};
use crate::{audit, buckets, objects, syncs};

/// Whether the object of row `c` of the catalogue lies under none of the source paths `$denied`.
macro_rules! lies_open {
    ($denied:literal) => {
        concat!(
            "(CARDINALITY(",
            $denied,
            "::text[]) = 0 OR NOT EXISTS (SELECT 1 FROM objects o JOIN UNNEST(",
            $denied,
            "::text[]) AS denied (path) ON starts_with(o.path, denied.path) \
             WHERE o.organization = c.organization AND o.id = c.object))"
        )
    };
}

/// One step over the rows of a sync in the order of their keys: those of authorities before the listing's, its own beyond
/// what was merged, and those of authorities after it. Each is a range, so that what was merged is never looked at.
const MARK_UNSEEN: &str = "WITH looked_at AS ( \
     (SELECT authority, source_object, TRUE AS missing FROM catalogue WHERE organization = $1 AND sync = $2 \
      AND authority < $4 AND (authority, source_object) > ($5, $6) ORDER BY authority, source_object LIMIT $8) \
     UNION ALL \
     (SELECT authority, source_object, seen_pass < $3 AS missing FROM catalogue WHERE organization = $1 AND sync = $2 \
      AND authority = $4 AND source_object > $7 ORDER BY source_object LIMIT $8) \
     UNION ALL \
     (SELECT authority, source_object, TRUE AS missing FROM catalogue WHERE organization = $1 AND sync = $2 \
      AND authority > $4 AND (authority, source_object) > ($5, $6) ORDER BY authority, source_object LIMIT $8) \
     ORDER BY authority, source_object LIMIT $8), \
     step AS (SELECT * FROM looked_at ORDER BY authority, source_object LIMIT $8 - 1), \
     marked AS (UPDATE catalogue c SET missing_pass = $3 FROM step WHERE c.organization = $1 AND c.sync = $2 \
      AND c.authority = step.authority AND c.source_object = step.source_object AND step.missing \
      AND c.missing_pass IS DISTINCT FROM $3) \
     SELECT authority, source_object, (SELECT COUNT(*) FROM looked_at) = $8 AS more FROM step \
     ORDER BY authority DESC, source_object DESC LIMIT 1";

/// The sync's held deletes as they are now: all rows that are missing and found so by a complete pass. Returns how many, if
/// that is news.
async fn tell_held(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &Sync,
    step: &Hold,
    now: Timestamp,
) -> Result<Option<u64>, Fault> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS count FROM catalogue WHERE organization = $1 AND sync = $2 AND missing_pass IS NOT NULL \
         AND missing_since IS NOT NULL",
    )
    .bind(organization.as_str())
    .bind(sync.id.as_str())
    .fetch_one(&mut *tx)
    .await?;
    let count: u64 = Columns::of("catalogue", &row).number("count")?;
    let told = sync.held_deletes.as_ref();
    let held = (count > 0).then(|| HeldDeletes {
        pass: told.map_or(step.pass, |told| told.pass),
        count,
        since: told.map_or(now, |told| told.since),
        reason: step.reason.clone(),
    });
    if told == held.as_ref() {
        return Ok(None);
    }
    sqlx::query("UPDATE syncs SET held_deletes = $3 WHERE organization = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(sync.id.as_str())
        .bind(held.as_ref().map(json))
        .execute(tx)
        .await?;
    Ok(Some(count))
}

impl Store {
    pub(super) async fn mark_unseen(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Outcome<Option<RowKey>> {
        let run = hold_standing(tx, organization, lease, standing).await?;
        let now = self.now(tx).await?;
        let (authority, object) = step.after.as_ref().map_or(("", ""), |after| {
            (after.authority.as_str(), after.object.as_str())
        });
        // Where the step goes on among the rows of the listing's authority; nowhere where it was merged, or done.
        let beyond = step.unseen_beyond.as_ref().map(|beyond| {
            let beyond = beyond.as_deref().unwrap_or_default();
            if authority == step.authority {
                beyond.max(object)
            } else {
                beyond
            }
        });
        let beyond = beyond.filter(|_| authority <= step.authority.as_str());
        let last = sqlx::query(MARK_UNSEEN)
            .persistent(false)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(number(step.pass))
            .bind(&step.authority)
            .bind(authority)
            .bind(object)
            .bind(beyond)
            // One row more tells whether another step follows.
            .bind(i64::from(step.limit) + 1)
            .fetch_optional(&mut *tx)
            .await?;
        let progress = Progress {
            counters: &Counters::default(),
            pass: step.pass,
            checkpoint: None,
            phase: None,
        };
        advance(tx, organization, lease, run.sync, progress, now).await?;
        let Some(last) = last else { return Ok(None) };
        let columns = Columns::of("catalogue", &last);
        if !columns.get("more")? {
            return Ok(None);
        }
        Ok(Some(RowKey {
            authority: columns.get("authority")?,
            object: columns.get("source_object")?,
        }))
    }

    pub(super) async fn survey_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Outcome<Survey> {
        let mut connection = self.read(organization).await?;
        leased(&mut connection, organization, lease).await?;
        let row = sqlx::query(concat!(
            "SELECT COUNT(*) AS held, COUNT(*) FILTER (WHERE c.missing_pass = $3 AND NOT c.hidden) AS missing, \
             COUNT(*) FILTER (WHERE c.missing_pass = $3 AND NOT c.hidden AND c.missing_since < $3) AS agreed, \
             COUNT(*) FILTER (WHERE c.missing_pass = $3 AND c.hidden) AS hidden \
             FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.object IS NOT NULL AND ",
            lies_open!("$4")
        ))
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(number(pass))
        .bind(denied)
        .fetch_one(&mut *connection)
        .await?;
        let columns = Columns::of("catalogue", &row);
        Ok(Survey {
            held: columns.number("held")?,
            missing: columns.number("missing")?,
            agreed: columns.number("agreed")?,
            hidden: columns.number("hidden")?,
        })
    }

    pub(super) async fn hold_missing(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: &NewAuditRow,
    ) -> Outcome<u64> {
        let run = hold_standing(tx, organization, lease, standing).await?;
        let now = self.now(tx).await?;
        let held = sqlx::query(concat!(
            "UPDATE catalogue SET missing_since = $3 WHERE organization = $1 AND sync = $2 AND ctid = ANY (ARRAY( \
             SELECT c.ctid FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass = $3 \
             AND c.missing_since IS NULL AND c.object IS NOT NULL AND ",
            lies_open!("$4"),
            " LIMIT $5))"
        ))
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(number(step.pass))
        .bind(&step.denied)
        .bind(i64::from(step.limit))
        .execute(&mut **tx)
        .await?
        .rows_affected();
        let told = if held < u64::from(step.limit) {
            tell_held(tx, organization, &run.sync, step, now).await?
        } else {
            None
        };
        let progress = Progress {
            counters: &Counters {
                held,
                ..Counters::default()
            },
            pass: step.pass,
            checkpoint: None,
            phase: None,
        };
        advance(tx, organization, lease, run.sync, progress, now).await?;
        if let Some(count) = told {
            let row = audit.clone().with("held", count);
            audit::store(tx, organization, &row, now);
        }
        Ok(held)
    }

    pub(super) async fn let_missing_go(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: &NewAuditRow,
    ) -> Outcome<u64> {
        let run = hold_standing(tx, organization, lease, standing).await?;
        buckets::hold(tx, organization, &run.sync.bucket).await?;
        let now = self.now(tx).await?;
        let went: Vec<Option<String>> = sqlx::query_scalar(concat!(
            "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND ctid = ANY (ARRAY( \
             SELECT c.ctid FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass = $3 \
             AND (c.object IS NULL OR NOT c.hidden AND (c.missing_since < $3 OR NOT $4) AND ",
            lies_open!("$5"),
            ") LIMIT $6)) RETURNING object"
        ))
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(number(step.pass))
        .bind(step.only_agreed)
        .bind(&step.denied)
        .bind(i64::from(step.limit))
        .fetch_all(&mut **tx)
        .await?;
        let objects: Vec<&str> = went.iter().flatten().map(String::as_str).collect();
        let buried = objects::bury_unheld(tx, organization, &objects, now).await?;
        let (deleted, bucket) = (buried.len() as u64, run.sync.bucket.clone());
        syncs::clear_held_deletes(tx, organization, &run.sync).await?;
        let progress = Progress {
            counters: &Counters {
                deleted,
                ..Counters::default()
            },
            pass: step.pass,
            checkpoint: None,
            phase: None,
        };
        advance(tx, organization, lease, run.sync, progress, now).await?;
        if deleted > 0 {
            let row = audit.clone().with("deleted", deleted);
            audit::store_with_objects(tx, organization, &row, now, &bucket, buried);
        }
        Ok(went.len() as u64)
    }
}
