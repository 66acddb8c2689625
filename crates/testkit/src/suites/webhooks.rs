//! What [`WebhookRepository`](wharf_ports::WebhookRepository) promises.

use std::collections::HashSet;
use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::event::{EventCursor, EventId, EventType, OutboxEntry};
use wharf_domain::ids::OrganizationId;
use wharf_domain::page::PageRequest;
use wharf_domain::webhook::{
    Delivery, DeliveryHealth, SealedChannels, Settlement, Webhook, WebhookSettings,
};
use wharf_ports::{InsertError, WebhookError, WebhookFilter};

use crate::{Harness, LONG, SHORT, SOON, Tenant, build, paging};

pub async fn a_webhook_is_read_back_unchanged_by_its_own_organization_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let settings = WebhookSettings {
        event_types: EventType::ALL.to_vec(),
        all: false,
        is_active: false,
        secret_version: 7,
        ..build::webhook("hook '%_\u{e4}")
    };
    let webhook = acme.webhook_with(settings.clone()).await;
    assert_eq!(
        (&webhook.settings, &webhook.organization, webhook.attempts),
        (&settings, &acme.organization, 0)
    );
    assert_eq!(webhook.health, DeliveryHealth::default());
    assert_eq!(webhook.created_at, webhook.updated_at);
    assert_eq!(acme.stored_webhook(&webhook).await, webhook);
    let webhooks = &h.repositories.webhooks;
    for (organization, id) in [
        (&other.organization, &webhook.id),
        (&acme.organization, &h.ids.id()),
    ] {
        assert_eq!(webhooks.find(organization, id).await.unwrap(), None);
    }
    assert_eq!(acme.audited(Action::WebhookCreated).await, 1);
}

pub async fn a_webhook_needs_an_organization(h: Harness) {
    let webhooks = &h.repositories.webhooks;
    let audit = h.audit(Action::WebhookCreated);
    let nobody: OrganizationId = h.ids.id();
    let refused = webhooks.insert(&nobody, h.ids.id(), build::webhook("hook"), audit);
    let refused = refused.await;
    assert!(
        matches!(refused, Err(InsertError::ParentMissing)),
        "{refused:?}"
    );
}

pub async fn a_webhook_is_told_of_what_happens_from_its_creation_on(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.happening().await;
    let webhook = acme.webhook("hook").await;
    assert_eq!(
        webhook.cursor,
        EventCursor::past(acme.head().await.position),
        "its own creation included"
    );
    assert_eq!(h.lease_webhook(LONG).await, None);
    let row = acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let told: Vec<_> = due.entries.iter().map(|entry| &entry.audit).collect();
    assert_eq!(told, [&row.id]);
}

pub async fn a_webhook_that_is_created_among_many_writers_misses_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let tasks = (0..8).map(|nth| {
        let (audit, webhooks) = (
            h.repositories.audit.clone(),
            h.repositories.webhooks.clone(),
        );
        let organization = acme.organization.clone();
        let rows = [h.audit(Action::SyncCreated), h.audit(Action::SyncDeleted)];
        let (id, created) = (h.ids.id(), h.audit(Action::WebhookCreated));
        tokio::spawn(async move {
            let [before, after] = rows;
            audit.record(&organization, before).await.unwrap();
            let settings = build::webhook(&format!("hook {nth}"));
            let row = created.id.clone();
            let webhook = webhooks.insert(&organization, id, settings, created);
            let webhook = webhook.await.unwrap();
            audit.record(&organization, after).await.unwrap();
            (webhook, row)
        })
    });
    let created = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let chain = acme.chain().await;
    for answer in created {
        let (webhook, row) = answer.unwrap();
        let place = chain.iter().find(|stored| stored.row.id == row);
        let place = place.unwrap().link.position;
        assert_eq!(webhook.cursor, EventCursor::past(place));
        assert_eq!(acme.stored_webhook(&webhook).await, webhook);
    }
}

