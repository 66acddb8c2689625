use async_trait::async_trait;
use chrono::serde::ts_microseconds_option;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{EventCursor, EventId};
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::webhook::{
    Delivery, DeliveryHealth, SealedChannels, Settlement, Webhook, WebhookSettings,
};
use wharf_ports::{
    InsertError, RepositoryError, WebhookError, WebhookFilter, WebhookLease, WebhookRepository,
};

use crate::audit;
use crate::clock::span;
use crate::error::{Failure, Fault};
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};

macro_rules! columns {
    () => {
        "organization, id, name, event_types, all_types, resource_types, channels, sealed, secret_version, is_active, \
         health, position, item, attempts, created_at, updated_at"
    };
}

macro_rules! matching {
    () => {
        " FROM webhooks WHERE organization = $1 AND ($2::boolean IS NULL OR is_active = $2) \
         AND ($3::text IS NULL OR all_types OR event_types::jsonb @> to_jsonb($3::text))"
    };
}

macro_rules! one {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM webhooks WHERE organization = $1 AND id = $2"
        )
    };
}

/// One webhook.
pub(crate) const FIND: &str = one!();

/// One webhook, which nobody else changes before the transaction ends.
const LOCK: &str = concat!(one!(), " FOR NO KEY UPDATE");

/// How many match.
pub(crate) const COUNT: &str = concat!("SELECT COUNT(*)", matching!());

/// A page of those that match.
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    matching!(),
    " AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6 OFFSET $7"
);

/// How many attempts a webhook has seen.
pub(crate) const COUNT_DELIVERIES: &str =
    "SELECT COUNT(*) FROM webhook_deliveries WHERE organization = $1 AND webhook = $2";

/// A page of them.
pub(crate) const DELIVERIES: &str = "SELECT id, event, event_type, attempt, redelivery, http_status, error, ms, at \
     FROM webhook_deliveries WHERE organization = $1 AND webhook = $2 AND (at, id) < ($3, $4) \
     ORDER BY at DESC, id DESC LIMIT $5 OFFSET $6";

