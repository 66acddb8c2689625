use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus};
use wharf_domain::object::{BlobKey, DeletedBy, SourceId};
use wharf_domain::plan::Known;
use wharf_domain::sync::{Lease, Sync, SyncMode};
use wharf_ports::{Commit, LetGo, Put, RunError, RunRepository};

use crate::clock::{micros, span};
use crate::error::{Failure, Fault};
use crate::row::{Columns, json, number};
use crate::store::{Store, in_transaction};
use crate::syncs::columns;
use crate::{audit, buckets, jobs, objects, syncs};

type Outcome<T> = Result<T, Failure<RunError>>;

/// The sync, if the lease on it is still the run's. A lease that has expired still is, until it is taken over.
async fn leased(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    lease: &Lease,
    now: Timestamp,
) -> Outcome<Sync> {
    let row = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM syncs WHERE organization = $1 AND id = $2 AND lease_job = $3 AND fence = $4"
    ))
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(lease.job.as_str())
    .bind(number(lease.fence))
    .fetch_optional(connection)
    .await?;
    let row = row.ok_or(Failure::Refused(RunError::LeaseLost))?;
    Ok(syncs::read(&row, now)?)
}

/// Refuses unless the connection is active and what it was when the run started.
async fn unchanged(
    tx: &mut SqliteConnection,
    organization: &OrganizationId,
    connection: &ConnectionId,
    epoch: u64,
    credential_version: u64,
) -> Outcome<()> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM connections WHERE organization = $1 AND id = $2 AND status = 'ACTIVE' AND epoch = $3 \
         AND credential_version = $4",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(number(epoch))
    .bind(number(credential_version))
    .fetch_optional(tx)
    .await?;
    found
        .map(drop)
        .ok_or(Failure::Refused(RunError::ConnectionChanged))
}

/// What a write of a run leaves on the sync: the lease extended by the time it was leased for, and progress.
struct Progress<'a> {
    counters: &'a Counters,
    pass: u64,
    checkpoint: Option<String>,
    phase: Option<JobPhase>,
}

async fn advance(
    tx: &mut SqliteConnection,
    organization: &OrganizationId,
    lease: &Lease,
    sync: Sync,
    progress: Progress<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut totals = sync.totals.counters;
    totals.add(progress.counters);
    sqlx::query(
        "UPDATE syncs SET counters = $3, last_pass = MAX(last_pass, $4), checkpoint = COALESCE($5, checkpoint), \
         lease_expires_at = $6 + lease_ttl, updated_at = $6 WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(json(&totals))
    .bind(number(progress.pass))
    .bind(progress.checkpoint)
    .bind(micros(now))
    .execute(&mut *tx)
    .await?;
    jobs::count(
        tx,
        organization,
        &lease.job,
        progress.counters,
        progress.phase,
        now,
    )
    .await
}

/// Source identities as one bound parameter: `[[provider, authority, object], …]`.
fn source_list<'a>(sources: impl Iterator<Item = &'a SourceId>) -> String {
    let triples = sources.map(|source| {
        (
            source.provider.as_str(),
            &*source.authority,
            &*source.object,
        )
    });
    json(&triples.collect::<Vec<_>>())
}

/// Marks those sources that the bucket has in the sync's catalogue as seen by the pass.
async fn mark_seen(
    tx: &mut SqliteConnection,
    organization: &OrganizationId,
    sync: &Sync,
    pass: u64,
    sources: String,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO sync_entries (organization, sync, object, seen_pass) \
         SELECT o.organization, $3, o.id, $4 FROM json_each($5) AS source \
         CROSS JOIN objects o ON o.organization = $1 AND o.bucket = $2 \
         AND o.provider = json_extract(source.value, '$[0]') AND o.authority = json_extract(source.value, '$[1]') \
         AND o.source_object = json_extract(source.value, '$[2]') WHERE true \
         ON CONFLICT (organization, sync, object) DO UPDATE SET seen_pass = excluded.seen_pass",
    )
    .bind(organization.as_str())
    .bind(sync.bucket.as_str())
    .bind(sync.id.as_str())
    .bind(number(pass))
    .bind(sources)
    .execute(tx)
    .await?;
    Ok(())
}