pub async fn all_conditions_of_a_filter_must_hold(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    other.webhook("stranger").await;
    let of = |name: &str, all, is_active| WebhookSettings {
        event_types: vec![EventType::ObjectDeleted, EventType::JobFailed],
        all,
        is_active,
        ..build::webhook(name)
    };
    for (name, all, is_active) in [
        ("some", false, true),
        ("resting", false, false),
        ("all", true, true),
    ] {
        h.moment().await;
        acme.webhook_with(of(name, all, is_active)).await;
    }
    let listed = async |event_type: Option<&str>, is_active| {
        let filter = WebhookFilter {
            event_type: event_type.map(str::to_owned),
            is_active,
        };
        let webhooks = &h.repositories.webhooks;
        let page = PageRequest::first(10);
        let listed = webhooks.list(&acme.organization, &filter, &page);
        let names = |webhook: Webhook| webhook.settings.name;
        let items = listed.await.unwrap().items.into_iter();
        items.map(names).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None).await, ["all", "resting", "some"]);
    assert_eq!(listed(None, Some(true)).await, ["all", "some"]);
    assert_eq!(listed(None, Some(false)).await, ["resting"]);
    let deleted = Some("object.deleted");
    assert_eq!(listed(deleted, None).await, ["all", "resting", "some"]);
    assert_eq!(listed(deleted, Some(false)).await, ["resting"]);
    assert_eq!(listed(Some("object.created"), None).await, ["all"]);
    assert_eq!(listed(Some("object"), None).await, ["all"]);
}

pub async fn webhooks_are_listed_newest_first_in_pages(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    other.webhook("stranger").await;
    for nth in 0..5 {
        if nth % 2 == 0 {
            h.moment().await;
        }
        acme.webhook("the same name").await;
    }
    let filter = WebhookFilter {
        event_type: Some("sync.created".to_owned()),
        is_active: Some(true),
    };
    let webhooks = &h.repositories.webhooks;
    paging::walk(5, async |page| {
        let listed = webhooks.list(&acme.organization, &filter, &page);
        listed.await.unwrap()
    })
    .await;
}

async fn replace(
    h: &Harness,
    tenant: &Tenant<'_>,
    webhook: &Webhook,
    read_version: u64,
    settings: WebhookSettings,
) -> Result<Webhook, WebhookError> {
    let audit = h.audit(Action::WebhookUpdated);
    let webhooks = &h.repositories.webhooks;
    webhooks
        .replace(
            &tenant.organization,
            &webhook.id,
            read_version,
            settings,
            audit,
        )
        .await
}

pub async fn settings_are_replaced_whole(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let webhook = acme.webhook("hook").await;
    h.moment().await;
    let settings = WebhookSettings {
        name: "renamed".to_owned(),
        event_types: vec![EventType::JobFailed],
        all: false,
        resource_types: Vec::new(),
        channels: serde_json::json!([]),
        sealed: SealedChannels(vec![9]),
        secret_version: 2,
        is_active: true,
    };
    let replaced = replace(&h, &acme, &webhook, 1, settings.clone())
        .await
        .unwrap();
    assert!(replaced.updated_at > webhook.updated_at);
    let expected = Webhook {
        settings: settings.clone(),
        updated_at: replaced.updated_at,
        ..webhook.clone()
    };
    assert_eq!(replaced, expected, "all else is as it was");
    assert_eq!(acme.stored_webhook(&webhook).await, expected);
    let stale = replace(&h, &acme, &webhook, 1, build::webhook("stale")).await;
    assert!(matches!(stale, Err(WebhookError::Conflict)), "{stale:?}");
    let stranger = replace(&h, &other, &webhook, 2, build::webhook("x")).await;
    assert!(
        matches!(stranger, Err(WebhookError::NotFound)),
        "{stranger:?}"
    );
    assert_eq!(acme.stored_webhook(&webhook).await, expected);
    assert_eq!(acme.audited(Action::WebhookUpdated).await, 1);
    assert_eq!(other.audited(Action::WebhookUpdated).await, 0);
}

