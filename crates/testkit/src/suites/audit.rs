//! What [`AuditRepository`](wharf_ports::AuditRepository) promises.

mod chain;
mod reading;

pub use chain::*;
pub use reading::*;

use serde_json::json;
use wharf_domain::audit::{Action, Actor, AuditFilter, NewAuditRow, Origin, ResourceType};

use crate::Harness;

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
            claim: None,
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
        .list(&acme.organization, &AuditFilter::default(), 0, 1)
        .await
        .unwrap()
        .rows
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
    let (mut skip, mut ids) = (0, Vec::new());
    loop {
        let page = h
            .repositories
            .audit
            .list(&acme.organization, &AuditFilter::default(), skip, 2)
            .await
            .unwrap();
        assert_eq!(page.total, 5, "its own creation and four more");
        if page.rows.is_empty() {
            break;
        }
        skip += page.rows.len() as u64;
        ids.extend(page.rows.into_iter().map(|stored| stored.row.id));
    }
    let trail = acme.trail().await;
    assert_eq!(ids, trail.into_iter().map(|row| row.id).collect::<Vec<_>>());
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
        .list(&other.organization, &AuditFilter::default(), 0, 10)
        .await
        .unwrap();
    assert_eq!(seen.rows.len(), 1, "its own creation");
    assert!(
        seen.rows
            .iter()
            .all(|stored| stored.organization == other.organization)
    );
}
