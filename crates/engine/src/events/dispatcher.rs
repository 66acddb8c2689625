use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::event::{Event, OutboxEntry};
use wharf_domain::webhook::{Channels, Outcome, Settlement, Webhook};
use wharf_ports::{DueWebhook, WebhookSender};

use super::delivery::{Attempted, Turn, attempt};
use super::{ENTRIES, LEASE, Round, missed, rounds};
use crate::caller::audit_row;
use crate::webhooks::ClosedChannels;
use crate::{Engine, EngineError};

/// Events of different things that are on their way to one webhook at the same time.
const SIDE_BY_SIDE: usize = 8;
/// When a round that could not open the channels for our own reasons is taken again.
const OURS_PAUSE: Duration = Duration::from_secs(15);

/// Delivers events to webhooks, one webhook at a time. Any number of them may work side by side, in any number of processes.
#[derive(Clone)]
pub struct Dispatcher {
    engine: Engine,
    sender: Arc<dyn WebhookSender>,
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dispatcher")
    }
}

impl Dispatcher {
    /// A dispatcher of this engine.
    pub fn new(engine: Engine, sender: Arc<dyn WebhookSender>) -> Self {
        Self { engine, sender }
    }

    /// Leases the webhook that is due and takes a round of deliveries to it; returns whether there was one. When `stop` is cancelled,
    /// the round ends with what was answered by then.
    ///
    /// # Errors
    /// When the database is away. What was delivered and could not be noted is delivered again.
    pub async fn deliver_once(&self, stop: &CancellationToken) -> Result<bool, EngineError> {
        let across = &self.engine.repositories().across;
        let Some(due) = across.lease_due_webhook(LEASE, ENTRIES).await? else {
            return Ok(false);
        };
        if due.webhook.health.missed_events_at == Some(due.now) {
            missed(&due.webhook.organization, due.webhook.id.as_str());
        }
        let settlement = match self.engine.open_channels(&due.webhook).await {
            Ok(channels) => self.round(&due, Ok(&channels), stop).await,
            Err(ClosedChannels::Integrity) => {
                let cause = "the webhook's stored secrets cannot be opened; enter them again";
                self.round(&due, Err(cause), stop).await
            }
            Err(ClosedChannels::Away(error)) => {
                tracing::warn!(%error, webhook = %due.webhook.id, "a webhook's channels could not be opened");
                Settlement {
                    pause: OURS_PAUSE,
                    ..Settlement::of(&due.webhook, &[], &[], due.now)
                }
            }
        };
        let Webhook {
            organization, id, ..
        } = &due.webhook;
        let newly = settlement.health.paused_at.is_some() && due.webhook.settings.is_active;
        let paused = newly.then(|| self.paused(&due.webhook, &settlement));
        let webhooks = &self.engine.repositories().webhooks;
        let held = webhooks
            .settle(organization, &due.lease, settlement, paused)
            .await?;
        if !held {
            tracing::info!(webhook = %id, "a round of deliveries was overtaken; its events are delivered again");
        }
        Ok(true)
    }

    /// Delivers until `stop` is cancelled.
    pub async fn work(&self, stop: &CancellationToken) {
        rounds(stop, "webhooks", || self.deliver_once(stop)).await;
    }

    async fn round(
        &self,
        due: &DueWebhook,
        channels: Result<&Channels, &str>,
        stop: &CancellationToken,
    ) -> Settlement {
        let round = Round::begin();
        let webhook = &due.webhook;
        let mut deliveries = Vec::new();
        let mut redelivered = due.lost.clone();
        for event in &due.redeliveries {
            let turn = Turn {
                attempt: 1,
                redelivery: true,
            };
            if !round.goes_on() {
                break;
            }
            let attempting = self.attempt(webhook, channels, event, turn);
            let Some(attempted) = stop.run_until_cancelled(attempting).await else {
                break;
            };
            deliveries.push(attempted.delivery);
            redelivered.push(event.id.clone());
        }

        let mut told: Vec<(Event, Option<Outcome>)> = due
            .entries
            .iter()
            .flat_map(|entry: &OutboxEntry| entry.events_after(webhook.cursor))
            .filter(|event| webhook.settings.wants(event))
            .map(|event| (event, None))
            .collect();
        let attempted = self.tell(webhook, channels, &told, round, stop).await;
        for (i, attempted) in attempted {
            told[i].1 = Some(attempted.outcome);
            deliveries.push(attempted.delivery);
        }
        let elapsed = chrono::Duration::from_std(round.0.elapsed()).unwrap_or_default();
        Settlement {
            deliveries,
            redelivered,
            ..Settlement::of(webhook, &due.entries, &told, due.now + elapsed)
        }
    }

    /// Tells the webhook of events in order, those of different things side by side, until one fails. Returns what was answered.
    async fn tell(
        &self,
        webhook: &Webhook,
        channels: Result<&Channels, &str>,
        events: &[(Event, Option<Outcome>)],
        round: Round,
        stop: &CancellationToken,
    ) -> Vec<(usize, Attempted)> {
        let thing = |i: usize| (events[i].0.resource_type, events[i].0.resource_id.as_str());
        let mut answered: Vec<(usize, Attempted)> = Vec::new();
        let mut on_their_way = FuturesUnordered::new();
        let mut busy = HashSet::new();
        let (mut next, mut halted) = (0, false);
        loop {
            while next < events.len()
                && !halted
                && round.goes_on()
                && on_their_way.len() < SIDE_BY_SIDE
                && busy.insert(thing(next))
            {
                let turn = Turn {
                    attempt: if next == 0 { webhook.attempts + 1 } else { 1 },
                    redelivery: false,
                };
                let (i, event) = (next, &events[next].0);
                let attempting = self.attempt(webhook, channels, event, turn);
                on_their_way.push(async move { (i, attempting.await) });
                next += 1;
            }
            let Some(Some((i, attempted))) = stop.run_until_cancelled(on_their_way.next()).await
            else {
                return answered;
            };
            busy.remove(&thing(i));
            halted |= attempted.outcome != Outcome::Accepted;
            answered.push((i, attempted));
        }
    }

    async fn attempt(
        &self,
        webhook: &Webhook,
        channels: Result<&Channels, &str>,
        event: &Event,
        turn: Turn,
    ) -> Attempted {
        let delivery = self.engine.ids().id();
        attempt(&*self.sender, &webhook.id, channels, event, delivery, turn).await
    }

    fn paused(&self, webhook: &Webhook, settlement: &Settlement) -> NewAuditRow {
        let changes = json!({
            "name": webhook.settings.name,
            "reason": settlement.health.paused_reason,
            "consecutive_failures": settlement.health.consecutive_failures,
        });
        audit_row(
            self.engine.ids(),
            &Origin::system(),
            Action::WebhookPaused,
            (ResourceType::Webhook, webhook.id.as_str()),
            changes,
        )
    }
}