pub async fn of_two_replacements_that_read_the_same_one_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    let tasks = (0..6).map(|nth| {
        let webhooks = h.repositories.webhooks.clone();
        let (organization, id) = (acme.organization.clone(), webhook.id.clone());
        let settings = WebhookSettings {
            secret_version: 2,
            ..build::webhook(&format!("hook {nth}"))
        };
        let audit = h.audit(Action::WebhookUpdated);
        tokio::spawn(async move {
            let replaced = webhooks.replace(&organization, &id, 1, settings, audit);
            replaced.await.is_ok()
        })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let stored = answers
        .into_iter()
        .filter(|answer| *answer.as_ref().unwrap());
    assert_eq!(stored.count(), 1);
    assert_eq!(acme.audited(Action::WebhookUpdated).await, 1);
}

/// How deliveries went so far that failures pause the webhook.
fn paused_health() -> DeliveryHealth {
    DeliveryHealth {
        consecutive_failures: 24,
        given_up: 3,
        first_failure_at: Some(build::instant(1_767_000_000_000_001)),
        last_failure_at: Some(build::instant(1_767_000_000_000_002)),
        last_failure_cause: Some("the address answered 503".to_owned()),
        last_success_at: Some(build::instant(1_767_000_000_000_003)),
        paused_at: Some(build::instant(1_767_000_000_000_004)),
        paused_reason: Some("three events in a row were given up".to_owned()),
        missed_events_at: Some(build::instant(1_767_000_000_000_005)),
    }
}

pub async fn a_round_that_pauses_the_webhook_tells_of_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let before = acme.head().await.position;
    let settlement = Settlement {
        attempts: 8,
        health: paused_health(),
        ..build::settlement(webhook.cursor)
    };
    let webhooks = &h.repositories.webhooks;
    let paused = Some(h.audit(Action::WebhookPaused));
    let settled = webhooks.settle(&acme.organization, &due.lease, settlement, paused);
    assert!(settled.await.unwrap());
    let stored = acme.stored_webhook(&webhook).await;
    assert_eq!(
        (&stored.health, stored.settings.is_active, stored.attempts),
        (&paused_health(), false, 8)
    );
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(types, [EventType::WebhookPaused]);
    acme.happening().await;
    assert_eq!(h.lease_webhook(LONG).await, None, "it is not told any more");
}

pub async fn becoming_active_again_clears_the_health_and_tells_what_happened_meanwhile(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    let missed = acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let settlement = Settlement {
        attempts: 8,
        health: paused_health(),
        pause: LONG,
        ..build::settlement(webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, settlement).await);
    let later = acme.happening().await;
    let settings = webhook.settings.clone();
    let active = replace(&h, &acme, &webhook, 1, settings).await.unwrap();
    assert_eq!(
        (&active.health, active.attempts, active.cursor),
        (&DeliveryHealth::default(), 0, webhook.cursor)
    );
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!(due.webhook, active);
    let told: Vec<_> = due.entries.iter().map(|entry| &entry.audit).collect();
    assert_eq!(told, [&missed.id, &later.id]);
}

pub async fn becoming_active_again_ends_the_round_that_began_before(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.happening().await;
    let resting = WebhookSettings {
        is_active: false,
        ..build::webhook("hook")
    };
    let webhook = acme.webhook_with(resting.clone()).await;
    let event = acme.entries().await[0].events().remove(0);
    assert!(redeliver(&h, &acme, &webhook, std::slice::from_ref(&event.id)).await);
    let before = h.lease_webhook(LONG).await.expect("a redelivery is due");
    let settings = WebhookSettings {
        is_active: true,
        ..resting
    };
    let active = replace(&h, &acme, &webhook, 1, settings).await.unwrap();
    let settlement = Settlement {
        health: paused_health(),
        ..build::settlement(before.webhook.cursor)
    };
    assert!(!h.settle(&acme, &before.lease, settlement).await);
    assert_eq!(acme.stored_webhook(&webhook).await, active);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!(due.redeliveries, [event]);
    assert!(due.lease.fence > before.lease.fence);
}

pub async fn a_repair_ends_the_round_that_began_before(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let failing = Settlement {
        attempts: 7,
        health: DeliveryHealth {
            paused_at: None,
            ..paused_health()
        },
        pause: SOON,
        ..build::settlement(webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, failing).await);
    h.outlive(SOON).await;
    let before = h.lease_webhook(LONG).await.unwrap();
    let settings = WebhookSettings {
        sealed: SealedChannels(vec![9]),
        secret_version: 2,
        ..webhook.settings.clone()
    };
    let repaired = replace(&h, &acme, &webhook, 1, settings).await.unwrap();
    assert_eq!(
        (&repaired.health, repaired.attempts, repaired.cursor),
        (&DeliveryHealth::default(), 0, webhook.cursor)
    );
    let pausing = Settlement {
        health: paused_health(),
        ..build::settlement(before.webhook.cursor)
    };
    assert!(!h.settle(&acme, &before.lease, pausing).await);
    assert_eq!(acme.stored_webhook(&webhook).await, repaired);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!((due.webhook, due.entries), (repaired, before.entries));
}

