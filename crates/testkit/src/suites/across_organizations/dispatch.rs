//! Leases of webhooks and of the stream.

use std::collections::HashSet;
use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::event::{EventCursor, OutboxEntry};
use wharf_domain::ids::OrganizationId;
use wharf_domain::webhook::{Settlement, WebhookSettings};
use wharf_ports::DueStream;

use crate::{Harness, LONG, SHORT, SOON, Tenant, build};

/// A step that leaves one entry with several events.
async fn two_objects(h: &Harness, tenant: &Tenant<'_>) {
    let run = tenant.run().await;
    let step = run.step(1, &["media/a", "media/b"], "1").await;
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
}

pub async fn a_webhook_is_leased_with_what_it_has_not_been_told(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let webhook = acme.webhook("hook").await;
    for _ in 0..3 {
        acme.happening().await;
        other.happening().await;
    }
    let all = acme.entries().await;
    let across = &h.repositories.across;
    let lease = async || across.lease_due_webhook(LONG, 2).await.unwrap();
    let due = lease().await.unwrap();
    assert_eq!(due.webhook, webhook);
    assert_eq!(due.lease.webhook, webhook.id);
    assert_eq!(
        due.entries,
        all[..2],
        "oldest first, not more than asked for"
    );
    assert_eq!((due.redeliveries, due.lost), (Vec::new(), Vec::new()));
    assert!(due.now >= all[2].at);
    assert_eq!(lease().await, None, "it is held");
    let told = EventCursor::past(all[1].head.position);
    assert!(h.settle(&acme, &due.lease, build::settlement(told)).await);
    let due = lease().await.unwrap();
    assert_eq!((due.webhook.cursor, &due.entries[..]), (told, &all[2..]));
    let told = EventCursor::past(all[2].head.position);
    assert!(h.settle(&acme, &due.lease, build::settlement(told)).await);
    assert_eq!(lease().await, None, "nothing is left to tell");
}

pub async fn an_entry_is_told_until_its_last_event(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.webhook("hook").await;
    two_objects(&h, &acme).await;
    let last = acme.entries().await.pop().unwrap();
    let events = last.events();
    assert_eq!(events.len(), 3, "both together, and each");
    for event in &events {
        let due = h.lease_webhook(LONG).await.expect("events are left");
        assert_eq!(due.entries.last(), Some(&last));
        let settlement = build::settlement(event.cursor);
        assert!(h.settle(&acme, &due.lease, settlement).await);
    }
    assert_eq!(h.lease_webhook(LONG).await, None);
}

pub async fn what_announces_nothing_makes_no_webhook_due(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.webhook("hook").await;
    acme.record(h.audit(Action::ConnectionUsed)).await;
    assert_eq!(h.lease_webhook(LONG).await, None);
    let resting = WebhookSettings {
        is_active: false,
        ..build::webhook("resting")
    };
    let other = h.tenant("other").await;
    other.webhook_with(resting).await;
    other.happening().await;
    assert_eq!(h.lease_webhook(LONG).await, None, "nor does one that rests");
}

pub async fn whoever_has_just_had_its_turn_comes_after_those_who_wait(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (busy, quiet) = (acme.webhook("busy").await, other.webhook("quiet").await);
    for _ in 0..4 {
        acme.happening().await;
    }
    h.moment().await;
    other.happening().await;
    other.happening().await;
    let across = &h.repositories.across;
    let mut turns = Vec::new();
    for _ in 0..4 {
        h.moment().await;
        let due = across.lease_due_webhook(LONG, 1).await.unwrap().unwrap();
        let told = EventCursor::past(due.entries[0].head.position);
        let tenant = if due.webhook.id == busy.id {
            &acme
        } else {
            &other
        };
        h.moment().await;
        assert!(h.settle(tenant, &due.lease, build::settlement(told)).await);
        turns.push(due.webhook.id);
    }
    assert!(
        turns.windows(2).all(|pair| pair[0] != pair[1]),
        "{turns:?} of {} and {}",
        busy.id,
        quiet.id
    );
}

