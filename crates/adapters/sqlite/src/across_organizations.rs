use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKeyHash, Organization, OrganizationProfile, Principal};
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::event::EventCursor;
use wharf_domain::ids::{AuditId, JobId, OrganizationId};
use wharf_domain::job::{JobEnd, JobTrigger};
use wharf_domain::namespace::DEFAULT_NAMESPACE;
use wharf_domain::object::BlobKey;
use wharf_domain::sync::{Lease, PushChannel, Sync};
use wharf_ports::{
    AcrossOrganizations, Credential, DueCheck, DueStream, DueSync, DueWebhook, InsertError,
    NewApiKey, NewOrganization, RepositoryError, StoredConsent,
};

use crate::clock::{micros, span};
use crate::error::{Failure, Fault, inserting};
use crate::jobs::QueuedJob;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};
use crate::syncs::columns;
use crate::{access, audit, dead_letters, jobs, namespaces, syncs};

/// Adds an organization with its first user and its namespace `default`.
async fn insert_organization(
    tx: &mut Tx,
    new: &NewOrganization,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO organizations (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3)",
    )
    .bind(new.id.as_str())
    .bind(&new.name)
    .bind(micros(now))
    .execute(&mut **tx)
    .await?;
    access::insert_user(tx, &new.id, &new.admin, now).await?;
    namespaces::insert(
        tx,
        &new.id,
        &new.default_namespace,
        DEFAULT_NAMESPACE,
        None,
        now,
    )
    .await
}

fn read_credential(row: &SqliteRow) -> Result<Credential, Fault> {
    let columns = Columns::of("api_keys", row);
    Ok(Credential {
        principal: Principal {
            organization: columns.parse("organization")?,
            user: columns.parse("user_id")?,
            key: columns.parse("id")?,
            grant: access::read_grant(&columns)?,
            rate_limits: columns.json("rate_limits")?,
        },
        role: columns.parse("role")?,
        hash: access::read_hash(&columns)?,
        valid: columns.get("valid")?,
    })
}

/// The key with a hash, and whether it may be used.
pub(crate) const CREDENTIAL: &str = "SELECT k.organization, k.user_id, k.id, k.hash, k.permissions, k.scopes, k.rate_limit_override, \
     k.allowed_origins, k.expires_at, u.role, o.rate_limits, \
     k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2) \
     AND u.removed_at IS NULL AND u.status <> 'suspended' AS valid \
     FROM api_keys k CROSS JOIN users u ON u.organization = k.organization AND u.id = k.user_id \
     CROSS JOIN organizations o ON o.id = k.organization WHERE k.hash = $1";

/// Releases the syncs whose lease has expired while they may not run.
pub(crate) const RELEASE: &str = "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
     lease_ttl = NULL, next_run_at = $1, resume_of = lease_job, updated_at = $1 \
     WHERE rowid IN (SELECT s.rowid FROM syncs s \
     JOIN connections c ON c.organization = s.organization AND c.id = s.connection \
     WHERE s.lease_expires_at <= $1 AND (s.paused_at IS NOT NULL OR c.status <> 'ACTIVE')) \
     RETURNING organization, id, resume_of";

/// How many leases that have not expired each organization has, fewest first.
pub(crate) const AT_WORK: &str = "SELECT organization, COUNT(*) AS leases FROM syncs WHERE lease_expires_at > $1 \
     GROUP BY organization ORDER BY leases, organization";

macro_rules! due {
    ($organizations:literal) => {
        concat!(
            "SELECT s.organization, s.id FROM syncs s INDEXED BY syncs_due CROSS JOIN connections c \
             ON c.organization = s.organization AND c.id = s.connection AND c.status = 'ACTIVE' \
             WHERE COALESCE(s.lease_expires_at, s.next_run_at) <= $1 AND s.paused_at IS NULL AND s.organization ",
            $organizations,
            " (SELECT value FROM json_each($2)) \
             ORDER BY COALESCE(s.lease_expires_at, s.next_run_at), s.organization, s.id LIMIT 1"
        )
    };
}

/// The sync that has been due longest, of any organization but these.
pub(crate) const DUE_OF_OTHERS: &str = due!("NOT IN");