pub async fn a_round_tells_of_no_pause_of_what_was_switched_off_meanwhile(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let off = WebhookSettings {
        is_active: false,
        secret_version: 2,
        ..webhook.settings.clone()
    };
    replace(&h, &acme, &webhook, 1, off.clone()).await.unwrap();
    let settlement = Settlement {
        health: paused_health(),
        ..build::settlement(webhook.cursor)
    };
    let paused = Some(h.audit(Action::WebhookPaused));
    let webhooks = &h.repositories.webhooks;
    let settled = webhooks.settle(&acme.organization, &due.lease, settlement, paused);
    assert!(settled.await.unwrap());
    assert_eq!(acme.stored_webhook(&webhook).await.settings, off);
    assert_eq!(acme.audited(Action::WebhookPaused).await, 0);
}

pub async fn a_round_does_not_bring_back_what_was_switched_off_meanwhile(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let off = WebhookSettings {
        name: "off".to_owned(),
        is_active: false,
        ..webhook.settings.clone()
    };
    replace(&h, &acme, &webhook, 1, off.clone()).await.unwrap();
    let told = EventCursor::past(due.entries[0].head.position);
    assert!(h.settle(&acme, &due.lease, build::settlement(told)).await);
    let stored = acme.stored_webhook(&webhook).await;
    assert_eq!((stored.settings, stored.cursor), (off, told));
}

pub async fn a_removed_webhook_takes_its_deliveries_along(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    delivered(&h, &acme, 1).await;
    let remove = async |tenant: &Tenant<'_>| {
        let audit = h.audit(Action::WebhookDeleted);
        let webhooks = &h.repositories.webhooks;
        let removed = webhooks.remove(&tenant.organization, &webhook.id, audit);
        removed.await.unwrap()
    };
    assert!(!remove(&other).await);
    assert!(remove(&acme).await);
    assert!(!remove(&acme).await, "there is none any more");
    let webhooks = &h.repositories.webhooks;
    let found = webhooks.find(&acme.organization, &webhook.id).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(attempts(&h, &acme, &webhook).await, []);
    assert_eq!(acme.audited(Action::WebhookDeleted).await, 1);
    assert_eq!(other.audited(Action::WebhookDeleted).await, 0);
    acme.happening().await;
    assert_eq!(h.lease_webhook(LONG).await, None);
}

/// Takes a round in which the first events are accepted, as many; what was attempted.
async fn delivered(h: &Harness, tenant: &Tenant<'_>, count: usize) -> Vec<Delivery> {
    let due = h.lease_webhook(LONG).await.expect("a webhook is due");
    let events: Vec<_> = due
        .entries
        .iter()
        .flat_map(|entry| entry.events_after(due.webhook.cursor))
        .take(count)
        .collect();
    let cursor = events.last().map_or(due.webhook.cursor, |last| last.cursor);
    let made = events.iter().map(|event| build::delivery(&h.ids, event));
    let deliveries: Vec<_> = made.collect();
    let settlement = Settlement {
        deliveries: deliveries.clone(),
        ..build::settlement(cursor)
    };
    assert!(h.settle(tenant, &due.lease, settlement).await);
    deliveries
}

async fn attempts(h: &Harness, tenant: &Tenant<'_>, webhook: &Webhook) -> Vec<Delivery> {
    let webhooks = &h.repositories.webhooks;
    let page = PageRequest::first(1000);
    let listed = webhooks.deliveries(&tenant.organization, &webhook.id, &page);
    listed.await.unwrap().items
}

pub async fn a_round_is_stored_with_every_attempt(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let first = due.entries[0].events().remove(0);
    let second = due.entries[1].events().remove(0);
    let accepted = build::delivery(&h.ids, &first);
    let refused = Delivery {
        attempt: 3,
        redelivery: true,
        http_status: None,
        error: Some("no answer in time".to_owned()),
        ms: 10_000,
        ..build::delivery(&h.ids, &second)
    };
    let settlement = Settlement {
        attempts: 3,
        health: DeliveryHealth {
            paused_at: None,
            paused_reason: None,
            ..paused_health()
        },
        deliveries: vec![accepted.clone(), refused.clone()],
        ..build::settlement(first.cursor)
    };
    let before = h.repositories.across.now().await.unwrap();
    h.moment().await;
    assert!(h.settle(&acme, &due.lease, settlement.clone()).await);
    let stored = acme.stored_webhook(&webhook).await;
    let expected = Webhook {
        cursor: first.cursor,
        attempts: 3,
        health: settlement.health,
        ..webhook.clone()
    };
    assert_eq!(stored, expected, "what a person decided is as it was");
    let mut kept = attempts(&h, &acme, &webhook).await;
    assert!(kept.iter().all(|delivery| delivery.at > before), "{kept:?}");
    kept.sort_by_key(|delivery| delivery.attempt);
    let at = kept[0].at;
    assert_eq!(
        kept,
        [Delivery { at, ..accepted }, Delivery { at, ..refused }]
    );
    assert_eq!(acme.audited(Action::WebhookPaused).await, 0);
}

