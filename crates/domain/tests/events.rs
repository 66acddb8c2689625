//! What subscribers are told: entries of the outbox unfolded, and what a webhook wants of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};
use wharf_domain::Timestamp;
use wharf_domain::audit::{AuditHash, ChainHead, ResourceType};
use wharf_domain::event::{
    Announcement, Event, EventCursor, EventId, EventType, ObjectChange, ObjectFate, OutboxEntry,
    Told,
};
use wharf_domain::webhook::{MOST_ATTEMPTS, SealedChannels, WebhookSettings, pause_after};

fn entry(announcement: Announcement) -> OutboxEntry {
    OutboxEntry {
        organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().unwrap(),
        audit: "aud_00000000000000ab".parse().unwrap(),
        head: ChainHead {
            position: 7,
            hash: AuditHash::START,
        },
        at: Timestamp::from_timestamp(1_767_225_600, 0).unwrap(),
        resource_type: ResourceType::Job,
        resource_id: "job_0000000000000001".to_owned(),
        announcement,
    }
}

fn one(event_type: EventType) -> OutboxEntry {
    let facts = json!({"name": "n"});
    entry(Announcement::One { event_type, facts })
}

fn objects(fates: &[ObjectFate]) -> OutboxEntry {
    let change = |(n, fate): (usize, &ObjectFate)| ObjectChange {
        object_id: format!("obj_{n:016x}").parse().unwrap(),
        fate: *fate,
        source_path: format!("media/{n}"),
        size_bytes: 10,
    };
    entry(Announcement::Objects {
        bucket_id: "bkt_0000000000000002".parse().unwrap(),
        sync_config_id: Some("sync_0000000000000003".parse().unwrap()),
        sync_job_id: None,
        changes: fates.iter().enumerate().map(change).collect(),
        own: None,
    })
}

fn told(events: &[Event]) -> Vec<(&str, &str, u32)> {
    let told = events.iter().map(|event| {
        let id = event.id.as_str();
        (id, event.event_type.as_str(), event.cursor.item)
    });
    told.collect()
}

#[test]
fn an_entry_of_one_event_has_its_identifier_from_the_audit_row() {
    let events = one(EventType::SyncPaused).events();
    assert_eq!(told(&events), [("evt_00000000000000ab", "sync.paused", 1)]);
    let expected = json!({
        "id": "evt_00000000000000ab",
        "event_type": "sync.paused",
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "internal_id": "int_aaaaaaaaaaaaaaaaaaaaaaaa",
        "resource_type": "sync_job",
        "resource_id": "job_0000000000000001",
        "data": {"name": "n"},
        "audit_head": events[0].head.to_string(),
    });
    assert_eq!(events[0].body(), expected);
}

#[test]
fn arrivals_are_told_together_first_and_then_each_object_by_itself() {
    use ObjectFate::{Created, Deleted, Restored, Updated};
    let events = objects(&[Updated, Created, Deleted, Created, Restored]).events();
    let expected = [
        ("evt_00000000000000ab.0", "objects.created.batch", 1),
        ("evt_00000000000000ab.1", "object.updated", 2),
        ("evt_00000000000000ab.2", "object.created", 3),
        ("evt_00000000000000ab.3", "object.deleted", 4),
        ("evt_00000000000000ab.4", "object.created", 5),
        ("evt_00000000000000ab.5", "object.restored", 6),
    ];
    assert_eq!(told(&events), expected);
    assert_eq!(events[0].facts["count"], 2);
    assert_eq!(events[0].resource_id, "bkt_0000000000000002");
    assert_eq!(events[0].facts["objects"][0], events[2].facts);
    assert_eq!(events[3].resource_id, "obj_0000000000000002");
    assert_eq!(events[3].facts["sync_job_id"], Value::Null);
    let without = objects(&[Deleted]).events();
    assert_eq!(
        told(&without),
        [("evt_00000000000000ab.0", "object.deleted", 1)]
    );
}

#[test]
fn what_a_row_tells_of_itself_comes_behind_its_objects() {
    let mut entry = objects(&[ObjectFate::Deleted; 2]);
    if let Announcement::Objects { own, .. } = &mut entry.announcement {
        *own = Some(Told {
            event_type: EventType::DeletesApproved,
            facts: json!({"approved": 2}),
        });
    }
    let events = entry.events();
    let expected = [
        ("evt_00000000000000ab.0", "object.deleted", 1),
        ("evt_00000000000000ab.1", "object.deleted", 2),
        ("evt_00000000000000ab.2", "sync.deletes_approved", 3),
    ];
    assert_eq!(told(&events), expected);
    assert_eq!(events[2].resource_id, entry.resource_id);
    assert_eq!(events[2].facts["approved"], 2);
}

#[test]
fn a_cursor_tells_what_is_left_of_an_entry() {
    let entry = objects(&[ObjectFate::Updated; 3]);
    let left = |position, item| entry.events_after(EventCursor { position, item }).len();
    assert_eq!(
        (left(6, u32::MAX), left(7, 0), left(7, 2), left(7, 3)),
        (3, 3, 1, 0)
    );
    assert!(entry.events_after(EventCursor::past(7)).is_empty());
    for event in entry.events() {
        let rest = entry.events_after(event.cursor);
        assert!(rest.iter().all(|later| later.cursor > event.cursor));
        assert_eq!(event.id.audit_id(), entry.audit);
        assert_eq!(event.id.as_str().parse::<EventId>().unwrap(), event.id);
    }
}

#[test]
fn a_webhook_wants_its_types_of_its_kinds_of_things() {
    let settings = |event_types: &[EventType], all, resource_types: &[&str]| WebhookSettings {
        name: "w".to_owned(),
        event_types: event_types.to_vec(),
        all,
        resource_types: resource_types.iter().map(|&kind| kind.to_owned()).collect(),
        channels: json!([]),
        sealed: SealedChannels(Vec::new()),
        secret_version: 1,
        is_active: true,
    };
    let event = one(EventType::JobFailed).events().remove(0);
    assert!(settings(&[EventType::JobFailed], false, &[]).wants(&event));
    assert!(settings(&[], true, &[]).wants(&event));
    assert!(settings(&[], true, &["sync", "sync_job"]).wants(&event));
    assert!(!settings(&[], true, &["sync"]).wants(&event));
    assert!(!settings(&[EventType::JobCompleted], false, &[]).wants(&event));
    assert!(!settings(&[], false, &[]).wants(&event));
}

#[test]
fn pauses_double_up_to_an_hour() {
    let pauses: Vec<u64> = (1..MOST_ATTEMPTS)
        .map(|n| pause_after(n).as_secs())
        .collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320]);
    assert_eq!(pause_after(40).as_secs(), 3600);
    assert_eq!(pause_after(u32::MAX).as_secs(), 3600);
}

#[test]
fn what_is_no_event_identifier_is_refused() {
    for text in [
        "",
        "evt_",
        "evt_00000000000000AB",
        "evt_00000000000000ab.",
        "evt_00000000000000ab.x",
        "aud_00000000000000ab",
        "evt_00000000000000ab.1.2",
    ] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
}