/// The sync that has been due longest, of these organizations.
pub(crate) const DUE_OF: &str = due!("IN");

/// The sync of a channel.
pub(crate) const CHANNEL: &str = "SELECT organization, id, push FROM syncs WHERE push_channel = $1";

/// Makes a sync due that its channel rang for; one that a worker holds, some time after that run.
pub(crate) const RING: &str = "UPDATE syncs SET rung = lease_job IS NOT NULL, \
     next_run_at = CASE WHEN lease_job IS NULL THEN MAX($4, COALESCE(rings_from, $4)) ELSE next_run_at END \
     WHERE organization = $1 AND id = $2 AND push_channel = $3 AND state = 'active' AND paused_at IS NULL \
     AND CASE WHEN lease_job IS NULL THEN COALESCE(next_run_at > MAX($4, COALESCE(rings_from, $4)), 1) ELSE NOT rung END";

/// Tombstones whose undo window has passed.
macro_rules! past_undo {
    () => {
        "SELECT rowid FROM objects WHERE deleted_at IS NOT NULL AND purged_at IS NULL AND deleted_at <= $1 \
         ORDER BY deleted_at LIMIT $2"
    };
}

/// Those that a person deleted stay as rows, so that the file is not copied again.
pub(crate) const PURGE: &str = concat!(
    "UPDATE objects SET purged_at = $3 WHERE rowid IN (",
    past_undo!(),
    ") AND deleted_by = 'person'"
);

pub(crate) const FORGET: &str = concat!(
    "DELETE FROM objects WHERE rowid IN (",
    past_undo!(),
    ") AND deleted_by = 'source'"
);