pub async fn the_next_round_begins_after_the_pause(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let settlement = Settlement {
        pause: SOON,
        ..build::settlement(webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, settlement).await);
    assert_eq!(h.lease_webhook(LONG).await, None);
    h.outlive(SOON).await;
    let next = h.lease_webhook(LONG).await.unwrap();
    assert_eq!(next.entries, due.entries);
}

pub async fn a_round_whose_lease_was_taken_over_stores_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let first = h.lease_webhook(SHORT).await.unwrap();
    h.outlive(SHORT).await;
    let second = h.lease_webhook(LONG).await.unwrap();
    let event = first.entries[0].events().remove(0);
    let round = || Settlement {
        attempts: 5,
        health: paused_health(),
        deliveries: vec![build::delivery(&h.ids, &event)],
        ..build::settlement(event.cursor)
    };
    let settle = async |organization: &OrganizationId, lease| {
        let webhooks = &h.repositories.webhooks;
        let paused = Some(h.audit(Action::WebhookPaused));
        let settled = webhooks.settle(organization, lease, round(), paused);
        settled.await.unwrap()
    };
    assert!(!settle(&acme.organization, &first.lease).await);
    assert!(!settle(&other.organization, &second.lease).await);
    assert_eq!(acme.stored_webhook(&webhook).await, webhook);
    assert_eq!(attempts(&h, &acme, &webhook).await, []);
    assert_eq!(acme.audited(Action::WebhookPaused).await, 0);
    assert!(settle(&acme.organization, &second.lease).await);
    assert!(
        !settle(&acme.organization, &second.lease).await,
        "a round ends once"
    );
    assert_eq!(attempts(&h, &acme, &webhook).await.len(), 1);
    assert_eq!(acme.audited(Action::WebhookPaused).await, 1);
}

async fn redeliver(
    h: &Harness,
    tenant: &Tenant<'_>,
    webhook: &Webhook,
    events: &[EventId],
) -> bool {
    let audit = h.audit(Action::WebhookRedelivered);
    let webhooks = &h.repositories.webhooks;
    let asked = webhooks.redeliver(&tenant.organization, &webhook.id, events, audit);
    asked.await.unwrap()
}

pub async fn events_are_redelivered_to_a_webhook_that_rests_too(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    acme.happening().await;
    let resting = WebhookSettings {
        is_active: false,
        ..build::webhook("hook")
    };
    let webhook = acme.webhook_with(resting).await;
    acme.happening().await;
    assert_eq!(h.lease_webhook(LONG).await, None);
    let mut events: Vec<_> = acme
        .entries()
        .await
        .iter()
        .flat_map(OutboxEntry::events)
        .collect();
    let gone: EventId = "evt_0123456789abcdef".parse().unwrap();
    let wrong: EventId = format!("{}.7", events[0].id.as_str()).parse().unwrap();
    let ids = [
        events[1].id.clone(),
        gone.clone(),
        events[0].id.clone(),
        wrong.clone(),
        gone.clone(),
    ];
    assert!(!redeliver(&h, &other, &webhook, &ids).await);
    assert!(redeliver(&h, &acme, &webhook, &ids).await);
    assert!(redeliver(&h, &acme, &webhook, &ids[..1]).await);
    assert_eq!(acme.audited(Action::WebhookRedelivered).await, 2);
    assert_eq!(other.audited(Action::WebhookRedelivered).await, 0);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!(due.entries, [], "events wait until it is active");
    let mut found = due.redeliveries.clone();
    found.sort_by_key(|event| event.cursor);
    events.sort_by_key(|event| event.cursor);
    assert_eq!(found, events, "each once");
    let lost: HashSet<_> = due.lost.iter().cloned().collect();
    assert_eq!(
        (due.lost.len(), lost),
        (2, HashSet::from([gone.clone(), wrong]))
    );
    let settlement = Settlement {
        redelivered: ids[1..].to_vec(),
        ..build::settlement(due.webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, settlement).await);
    let rest = h.lease_webhook(LONG).await.unwrap();
    let left: Vec<_> = rest.redeliveries.iter().map(|event| &event.id).collect();
    assert_eq!((left, rest.lost), (vec![&ids[0]], Vec::new()));
    let settlement = Settlement {
        redelivered: vec![ids[0].clone()],
        ..build::settlement(due.webhook.cursor)
    };
    assert!(h.settle(&acme, &rest.lease, settlement).await);
    assert_eq!(h.lease_webhook(LONG).await, None);
}

