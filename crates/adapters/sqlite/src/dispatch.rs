//! What is due beside runs, over all organizations: checks of connections, deliveries to webhooks, and the event stream; and what
//! of their histories is old enough to go.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::event::{Event, EventCursor, EventId, OutboxEntry};
use wharf_domain::health::HISTORY;
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_domain::webhook::Webhook;
use wharf_ports::{CheckLease, DueCheck, DueStream, DueWebhook, WebhookLease};

use crate::clock::{DAY, micros, span};
use crate::connections::columns as connection_columns;
use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::{Store, Tx};
use crate::{connections, events, webhooks};

/// How many subscribers one call moves past what announces nothing.
const MOST_MOVED: u32 = 100;

/// How many asked-for redeliveries one round gets.
const MOST_REDELIVERIES: u32 = 100;

/// The connection whose check has been due longest.
pub(crate) const DUE_CHECK: &str = concat!(
    "SELECT ",
    connection_columns!(),
    ", check_fence FROM connections WHERE next_check_at <= $1 AND status IN ('ACTIVE', 'FAILED') \
     AND (check_lease_expires_at IS NULL OR check_lease_expires_at <= $1) ORDER BY next_check_at LIMIT 1"
);

/// Whether a subscriber `s` has not been told everything.
macro_rules! lags {
    () => {
        "(h.position > s.position OR s.item < 4294967295)"
    };
}

/// Whether a webhook `s` may be told of what happens: what has no time was due when its round began, which came to no end.
macro_rules! told {
    () => {
        "(s.is_active AND COALESCE(s.next_attempt_at, $1) <= $1)"
    };
}

/// The webhook whose turn it is: one of the organization with the fewest that are held, there the one that has waited longest. `told` is
/// whether it may be told of what happens, and not only of what a person asked for.
pub(crate) const DUE_WEBHOOK: &str = concat!(
    "SELECT s.organization, s.id, COALESCE(h.position, s.position) AS head, COALESCE(h.pruned, 0) AS pruned, ",
    told!(),
    " AS told FROM webhooks s INDEXED BY webhooks_due LEFT JOIN audit_heads h ON h.organization = s.organization \
     WHERE COALESCE(s.lease_expires_at, MIN(s.next_attempt_at, s.redeliver_at)) <= $1 AND (",
    told!(),
    " AND ",
    lags!(),
    " OR COALESCE(s.redeliver_at, $1) <= $1 AND EXISTS \
     (SELECT 1 FROM webhook_redeliveries r WHERE r.organization = s.organization AND r.webhook = s.id)) \
     ORDER BY (SELECT COUNT(*) FROM webhooks o WHERE o.organization = s.organization AND o.lease_expires_at > $1), \
     COALESCE(s.lease_expires_at, MIN(s.next_attempt_at, s.redeliver_at)), s.organization, s.id LIMIT 1"
);

/// The organization whose stream has waited longest.
pub(crate) const DUE_STREAM: &str = concat!(
    "SELECT s.organization, s.position, s.item, s.fence, h.position AS head, h.pruned FROM event_streams s INDEXED BY event_streams_due \
     CROSS JOIN audit_heads h ON h.organization = s.organization \
     WHERE COALESCE(s.lease_expires_at, s.next_attempt_at) <= $1 AND ",
    lags!(),
    " ORDER BY COALESCE(s.lease_expires_at, s.next_attempt_at), s.organization LIMIT 1"
);

/// The streams of organizations that have none yet: they begin with the oldest entry that the outbox has.
pub(crate) const NEW_STREAMS: &str = "INSERT INTO event_streams (organization, position, item, next_attempt_at, fence) \
     SELECT h.organization, h.pruned, 4294967295, $1, 0 FROM audit_heads h \
     WHERE NOT EXISTS (SELECT 1 FROM event_streams s WHERE s.organization = h.organization)";

/// The oldest rows of a table.
macro_rules! prune {
    ($table:literal, $at:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE rowid IN (SELECT rowid FROM ",
            $table,
            " WHERE ",
            $at,
            " <= $1 ORDER BY ",
            $at,
            " LIMIT $2)"
        )
    };
}

pub(crate) const PRUNE_EVENTS: &str =
    concat!(prune!("events", "at"), " RETURNING organization, position");
pub(crate) const PRUNE_DELIVERIES: &str = prune!("webhook_deliveries", "at");
pub(crate) const PRUNE_CHECKS: &str = prune!("connection_checks", "at");
pub(crate) const PRUNE_CLAIMS: &str = prune!("idempotency_claims", "claimed_at");