/// Ends the jobs whose lease has expired while their sync may not run. Their syncs wait, due at once, until it may again.
async fn release_abandoned(tx: &mut Tx, now: Timestamp) -> Result<(), Fault> {
    let released = sqlx::query(RELEASE)
        .bind(micros(now))
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

/// The sync whose turn it is: one of the organization with the fewest runs at work, there the one due longest. Most calls
/// end with the first question, because some organization has no run at work.
async fn whose_turn(tx: &mut Tx, now: Timestamp) -> Result<Option<(String, String)>, Fault> {
    let at_work: Vec<(String, i64)> = sqlx::query_as(AT_WORK)
        .bind(micros(now))
        .fetch_all(&mut **tx)
        .await?;
    let names = |some: &[(String, i64)]| json(&some.iter().map(|(it, _)| it).collect::<Vec<_>>());
    let mut questions = vec![(DUE_OF_OTHERS, names(&at_work))];
    let as_busy = at_work.chunk_by(|one, other| one.1 == other.1);
    questions.extend(as_busy.map(|some| (DUE_OF, names(some))));
    for (question, organizations) in questions {
        let due = sqlx::query_as(question)
            .bind(micros(now))
            .bind(organizations)
            .fetch_optional(&mut **tx)
            .await?;
        if due.is_some() {
            return Ok(due);
        }
    }
    Ok(None)
}

/// The row of a run that begins.
fn job_started(id: &AuditId, job: &JobId, sync: &Sync, trigger: JobTrigger) -> NewAuditRow {
    NewAuditRow {
        id: id.clone(),
        action: Action::JobStarted,
        resource_type: ResourceType::Job,
        resource_id: job.to_string(),
        origin: Origin::system(),
        changes: serde_json::json!({
            "sync_config_id": sync.id,
            "bucket_id": sync.bucket,
            "connection_id": sync.connection,
            "trigger": trigger.as_str(),
        }),
    }
}

impl Store {
    async fn bootstrap_organization(
        &self,
        tx: &mut Tx,
        organization: &NewOrganization,
        key: &NewApiKey,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let inhabited: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM organizations)")
            .fetch_one(&mut **tx)
            .await?;
        if inhabited {
            return Ok(false);
        }
        let now = self.now(tx).await?;
        insert_organization(tx, organization, now).await?;
        access::insert_key(tx, &organization.id, key, now).await?;
        audit::store(tx, &organization.id, audit, now);
        Ok(true)
    }

    async fn add_organization(
        &self,
        tx: &mut Tx,
        new: NewOrganization,
        audit: &NewAuditRow,
    ) -> Result<Organization, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert_organization(tx, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, &new.id, audit, now);
        Ok(Organization {
            id: new.id,
            profile: OrganizationProfile {
                name: new.name,
                ..OrganizationProfile::default()
            },
            created_at: now,
            updated_at: now,
        })
    }

    async fn organizations(&self) -> Result<Vec<Organization>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            access::organization_columns!(),
            " FROM organizations ORDER BY created_at, id"
        ))
        .fetch_all(&self.reads)
        .await?
        .iter()
        .map(access::read_organization)
        .collect()
    }

    async fn credential(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, Fault> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        sqlx::query(CREDENTIAL)
            .bind(hash.0.as_slice())
            .bind(micros(now))
            .fetch_optional(&mut *connection)
            .await?
            .as_ref()
            .map(read_credential)
            .transpose()
    }

    async fn lease_due(
        &self,
        tx: &mut Tx,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
    ) -> Result<Option<DueSync>, Fault> {
        let now = self.now(tx).await?;
        release_abandoned(tx, now).await?;
        let Some((organization, sync)) = whose_turn(tx, now).await? else {
            return Ok(None);
        };
        let row = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            ", organization, fence, resume_of FROM syncs WHERE organization = $1 AND id = $2"
        ))
        .bind(organization)
        .bind(sync)
        .fetch_one(&mut **tx)
        .await?;
        let sync = syncs::read(&row, now)?;
        let columns = Columns::of("syncs", &row);
        let organization: OrganizationId = columns.parse("organization")?;
        let fence = columns.number::<u64>("fence")? + 1;

        let abandoned: Option<JobId> = columns.parse_optional("lease_job")?;
        if let Some(abandoned) = &abandoned {
            jobs::end_alone(
                tx,
                &organization,
                &sync.id,
                abandoned,
                &JobEnd::interrupted("lease_expired"),
                now,
            )
            .await?;
        }
        let (job, trigger) = if let Some(queued) = &sync.queued_job {
            let trigger = jobs::start(tx, &organization, queued, None, now).await?;
            (queued, trigger)
        } else {
            // A run over the whole source goes on from nothing.
            let predecessor = abandoned
                .or(columns.parse_optional("resume_of")?)
                .filter(|_| !sync.pending_full);
            let trigger = match &predecessor {
                _ if sync.pending_full => JobTrigger::Manual,
                Some(_) => JobTrigger::Resume,
                None => JobTrigger::Scheduled,
            };
            jobs::queue(
                tx,
                &organization,
                &QueuedJob {
                    id: new_job,
                    sync: &sync,
                    trigger,
                },
                now,
            )
            .await?;
            jobs::start(tx, &organization, new_job, predecessor.as_ref(), now).await?;
            (new_job, trigger)
        };
        sqlx::query(
            "UPDATE syncs SET checkpoint = CASE WHEN NOT pending_full THEN checkpoint END, \
             feed = CASE WHEN NOT pending_full THEN feed END, pending_full = 0, rung = 0, \
             queued_job = NULL, resume_of = NULL, next_run_at = NULL, fence = $3, lease_job = $4, lease_worker = $5, lease_acquired_at = $6, lease_expires_at = $6 + $7, lease_ttl = $7, updated_at = $6 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.id.as_str())
        .bind(number(fence))
        .bind(job.as_str())
        .bind(worker)
        .bind(micros(now))
        .bind(span(ttl))
        .execute(&mut **tx)
        .await?;
        let started = job_started(new_audit, job, &sync, trigger);
        audit::store(tx, &organization, &started, now);
        Ok(Some(DueSync {
            lease: Lease {
                sync: sync.id,
                job: job.clone(),
                fence,
            },
            organization,
        }))
    }

    /// Whether a channel that has not expired has this word, and if so, whose it is.
    async fn channel_of(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<Option<(String, String)>, Fault> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        let row = sqlx::query(CHANNEL)
            .bind(channel)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns::of("syncs", &row);
        let push: PushChannel = columns.json("push")?;
        if push.token_sha256 != token_sha256 || push.expires_at <= now {
            return Ok(None);
        }
        Ok(Some((columns.get("organization")?, columns.get("id")?)))
    }

    async fn ring(
        &self,
        tx: &mut Tx,
        (organization, sync): (String, String),
        channel: &str,
    ) -> Result<(), Fault> {
        let now = self.now(tx).await?;
        sqlx::query(RING)
            .bind(organization)
            .bind(sync)
            .bind(channel)
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn purge(&self, tx: &mut Tx, undo: Duration, limit: u32) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        let until = micros(now) - span(undo);
        let purged = sqlx::query(PURGE)
            .bind(until)
            .bind(limit)
            .bind(micros(now))
            .execute(&mut **tx)
            .await?
            .rows_affected();
        let forgotten = sqlx::query(FORGET)
            .bind(until)
            .bind(i64::from(limit) - purged.cast_signed())
            .execute(&mut **tx)
            .await?
            .rows_affected();
        Ok(purged + forgotten)
    }

    async fn dispose(&self, tx: &mut Tx, limit: u32) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        dead_letters::dispose(tx, limit, now).await
    }

    async fn pointed_at(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, Fault> {
        let listed: Vec<&str> = keys.iter().map(BlobKey::as_str).collect();
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT blob FROM objects WHERE blob IN (SELECT value FROM json_each($1)) AND purged_at IS NULL",
        )
        .bind(json(&listed))
        .fetch_all(&self.reads)
        .await?;
        let found: HashSet<String> = found.into_iter().collect();
        Ok(keys
            .iter()
            .filter(|key| found.contains(key.as_str()))
            .cloned()
            .collect())
    }

    async fn clock_now(&self) -> Result<Timestamp, Fault> {
        let mut connection = self.read().await?;
        self.now(&mut connection).await
    }
}