pub async fn a_redelivery_waits_for_no_pause_but_for_its_own(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let event = acme.entries().await[0].events().remove(0);
    delivered(&h, &acme, 0).await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let resting = Settlement {
        pause: Duration::from_hours(1),
        ..build::settlement(event.cursor)
    };
    assert!(h.settle(&acme, &due.lease, resting.clone()).await);
    assert!(redeliver(&h, &acme, &webhook, std::slice::from_ref(&event.id)).await);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!(due.redeliveries, [event]);
    assert!(h.settle(&acme, &due.lease, resting).await);
    assert_eq!(h.lease_webhook(LONG).await, None);
}

pub async fn a_redelivery_that_is_asked_for_during_a_round_does_not_wait_for_its_pause(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let event = due.entries[0].events().remove(0);
    assert!(redeliver(&h, &acme, &webhook, std::slice::from_ref(&event.id)).await);
    assert_eq!(h.lease_webhook(LONG).await, None, "it is held");
    let resting = Settlement {
        pause: Duration::from_hours(1),
        ..build::settlement(event.cursor)
    };
    assert!(h.settle(&acme, &due.lease, resting).await);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!(due.redeliveries, [event]);
}

pub async fn a_redelivery_that_is_asked_for_again_during_a_round_is_delivered_again(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let event = acme.entries().await[0].events().remove(0);
    delivered(&h, &acme, 1).await;
    let id = std::slice::from_ref(&event.id);
    assert!(redeliver(&h, &acme, &webhook, id).await);
    for asked_again in [true, false] {
        let due = h.lease_webhook(LONG).await.expect("a redelivery is due");
        assert_eq!(due.redeliveries, std::slice::from_ref(&event));
        if asked_again {
            assert!(redeliver(&h, &acme, &webhook, id).await);
        }
        let settlement = Settlement {
            redelivered: id.to_vec(),
            ..build::settlement(due.webhook.cursor)
        };
        assert!(h.settle(&acme, &due.lease, settlement).await);
    }
    assert_eq!(h.lease_webhook(LONG).await, None);
}

pub async fn a_redelivery_during_a_pause_leaves_pause_and_attempts_as_they_are(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    let event = due.entries[0].events().remove(0);
    let failed = Settlement {
        attempts: 3,
        pause: SOON * 3,
        ..build::settlement(event.cursor)
    };
    assert!(h.settle(&acme, &due.lease, failed).await);
    assert!(redeliver(&h, &acme, &webhook, std::slice::from_ref(&event.id)).await);
    let due = h.lease_webhook(LONG).await.expect("it is due at once");
    assert_eq!((due.entries, due.webhook.attempts), (Vec::new(), 3));
    let done = Settlement {
        attempts: 3,
        redelivered: vec![event.id.clone()],
        ..build::settlement(due.webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, done).await);
    assert_eq!(h.lease_webhook(LONG).await, None, "the pause goes on");
    h.outlive(SOON * 3).await;
    let due = h.lease_webhook(LONG).await.expect("the pause is over");
    assert_eq!((due.entries.len(), due.webhook.attempts), (1, 3));
}

pub async fn attempts_are_listed_newest_first_in_pages(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let webhook = acme.webhook("hook").await;
    for _ in 0..3 {
        h.moment().await;
        acme.happening().await;
        acme.happening().await;
        delivered(&h, &acme, 2).await;
    }
    let webhooks = &h.repositories.webhooks;
    paging::walk(6, async |page| {
        let listed = webhooks.deliveries(&acme.organization, &webhook.id, &page);
        listed.await.unwrap()
    })
    .await;
    let page = PageRequest::first(10);
    let seen = webhooks.deliveries(&other.organization, &webhook.id, &page);
    assert_eq!(seen.await.unwrap().items, []);
}
