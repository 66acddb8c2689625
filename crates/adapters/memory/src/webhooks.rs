//! Webhooks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{EventCursor, EventId};
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::webhook::{Delivery, DeliveryHealth, Settlement, Webhook, WebhookSettings};
use wharf_ports::{
    InsertError, RepositoryError, WebhookError, WebhookFilter, WebhookLease, WebhookRepository,
};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, all_owned, owned, owned_mut};
use crate::store::stored_time;

/// A webhook with what only its deliverers know.
pub(crate) struct StoredWebhook {
    pub(crate) webhook: Webhook,
    /// When what happens is told next; none while a round does so.
    pub(crate) next_attempt_at: Option<Timestamp>,
    /// When redeliveries are next; none while a round is held and nothing was asked for since.
    pub(crate) redeliver_at: Option<Timestamp>,
    pub(crate) fence: u64,
    pub(crate) held_until: Option<Timestamp>,
    /// In the order in which they were asked for, each with the fence at that time.
    pub(crate) redeliveries: Vec<(EventId, u64)>,
    pub(crate) deliveries: Vec<Delivery>,
}

fn matches(filter: &WebhookFilter, webhook: &Webhook) -> bool {
    let settings = &webhook.settings;
    let told_of = |wanted: &String| {
        settings.all
            || settings
                .event_types
                .iter()
                .any(|event_type| event_type.as_str() == wanted)
    };
    filter.event_type.as_ref().is_none_or(told_of)
        && filter
            .is_active
            .is_none_or(|active| active == settings.is_active)
}

fn stored_health(health: DeliveryHealth) -> DeliveryHealth {
    DeliveryHealth {
        first_failure_at: health.first_failure_at.map(stored_time),
        last_failure_at: health.last_failure_at.map(stored_time),
        last_success_at: health.last_success_at.map(stored_time),
        paused_at: health.paused_at.map(stored_time),
        missed_events_at: health.missed_events_at.map(stored_time),
        ..health
    }
}

#[async_trait]
impl WebhookRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        id: WebhookId,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if !state.organizations.contains_key(organization) {
            return Err(InsertError::ParentMissing);
        }
        state.record(organization, now, audit);
        let webhook = Webhook {
            id: id.clone(),
            organization: organization.clone(),
            settings,
            health: DeliveryHealth::default(),
            cursor: EventCursor::past(state.trail.head(organization).position),
            attempts: 0,
            created_at: now,
            updated_at: now,
        };
        let row = StoredWebhook {
            webhook: webhook.clone(),
            next_attempt_at: Some(now),
            redeliver_at: Some(now),
            fence: 0,
            held_until: None,
            redeliveries: Vec::new(),
            deliveries: Vec::new(),
        };
        state.webhooks.insert(
            id,
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        Ok(webhook)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, RepositoryError> {
        let (state, _) = self.open();
        let found = owned(&state.webhooks, organization, id);
        Ok(found.map(|stored| stored.webhook.clone()))
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &WebhookFilter,
        request: &PageRequest,
    ) -> Result<Page<Webhook>, RepositoryError> {
        let (state, _) = self.open();
        let rows = all_owned(&state.webhooks, organization)
            .map(|stored| &stored.webhook)
            .filter(|webhook| matches(filter, webhook));
        Ok(page(
            rows,
            |webhook| (webhook.created_at, webhook.id.as_str()),
            request,
        ))
    }

    async fn replace(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        read_version: u64,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, WebhookError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let found = owned_mut(&mut state.webhooks, organization, id);
        let stored = found.ok_or(WebhookError::NotFound)?;
        let webhook = &mut stored.webhook;
        if webhook.settings.secret_version != read_version {
            return Err(WebhookError::Conflict);
        }
        if settings == webhook.settings {
            return Ok(webhook.clone());
        }
        let repaired = settings.secret_version != webhook.settings.secret_version;
        if settings.is_active && (repaired || !webhook.settings.is_active) {
            webhook.health = DeliveryHealth::default();
            webhook.attempts = 0;
            stored.next_attempt_at = Some(now);
            stored.redeliver_at = Some(now);
            // A round that began before tells nothing of how deliveries go from now on.
            stored.held_until = None;
        }
        webhook.settings = settings;
        webhook.updated_at = now;
        let webhook = webhook.clone();
        state.record(organization, now, audit);
        Ok(webhook)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if owned(&state.webhooks, organization, id).is_none() {
            return Ok(false);
        }
        state.webhooks.remove(id);
        state.record(organization, now, audit);
        Ok(true)
    }

    async fn redeliver(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        events: &[EventId],
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let Some(stored) = owned_mut(&mut state.webhooks, organization, id) else {
            return Ok(false);
        };
        stored
            .redeliveries
            .retain(|(asked_for, _)| !events.contains(asked_for));
        let mut asked_for = BTreeSet::new();
        for event in events.iter().filter(|event| asked_for.insert(*event)) {
            stored.redeliveries.push((event.clone(), stored.fence));
        }
        stored.redeliver_at = Some(now);
        state.record(organization, now, audit);
        Ok(true)
    }

    async fn settle(
        &self,
        organization: &OrganizationId,
        lease: &WebhookLease,
        settlement: Settlement,
        paused: Option<NewAuditRow>,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, &paused)?;
        let held = owned_mut(&mut state.webhooks, organization, &lease.webhook)
            .filter(|stored| stored.fence == lease.fence && stored.held_until.is_some());
        let Some(stored) = held else { return Ok(false) };
        stored.held_until = None;
        // What was asked for during the round does not wait for the round's pause.
        stored.next_attempt_at.get_or_insert(now + settlement.pause);
        stored.redeliver_at.get_or_insert(now + settlement.pause);
        stored.redeliveries.retain(|(event, asked_at)| {
            *asked_at >= lease.fence || !settlement.redelivered.contains(event)
        });
        let stamped = settlement.deliveries.into_iter();
        stored.deliveries.extend(stamped.map(|delivery| Delivery {
            at: now,
            ..delivery
        }));
        let webhook = &mut stored.webhook;
        webhook.cursor = settlement.cursor;
        webhook.attempts = settlement.attempts;
        webhook.health = stored_health(settlement.health);
        let mut was_active = false;
        if webhook.health.paused_at.is_some() {
            was_active = std::mem::take(&mut webhook.settings.is_active);
        }
        if let Some(row) = paused.filter(|_| was_active) {
            state.record(organization, now, row);
        }
        Ok(true)
    }

    async fn deliveries(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        request: &PageRequest,
    ) -> Result<Page<Delivery>, RepositoryError> {
        let (state, _) = self.open();
        let stored = owned(&state.webhooks, organization, id);
        let rows = stored.into_iter().flat_map(|stored| &stored.deliveries);
        Ok(page(
            rows,
            |delivery| (delivery.at, delivery.id.as_str()),
            request,
        ))
    }
}