pub async fn an_organization_with_held_webhooks_comes_after_one_without(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for name in ["a", "b", "c"] {
        acme.webhook(name).await;
    }
    acme.happening().await;
    h.moment().await;
    other.webhook("hook").await;
    other.happening().await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(h.lease_webhook(LONG).await.unwrap().webhook.organization);
    }
    let (acme, other) = (acme.organization, other.organization);
    assert_eq!(turns, [acme.clone(), other, acme.clone(), acme]);
}

pub async fn an_expired_lease_of_a_webhook_is_taken_over(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.webhook("hook").await;
    acme.happening().await;
    let first = h.lease_webhook(SHORT).await.unwrap();
    assert_eq!(h.lease_webhook(SHORT).await, None);
    h.outlive(SHORT).await;
    let second = h.lease_webhook(LONG).await.unwrap();
    assert!(second.lease.fence > first.lease.fence);
    assert_eq!(
        (second.webhook, second.entries),
        (first.webhook, first.entries)
    );
}

pub async fn of_many_callers_at_once_no_two_lease_the_same_webhook(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for tenant in [&acme, &other] {
        for name in ["a", "b", "c"] {
            tenant.webhook(name).await;
        }
        tenant.happening().await;
    }
    let tasks = (0..8).map(|_| {
        let across = h.repositories.across.clone();
        tokio::spawn(async move { across.lease_due_webhook(LONG, 10).await.unwrap() })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let mut leased: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    while let Some(due) = h.lease_webhook(LONG).await {
        leased.push(due);
    }
    let distinct: HashSet<_> = leased.iter().map(|due| &due.lease.webhook).collect();
    assert_eq!((leased.len(), distinct.len()), (6, 6));
}

async fn lease_stream(h: &Harness, ttl: Duration, limit: u32) -> Option<DueStream> {
    let due = h.repositories.across.lease_due_stream(ttl, limit);
    due.await.unwrap()
}

async fn settle_stream(h: &Harness, due: &DueStream, cursor: EventCursor, pause: Duration) -> bool {
    let settled = h.repositories.across.settle_stream(due, cursor, pause);
    settled.await.unwrap()
}

pub async fn a_stream_is_leased_with_what_is_not_published(h: Harness) {
    let acme = h.tenant("acme").await;
    assert_eq!(lease_stream(&h, LONG, 10).await, None);
    acme.record(h.audit(Action::ConnectionUsed)).await;
    assert_eq!(
        lease_stream(&h, LONG, 10).await,
        None,
        "what announces nothing is not published"
    );
    for _ in 0..3 {
        acme.happening().await;
    }
    let all = acme.entries().await;
    let due = lease_stream(&h, LONG, 2).await.unwrap();
    assert_eq!(due.organization, acme.organization);
    assert_eq!(
        due.entries,
        all[..2],
        "oldest first, not more than asked for"
    );
    assert!(due.cursor.position < all[0].head.position);
    assert_eq!(lease_stream(&h, LONG, 2).await, None, "it is held");
    let cursor = EventCursor::past(all[1].head.position);
    assert!(settle_stream(&h, &due, cursor, Duration::ZERO).await);
    assert!(
        !settle_stream(&h, &due, cursor, Duration::ZERO).await,
        "a round ends once"
    );
    let due = lease_stream(&h, LONG, 2).await.unwrap();
    assert_eq!(due.entries, all[2..]);
    let cursor = EventCursor::past(all[2].head.position);
    assert!(settle_stream(&h, &due, cursor, Duration::ZERO).await);
    assert_eq!(lease_stream(&h, LONG, 2).await, None);
    acme.happening().await;
    assert!(lease_stream(&h, LONG, 2).await.is_some());
}

pub async fn an_entry_is_published_until_its_last_event(h: Harness) {
    let acme = h.tenant("acme").await;
    two_objects(&h, &acme).await;
    let last = acme.entries().await.pop().unwrap();
    for event in last.events() {
        let due = lease_stream(&h, LONG, 10).await.expect("events are left");
        assert_eq!(due.entries.last(), Some(&last));
        assert!(last.events_after(due.cursor).contains(&event));
        assert!(settle_stream(&h, &due, event.cursor, Duration::ZERO).await);
    }
    assert_eq!(lease_stream(&h, LONG, 10).await, None);
}

pub async fn a_stream_waits_for_its_pause(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.happening().await;
    let due = lease_stream(&h, LONG, 10).await.unwrap();
    assert!(settle_stream(&h, &due, due.cursor, SOON).await);
    assert_eq!(lease_stream(&h, LONG, 10).await, None);
    h.outlive(SOON).await;
    assert_eq!(
        lease_stream(&h, LONG, 10).await.unwrap().entries,
        due.entries
    );
}

pub async fn a_busy_organization_keeps_no_stream_waiting(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for _ in 0..3 {
        acme.happening().await;
    }
    h.moment().await;
    other.happening().await;
    other.happening().await;
    let mut turns = Vec::new();
    for _ in 0..4 {
        h.moment().await;
        let due = lease_stream(&h, LONG, 1).await.unwrap();
        let cursor = EventCursor::past(due.entries[0].head.position);
        h.moment().await;
        assert!(settle_stream(&h, &due, cursor, Duration::ZERO).await);
        turns.push(due.organization);
    }
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
}

pub async fn a_round_of_the_stream_that_was_taken_over_notes_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.happening().await;
    let first = lease_stream(&h, SHORT, 10).await.unwrap();
    h.outlive(SHORT).await;
    let second = lease_stream(&h, LONG, 10).await.unwrap();
    assert!(second.fence > first.fence);
    assert_eq!(second.entries, first.entries);
    let done = EventCursor::past(first.entries[0].head.position);
    assert!(!settle_stream(&h, &first, done, Duration::ZERO).await);
    assert_eq!(lease_stream(&h, LONG, 10).await, None, "the second is held");
    assert!(settle_stream(&h, &second, second.cursor, Duration::ZERO).await);
    let third = lease_stream(&h, LONG, 10).await.unwrap();
    assert_eq!(third.entries, first.entries, "nothing counts as published");
}

pub async fn of_many_callers_at_once_no_two_lease_the_same_stream(h: Harness) {
    let mut organizations = HashSet::new();
    for name in ["a", "b", "c", "d"] {
        let tenant = h.tenant(name).await;
        tenant.happening().await;
        organizations.insert(tenant.organization);
    }
    let tasks = (0..8).map(|_| {
        let across = h.repositories.across.clone();
        tokio::spawn(async move { across.lease_due_stream(LONG, 10).await.unwrap() })
    });
    let answers = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    let mut leased: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    while let Some(due) = lease_stream(&h, LONG, 10).await {
        leased.push(due);
    }
    assert_eq!(leased.len(), 4, "each exactly once");
    let leased: HashSet<_> = leased.into_iter().map(|due| due.organization).collect();
    assert_eq!(leased, organizations);
}

/// Stores as many entries and attempts as that, of an organization of that name.
async fn history(h: &Harness, name: &str, count: usize) -> OrganizationId {
    let tenant = h.tenant(name).await;
    tenant.webhook("hook").await;
    for _ in 0..count {
        tenant.happening().await;
    }
    let due = h.lease_webhook(LONG).await.unwrap();
    let events = due.entries.iter().flat_map(OutboxEntry::events);
    let deliveries = events.map(|event| build::delivery(&h.ids, &event));
    let settlement = Settlement {
        deliveries: deliveries.collect(),
        ..build::settlement(EventCursor::past(u64::from(u32::MAX)))
    };
    assert!(h.settle(&tenant, &due.lease, settlement).await);
    tenant.organization
}

pub async fn histories_are_pruned_in_portions_and_the_trail_stays(h: Harness) {
    let acme = history(&h, "acme", 3).await;
    let other = history(&h, "other", 2).await;
    let across = &h.repositories.across;
    let prune = async |keep, limit| across.prune_history(keep, limit).await.unwrap();
    assert_eq!(prune(LONG, 100).await, 0, "all of it is young");
    h.moment().await;
    let mut portions = Vec::new();
    loop {
        match prune(Duration::from_micros(1), 2).await {
            0 => break,
            gone => portions.push(gone),
        }
    }
    assert_eq!(portions, [4, 4, 2], "two entries and two attempts at most");
    for organization in [&acme, &other] {
        let entries = h.repositories.events.after(organization, 0, 10).await;
        assert_eq!(entries.unwrap(), []);
        let head = h.repositories.audit.head(organization).await.unwrap();
        let chain = h.repositories.audit.chain(organization, 0, 100).await;
        assert_eq!(chain.unwrap().last().unwrap().link, head);
        assert!(head.position >= 4);
    }
}

pub async fn checks_and_claims_are_pruned_when_they_are_old(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let claims = &h.repositories.idempotency;
    let key = "00000000000000000000000000000000000000000000000000000000000000aa";
    let day = Duration::from_hours(24);
    let claim = async || {
        let found = claims.claim(&acme.organization, key, key, LONG, day * 365);
        found.await.unwrap()
    };
    acme.check(&connection, None).await;
    claim().await;
    let across = &h.repositories.across;
    let prune = async || across.prune_history(day * 365, 10).await.unwrap();
    assert_eq!(prune().await, 0);
    h.age(day).await;
    assert_eq!(prune().await, 1, "the claim");
    assert_eq!(acme.checks(&connection).await.len(), 1);
    h.age(day * 29).await;
    assert_eq!(prune().await, 1, "the check");
    assert_eq!(acme.checks(&connection).await, []);
}

pub async fn whoever_was_not_told_of_what_is_pruned_learns_of_it_once(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.happening().await;
    let due = lease_stream(&h, LONG, 10).await.unwrap();
    assert!(!due.missed);
    let published = due.entries[0].events()[0].cursor;
    assert!(settle_stream(&h, &due, published, Duration::ZERO).await);
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let due = h.lease_webhook(LONG).await.unwrap();
    assert_eq!(due.webhook.health.missed_events_at, None);
    let failed = Settlement {
        attempts: 5,
        ..build::settlement(webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, failed).await);
    h.moment().await;
    let across = &h.repositories.across;
    let pruned = across.prune_history(Duration::from_micros(1), 10).await;
    assert_eq!(pruned.unwrap(), 2);
    let due = h.lease_webhook(LONG).await.expect("it is to be told");
    let told = (due.webhook.health.missed_events_at, due.webhook.attempts);
    assert_eq!((told, due.entries), ((Some(due.now), 0), Vec::new()));
    assert!(due.webhook.cursor >= EventCursor::past(acme.head().await.position));
    assert_eq!(
        acme.stored_webhook(&webhook).await.health,
        due.webhook.health
    );
    let settlement = Settlement {
        health: due.webhook.health,
        ..build::settlement(due.webhook.cursor)
    };
    assert!(h.settle(&acme, &due.lease, settlement).await);
    assert_eq!(h.lease_webhook(LONG).await, None);
    let due = lease_stream(&h, LONG, 10).await.unwrap();
    assert!(due.missed);
    assert!(settle_stream(&h, &due, due.cursor, Duration::ZERO).await);
    assert_eq!(lease_stream(&h, LONG, 10).await, None);
    h.moment().await;
    let next = acme.happening().await;
    let due = lease_stream(&h, LONG, 10).await.unwrap();
    assert_eq!((due.missed, &due.entries[0].audit), (false, &next.id));
    let due = h.lease_webhook(LONG).await.unwrap();
    assert_eq!(due.entries[0].audit, next.id);
    assert!(due.webhook.health.missed_events_at < Some(due.now));
}

pub async fn what_is_pruned_is_neither_told_nor_published(h: Harness) {
    let acme = h.tenant("acme").await;
    let webhook = acme.webhook("hook").await;
    acme.happening().await;
    let event = acme.entries().await[0].events().remove(0);
    let audit = h.audit(Action::WebhookRedelivered);
    let webhooks = &h.repositories.webhooks;
    let ids = [event.id.clone()];
    webhooks
        .redeliver(&acme.organization, &webhook.id, &ids, audit)
        .await
        .unwrap();
    h.moment().await;
    let across = &h.repositories.across;
    let pruned = across.prune_history(Duration::from_micros(1), 10).await;
    assert_eq!(pruned.unwrap(), 1);
    assert_eq!(lease_stream(&h, LONG, 10).await, None);
    let due = h.lease_webhook(LONG).await.unwrap();
    assert_eq!(
        (due.entries, due.redeliveries, due.lost),
        (Vec::new(), Vec::new(), vec![event.id])
    );
}
