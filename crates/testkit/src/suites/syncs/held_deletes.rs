//! Held deletes: what a person approves or gives up.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::event::EventType;
use wharf_domain::ids::OrganizationId;
use wharf_domain::run::commit::Commit;
use wharf_domain::sync::Sync;

use crate::{Harness, Run, build};

async fn approve(
    h: &Harness,
    organization: &OrganizationId,
    sync: &Sync,
    limit: u32,
) -> Option<u64> {
    h.moment().await;
    let audit = h.audit(Action::DeletesApproved);
    let syncs = &h.repositories.syncs;
    let went = syncs.approve_deletes(organization, &sync.bucket, &sync.id, limit, audit);
    went.await.unwrap()
}

async fn discard(
    h: &Harness,
    organization: &OrganizationId,
    sync: &Sync,
    limit: u32,
) -> Option<u64> {
    h.moment().await;
    let audit = h.audit(Action::DeletesDiscarded);
    let syncs = &h.repositories.syncs;
    let went = syncs.discard_deletes(organization, &sync.bucket, &sync.id, limit, audit);
    went.await.unwrap()
}

/// The run has held the deletes of a, b and c back, still sees d, and missed e in a pass that was not complete.
async fn hold_three(run: &Run<'_>) {
    let all = ["media/a", "media/b", "media/c", "media/d", "media/e"];
    run.publish(1, &all, "1").await;
    run.commit(Commit {
        seen: vec!["media/d".to_owned(), "media/e".to_owned()],
        ..build::commit(2)
    })
    .await;
    run.mark_unseen(2, None, 10).await;
    assert_eq!(run.hold(2, &[], 10).await, 3);
    let last = build::span(Some("media/d"), None);
    run.pass_over(3, last, &[]).await;
}

pub async fn approved_deletes_are_carried_out_in_portions(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    hold_three(&run).await;
    let portion = async || approve(&h, &acme.organization, &run.sync, 2).await;
    let before = acme.head().await.position;
    assert_eq!(portion().await, Some(2));
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    let gone = EventType::ObjectDeleted;
    assert_eq!(types, [gone, gone, EventType::DeletesApproved]);
    assert_eq!(run.tombstones().await.len(), 2);
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["deleted"]),
        (Action::DeletesApproved, &json!(2))
    );
    assert!(run.stored().await.held_deletes.is_some());
    assert_eq!((portion().await, portion().await), (Some(1), Some(0)));
    assert_eq!(run.tombstones().await, ["media/a", "media/b", "media/c"]);
    assert_eq!(run.stored().await.held_deletes, None);
    assert_eq!(acme.audited(Action::DeletesApproved).await, 2);
    assert_eq!(run.rows(9).await, 2, "their rows are gone");
    assert_eq!(portion().await, Some(0), "nothing waits");
    assert_eq!(acme.audited(Action::DeletesApproved).await, 2);
}

pub async fn an_approved_delete_of_a_shared_object_waits_for_the_other_sync(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/a", "media/b"], "1").await;
    second
        .commit(Commit {
            adopted: vec!["media/a".to_owned()],
            ..build::commit(1)
        })
        .await;
    first.mark_unseen(2, None, 10).await;
    first.hold(2, &[], 10).await;
    let went = approve(&h, &acme.organization, &first.sync, 10).await;
    assert_eq!(went, Some(2));
    assert_eq!(first.tombstones().await, ["media/b"]);
    assert_eq!(acme.trail().await[0].changes["deleted"], json!(1));
    assert_eq!(second.let_unseen_go(2, 10).await, 1);
    assert_eq!(first.tombstones().await, ["media/a", "media/b"]);
}

pub async fn discarded_deletes_leave_their_objects_to_nobody(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    hold_three(&run).await;
    let objects = run.objects().await;
    let portion = async || discard(&h, &acme.organization, &run.sync, 2).await;
    assert_eq!(portion().await, Some(2));
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["discarded"]),
        (Action::DeletesDiscarded, &json!(2))
    );
    assert!(run.stored().await.held_deletes.is_some());
    assert_eq!((portion().await, portion().await), (Some(1), Some(0)));
    assert_eq!(run.stored().await.held_deletes, None);
    assert_eq!(run.objects().await, objects);
    assert_eq!(run.rows(9).await, 2);
    assert!(!run.known_one("media/a").await.held);
    run.let_unseen_go(4, 10).await;
    assert_eq!(
        run.tombstones().await,
        ["media/d", "media/e"],
        "no pass deletes what was given up"
    );
    assert_eq!(acme.audited(Action::DeletesDiscarded).await, 2);
}

pub async fn another_organization_or_bucket_decides_on_no_deletes(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    hold_three(&run).await;
    let before = (run.stored().await, run.objects().await, acme.trail().await);
    let elsewhere = Sync {
        bucket: build::bucket(&h.ids, &acme.namespace, "elsewhere").id,
        ..run.sync.clone()
    };
    let unknown = Sync {
        id: h.ids.id(),
        ..run.sync.clone()
    };
    let strangers = [
        (&other.organization, &run.sync),
        (&acme.organization, &elsewhere),
        (&acme.organization, &unknown),
    ];
    for (organization, sync) in strangers {
        assert_eq!(approve(&h, organization, sync, 10).await, None);
        assert_eq!(discard(&h, organization, sync, 10).await, None);
    }
    let after = (run.stored().await, run.objects().await, acme.trail().await);
    assert_eq!(after, before);
    assert_eq!(run.rows(9).await, 5);
}

pub async fn held_deletes_and_what_becomes_of_them_are_announced(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let before = acme.head().await.position;
    hold_three(&run).await;
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(types, [EventType::DeletesHeld]);
    let before = acme.head().await.position;
    let second = acme.second_run(&run).await;
    second
        .commit(Commit {
            adopted: vec!["media/c".to_owned()],
            ..build::commit(1)
        })
        .await;
    let organization = &acme.organization;
    assert_eq!(approve(&h, organization, &run.sync, 1).await, Some(1));
    assert_eq!(approve(&h, organization, &run.sync, 10).await, Some(2));
    assert_eq!(approve(&h, organization, &run.sync, 10).await, Some(0));
    let objects = run.objects().await;
    let told = acme.told_after(before).await;
    let deleted: Vec<_> = told
        .into_iter()
        .filter(|(event_type, _)| *event_type == EventType::ObjectDeleted)
        .map(|(_, object)| object)
        .collect();
    assert_eq!(deleted.len(), 2, "what another sync holds on to stays");
    for gone in [&objects[0], &objects[1]] {
        assert!(deleted.contains(&gone.id.to_string()), "{deleted:?}");
    }
}

pub async fn discarded_deletes_are_announced_and_delete_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    hold_three(&run).await;
    let before = acme.head().await.position;
    assert_eq!(
        discard(&h, &acme.organization, &run.sync, 10).await,
        Some(3)
    );
    let told = acme.told_after(before).await;
    let types: Vec<_> = told.into_iter().map(|(event_type, _)| event_type).collect();
    assert_eq!(types, [EventType::DeletesDiscarded]);
}
