//! The chain: every row linked to the one before it.

use serde_json::json;
use wharf_domain::audit::{Action, Actor, ChainHead, NewAuditRow, Origin, ResourceType};
use wharf_domain::connection::{Edit, Event};

use crate::{Harness, build};

pub async fn the_places_of_a_chain_have_no_gaps_and_its_links_verify(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit_with(
        run.step(1, &["media/a"], "1").await,
        Some(h.audit(Action::ObjectsCommitted)),
    )
    .await;
    run.delete("media/a").await;
    let actions: Vec<_> = acme
        .chain()
        .await
        .iter()
        .map(|row| row.row.action)
        .collect();
    assert_eq!(
        actions,
        [
            Action::OrganizationCreated,
            Action::BucketCreated,
            Action::ConnectionCreated,
            Action::SyncCreated,
            Action::JobStarted,
            Action::ObjectsCommitted,
            Action::ObjectDeleted,
        ]
    );
}

pub async fn every_part_of_a_row_is_linked_as_it_is_read_back(h: Harness) {
    let acme = h.tenant("acme").await;
    let odd = [
        json!({"z": 1, "a": {"y": [1.5, 1e-7, 12_345_678_901_234_567_u64, -0.1], "b": null}, "": "\u{e4}\u{1F4C1}"}),
        json!({"text": "because 'it' \"was\" \\ sp\u{e4}t\n\t/"}),
        json!({}),
    ];
    for (nth, changes) in odd.into_iter().enumerate() {
        let named = |text: &str| (nth != 1).then(|| text.to_owned());
        acme.record(NewAuditRow {
            id: h.ids.id(),
            action: Action::ConnectionTested,
            resource_type: ResourceType::Connection,
            resource_id: "conn_abc123DEF456ghi".to_owned(),
            origin: Origin {
                actor: Actor::User {
                    user_id: "usr_1".to_owned(),
                    key_id: "key_1".to_owned(),
                },
                reason: named(""),
                ip_address: named("2001:db8::1"),
                user_agent: named("curl/8 (\u{e4})"),
                claim: None,
            },
            changes,
        })
        .await;
    }
    for origin in [Origin::system(), Origin::operator()] {
        let audit = h.audit(Action::ConnectionTested);
        acme.record(NewAuditRow { origin, ..audit }).await;
    }
    assert_eq!(acme.chain().await.len(), 6);
}

pub async fn a_chain_without_rows_has_an_empty_head(h: Harness) {
    let acme = h.tenant("acme").await;
    assert_ne!(acme.head().await, ChainHead::EMPTY);
    let audit = &h.repositories.audit;
    let nobody = h.ids.id();
    assert_eq!(audit.head(&nobody).await.unwrap(), ChainHead::EMPTY);
    assert_eq!(audit.chain(&nobody, 0, 10).await.unwrap(), []);
}

pub async fn organizations_have_chains_of_their_own(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    for tenant in [&acme, &other, &acme, &acme, &other] {
        tenant.happening().await;
    }
    assert_eq!(
        (acme.chain().await.len(), other.chain().await.len()),
        (4, 3),
        "each with its creation"
    );
}

pub async fn the_rows_of_one_transaction_stand_in_their_order(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let rows: Vec<_> = (0..5).map(|_| h.audit(Action::ConnectionUpdated)).collect();
    let wanted: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let edit = Edit {
        name: Some(build::connection_name("renamed")),
        ..Edit::default()
    };
    let connections = &h.repositories.connections;
    let events = vec![Event::Edit(Box::new(edit))];
    connections
        .apply(&acme.organization, &connection.id, None, events, rows)
        .await
        .unwrap();
    let chain = acme.chain().await;
    let ids: Vec<_> = chain[2..].iter().map(|row| row.row.id.clone()).collect();
    assert_eq!(ids, wanted);
    let mut newest_first: Vec<_> = acme.trail().await.into_iter().map(|row| row.id).collect();
    newest_first.truncate(5);
    newest_first.reverse();
    assert_eq!(newest_first, wanted, "lists go by places, too");
}

pub async fn of_many_writers_at_once_every_row_has_a_place_of_its_own(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let tasks = (0..24).map(|nth| {
        let repositories = h.repositories.clone();
        let tenant = if nth % 3 == 0 { &other } else { &acme };
        let organization = tenant.organization.clone();
        let (row, created) = (h.audit(Action::SyncCreated), h.audit(Action::BucketCreated));
        let name = format!("bucket {nth}");
        let bucket = build::bucket(&h.ids, &tenant.namespace, &name);
        tokio::spawn(async move {
            repositories.audit.record(&organization, row).await.unwrap();
            let inserted = repositories.buckets.insert(&organization, bucket, created);
            inserted.await.unwrap();
        })
    });
    for task in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        task.unwrap();
    }
    assert_eq!(
        (acme.chain().await.len(), other.chain().await.len()),
        (1 + 32, 1 + 16)
    );
}

pub async fn a_refused_write_leaves_no_gap(h: Harness) {
    let acme = h.tenant("acme").await;
    acme.bucket("media").await;
    let again = build::bucket(&h.ids, &acme.namespace, "media");
    let buckets = &h.repositories.buckets;
    buckets
        .insert(&acme.organization, again, h.audit(Action::BucketCreated))
        .await
        .unwrap_err();
    acme.bucket("other").await;
    assert_eq!(acme.chain().await.len(), 3);
}

pub async fn a_chain_is_read_in_portions(h: Harness) {
    let acme = h.tenant("acme").await;
    for _ in 0..4 {
        acme.happening().await;
    }
    let whole = acme.chain().await;
    let audit = &h.repositories.audit;
    let mut links = Vec::new();
    while let Some(portion) = Some(
        audit
            .chain(&acme.organization, links.len() as u64, 2)
            .await
            .unwrap(),
    )
    .filter(|portion| !portion.is_empty())
    {
        assert!(portion.len() <= 2);
        links.extend(portion.into_iter().map(|chained| chained.link));
    }
    let wanted: Vec<_> = whole.iter().map(|row| row.link).collect();
    assert_eq!(links, wanted);
}
