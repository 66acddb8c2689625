//! What one step of a run publishes, marks and remembers: sets of rows in one statement each, and none where the step
//! names nothing.

use std::collections::{BTreeMap, HashMap};

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{ObjectId, OrganizationId};
use wharf_domain::job::Counters;
use wharf_domain::object::{BlobKey, DeletedBy, SourceId};
use wharf_domain::run::commit::{Commit, LeftOut, Moved, Put, Standing, Vanished};
use wharf_domain::sync::{Lease, Sync};

use super::{Outcome, Progress, Run, advance, hold_standing};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx};
use crate::{audit, buckets, dead_letters, objects};

/// Source identities as three bound arrays, and the lineages that are told of them.
struct Sources<'a> {
    providers: Vec<&'static str>,
    authorities: Vec<&'a str>,
    objects: Vec<&'a str>,
    lineages: Vec<Option<&'a str>>,
}

impl<'a> Sources<'a> {
    /// Each source once: a statement may not touch a row twice.
    fn of(sources: impl Iterator<Item = (&'a SourceId, Option<&'a str>)>) -> Self {
        let mut distinct: BTreeMap<&SourceId, Option<&str>> = BTreeMap::new();
        for (source, lineage) in sources {
            let known = distinct.entry(source).or_default();
            *known = lineage.or(*known);
        }
        Self {
            lineages: distinct.values().copied().collect(),
            providers: distinct
                .keys()
                .map(|source| source.provider.as_str())
                .collect(),
            authorities: distinct
                .keys()
                .map(|source| source.authority.as_str())
                .collect(),
            objects: distinct
                .keys()
                .map(|source| source.object.as_str())
                .collect(),
        }
    }
}

/// The state of an object that a copy is planned on.
struct State {
    id: ObjectId,
    blob: BlobKey,
    deleted: Option<DeletedBy>,
}

/// What is told of an object that was published where `current` was. For whoever is told, a tombstone that comes back to life
/// by a run arrives anew.
fn change(put: &Put, current: Option<&State>) -> ObjectChange {
    let fate = match current {
        Some(State { deleted: None, .. }) => ObjectFate::Updated,
        _ => ObjectFate::Created,
    };
    ObjectChange {
        object_id: current.map_or(&put.new_id, |current| &current.id).clone(),
        fate,
        source_path: put.facts.path.clone(),
        size_bytes: put.content.size_bytes,
    }
}

fn read_state(row: &PgRow) -> Result<(SourceId, State), Fault> {
    let columns = Columns::of("objects", row);
    let source = SourceId {
        provider: columns.parse("provider")?,
        authority: columns.get("authority")?,
        object: columns.get("source_object")?,
    };
    let state = State {
        id: columns.parse("id")?,
        blob: columns.read("blob", BlobKey::parse)?,
        deleted: columns.read_optional("deleted_by", DeletedBy::parse)?,
    };
    Ok((source, state))
}

/// How the bucket's objects of these sources stand. They stay so until the transaction ends: a person deletes and restores
/// objects without the bucket's lock.
async fn lock_objects(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &Sync,
    sources: Sources<'_>,
) -> Result<HashMap<SourceId, State>, Fault> {
    sqlx::query(
        "SELECT o.id, o.provider, o.authority, o.source_object, o.blob, o.deleted_by \
         FROM UNNEST($3::text[], $4::text[], $5::text[]) AS source (provider, authority, object) \
         JOIN objects o ON o.organization = $1 AND o.bucket = $2 AND o.provider = source.provider \
         AND o.authority = source.authority AND o.source_object = source.object FOR NO KEY UPDATE OF o",
    )
    .bind(organization.as_str())
    .bind(sync.bucket.as_str())
    .bind(sources.providers)
    .bind(sources.authorities)
    .bind(sources.objects)
    .fetch_all(tx)
    .await?
    .iter()
    .map(read_state)
    .collect()
}

/// Whether the step names nothing but counters, checkpoint and phase.
fn only_counts(commit: &Commit) -> bool {
    commit.puts.is_empty()
        && commit.adopted.is_empty()
        && commit.left_out.is_empty()
        && commit.failed.is_empty()
        && commit.moved.is_empty()
        && commit.returned.is_empty()
        && commit.seen.is_empty()
        && commit.drifted.is_empty()
        && commit.hidden.is_empty()
        && commit.vanished.is_none()
}

/// Where a step writes: the rows of one sync under one authority.
struct Rows<'a> {
    tx: &'a mut PgConnection,
    organization: &'a OrganizationId,
    sync: &'a Sync,
    pass: u64,
    authority: &'a str,
}