/// The place of the newest row of an organization's audit chain.
pub(crate) async fn head(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<u64, Fault> {
    let head: Option<i64> =
        sqlx::query_scalar("SELECT position FROM audit_heads WHERE organization = $1")
            .bind(organization.as_str())
            .fetch_optional(connection)
            .await?;
    Ok(head.map_or(0, i64::cast_unsigned))
}

/// What a person wants to be delivered once more.
#[derive(Default)]
struct Wanted {
    events: Vec<Event>,
    lost: Vec<EventId>,
}

async fn wanted(
    tx: &mut Tx,
    organization: &OrganizationId,
    webhook: &WebhookId,
) -> Result<Wanted, Fault> {
    let rows = sqlx::query(
        "SELECT event FROM webhook_redeliveries WHERE organization = $1 AND webhook = $2 ORDER BY requested_at, event LIMIT $3",
    )
    .bind(organization.as_str())
    .bind(webhook.as_str())
    .bind(MOST_REDELIVERIES)
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: &SqliteRow| Columns::of("webhook_redeliveries", row).parse("event");
    let ids: Vec<EventId> = rows.iter().map(read).collect::<Result<_, _>>()?;
    let mut wanted = Wanted::default();
    if ids.is_empty() {
        return Ok(wanted);
    }
    let mut kept: HashMap<EventId, Event> = events::holding(tx, organization, &ids)
        .await?
        .iter()
        .flat_map(OutboxEntry::events)
        .map(|event| (event.id.clone(), event))
        .collect();
    for id in ids {
        match kept.remove(&id) {
            Some(event) => wanted.events.push(event),
            None => wanted.lost.push(id),
        }
    }
    Ok(wanted)
}

/// Moves a webhook past what announces nothing, or is gone.
async fn pass_over(tx: &mut Tx, webhook: &Webhook) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE webhooks SET position = $3, item = $4, attempts = $5, health = $6 WHERE organization = $1 AND id = $2",
    )
    .bind(webhook.organization.as_str())
    .bind(webhook.id.as_str())
    .bind(number(webhook.cursor.position))
    .bind(webhook.cursor.item)
    .bind(webhook.attempts)
    .bind(webhooks::stored_health(&webhook.health))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Leases a webhook, under the fence that it returns; `told` is whether it is told of what happens in this round. What is asked for
/// from now on is due after the round.
async fn begin_round(
    tx: &mut Tx,
    webhook: &Webhook,
    told: bool,
    expires_at: i64,
) -> Result<u64, Fault> {
    let row = sqlx::query(
        "UPDATE webhooks SET fence = fence + 1, lease_expires_at = $3, redeliver_at = NULL, \
         next_attempt_at = CASE WHEN NOT $4 THEN next_attempt_at END \
         WHERE organization = $1 AND id = $2 RETURNING fence",
    )
    .bind(webhook.organization.as_str())
    .bind(webhook.id.as_str())
    .bind(expires_at)
    .bind(told)
    .fetch_one(&mut **tx)
    .await?;
    Columns::of("webhooks", &row).number("fence")
}

