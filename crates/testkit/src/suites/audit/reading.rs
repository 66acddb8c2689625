//! Reading the trail, and what the organization wants of it.

use wharf_domain::audit::{
    Action, Actor, AuditFilter, AuditRow, AuditSettings, NewAuditRow, Origin, ResourceType,
};
use wharf_domain::ids::AuditId;

use crate::{Harness, Tenant};

pub async fn a_row_is_found_by_its_identifier_within_its_own_organization(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let row = acme.happening().await;
    acme.happening().await;
    let audit = &h.repositories.audit;
    let found = audit.find(&acme.organization, &row.id).await.unwrap();
    let found = found.unwrap();
    assert_eq!((&found.row, &found), (&row, &acme.chain().await[1]));
    assert_eq!(
        audit.find(&other.organization, &row.id).await.unwrap(),
        None
    );
    let unknown: AuditId = h.ids.id();
    assert_eq!(
        audit.find(&acme.organization, &unknown).await.unwrap(),
        None
    );
}

/// Rows of several kinds, things and actors, a moment between them.
async fn happenings(h: &Harness, tenant: &Tenant<'_>) {
    let by = |user: &str| Origin {
        actor: Actor::User {
            user_id: user.to_owned(),
            key_id: "key_1".to_owned(),
        },
        ..Origin::system()
    };
    let rows = [
        (
            Action::BucketUpdated,
            ResourceType::Bucket,
            "one",
            by("usr_a"),
        ),
        (
            Action::BucketUpdated,
            ResourceType::Bucket,
            "two",
            by("usr_b"),
        ),
        (Action::SyncPaused, ResourceType::Sync, "one", by("usr_a")),
        (
            Action::SyncResumed,
            ResourceType::Sync,
            "one",
            Origin::system(),
        ),
        (
            Action::UserCreated,
            ResourceType::User,
            "one",
            Origin::operator(),
        ),
    ];
    for (action, resource_type, resource_id, origin) in rows {
        h.moment().await;
        let row = NewAuditRow {
            resource_type,
            resource_id: resource_id.to_owned(),
            origin,
            ..h.audit(action)
        };
        tenant.record(row).await;
    }
}

pub async fn all_conditions_of_a_filter_must_hold(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    happenings(&h, &other).await;
    happenings(&h, &acme).await;
    let whole = acme.chain().await;
    let text = |text: &str| Some(text.to_owned());
    let empty = AuditFilter::default;
    let filters = [
        empty(),
        AuditFilter {
            resource_type: text("bucket"),
            ..empty()
        },
        AuditFilter {
            resource_id: text("one"),
            ..empty()
        },
        AuditFilter {
            actor_id: text("usr_a"),
            ..empty()
        },
        AuditFilter {
            actor_id: text("system"),
            ..empty()
        },
        AuditFilter {
            actor_id: text("operator"),
            ..empty()
        },
        AuditFilter {
            action: text("bucket_updated"),
            ..empty()
        },
        AuditFilter {
            action: text("no_such_action"),
            ..empty()
        },
        AuditFilter {
            start: Some(whole[3].at),
            ..empty()
        },
        AuditFilter {
            end: Some(whole[3].at),
            ..empty()
        },
        AuditFilter {
            start: Some(whole[2].at),
            end: Some(whole[4].at),
            ..empty()
        },
        AuditFilter {
            resource_type: text("bucket"),
            resource_id: text("one"),
            actor_id: text("usr_a"),
            action: text("bucket_updated"),
            start: Some(whole[1].at),
            end: Some(whole[1].at),
        },
        AuditFilter {
            resource_type: text("bucket"),
            actor_id: text("system"),
            ..empty()
        },
    ];
    let audit = &h.repositories.audit;
    for filter in filters {
        let matching = whole.iter().rev().filter(|row| filter.matches(row));
        let wanted: Vec<AuditRow> = matching.cloned().collect();
        let organization = &acme.organization;
        let page = audit.list(organization, &filter, 0, 100).await.unwrap();
        assert_eq!(
            (page.total, &page.rows),
            (wanted.len() as u64, &wanted),
            "{filter:?}"
        );
        let page = audit.list(organization, &filter, 1, 1).await.unwrap();
        let second: Vec<_> = wanted.iter().skip(1).take(1).cloned().collect();
        assert_eq!(
            (page.total, page.rows),
            (wanted.len() as u64, second),
            "{filter:?}"
        );
        let newest = audit
            .before(organization, &filter, None, 100)
            .await
            .unwrap();
        assert_eq!(newest, wanted, "{filter:?}");
    }
}

pub async fn rows_before_a_place_are_read_newest_first(h: Harness) {
    let acme = h.tenant("acme").await;
    happenings(&h, &acme).await;
    let whole = acme.chain().await;
    let buckets = AuditFilter {
        resource_type: Some("bucket".to_owned()),
        ..AuditFilter::default()
    };
    let before = async |filter: &AuditFilter, position, limit| -> Vec<u64> {
        let audit = &h.repositories.audit;
        let rows = audit.before(&acme.organization, filter, position, limit);
        let rows = rows.await.unwrap();
        let found = |row: &AuditRow| whole.contains(row);
        assert!(rows.iter().all(found), "{rows:?}");
        rows.iter().map(|row| row.link.position).collect()
    };
    let any = AuditFilter::default();
    assert_eq!(before(&any, None, 2).await, [6, 5]);
    assert_eq!(before(&any, Some(5), 2).await, [4, 3]);
    assert_eq!(before(&any, Some(3), 100).await, [2, 1]);
    assert_eq!(before(&any, Some(1), 100).await, [0; 0]);
    assert_eq!(before(&any, Some(99), 1).await, [6]);
    assert_eq!(before(&buckets, Some(3), 100).await, [2]);
    assert_eq!(before(&buckets, None, 100).await, [3, 2]);
}

pub async fn what_an_organization_wants_of_its_trail_is_kept_and_a_change_audited_once(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let audit = &h.repositories.audit;
    let settings = async |tenant: &Tenant<'_>| audit.settings(&tenant.organization).await.unwrap();
    assert_eq!(settings(&acme).await, AuditSettings::default());
    let wanted = AuditSettings {
        read_auditing_enabled: true,
    };
    for _ in 0..2 {
        let row = h.audit(Action::AuditSettingsUpdated);
        let changed = audit.change_settings(&acme.organization, wanted, row);
        changed.await.unwrap();
    }
    assert_eq!(settings(&acme).await, wanted);
    assert_eq!(settings(&other).await, AuditSettings::default());
    assert_eq!(acme.audited(Action::AuditSettingsUpdated).await, 1);
    let row = h.audit(Action::AuditSettingsUpdated);
    let back = audit.change_settings(&acme.organization, AuditSettings::default(), row);
    back.await.unwrap();
    assert_eq!(settings(&acme).await, AuditSettings::default());
    assert_eq!(acme.chain().await.len(), 3);
}
