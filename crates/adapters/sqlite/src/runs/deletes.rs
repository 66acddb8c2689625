//! What a complete listing lets go of: marked, counted, held back and let go, a bounded step at a time.

use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::Counters;
use wharf_domain::run::commit::Standing;
use wharf_domain::run::deletes::{Hold, LetGo, MarkMissing, RowKey, Survey};
use wharf_domain::sync::{HeldDeletes, Lease};

use super::{Ground, Outcome, Progress, advance, leased};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx};
use crate::{audit, objects, syncs};

/// Whether the object of the row `c` lies under one of the denied source paths. Without any, no object is looked at.
macro_rules! denied {
    ($paths:literal) => {
        concat!(
            "(json_array_length(",
            $paths,
            ") > 0 AND EXISTS (SELECT 1 FROM json_each(",
            $paths,
            ") AS denied CROSS JOIN objects o \
             ON o.organization = c.organization AND o.id = c.object WHERE instr(o.path, denied.value) = 1))"
        )
    };
}

/// The rows that a complete listing tells something of, in the order of their keys: those of other authorities, and those
/// of its own that the pass has marked. Rows that were merged are not even looked at. The bounds are those of [`Stretches`].
macro_rules! told_of {
    () => {
        "SELECT authority, source_object, seen_pass FROM catalogue WHERE organization = $1 AND sync = $2 \
         AND authority < $3 AND (authority, source_object) > ($6, $7) \
         UNION ALL SELECT authority, source_object, seen_pass FROM catalogue WHERE organization = $1 AND sync = $2 \
         AND authority = $3 AND source_object > $5 \
         UNION ALL SELECT authority, source_object, seen_pass FROM catalogue WHERE organization = $1 AND sync = $2 \
         AND (authority, source_object) > ($8, COALESCE($9, x'')) \
         ORDER BY authority, source_object"
    };
}

/// The last row of a step, and the one after it.
pub(crate) const STEP_END: &str = concat!(
    "SELECT authority, source_object FROM (",
    told_of!(),
    ") LIMIT 2 OFFSET $10 - 1"
);

/// Marks those rows of a step that the pass did not see.
pub(crate) const MARK: &str = concat!(
    "UPDATE catalogue SET missing_pass = $4 WHERE organization = $1 AND sync = $2 \
     AND (authority, source_object) IN (SELECT authority, source_object FROM (",
    told_of!(),
    " LIMIT $10) WHERE authority <> $3 OR seen_pass < $4)"
);

pub(crate) const SURVEY: &str = concat!(
    "SELECT COUNT(*) AS held, COALESCE(SUM(c.missing_pass = $3 AND NOT c.hidden), 0) AS missing, \
     COALESCE(SUM(c.missing_pass = $3 AND NOT c.hidden AND c.missing_since < $3), 0) AS agreed, \
     COALESCE(SUM(c.missing_pass = $3 AND c.hidden), 0) AS hidden \
     FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.object IS NOT NULL AND NOT ",
    denied!("$4")
);

pub(crate) const HOLD: &str = concat!(
    "UPDATE catalogue SET missing_since = $3 WHERE organization = $1 AND sync = $2 AND (authority, source_object) IN \
     (SELECT c.authority, c.source_object FROM catalogue c INDEXED BY catalogue_missing \
     WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass = $3 AND c.missing_since IS NULL AND c.object IS NOT NULL AND NOT ",
    denied!("$4"),
    " LIMIT $5)"
);

pub(crate) const LET_GO: &str = concat!(
    "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND (authority, source_object) IN \
     (SELECT c.authority, c.source_object FROM catalogue c INDEXED BY catalogue_missing \
     WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass = $3 AND (c.object IS NULL OR (NOT c.hidden AND (NOT $6 OR c.missing_since < $3) AND NOT ",
    denied!("$4"),
    ")) LIMIT $5) RETURNING object"
);

/// Where the rows that a complete listing tells something of begin, past those of earlier steps.
struct Stretches<'a> {
    /// Rows of authorities before the listing's own.
    before: (&'a str, &'a str),
    /// Rows of its own authority; `None` for none.
    own: Option<&'a str>,
    /// Rows of authorities after its own; `None` for the end of an authority.
    beyond: (&'a str, Option<&'a str>),
}

