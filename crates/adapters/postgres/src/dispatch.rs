//! What is due beside runs, over all organizations: checks of connections, deliveries to webhooks, and the event stream; and what
//! of their histories is old enough to go.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::event::{Event, EventCursor, EventId, OutboxEntry};
use wharf_domain::health::HISTORY;
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_domain::webhook::Webhook;
use wharf_ports::{CheckLease, DueCheck, DueStream, DueWebhook, WebhookLease};

use crate::clock::{DAY, span};
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
const DUE_CHECK: &str = concat!(
    "SELECT ",
    connection_columns!(),
    ", check_fence FROM connections WHERE next_check_at <= $1 AND status IN ('ACTIVE', 'FAILED') \
     AND (check_lease_expires_at IS NULL OR check_lease_expires_at <= $1) ORDER BY next_check_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
);

/// The place of the newest row of the audit chain of a subscriber `s`. Asked for one by one: what row-level security adds to a
/// statement makes the planner expect next to nothing of a whole table, and join accordingly.
macro_rules! head {
    () => {
        "(SELECT h.position FROM audit_heads h WHERE h.organization = s.organization)"
    };
}

/// Whether a subscriber `s` has not been told everything.
macro_rules! lags {
    () => {
        concat!("(s.item < 4294967295 OR s.position < ", head!(), ")")
    };
}

/// The newest place whose event was removed from the outbox of a subscriber `s`.
macro_rules! pruned {
    () => {
        "COALESCE((SELECT h.pruned FROM audit_heads h WHERE h.organization = s.organization), 0)"
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
const DUE_WEBHOOK: &str = concat!(
    "SELECT s.organization, s.id, COALESCE(",
    head!(),
    ", s.position) AS head, ",
    pruned!(),
    " AS pruned, ",
    told!(),
    " AS told FROM webhooks s WHERE s.due_at <= $1 AND (",
    told!(),
    " AND ",
    lags!(),
    " OR COALESCE(s.redeliver_at, $1) <= $1 AND EXISTS \
     (SELECT 1 FROM webhook_redeliveries r WHERE r.organization = s.organization AND r.webhook = s.id)) \
     ORDER BY (SELECT COUNT(*) FROM webhooks o WHERE o.organization = s.organization AND o.lease_expires_at > $1), \
     s.due_at, s.organization, s.id LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED"
);

/// The organization whose stream has waited longest.
const DUE_STREAM: &str = concat!(
    "SELECT s.organization, s.position, s.item, s.fence, COALESCE(",
    head!(),
    ", s.position) AS head, ",
    pruned!(),
    " AS pruned FROM event_streams s WHERE s.due_at <= $1 AND ",
    lags!(),
    " ORDER BY s.due_at, s.organization LIMIT 1 FOR NO KEY UPDATE OF s SKIP LOCKED"
);

/// The streams of organizations that have none yet: they begin with the oldest entry that the outbox has.
const NEW_STREAMS: &str = "INSERT INTO event_streams (organization, position, item, next_attempt_at, fence) \
     SELECT h.organization, h.pruned, 4294967295, $1, 0 FROM audit_heads h \
     WHERE (SELECT s.position FROM event_streams s WHERE s.organization = h.organization) IS NULL ON CONFLICT DO NOTHING";

/// The oldest rows of a table.
macro_rules! prune {
    ($table:literal, $key:literal, $at:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (organization, ",
            $key,
            ") IN (SELECT organization, ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $at,
            " <= $1 ORDER BY ",
            $at,
            " LIMIT $2 FOR UPDATE SKIP LOCKED)"
        )
    };
}

const PRUNE_EVENTS: &str = concat!(
    prune!("events", "position", "at"),
    " RETURNING organization, position"
);
const PRUNE_DELIVERIES: &str = prune!("webhook_deliveries", "id", "at");
const PRUNE_CHECKS: &str = prune!("connection_checks", "id", "at");
const PRUNE_CLAIMS: &str = prune!("idempotency_claims", "id", "claimed_at");

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
    .bind(i64::from(MOST_REDELIVERIES))
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: &PgRow| Columns::of("webhook_redeliveries", row).parse("event");
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
    .bind(i64::from(webhook.cursor.item))
    .bind(i64::from(webhook.attempts))
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
    expires_at: Timestamp,
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
async fn prune_events(tx: &mut Tx, until: Timestamp, limit: u32) -> Result<u64, Fault> {
    let rows = sqlx::query(PRUNE_EVENTS)
        .bind(until)
        .bind(i64::from(limit))
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
            .bind(now)
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
        .bind(now + span(ttl))
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
                .bind(now)
                .fetch_optional(&mut **tx)
                .await?;
            let Some(row) = due else {
                return Ok(None);
            };
            let columns = Columns::of("webhooks", &row);
            let (organization, id) = (columns.parse("organization")?, columns.parse("id")?);
            let head = columns.number("head")?;
            let Some(mut webhook) = webhooks::load(tx, webhooks::FIND, &organization, &id).await?
            else {
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
            let fence = begin_round(tx, &webhook, told, now + span(ttl)).await?;
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
            .bind(now)
            .execute(&mut **tx)
            .await?;
        for _ in 0..MOST_MOVED {
            let due = sqlx::query(DUE_STREAM)
                .bind(now)
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
                .bind(i64::from(passed.item))
                .execute(&mut **tx)
                .await?;
                continue;
            }
            sqlx::query(
                "UPDATE event_streams SET fence = $2, lease_expires_at = $3 WHERE organization = $1",
            )
            .bind(organization.as_str())
            .bind(number(fence))
            .bind(now + span(ttl))
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
        .bind(i64::from(cursor.item))
        .bind(now + span(pause))
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
        let kept = now - span(keep);
        let mut pruned = prune_events(tx, kept, limit).await?;
        for (statement, until) in [
            (PRUNE_DELIVERIES, kept),
            (PRUNE_CHECKS, now - HISTORY),
            (PRUNE_CLAIMS, now - DAY),
        ] {
            let gone = sqlx::query(statement)
                .bind(until)
                .bind(i64::from(limit))
                .execute(&mut **tx)
                .await?;
            pruned += gone.rows_affected();
        }
        Ok(pruned)
    }
}