impl Rows<'_> {
    /// Makes the sync hold on to those of the sources that the bucket has. They are there, and let through. Returns their
    /// source identities. Without a lineage, that of the row stays.
    async fn hold_on(&mut self, sources: Sources<'_>) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar(
            "INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass, lineage) \
             SELECT $1, $3, o.authority, o.source_object, o.id, $4, COALESCE(source.lineage, (SELECT c.lineage FROM catalogue c \
             WHERE c.organization = $1 AND c.sync = $3 AND c.authority = o.authority AND c.source_object = o.source_object), '') \
             FROM UNNEST($5::text[], $6::text[], $7::text[], $8::text[]) AS source (provider, authority, object, lineage) \
             JOIN objects o ON o.organization = $1 AND o.bucket = $2 AND o.provider = source.provider \
             AND o.authority = source.authority AND o.source_object = source.object \
             ON CONFLICT (organization, sync, authority, source_object) DO UPDATE SET object = excluded.object, \
             seen_pass = excluded.seen_pass, left_out_version = NULL, left_out_rule = NULL, \
             missing_pass = NULL, missing_since = NULL, hidden = FALSE, lineage = excluded.lineage RETURNING source_object",
        )
        .bind(self.organization.as_str())
        .bind(self.sync.bucket.as_str())
        .bind(self.sync.id.as_str())
        .bind(number(self.pass))
        .bind(sources.providers)
        .bind(sources.authorities)
        .bind(sources.objects)
        .bind(sources.lineages)
        .fetch_all(&mut *self.tx)
        .await?)
    }

    async fn remember_left_out(&mut self, left_out: &[LeftOut]) -> Result<(), Fault> {
        let left_out: BTreeMap<&str, &LeftOut> =
            left_out.iter().map(|it| (it.object.as_str(), it)).collect();
        let each = |column: fn(&LeftOut) -> &str| -> Vec<&str> {
            left_out.values().map(|it| column(it)).collect()
        };
        sqlx::query(
            "INSERT INTO catalogue (organization, sync, authority, source_object, seen_pass, left_out_version, left_out_rule) \
             SELECT $1, $2, $3, it.object, $4, it.version, it.rule \
             FROM UNNEST($5::text[], $6::text[], $7::text[]) AS it (object, version, rule) \
             ON CONFLICT (organization, sync, authority, source_object) DO UPDATE SET seen_pass = excluded.seen_pass, \
             left_out_version = excluded.left_out_version, left_out_rule = excluded.left_out_rule",
        )
        .bind(self.organization.as_str())
        .bind(self.sync.id.as_str())
        .bind(self.authority)
        .bind(number(self.pass))
        .bind(each(|it| &it.object))
        .bind(each(|it| &it.version))
        .bind(each(|it| &it.rule))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Notes where files lie now.
    async fn relocate(&mut self, moved: &[Moved], now: Timestamp) -> Result<(), Fault> {
        if moved.is_empty() {
            return Ok(());
        }
        let each = |column: fn(&Moved) -> &str| -> Vec<&str> { moved.iter().map(column).collect() };
        let paths: Vec<Option<&str>> = moved.iter().map(|it| it.path.as_deref()).collect();
        sqlx::query(MOVED)
            .bind(self.organization.as_str())
            .bind(self.sync.id.as_str())
            .bind(self.authority)
            .bind(each(|it| &it.object))
            .bind(paths)
            .bind(each(|it| &it.lineage))
            .bind(now)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Runs one of the statements below for these source objects, if there are any.
    async fn mark(&mut self, statement: &'static str, objects: &[String]) -> Result<(), Fault> {
        if objects.is_empty() {
            return Ok(());
        }
        sqlx::query(statement)
            .bind(self.organization.as_str())
            .bind(self.sync.id.as_str())
            .bind(self.authority)
            .bind(objects)
            .bind(number(self.pass))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Marks the rows that a sorted listing passed over as missing.
    async fn pass_over(&mut self, vanished: &Vanished) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE catalogue c SET missing_pass = $4 WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $3 \
             AND c.source_object > $5 AND ($6::text IS NULL OR c.source_object <= $6) \
             AND c.missing_pass IS DISTINCT FROM $4 \
             AND NOT EXISTS (SELECT 1 FROM UNNEST($7::text[]) AS listed (object) WHERE listed.object = c.source_object)",
        )
        // Planned each time: how wide the stretch is decides.
        .persistent(false)
        .bind(self.organization.as_str())
        .bind(self.sync.id.as_str())
        .bind(self.authority)
        .bind(number(self.pass))
        .bind(vanished.span.after.as_deref().unwrap_or_default())
        .bind(&vanished.span.through)
        .bind(&vanished.listed)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

macro_rules! marking {
    ($set:literal) => {
        concat!(
            "UPDATE catalogue SET ",
            $set,
            " WHERE organization = $1 AND sync = $2 AND authority = $3 AND source_object = ANY($4)"
        )
    };
}

const RETURNED: &str = marking!("missing_pass = NULL, missing_since = NULL, hidden = FALSE");
const SEEN: &str =
    marking!("seen_pass = $5, missing_pass = NULL, missing_since = NULL, hidden = FALSE");
const DRIFTED: &str = marking!("seen_pass = $5, missing_pass = $5, hidden = FALSE");
// Of a row that is not missing, nothing changes. Were that a condition, all missing rows would be looked at.
const HIDDEN: &str = marking!("hidden = (missing_pass IS NOT NULL)");

/// Tells rows that point at an object, and these objects, of what lies elsewhere.
const MOVED: &str = "WITH moved AS (UPDATE catalogue c SET lineage = told.lineage \
     FROM UNNEST($4::text[], $5::text[], $6::text[]) AS told (object, path, lineage) \
     WHERE c.organization = $1 AND c.sync = $2 AND c.authority = $3 AND c.source_object = told.object AND c.object IS NOT NULL \
     RETURNING c.object, told.path) \
     UPDATE objects o SET path = moved.path, updated_at = $7 FROM moved WHERE o.organization = $1 AND o.id = moved.object \
     AND moved.path IS NOT NULL";

/// What became of the puts of a step.
#[derive(Default)]
struct Published {
    changes: Vec<ObjectChange>,
    passed_over: u64,
    counters: Counters,
}

/// Stores all of a step but its counters, checkpoint and phase.
async fn publish(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    run: &Run,
    lease: &Lease,
    commit: &Commit,
    now: Timestamp,
) -> Result<Published, Fault> {
    let sync = &run.sync;
    // A source that is put twice in one step is published once, as the last put has it.
    let puts: BTreeMap<&SourceId, &Put> =
        commit.puts.iter().map(|put| (&put.source, put)).collect();
    let current = if puts.is_empty() {
        HashMap::new()
    } else {
        lock_objects(
            tx,
            organization,
            sync,
            Sources::of(puts.keys().map(|source| (*source, None))),
        )
        .await?
    };
    let state_of = |put: &Put| {
        let state = current.get(&put.source);
        state.map(|state| (&state.blob, state.deleted))
    };
    let (published, passed_over): (Vec<&Put>, Vec<&Put>) = puts
        .into_values()
        .partition(|put| put.is_as_planned(state_of(put)));
    if !published.is_empty() {
        objects::publish(tx, organization, sync, &lease.job, &published, now).await?;
        buckets::note_upload(tx, organization, &sync.bucket, now).await?;
    }

    let adopted: Vec<SourceId> = commit
        .adopted
        .iter()
        .map(|object| SourceId {
            provider: run.provider,
            authority: commit.authority.clone(),
            object: object.clone(),
        })
        .collect();
    let put = commit.puts.iter();
    let put = put.map(|put| (&put.source, Some(put.lineage.as_str())));
    let adopted = adopted.iter().map(|source| (source, None));
    let held = Sources::of(put.chain(adopted));
    let mut rows = Rows {
        tx: &mut *tx,
        organization,
        sync,
        pass: commit.pass,
        authority: &commit.authority,
    };
    let held = if held.objects.is_empty() {
        Vec::new()
    } else {
        rows.hold_on(held).await?
    };
    if !commit.left_out.is_empty() {
        rows.remember_left_out(&commit.left_out).await?;
    }
    rows.relocate(&commit.moved, now).await?;
    rows.mark(RETURNED, &commit.returned).await?;
    rows.mark(SEEN, &commit.seen).await?;
    rows.mark(DRIFTED, &commit.drifted).await?;
    rows.mark(HIDDEN, &commit.hidden).await?;
    if let Some(vanished) = &commit.vanished {
        rows.pass_over(vanished).await?;
    }

    let left_out = commit.left_out.iter().map(|it| it.object.as_str());
    let settled: Vec<&str> = held.iter().map(String::as_str).chain(left_out).collect();
    if !settled.is_empty() {
        dead_letters::resolve(tx, organization, &sync.id, &settled, now).await?;
    }
    if !commit.failed.is_empty() {
        dead_letters::note_failures(tx, organization, sync, &lease.job, &commit.failed, now)
            .await?;
    }
    Ok(Published {
        changes: published
            .iter()
            .map(|put| change(put, current.get(&put.source)))
            .collect(),
        passed_over: passed_over.len() as u64,
        counters: commit.counters_without(&passed_over),
    })
}

impl Store {
    pub(super) async fn commit_step(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<&NewAuditRow>,
    ) -> Outcome<()> {
        let run = hold_standing(tx, organization, lease, standing).await?;
        let bucket = run.sync.bucket.clone();
        let idle = only_counts(commit);
        if !idle {
            buckets::hold(tx, organization, &bucket).await?;
        }
        let now = self.now(tx).await?;
        let published = if idle {
            Published {
                counters: commit.counters.clone(),
                ..Published::default()
            }
        } else {
            publish(tx, organization, &run, lease, commit, now).await?
        };
        let begun = commit.checkpoint.as_ref().map_or(0, |it| it.pass);
        let progress = Progress {
            counters: &published.counters,
            pass: commit.pass.max(begun),
            checkpoint: commit.checkpoint.as_ref().map(json),
            phase: Some(commit.phase),
        };
        advance(tx, organization, lease, run.sync, progress, now).await?;
        if let Some(row) = audit.filter(|_| !published.changes.is_empty()) {
            let row = match published.passed_over {
                0 => row.clone(),
                some => row.clone().with("passed_over", some),
            };
            audit::store_with_objects(tx, organization, &row, now, &bucket, published.changes);
        }
        Ok(())
    }
}