fn read_known(row: &SqliteRow) -> Result<(SourceId, Known), Fault> {
    let columns = Columns::of("objects", row);
    let source = SourceId {
        provider: columns.parse("provider")?,
        authority: columns.get("authority")?,
        object: columns.get("source_object")?,
    };
    let known = Known {
        object: source.object.clone(),
        id: columns.parse("id")?,
        version: columns.get("version")?,
        blob: columns.read("blob", BlobKey::parse)?,
        deleted: columns.read_optional("deleted_by", DeletedBy::parse)?,
    };
    Ok((source, known))
}

/// What the sync's bucket knows of these sources.
async fn all_known(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    sync: &Sync,
    sources: String,
) -> Result<Vec<(SourceId, Known)>, Fault> {
    let rows = sqlx::query(
        "SELECT o.provider, o.authority, o.source_object, o.id, o.version, o.blob, o.deleted_by \
         FROM json_each($3) AS source CROSS JOIN objects o ON o.organization = $1 AND o.bucket = $2 \
         AND o.provider = json_extract(source.value, '$[0]') AND o.authority = json_extract(source.value, '$[1]') \
         AND o.source_object = json_extract(source.value, '$[2]')",
    )
    .bind(organization.as_str())
    .bind(sync.bucket.as_str())
    .bind(sources)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read_known).collect()
}

/// Whether the bucket's object still is what the copy was planned on.
fn is_as_planned(put: &Put, current: Option<&Known>) -> bool {
    fn state(known: &Known) -> (&BlobKey, Option<DeletedBy>) {
        (&known.blob, known.deleted)
    }
    put.replaces.as_ref().map(state) == current.map(state)
}

/// The counters of a step of which these puts are passed over: they count as found, not as copied.
fn without(passed_over: &[&Put], mut counters: Counters) -> Counters {
    for put in passed_over {
        counters.bytes = counters.bytes.saturating_sub(put.content.size_bytes);
        if let Some(synced) = counters.synced.checked_sub(1) {
            counters.synced = synced;
            counters.verified += 1;
        }
    }
    counters
}