/// Removes the oldest entries of the outbox, and notes how far: whoever has not been told of them learns of it.
async fn prune_events(tx: &mut Tx, until: i64, limit: u32) -> Result<u64, Fault> {
    let rows = sqlx::query(PRUNE_EVENTS)
        .bind(until)
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?;
    let mut through: BTreeMap<OrganizationId, u64> = BTreeMap::new();
    for row in &rows {
        let columns = Columns::of("events", row);
        let newest = through.entry(columns.parse("organization")?).or_default();
        *newest = columns.number::<u64>("position")?.max(*newest);
    }
    for (organization, newest) in through {
        sqlx::query("UPDATE audit_heads SET pruned = $2 WHERE organization = $1 AND pruned < $2")
            .bind(organization.as_str())
            .bind(number(newest))
            .execute(&mut **tx)
            .await?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

impl Store {
    pub(crate) async fn lease_check(
        &self,
        tx: &mut Tx,
        ttl: Duration,
    ) -> Result<Option<DueCheck>, Fault> {
        let now = self.now(tx).await?;
        let due = sqlx::query(DUE_CHECK)
            .bind(micros(now))
            .fetch_optional(&mut **tx)
            .await?;
        let Some(row) = due else {
            return Ok(None);
        };
        let connection = connections::read(&row)?;
        let fence = Columns::of("connections", &row).number::<u64>("check_fence")? + 1;
        sqlx::query(
            "UPDATE connections SET check_fence = $3, check_lease_expires_at = $4 WHERE organization = $1 AND id = $2",
        )
        .bind(connection.organization.as_str())
        .bind(connection.id.as_str())
        .bind(number(fence))
        .bind(micros(now) + span(ttl))
        .execute(&mut **tx)
        .await?;
        Ok(Some(DueCheck {
            organization: connection.organization.clone(),
            lease: CheckLease {
                connection: connection.id.clone(),
                fence,
            },
            connection,
            now,
        }))
    }

    pub(crate) async fn lease_webhook(
        &self,
        tx: &mut Tx,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, Fault> {
        let now = self.now(tx).await?;
        for _ in 0..MOST_MOVED {
            let due = sqlx::query(DUE_WEBHOOK)
                .bind(micros(now))
                .fetch_optional(&mut **tx)
                .await?;
            let Some(row) = due else {
                return Ok(None);
            };
            let columns = Columns::of("webhooks", &row);
            let (organization, id) = (columns.parse("organization")?, columns.parse("id")?);
            let head = columns.number("head")?;
            let Some(mut webhook) = webhooks::load(tx, &organization, &id).await? else {
                continue;
            };
            let told: bool = columns.get("told")?;
            let gone = EventCursor::past(columns.number("pruned")?);
            let missed = told && webhook.cursor < gone;
            if missed {
                webhook.cursor = gone;
                webhook.attempts = 0;
                webhook.health.missed_events_at = Some(now);
                pass_over(tx, &webhook).await?;
            }
            let mut entries = Vec::new();
            if told {
                entries = events::behind(tx, &organization, webhook.cursor, limit).await?;
                if entries.is_empty() {
                    webhook.cursor = EventCursor::past(head);
                    webhook.attempts = 0;
                    pass_over(tx, &webhook).await?;
                }
            }
            let wanted = wanted(tx, &organization, &id).await?;
            if !missed && entries.is_empty() && wanted.events.is_empty() && wanted.lost.is_empty() {
                continue;
            }
            let fence = begin_round(tx, &webhook, told, micros(now) + span(ttl)).await?;
            return Ok(Some(DueWebhook {
                webhook,
                lease: WebhookLease { webhook: id, fence },
                entries,
                redeliveries: wanted.events,
                lost: wanted.lost,
                now,
            }));
        }
        Ok(None)
    }

    pub(crate) async fn lease_stream(
        &self,
        tx: &mut Tx,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, Fault> {
        let now = self.now(tx).await?;
        sqlx::query(NEW_STREAMS)
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
        for _ in 0..MOST_MOVED {
            let due = sqlx::query(DUE_STREAM)
                .bind(micros(now))
                .fetch_optional(&mut **tx)
                .await?;
            let Some(row) = due else {
                return Ok(None);
            };
            let columns = Columns::of("event_streams", &row);
            let organization: OrganizationId = columns.parse("organization")?;
            let stored = EventCursor {
                position: columns.number("position")?,
                item: columns.number("item")?,
            };
            let cursor = stored.max(EventCursor::past(columns.number("pruned")?));
            let missed = cursor > stored;
            let fence = columns.number::<u64>("fence")? + 1;
            let entries = events::behind(tx, &organization, cursor, limit).await?;
            if entries.is_empty() && !missed {
                let passed = EventCursor::past(columns.number("head")?);
                sqlx::query(
                    "UPDATE event_streams SET position = $2, item = $3 WHERE organization = $1",
                )
                .bind(organization.as_str())
                .bind(number(passed.position))
                .bind(passed.item)
                .execute(&mut **tx)
                .await?;
                continue;
            }
            sqlx::query(
                "UPDATE event_streams SET fence = $2, lease_expires_at = $3 WHERE organization = $1",
            )
            .bind(organization.as_str())
            .bind(number(fence))
            .bind(micros(now) + span(ttl))
            .execute(&mut **tx)
            .await?;
            return Ok(Some(DueStream {
                organization,
                fence,
                entries,
                cursor,
                missed,
            }));
        }
        Ok(None)
    }

    pub(crate) async fn end_stream_round(
        &self,
        tx: &mut Tx,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, Fault> {
        let now = self.now(tx).await?;
        let settled = sqlx::query(
            "UPDATE event_streams SET position = $3, item = $4, next_attempt_at = $5, lease_expires_at = NULL \
             WHERE organization = $1 AND fence = $2 AND lease_expires_at IS NOT NULL",
        )
        .bind(due.organization.as_str())
        .bind(number(due.fence))
        .bind(number(cursor.position))
        .bind(cursor.item)
        .bind(micros(now) + span(pause))
        .execute(&mut **tx)
        .await?;
        Ok(settled.rows_affected() > 0)
    }

    pub(crate) async fn prune(
        &self,
        tx: &mut Tx,
        keep: Duration,
        limit: u32,
    ) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        let kept = micros(now) - span(keep);
        let mut pruned = prune_events(tx, kept, limit).await?;
        for (statement, until) in [
            (PRUNE_DELIVERIES, kept),
            (PRUNE_CHECKS, micros(now) - span(HISTORY)),
            (PRUNE_CLAIMS, micros(now - DAY)),
        ] {
            let gone = sqlx::query(statement)
                .bind(until)
                .bind(limit)
                .execute(&mut **tx)
                .await?;
            pruned += gone.rows_affected();
        }
        Ok(pruned)
    }
}