impl<'a> Stretches<'a> {
    fn of(step: &'a MarkMissing) -> Self {
        let own = step.unseen_beyond.as_ref();
        let own = own.map(|beyond| beyond.as_deref().unwrap_or_default());
        let whole = Self {
            before: ("", ""),
            own,
            beyond: (&step.authority, None),
        };
        let Some(after) = &step.after else {
            return whole;
        };
        let reached = (&*after.authority, &*after.object);
        let authority = &*step.authority;
        Self {
            before: reached,
            own: own
                .filter(|_| reached.0 <= authority)
                .map(|beyond| match reached {
                    (same, object) if same == authority => beyond.max(object),
                    _ => beyond,
                }),
            beyond: if reached.0 > authority {
                (reached.0, Some(reached.1))
            } else {
                whole.beyond
            },
        }
    }
}

impl Store {
    pub(super) async fn mark_missing_rows(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Outcome<Option<RowKey>> {
        let ground = self.ground(tx, organization, lease, standing).await?;
        let stretches = Stretches::of(step);
        let bound = |statement| {
            sqlx::query(statement)
                .bind(organization.as_str())
                .bind(lease.sync.as_str())
                .bind(&step.authority)
                .bind(number(step.pass))
                .bind(stretches.own)
                .bind(stretches.before.0)
                .bind(stretches.before.1)
                .bind(stretches.beyond.0)
                .bind(stretches.beyond.1)
                .bind(step.limit)
        };
        let end = bound(STEP_END).fetch_all(&mut **tx).await?;
        bound(MARK).execute(&mut **tx).await?;
        let next = match end.as_slice() {
            [last, _] => {
                let columns = Columns::of("catalogue", last);
                Some(RowKey {
                    authority: columns.get("authority")?,
                    object: columns.get("source_object")?,
                })
            }
            _ => None,
        };
        let progress = Progress::default();
        advance(tx, organization, lease, step.pass, ground, progress).await?;
        Ok(next)
    }

    pub(super) async fn survey_rows(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Outcome<Survey> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        leased(&mut connection, organization, lease, now).await?;
        let row = sqlx::query(SURVEY)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(number(pass))
            .bind(json(&denied))
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

    pub(super) async fn hold_rows(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Outcome<u64> {
        let ground = self.ground(tx, organization, lease, standing).await?;
        let held = sqlx::query(HOLD)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(number(step.pass))
            .bind(json(&step.denied))
            .bind(step.limit)
            .execute(&mut **tx)
            .await?
            .rows_affected();
        if held < u64::from(step.limit) {
            tell_held(tx, organization, lease, step, &ground, audit).await?;
        }
        let progress = Progress {
            counters: Counters {
                held,
                ..Counters::default()
            },
            ..Progress::default()
        };
        advance(tx, organization, lease, step.pass, ground, progress).await?;
        Ok(held)
    }

    pub(super) async fn let_go_of_rows(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Outcome<u64> {
        let ground = self.ground(tx, organization, lease, standing).await?;
        let gone: Vec<Option<String>> = sqlx::query_scalar(LET_GO)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(number(step.pass))
            .bind(json(&step.denied))
            .bind(step.limit)
            .bind(step.only_agreed)
            .fetch_all(&mut **tx)
            .await?;
        let went = gone.len() as u64;
        let let_go: Vec<String> = gone.into_iter().flatten().collect();
        let buried = objects::bury_unheld(tx, organization, &let_go, ground.now).await?;
        let deleted = buried.len() as u64;
        if ground.held_deletes.is_some() {
            syncs::tell_released(tx, organization, &lease.sync, ground.now).await?;
        }
        if deleted > 0 {
            let row = audit.with("deleted", deleted);
            let (bucket, now) = (&ground.bucket, ground.now);
            audit::store_with_objects(tx, organization, &row, now, bucket, buried);
        }
        let progress = Progress {
            counters: Counters {
                deleted,
                ..Counters::default()
            },
            ..Progress::default()
        };
        advance(tx, organization, lease, step.pass, ground, progress).await?;
        Ok(went)
    }
}

/// Tells people of all deletes that wait, if that is news.
async fn tell_held(
    tx: &mut Tx,
    organization: &OrganizationId,
    lease: &Lease,
    step: &Hold,
    ground: &Ground,
    audit: NewAuditRow,
) -> Result<(), Fault> {
    let count = syncs::count_waiting(tx, organization, &lease.sync).await?;
    let earlier = ground.held_deletes.as_ref();
    let held = (count > 0).then(|| HeldDeletes {
        pass: earlier.map_or(step.pass, |earlier| earlier.pass),
        count,
        since: earlier.map_or(ground.now, |earlier| earlier.since),
        reason: step.reason.clone(),
    });
    if held == ground.held_deletes {
        return Ok(());
    }
    sqlx::query("UPDATE syncs SET held_deletes = $3 WHERE organization = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(held.as_ref().map(json))
        .execute(&mut **tx)
        .await?;
    let row = audit.with("held", count);
    audit::store(tx, organization, &row, ground.now);
    Ok(())
}