impl Store {
    async fn load_leased(&self, organization: &OrganizationId, lease: &Lease) -> Outcome<Sync> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        leased(&mut connection, organization, lease, now).await
    }

    async fn extend_lease(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        leased(tx, organization, lease, now).await?;
        sqlx::query("UPDATE syncs SET lease_expires_at = $3 WHERE organization = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(micros(now) + span(ttl))
            .execute(&mut *tx)
            .await?;
        Ok(())
    }

    async fn known_sources(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        sources: &[SourceId],
    ) -> Outcome<Vec<Known>> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        let sync = leased(&mut connection, organization, lease, now).await?;
        let sources = source_list(sources.iter());
        let known = all_known(&mut connection, organization, &sync, sources).await?;
        Ok(known.into_iter().map(|(_, known)| known).collect())
    }

    async fn commit_step(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        lease: &Lease,
        commit: &Commit,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        let sync = leased(tx, organization, lease, now).await?;
        unchanged(
            tx,
            organization,
            &sync.connection,
            commit.epoch,
            commit.credential_version,
        )
        .await?;
        // A source that is put twice in one step is published once, as the last put has it.
        let puts: BTreeMap<&SourceId, &Put> =
            commit.puts.iter().map(|put| (&put.source, put)).collect();
        let sources = source_list(puts.keys().copied());
        let current: HashMap<SourceId, Known> = all_known(tx, organization, &sync, sources)
            .await?
            .into_iter()
            .collect();
        let (published, passed_over): (Vec<&Put>, Vec<&Put>) = puts
            .into_values()
            .partition(|put| is_as_planned(put, current.get(&put.source)));
        let puts_and_seen = commit
            .puts
            .iter()
            .map(|put| &put.source)
            .chain(&commit.seen);
        for put in &published {
            objects::publish(tx, organization, &sync, put, now).await?;
        }
        if !published.is_empty() {
            buckets::note_upload(tx, organization, &sync.bucket, now).await?;
        }
        let seen = source_list(puts_and_seen);
        mark_seen(tx, organization, &sync, commit.pass, seen).await?;
        let progress = Progress {
            counters: &without(&passed_over, commit.counters.clone()),
            pass: commit.pass,
            checkpoint: commit.checkpoint.as_ref().map(json),
            phase: Some(commit.phase),
        };
        advance(tx, organization, lease, sync, progress, now).await?;
        match &commit.audit {
            Some(row) if passed_over.is_empty() => audit::store(tx, organization, row, now).await?,
            Some(row) if !published.is_empty() => {
                let row = row.clone().with("passed_over", passed_over.len() as u64);
                audit::store(tx, organization, &row, now).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn let_go_unseen(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        lease: &Lease,
        step: &LetGo,
    ) -> Outcome<u64> {
        let now = self.now(tx).await?;
        let sync = leased(tx, organization, lease, now).await?;
        unchanged(
            tx,
            organization,
            &sync.connection,
            step.epoch,
            step.credential_version,
        )
        .await?;
        let let_go: Vec<String> = sqlx::query_scalar(
            "DELETE FROM sync_entries WHERE organization = $1 AND sync = $2 AND object IN \
             (SELECT object FROM sync_entries WHERE organization = $1 AND sync = $2 AND seen_pass < $3 LIMIT $4) \
             RETURNING object",
        )
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(number(step.pass))
        .bind(i64::from(step.limit))
        .fetch_all(&mut *tx)
        .await?;
        let deleted = objects::bury_unheld(tx, organization, &let_go, now).await?;
        let counters = Counters {
            deleted,
            ..Counters::default()
        };
        let progress = Progress {
            counters: &counters,
            pass: step.pass,
            checkpoint: None,
            phase: None,
        };
        advance(tx, organization, lease, sync, progress, now).await?;
        if deleted > 0 {
            let row = step.audit.clone().with("deleted", deleted);
            audit::store(tx, organization, &row, now).await?;
        }
        Ok(u64::try_from(let_go.len()).unwrap_or(u64::MAX))
    }

    async fn finish_job(
        &self,
        tx: &mut SqliteConnection,
        organization: &OrganizationId,
        lease: &Lease,
        end: &JobEnd,
        delay: Duration,
        audit: &NewAuditRow,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        let sync = leased(tx, organization, lease, now).await?;
        jobs::end(tx, organization, &lease.job, end, now).await?;
        let completed = end.status == JobStatus::Completed;
        let failed = end.status == JobStatus::Failed;
        let complete_pass = completed && end.incomplete_reason.is_none();
        let done = complete_pass && sync.mode == SyncMode::InitialOnly;
        let next_run_at = match (&sync.queued_job, done) {
            (Some(_), _) => Some(micros(now)),
            (None, true) => None,
            (None, false) => Some(micros(now) + span(delay)),
        };
        sqlx::query(
            "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
             lease_ttl = NULL, next_run_at = $3, resume_of = $4, \
             state = CASE WHEN $5 THEN 'completed' ELSE state END, \
             checkpoint = CASE WHEN $6 THEN NULL ELSE checkpoint END, \
             runs_completed = runs_completed + $7, last_sync_at = CASE WHEN $7 = 1 THEN $9 ELSE last_sync_at END, \
             runs_failed = runs_failed + $8, \
             consecutive_failures = CASE WHEN $7 = 1 THEN 0 ELSE consecutive_failures + $8 END, \
             last_error = CASE WHEN $7 = 1 THEN NULL WHEN $8 = 1 THEN $10 ELSE last_error END, \
             updated_at = $9 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(next_run_at)
        .bind((end.status == JobStatus::Interrupted).then(|| lease.job.as_str()))
        .bind(done)
        .bind(complete_pass)
        .bind(i64::from(completed))
        .bind(i64::from(failed))
        .bind(micros(now))
        .bind(&end.error)
        .execute(&mut *tx)
        .await?;
        audit::store(tx, organization, audit, now).await?;
        Ok(())
    }
}

#[async_trait]
impl RunRepository for Store {
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError> {
        self.load_leased(organization, lease)
            .await
            .map_err(Failure::into_port)
    }

    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.extend_lease(&mut tx, organization, lease, ttl))
            .map_err(Failure::into_port)
    }

    async fn known(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        sources: &[SourceId],
    ) -> Result<Vec<Known>, RunError> {
        self.known_sources(organization, lease, sources)
            .await
            .map_err(Failure::into_port)
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        commit: Commit,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.commit_step(&mut tx, organization, lease, &commit))
            .map_err(Failure::into_port)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        step: LetGo,
    ) -> Result<u64, RunError> {
        in_transaction!(self, tx => self.let_go_unseen(&mut tx, organization, lease, &step))
            .map_err(Failure::into_port)
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.finish_job(&mut tx, organization, lease, &end, delay, &audit)).map_err(Failure::into_port)
    }
}
