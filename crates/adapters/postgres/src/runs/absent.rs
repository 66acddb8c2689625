//! What a feed of changes tells is not in the source any more, and what the provider is to be asked about.

use sqlx::PgConnection;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::Counters;
use wharf_domain::run::commit::Standing;
use wharf_domain::run::deletes::MarkAbsent;
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::Lease;

use super::{Outcome, Progress, advance, hold_standing, leased};
use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::Store;

/// Marks rows `c` that the pass has not marked so, or not as certainly.
macro_rules! mark {
    ($which:literal) => {
        concat!(
            "UPDATE catalogue SET seen_pass = 0, missing_pass = $4, hidden = $5 WHERE organization = $1 AND sync = $2 AND ctid = ANY (ARRAY( \
             SELECT c.ctid FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $3 AND ",
            $which,
            " AND (c.missing_pass IS DISTINCT FROM $4 OR (c.hidden AND NOT $5)) LIMIT $6))"
        )
    };
}

/// Marks rows of these source objects.
const MARK_NAMED: &str = mark!("c.source_object = ANY($7::text[])");

/// Marks rows of these lineages, found by their numbers.
const MARK_IN: &str =
    mark!("c.lineage <> '' AND c.folder = ANY($8::bigint[]) AND c.lineage = ANY($7::text[])");

/// The first lineage after another one. A folder's files are leapt over, however many there are.
macro_rules! next {
    ($after:literal) => {
        concat!(
            "(SELECT c.folder, c.lineage FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $3 \
             AND c.lineage <> '' AND c.folder > ",
            $after,
            " ORDER BY c.folder LIMIT 1)"
        )
    };
}

/// The lineages after one.
const LINEAGES: &str = concat!(
    "WITH RECURSIVE folders AS (",
    next!("$4"),
    " UNION ALL SELECT next.* FROM folders CROSS JOIN LATERAL ",
    next!("folders.folder"),
    " AS next) SELECT folder, lineage FROM folders LIMIT $5"
);

/// What the pass found missing and the provider is to be asked about.
const TO_TRACE: &str = "SELECT source_object, lineage FROM catalogue \
     WHERE organization = $1 AND sync = $2 AND authority = $3 AND missing_pass = $4 AND source_object > $5 \
     AND object IS NOT NULL AND NOT hidden AND seen_pass <> $4 ORDER BY source_object LIMIT $6";

/// Lineages that are looked at in one go.
const AT_ONCE: i64 = 1000;

/// A step that marks, and how many rows it may still mark.
struct Marking<'t, 'a> {
    tx: &'t mut PgConnection,
    organization: &'a OrganizationId,
    lease: &'a Lease,
    step: &'a MarkAbsent,
    left: u64,
}

impl Marking<'_, '_> {
    /// With `folders`, what is told are lineages with these numbers.
    async fn mark(
        &mut self,
        told: &[&str],
        folders: Option<&[i64]>,
        certain: bool,
    ) -> Result<(), Fault> {
        if told.is_empty() || self.left == 0 {
            return Ok(());
        }
        let statement = folders.map_or(MARK_NAMED, |_| MARK_IN);
        let query = sqlx::query(statement)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.step.authority)
            .bind(number(self.step.pass))
            .bind(!certain)
            .bind(number(self.left))
            .bind(told);
        let query = match folders {
            Some(folders) => query.bind(folders),
            None => query,
        };
        let marked = query.execute(&mut *self.tx).await?;
        self.left = self.left.saturating_sub(marked.rows_affected());
        Ok(())
    }

    async fn lineages(&mut self, after: i64) -> Result<Vec<(i64, String)>, Fault> {
        let lineages = sqlx::query_as(LINEAGES)
            .bind(self.organization.as_str())
            .bind(self.lease.sync.as_str())
            .bind(&self.step.authority)
            .bind(after)
            .bind(AT_ONCE)
            .fetch_all(&mut *self.tx)
            .await?;
        Ok(lineages)
    }

    /// Marks what is certain first, so that no row is marked twice.
    async fn run(&mut self) -> Result<(), Fault> {
        let told = self.step.told();
        self.mark(&told.named(true), None, true).await?;
        let mut after = i64::MIN;
        while self.left > 0 {
            let lineages = self.lineages(after).await?;
            for certain in [true, false] {
                let of = lineages
                    .iter()
                    .filter(|(_, lineage)| told.of_lineage(lineage) == Some(certain));
                let (folders, of): (Vec<i64>, Vec<&str>) = of
                    .map(|(folder, lineage)| (*folder, lineage.as_str()))
                    .unzip();
                self.mark(&of, Some(&folders), certain).await?;
            }
            match lineages.last() {
                Some((last, _)) => after = *last,
                None => break,
            }
        }
        self.mark(&told.named(false), None, false).await
    }
}

impl Store {
    pub(super) async fn mark_absent_rows(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Outcome<u64> {
        let run = hold_standing(tx, organization, lease, standing).await?;
        let now = self.now(tx).await?;
        let limit = u64::from(step.limit);
        let mut marking = Marking {
            tx: &mut *tx,
            organization,
            lease,
            step,
            left: limit,
        };
        marking.run().await?;
        let marked = limit - marking.left;
        let progress = Progress {
            counters: &Counters::default(),
            pass: step.pass,
            checkpoint: None,
            phase: None,
        };
        advance(tx, organization, lease, run.sync, progress, now).await?;
        Ok(marked)
    }

    pub(super) async fn rows_to_trace(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Outcome<Vec<MissingRow>> {
        let mut connection = self.read(organization).await?;
        leased(&mut connection, organization, lease).await?;
        let rows = sqlx::query(TO_TRACE)
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(authority)
            .bind(number(pass))
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let read = |row| {
            let columns = Columns::of("catalogue", row);
            Ok(MissingRow {
                object: columns.get("source_object")?,
                lineage: columns.get("lineage")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, Fault>>()?)
    }
}
