//! What [`AuditRepository`](wharf_ports::AuditRepository) promises.

use serde_json::json;
use wharf_domain::audit::{Action, Actor, NewAuditRow, Origin, ResourceType};
use wharf_domain::page::PageRequest;

use crate::{Harness, paging};

pub async fn a_row_is_read_back_unchanged(h: Harness) {
    let acme = h.tenant("acme").await;
    let before = h.repositories.across.now().await.unwrap();
    let row = NewAuditRow {
        id: h.ids.id(),
        action: Action::ConnectionTested,
        resource_type: ResourceType::Connection,
        resource_id: "conn_abc123DEF456ghi".to_owned(),
        origin: Origin {
            actor: Actor::User {
                user_id: "usr_1".to_owned(),
                key_id: "key_1".to_owned(),
            },
            reason: Some("because 'it' \"was\" späť\n".to_owned()),
            ip_address: Some("2001:db8::1".to_owned()),
            user_agent: Some("curl/8".to_owned()),
        },
        changes: json!({"status": ["ACTIVE", "FAILED"], "deep": {"n": 1.5, "none": null}}),
    };
    h.moment().await;
    h.repositories
        .audit
        .record(&acme.organization, row.clone())
        .await
        .unwrap();
    let stored = h
        .repositories
        .audit
        .list(&acme.organization, &PageRequest::first(1))
        .await
        .unwrap()
        .items
        .remove(0);
    assert_eq!(
        (&stored.organization, stored.row),
        (&acme.organization, row)
    );
    assert!(stored.at > before, "stamped by the database's clock");
}

pub async fn every_kind_of_actor_is_read_back(h: Harness) {
    let acme = h.tenant("acme").await;
    for origin in [Origin::system(), Origin::operator()] {
        let row = NewAuditRow {
            origin,
            ..h.audit(Action::ConnectionTested)
        };
        h.moment().await;
        h.repositories
            .audit
            .record(&acme.organization, row.clone())
            .await
            .unwrap();
        assert_eq!(acme.trail().await[0], row);
    }
}

pub async fn rows_are_listed_newest_first_in_pages(h: Harness) {
    let acme = h.tenant("acme").await;
    for _ in 0..4 {
        h.moment().await;
        h.repositories
            .audit
            .record(&acme.organization, h.audit(Action::ConnectionTested))
            .await
            .unwrap();
    }
    paging::walk(5, async |page| {
        h.repositories
            .audit
            .list(&acme.organization, &page)
            .await
            .unwrap()
    })
    .await;
}

pub async fn rows_are_seen_by_their_own_organization_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    h.repositories
        .audit
        .record(&acme.organization, h.audit(Action::ConnectionTested))
        .await
        .unwrap();
    assert_eq!(acme.audited(Action::ConnectionTested).await, 1);
    let seen = h
        .repositories
        .audit
        .list(&other.organization, &PageRequest::first(10))
        .await
        .unwrap();
    assert_eq!(seen.items.len(), 1, "its own creation");
    assert!(
        seen.items
            .iter()
            .all(|stored| stored.organization == other.organization)
    );
}
