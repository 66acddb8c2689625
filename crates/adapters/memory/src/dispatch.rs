//! Whose events are to be told now: the leases of webhooks and of the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::event::{Event, EventCursor, EventId};
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_ports::{DueStream, DueWebhook, WebhookLease};

use crate::state::{Owned, State, at_most};
use crate::webhooks::StoredWebhook;

/// How far an organization's events are published.
#[derive(Default)]
pub(crate) struct StoredStream {
    cursor: EventCursor,
    next_attempt_at: Option<Timestamp>,
    fence: u64,
    held_until: Option<Timestamp>,
}

fn has_come(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_none_or(|at| at <= now)
}

impl StoredWebhook {
    fn is_held(&self, now: Timestamp) -> bool {
        self.held_until.is_some_and(|until| until > now)
    }

    /// Whether it may be told of what happens.
    fn may_be_told(&self, now: Timestamp) -> bool {
        self.webhook.settings.is_active && has_come(self.next_attempt_at, now)
    }
}

impl State {
    fn is_due(&self, owned: &Owned<StoredWebhook>, now: Timestamp) -> bool {
        let stored = &owned.row;
        let cursor = stored.webhook.cursor;
        let has_events = || {
            let mut entries = self.trail.entries_behind(&owned.organization, cursor);
            stored.may_be_told(now)
                && (entries.next().is_some() || cursor < self.trail.pruned(&owned.organization))
        };
        !stored.is_held(now)
            && (!stored.redeliveries.is_empty() && has_come(stored.redeliver_at, now)
                || has_events())
    }

    /// Leases the webhook that has waited longest, of an organization with the fewest that are held.
    pub(crate) fn lease_webhook(
        &mut self,
        ttl: Duration,
        limit: u32,
        now: Timestamp,
    ) -> Option<DueWebhook> {
        let mut held: BTreeMap<&OrganizationId, usize> = BTreeMap::new();
        for owned in self.webhooks.values() {
            *held.entry(&owned.organization).or_default() += usize::from(owned.row.is_held(now));
        }
        let due = self
            .webhooks
            .iter()
            .filter(|(_, owned)| self.is_due(owned, now));
        let (id, _) = due.min_by_key(|(id, owned)| {
            let stored = &owned.row;
            let next = stored.next_attempt_at.min(stored.redeliver_at);
            let busy = held.get(&owned.organization);
            (busy, stored.held_until.or(next), *id)
        })?;
        let id: WebhookId = id.clone();
        let owned = self.webhooks.get_mut(&id)?;
        let stored = &mut owned.row;
        let told = stored.may_be_told(now);
        stored.fence += 1;
        stored.held_until = Some(now + ttl);
        stored.redeliver_at = None;
        if told {
            stored.next_attempt_at = None;
            let pruned = self.trail.pruned(&owned.organization);
            if stored.webhook.cursor < pruned {
                stored.webhook.cursor = pruned;
                stored.webhook.attempts = 0;
                stored.webhook.health.missed_events_at = Some(now);
            }
        }
        let webhook = stored.webhook.clone();
        let wanted: Vec<EventId> = stored
            .redeliveries
            .iter()
            .map(|(event, _)| event.clone())
            .collect();
        let lease = WebhookLease {
            webhook: id,
            fence: stored.fence,
        };
        let organization = &webhook.organization;
        let entries = self.trail.entries_behind(organization, webhook.cursor);
        let entries = entries.filter(|_| told).take(at_most(limit));
        let entries = entries.cloned().collect();
        let mut redeliveries = Vec::new();
        let mut lost = Vec::new();
        for event in wanted {
            match self.event(organization, &event) {
                Some(found) => redeliveries.push(found),
                None => lost.push(event),
            }
        }
        Some(DueWebhook {
            lease,
            entries,
            redeliveries,
            lost,
            now,
            webhook,
        })
    }

    /// An event that the outbox has.
    fn event(&self, organization: &OrganizationId, id: &EventId) -> Option<Event> {
        let audit = id.audit_id();
        let mut entries = self.trail.entries_from(organization, 0);
        let entry = entries.find(|entry| entry.audit == audit)?;
        entry.events().into_iter().find(|event| event.id == *id)
    }

    /// Leases the stream that has waited longest.
    pub(crate) fn lease_stream(
        &mut self,
        ttl: Duration,
        limit: u32,
        now: Timestamp,
    ) -> Option<DueStream> {
        for organization in self.organizations.keys() {
            self.streams
                .entry(organization.clone())
                .or_insert_with(|| StoredStream {
                    cursor: self.trail.pruned(organization),
                    ..StoredStream::default()
                });
        }
        let due = self.streams.iter().filter(|(organization, stream)| {
            let mut entries = self.trail.entries_behind(organization, stream.cursor);
            has_come(stream.next_attempt_at, now)
                && has_come(stream.held_until, now)
                && (entries.next().is_some() || stream.cursor < self.trail.pruned(organization))
        });
        let waiting = |(organization, stream): &(&OrganizationId, &StoredStream)| {
            (stream.next_attempt_at, (*organization).clone())
        };
        let organization = due.min_by_key(waiting)?.0.clone();
        let pruned = self.trail.pruned(&organization);
        let stream = self.streams.get_mut(&organization)?;
        stream.fence += 1;
        stream.held_until = Some(now + ttl);
        let missed = stream.cursor < pruned;
        stream.cursor = stream.cursor.max(pruned);
        let entries = self.trail.entries_behind(&organization, stream.cursor);
        Some(DueStream {
            fence: stream.fence,
            entries: entries.take(at_most(limit)).cloned().collect(),
            cursor: stream.cursor,
            missed,
            organization,
        })
    }

    /// Notes how far a stream is published. Whether its lease was still held.
    pub(crate) fn settle_stream(
        &mut self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
        now: Timestamp,
    ) -> bool {
        let held = self
            .streams
            .get_mut(&due.organization)
            .filter(|stream| stream.fence == due.fence && stream.held_until.is_some());
        let Some(stream) = held else { return false };
        stream.cursor = cursor;
        stream.next_attempt_at = Some(now + pause);
        stream.held_until = None;
        true
    }
}
