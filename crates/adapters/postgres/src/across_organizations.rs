use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKeyHash, Organization, OrganizationProfile, Principal};
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::event::EventCursor;
use wharf_domain::ids::{AuditId, JobId, OrganizationId};
use wharf_domain::job::{JobEnd, JobTrigger};
use wharf_domain::namespace::DEFAULT_NAMESPACE;
use wharf_domain::object::BlobKey;
use wharf_domain::sync::{Lease, PushChannel};
use wharf_ports::{
    AcrossOrganizations, Credential, DueCheck, DueStream, DueSync, DueWebhook, InsertError,
    NewApiKey, NewOrganization, RepositoryError, StoredConsent,
};

use crate::access::organization_columns;
use crate::clock::{micros, span};
use crate::error::{Failure, Fault, inserting};
use crate::jobs::QueuedJob;
use crate::row::{Columns, number};
use crate::store::{ACROSS, Store, Tx, in_transaction};
use crate::syncs::columns;
use crate::{access, audit, dead_letters, jobs, leases, namespaces, objects, syncs};

/// What an organization that was just created says of itself.
fn profile_of(new: &NewOrganization) -> OrganizationProfile {
    OrganizationProfile {
        name: new.name.clone(),
        ..OrganizationProfile::default()
    }
}

/// Adds an organization with its first user and its namespace `default`.
async fn insert_organization(
    tx: &mut PgConnection,
    new: &NewOrganization,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    access::insert_organization(&mut *tx, &new.id, &profile_of(new), now).await?;
    access::insert_user(&mut *tx, &new.id, &new.admin, now).await?;
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

fn read_credential(row: &PgRow) -> Result<Credential, Fault> {
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

impl Store {
    async fn bootstrap_organization(
        &self,
        tx: &mut Tx,
        organization: &NewOrganization,
        key: &NewApiKey,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        // Of several servers that start on an empty database, one goes first and the others see what it did.
        sqlx::query("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut **tx)
            .await?;
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
            profile: profile_of(&new),
            id: new.id,
            created_at: now,
            updated_at: now,
        })
    }

    async fn organizations(&self) -> Result<Vec<Organization>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            organization_columns!(),
            " FROM organizations ORDER BY created_at, id"
        ))
        .fetch_all(&mut *self.read(ACROSS).await?)
        .await?
        .iter()
        .map(access::read_organization)
        .collect()
    }

    async fn credential(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, Fault> {
        sqlx::query(
            "SELECT k.organization, k.user_id, k.id, k.hash, k.permissions, k.scopes, k.rate_limit_override, \
             k.allowed_origins, k.expires_at, u.role, o.rate_limits, \
             k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()) \
             AND u.removed_at IS NULL AND u.status <> 'suspended' AS valid \
             FROM api_keys k JOIN users u ON u.organization = k.organization AND u.id = k.user_id \
             JOIN organizations o ON o.id = k.organization WHERE k.hash = $1",
        )
        .bind(hash.0.as_slice())
        .fetch_optional(&mut *self.read(ACROSS).await?)
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
        leases::release_abandoned(tx, now).await?;
        let Some((organization, sync)) = leases::lock_next(tx, now).await? else {
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
        let sync = syncs::read(&row)?;
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
        let (job, predecessor) = if let Some(queued) = &sync.queued_job {
            (queued, None)
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
            (new_job, predecessor)
        };
        let trigger = jobs::start(tx, &organization, job, predecessor.as_ref(), now).await?;
        sqlx::query(
            "UPDATE syncs SET queued_job = NULL, resume_of = NULL, next_run_at = NULL, \
             checkpoint = CASE WHEN pending_full THEN NULL ELSE checkpoint END, \
             feed = CASE WHEN pending_full THEN NULL ELSE feed END, pending_full = FALSE, rung = FALSE, fence = $3, \
             lease_job = $4, lease_worker = $5, lease_acquired_at = $6, lease_expires_at = $7, lease_ttl = $8, \
             updated_at = $6 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.id.as_str())
        .bind(number(fence))
        .bind(job.as_str())
        .bind(worker)
        .bind(now)
        .bind(now + span(ttl))
        .bind(micros(span(ttl)))
        .execute(&mut **tx)
        .await?;
        let started = NewAuditRow {
            id: new_audit.clone(),
            action: Action::JobStarted,
            resource_type: ResourceType::Job,
            resource_id: job.to_string(),
            origin: Origin::system(),
            changes: json!({
                "sync_config_id": sync.id,
                "bucket_id": sync.bucket,
                "connection_id": sync.connection,
                "trigger": trigger.as_str(),
            }),
        };
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
    ) -> Result<Option<(OrganizationId, String)>, Fault> {
        let row = sqlx::query(
            "SELECT organization, id, push, clock_timestamp() AS read_at FROM syncs WHERE push_channel = $1",
        )
        .bind(channel)
        .fetch_optional(&mut *self.read(ACROSS).await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns::of("syncs", &row);
        let push: PushChannel = columns.json("push")?;
        if push.token_sha256 != token_sha256 || push.expires_at <= columns.time("read_at")? {
            return Ok(None);
        }
        Ok(Some((columns.parse("organization")?, columns.get("id")?)))
    }

    /// Makes a sync due that its channel rang for; one that a worker holds, some time after that run.
    async fn ring(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        sync: &str,
        channel: &str,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE syncs SET rung = lease_job IS NOT NULL, \
             next_run_at = CASE WHEN lease_job IS NULL THEN GREATEST(clock_timestamp(), rings_from) ELSE next_run_at END \
             WHERE organization = $1 AND id = $2 AND push_channel = $3 AND state = 'active' AND paused_at IS NULL \
             AND CASE WHEN lease_job IS NULL THEN COALESCE(next_run_at > GREATEST(clock_timestamp(), rings_from), TRUE) ELSE NOT rung END",
        )
        .bind(organization.as_str())
        .bind(sync)
        .bind(channel)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn purge(&self, tx: &mut PgConnection, undo: Duration, limit: u32) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        objects::purge(tx, now - span(undo), limit, now).await
    }

    async fn dispose(&self, tx: &mut PgConnection, limit: u32) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        dead_letters::dispose(tx, limit, now).await
    }

    async fn pointed_at(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, Fault> {
        let listed: Vec<&str> = keys.iter().map(BlobKey::as_str).collect();
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT blob FROM objects WHERE blob = ANY($1) AND purged_at IS NULL",
        )
        .bind(&listed)
        .fetch_all(&mut *self.read(ACROSS).await?)
        .await?;
        let found: HashSet<String> = found.into_iter().collect();
        Ok(keys
            .iter()
            .filter(|key| found.contains(key.as_str()))
            .cloned()
            .collect())
    }

    async fn clock_now(&self) -> Result<Timestamp, Fault> {
        let mut connection = self.read(ACROSS).await?;
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
            in_transaction!(self, ACROSS, tx => self.bootstrap_organization(&mut tx, &organization, &key, &audit))?,
        )
    }

    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError> {
        in_transaction!(self, ACROSS, tx => self.add_organization(&mut tx, organization.clone(), &audit))
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
        Ok(
            in_transaction!(self, ACROSS, tx => self.lease_due(&mut tx, worker, ttl, new_job, new_audit))?,
        )
    }

    async fn lease_due_check(&self, ttl: Duration) -> Result<Option<DueCheck>, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.lease_check(&mut tx, ttl))?)
    }

    async fn lease_due_webhook(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.lease_webhook(&mut tx, ttl, limit))?)
    }

    async fn lease_due_stream(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.lease_stream(&mut tx, ttl, limit))?)
    }

    async fn settle_stream(
        &self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, &due.organization, tx => self.end_stream_round(&mut tx, due, cursor, pause))?,
        )
    }

    async fn take_consent(
        &self,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.take_consent_out(&mut tx, state_sha256))?)
    }

    async fn ring_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        // Whoever has the wrong word locks nothing.
        let Some((organization, sync)) = self.channel_of(channel, token_sha256).await? else {
            return Ok(false);
        };
        in_transaction!(self, &organization, tx => self.ring(&mut tx, &organization, &sync, channel))?;
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
        Ok(in_transaction!(self, ACROSS, tx => self.prune(&mut tx, keep, limit))?)
    }

    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.purge(&mut tx, undo, limit))?)
    }

    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError> {
        Ok(in_transaction!(self, ACROSS, tx => self.dispose(&mut tx, limit))?)
    }

    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError> {
        Ok(self.pointed_at(keys).await?)
    }

    async fn now(&self) -> Result<Timestamp, RepositoryError> {
        Ok(self.clock_now().await?)
    }
}