/// The stored form of how deliveries go.
#[derive(Serialize, Deserialize)]
#[serde(remote = "DeliveryHealth")]
struct HealthForm {
    consecutive_failures: u32,
    given_up: u32,
    #[serde(with = "ts_microseconds_option")]
    first_failure_at: Option<Timestamp>,
    #[serde(with = "ts_microseconds_option")]
    last_failure_at: Option<Timestamp>,
    last_failure_cause: Option<String>,
    #[serde(with = "ts_microseconds_option")]
    last_success_at: Option<Timestamp>,
    #[serde(with = "ts_microseconds_option")]
    paused_at: Option<Timestamp>,
    paused_reason: Option<String>,
    #[serde(with = "ts_microseconds_option")]
    missed_events_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct StoredHealth(#[serde(with = "HealthForm")] DeliveryHealth);

pub(crate) fn stored_health(health: &DeliveryHealth) -> String {
    json(&StoredHealth(health.clone()))
}

fn read(row: &PgRow) -> Result<Webhook, Fault> {
    let columns = Columns::of("webhooks", row);
    Ok(Webhook {
        id: columns.parse("id")?,
        organization: columns.parse("organization")?,
        settings: WebhookSettings {
            name: columns.get("name")?,
            event_types: columns.json("event_types")?,
            all: columns.get("all_types")?,
            resource_types: columns.json("resource_types")?,
            channels: columns.json("channels")?,
            sealed: SealedChannels(columns.get("sealed")?),
            secret_version: columns.number("secret_version")?,
            is_active: columns.get("is_active")?,
        },
        health: columns.json::<StoredHealth>("health")?.0,
        cursor: EventCursor {
            position: columns.number("position")?,
            item: columns.number("item")?,
        },
        attempts: columns.number("attempts")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn read_delivery(row: &PgRow) -> Result<Delivery, Fault> {
    let columns = Columns::of("webhook_deliveries", row);
    let http_status: Option<i64> = columns.get("http_status")?;
    Ok(Delivery {
        id: columns.parse("id")?,
        event: columns.parse("event")?,
        event_type: columns.parse("event_type")?,
        attempt: columns.number("attempt")?,
        redelivery: columns.get("redelivery")?,
        http_status: http_status
            .map(u16::try_from)
            .transpose()
            .map_err(|_| columns.corrupt("http_status", "is out of range"))?,
        error: columns.get("error")?,
        ms: columns.number("ms")?,
        at: columns.time("at")?,
    })
}

pub(crate) async fn load(
    connection: &mut PgConnection,
    question: &'static str,
    organization: &OrganizationId,
    id: &WebhookId,
) -> Result<Option<Webhook>, Fault> {
    sqlx::query(question)
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(read)
        .transpose()
}

fn texts(events: &[EventId]) -> Vec<&str> {
    events.iter().map(EventId::as_str).collect()
}

/// Stores the attempts of a round.
async fn insert_deliveries(
    tx: &mut Tx,
    organization: &OrganizationId,
    webhook: &WebhookId,
    deliveries: &[Delivery],
    now: Timestamp,
) -> Result<(), Fault> {
    fn each<'a, T>(deliveries: &'a [Delivery], column: impl Fn(&'a Delivery) -> T) -> Vec<T> {
        deliveries.iter().map(column).collect()
    }
    sqlx::query(
        "INSERT INTO webhook_deliveries (organization, id, webhook, event, event_type, attempt, redelivery, http_status, \
         error, ms, at) \
         SELECT $1, it.id, $2, it.event, it.event_type, it.attempt, it.redelivery, it.http_status, it.error, it.ms, \
         $3 FROM UNNEST($4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[], $9::bigint[], $10::text[], \
         $11::bigint[]) AS it (id, event, event_type, attempt, redelivery, http_status, error, ms)",
    )
    .bind(organization.as_str())
    .bind(webhook.as_str())
    .bind(now)
    .bind(each(deliveries, |it| it.id.as_str()))
    .bind(each(deliveries, |it| it.event.as_str()))
    .bind(each(deliveries, |it| it.event_type.as_str()))
    .bind(each(deliveries, |it| i64::from(it.attempt)))
    .bind(each(deliveries, |it| it.redelivery))
    .bind(each(deliveries, |it| it.http_status.map(i64::from)))
    .bind(each(deliveries, |it| it.error.as_deref()))
    .bind(each(deliveries, |it| number(it.ms)))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    async fn insert_webhook(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: WebhookId,
        settings: WebhookSettings,
        audit: &NewAuditRow,
    ) -> Result<Webhook, Failure<InsertError>> {
        let parent = sqlx::query("SELECT 1 FROM organizations WHERE id = $1 FOR KEY SHARE")
            .bind(organization.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        if parent.is_none() {
            return Err(Failure::Refused(InsertError::ParentMissing));
        }
        let now = self.now(tx).await?;
        let (head, _) = audit::lock_head(tx, organization).await?;
        let webhook = Webhook {
            id,
            organization: organization.clone(),
            settings,
            health: DeliveryHealth::default(),
            // The row of its own creation is the one row of this transaction.
            cursor: EventCursor::past(head.position + 1),
            attempts: 0,
            created_at: now,
            updated_at: now,
        };
        let settings = &webhook.settings;
        sqlx::query(concat!(
            "INSERT INTO webhooks (",
            columns!(),
            ", next_attempt_at, redeliver_at, fence) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $14, $14, $14, 0)"
        ))
        .bind(organization.as_str())
        .bind(webhook.id.as_str())
        .bind(&settings.name)
        .bind(json(&settings.event_types))
        .bind(settings.all)
        .bind(json(&settings.resource_types))
        .bind(json(&settings.channels))
        .bind(settings.sealed.0.as_slice())
        .bind(number(settings.secret_version))
        .bind(settings.is_active)
        .bind(stored_health(&webhook.health))
        .bind(number(webhook.cursor.position))
        .bind(i64::from(webhook.cursor.item))
        .bind(now)
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(webhook)
    }

    async fn find_webhook(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, Fault> {
        let mut reader = self.read(organization).await?;
        load(&mut reader, FIND, organization, id).await
    }

    async fn list_webhooks(
        &self,
        organization: &OrganizationId,
        filter: &WebhookFilter,
        request: &PageRequest,
    ) -> Result<Page<Webhook>, Fault> {
        let bounds = Bounds::of(request);
        let mut reader = self.read(organization).await?;
        let total = sqlx::query_scalar(COUNT)
            .bind(organization.as_str())
            .bind(filter.is_active)
            .bind(&filter.event_type)
            .fetch_one(&mut *reader)
            .await?;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(filter.is_active)
            .bind(&filter.event_type)
            .bind(bounds.at)
            .bind(bounds.id)
            .bind(bounds.limit)
            .bind(bounds.offset)
            .fetch_all(&mut *reader)
            .await?;
        page(request, &rows, total, read, |webhook| PageCursor {
            created_at: webhook.created_at,
            id: webhook.id.to_string(),
        })
    }

    async fn replace_webhook(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: &WebhookId,
        read_version: u64,
        settings: WebhookSettings,
        audit: &NewAuditRow,
    ) -> Result<Webhook, Failure<WebhookError>> {
        let stored = load(tx, LOCK, organization, id).await?;
        let mut webhook = stored.ok_or(Failure::Refused(WebhookError::NotFound))?;
        if webhook.settings.secret_version != read_version {
            return Err(Failure::Refused(WebhookError::Conflict));
        }
        if webhook.settings == settings {
            return Ok(webhook);
        }
        let now = self.now(tx).await?;
        let repaired = settings.secret_version != webhook.settings.secret_version;
        let begins_again = settings.is_active && (repaired || !webhook.settings.is_active);
        if begins_again {
            webhook.health = DeliveryHealth::default();
            webhook.attempts = 0;
        }
        webhook.settings = settings;
        webhook.updated_at = now;
        let settings = &webhook.settings;
        // A round that began before tells nothing of how deliveries go from now on: its lease ends.
        sqlx::query(
            "UPDATE webhooks SET name = $3, event_types = $4, all_types = $5, resource_types = $6, channels = $7, sealed = $8, \
             secret_version = $9, is_active = $10, health = $11, attempts = $12, updated_at = $13, \
             next_attempt_at = CASE WHEN $14 THEN $13 ELSE next_attempt_at END, \
             redeliver_at = CASE WHEN $14 THEN $13 ELSE redeliver_at END, \
             lease_expires_at = CASE WHEN NOT $14 THEN lease_expires_at END WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(&settings.name)
        .bind(json(&settings.event_types))
        .bind(settings.all)
        .bind(json(&settings.resource_types))
        .bind(json(&settings.channels))
        .bind(settings.sealed.0.as_slice())
        .bind(number(settings.secret_version))
        .bind(settings.is_active)
        .bind(stored_health(&webhook.health))
        .bind(i64::from(webhook.attempts))
        .bind(now)
        .bind(begins_again)
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(webhook)
    }

    async fn remove_webhook(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: &WebhookId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let removed = sqlx::query("DELETE FROM webhooks WHERE organization = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(&mut **tx)
            .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        let now = self.now(tx).await?;
        audit::store(tx, organization, audit, now);
        Ok(true)
    }

    async fn ask_for_redelivery(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: &WebhookId,
        events: &[EventId],
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let fence: Option<i64> = sqlx::query_scalar(
            "UPDATE webhooks SET redeliver_at = $3 WHERE organization = $1 AND id = $2 RETURNING fence",
        )
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(now)
        .fetch_optional(&mut **tx)
        .await?;
        let Some(fence) = fence else {
            return Ok(false);
        };
        sqlx::query(
            "INSERT INTO webhook_redeliveries (organization, webhook, event, requested_at, fence) \
             SELECT $1, $2, it.event, $4::timestamptz + MIN(it.place) * INTERVAL '1 microsecond', $5 \
             FROM UNNEST($3::text[]) WITH ORDINALITY AS it (event, place) GROUP BY it.event \
             ON CONFLICT (organization, webhook, event) \
             DO UPDATE SET requested_at = excluded.requested_at, fence = excluded.fence",
        )
        .bind(organization.as_str())
        .bind(id.as_str())
        .bind(texts(events))
        .bind(now)
        .bind(fence)
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(true)
    }

    async fn settle_webhook(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &WebhookLease,
        settlement: &Settlement,
        paused: Option<&NewAuditRow>,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let was_active: Option<bool> = sqlx::query_scalar(
            "SELECT is_active FROM webhooks WHERE organization = $1 AND id = $2 AND fence = $3 \
             AND lease_expires_at IS NOT NULL FOR NO KEY UPDATE",
        )
        .bind(organization.as_str())
        .bind(lease.webhook.as_str())
        .bind(number(lease.fence))
        .fetch_optional(&mut **tx)
        .await?;
        let Some(was_active) = was_active else {
            return Ok(false);
        };
        // What was asked for during the round does not wait for the round's pause, and a round of redeliveries alone leaves the
        // ordinary pause as it is.
        sqlx::query(
            "UPDATE webhooks SET position = $4, item = $5, attempts = $6, health = $7, is_active = is_active AND NOT $8, \
             next_attempt_at = COALESCE(next_attempt_at, $9), redeliver_at = COALESCE(redeliver_at, $9), \
             lease_expires_at = NULL WHERE organization = $1 AND id = $2 AND fence = $3",
        )
        .bind(organization.as_str())
        .bind(lease.webhook.as_str())
        .bind(number(lease.fence))
        .bind(number(settlement.cursor.position))
        .bind(i64::from(settlement.cursor.item))
        .bind(i64::from(settlement.attempts))
        .bind(stored_health(&settlement.health))
        .bind(settlement.health.paused_at.is_some())
        .bind(now + span(settlement.pause))
        .execute(&mut **tx)
        .await?;
        insert_deliveries(
            tx,
            organization,
            &lease.webhook,
            &settlement.deliveries,
            now,
        )
        .await?;
        if !settlement.redelivered.is_empty() {
            sqlx::query(
                "DELETE FROM webhook_redeliveries WHERE organization = $1 AND webhook = $2 \
                 AND event = ANY($3) AND fence < $4",
            )
            .bind(organization.as_str())
            .bind(lease.webhook.as_str())
            .bind(texts(&settlement.redelivered))
            .bind(number(lease.fence))
            .execute(&mut **tx)
            .await?;
        }
        if let Some(row) = paused.filter(|_| was_active) {
            audit::store(tx, organization, row, now);
        }
        Ok(true)
    }

    async fn list_deliveries(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        request: &PageRequest,
    ) -> Result<Page<Delivery>, Fault> {
        let bounds = Bounds::of(request);
        let mut reader = self.read(organization).await?;
        let total = sqlx::query_scalar(COUNT_DELIVERIES)
            .bind(organization.as_str())
            .bind(id.as_str())
            .fetch_one(&mut *reader)
            .await?;
        let rows = sqlx::query(DELIVERIES)
            .bind(organization.as_str())
            .bind(id.as_str())
            .bind(bounds.at)
            .bind(bounds.id)
            .bind(bounds.limit)
            .bind(bounds.offset)
            .fetch_all(&mut *reader)
            .await?;
        page(request, &rows, total, read_delivery, |delivery| {
            PageCursor {
                created_at: delivery.at,
                id: delivery.id.to_string(),
            }
        })
    }
}

#[async_trait]
impl WebhookRepository for Store {
    async fn insert(
        &self,
        organization: &OrganizationId,
        id: WebhookId,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, InsertError> {
        in_transaction!(self, organization, tx => self.insert_webhook(&mut tx, organization, id.clone(), settings.clone(), &audit))
            .map_err(Failure::into_port)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, RepositoryError> {
        Ok(self.find_webhook(organization, id).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &WebhookFilter,
        page: &PageRequest,
    ) -> Result<Page<Webhook>, RepositoryError> {
        Ok(self.list_webhooks(organization, filter, page).await?)
    }

    async fn replace(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        read_version: u64,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, WebhookError> {
        in_transaction!(self, organization, tx => self.replace_webhook(&mut tx, organization, id, read_version, settings.clone(), &audit))
            .map_err(Failure::into_port)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.remove_webhook(&mut tx, organization, id, &audit))?,
        )
    }

    async fn redeliver(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        events: &[EventId],
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.ask_for_redelivery(&mut tx, organization, id, events, &audit))?,
        )
    }

    async fn settle(
        &self,
        organization: &OrganizationId,
        lease: &WebhookLease,
        settlement: Settlement,
        paused: Option<NewAuditRow>,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.settle_webhook(&mut tx, organization, lease, &settlement, paused.as_ref()))?,
        )
    }

    async fn deliveries(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, RepositoryError> {
        Ok(self.list_deliveries(organization, id, page).await?)
    }
}