#[async_trait]
impl AcrossOrganizations for Store {
    async fn bootstrap(
        &self,
        organization: NewOrganization,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.bootstrap_organization(&mut tx, &organization, &key, &audit))?,
        )
    }

    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError> {
        in_transaction!(self, tx => self.add_organization(&mut tx, organization, &audit))
            .map_err(Failure::into_port)
    }

    async fn list_organizations(&self) -> Result<Vec<Organization>, RepositoryError> {
        Ok(self.organizations().await?)
    }

    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError> {
        Ok(self.credential(hash).await?)
    }

    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
    ) -> Result<Option<DueSync>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.lease_due(&mut tx, worker, ttl, new_job, new_audit))?)
    }

    async fn lease_due_check(&self, ttl: Duration) -> Result<Option<DueCheck>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.lease_check(&mut tx, ttl))?)
    }

    async fn lease_due_webhook(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.lease_webhook(&mut tx, ttl, limit))?)
    }

    async fn lease_due_stream(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.lease_stream(&mut tx, ttl, limit))?)
    }

    async fn settle_stream(
        &self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, RepositoryError> {
        Ok(in_transaction!(self, tx => self.end_stream_round(&mut tx, due, cursor, pause))?)
    }

    async fn take_consent(
        &self,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, RepositoryError> {
        Ok(in_transaction!(self, tx => self.take_consent_out(&mut tx, state_sha256))?)
    }

    async fn ring_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        // Whoever has the wrong word costs the writer nothing.
        let Some(of) = self.channel_of(channel, token_sha256).await? else {
            return Ok(false);
        };
        in_transaction!(self, tx => self.ring(&mut tx, of, channel))?;
        Ok(true)
    }

    async fn knows_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        Ok(self.channel_of(channel, token_sha256).await?.is_some())
    }

    async fn prune_history(&self, keep: Duration, limit: u32) -> Result<u64, RepositoryError> {
        Ok(in_transaction!(self, tx => self.prune(&mut tx, keep, limit))?)
    }

    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError> {
        Ok(in_transaction!(self, tx => self.purge(&mut tx, undo, limit))?)
    }

    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError> {
        Ok(in_transaction!(self, tx => self.dispose(&mut tx, limit))?)
    }

    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError> {
        Ok(self.pointed_at(keys).await?)
    }

    async fn now(&self) -> Result<Timestamp, RepositoryError> {
        Ok(self.clock_now().await?)
    }
}
