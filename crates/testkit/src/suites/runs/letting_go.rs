//! Letting go: what becomes a tombstone and what does not.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::object::DeletedBy;
use wharf_domain::run::commit::Commit;

use crate::{Harness, build};

pub async fn what_was_not_seen_is_let_go_and_becomes_a_tombstone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/changed", "media/gone", "media/same"], "1")
        .await;
    let second = Commit {
        seen: vec!["media/same".to_owned()],
        ..run.step(2, &["media/changed"], "2").await
    };
    run.commit(second).await;
    h.moment().await;
    assert_eq!(run.let_unseen_go(2, 100).await, 1);
    let objects = run.objects().await;
    let gone = &objects[1];
    let (deleted_at, deleted_by) = gone.deleted.expect("a tombstone");
    assert_eq!(
        (gone.source.object.as_str(), deleted_by),
        ("media/gone", DeletedBy::Source)
    );
    assert!(deleted_at > gone.created_at && gone.updated_at > gone.created_at);
    assert_eq!((objects[0].deleted, objects[2].deleted), (None, None));
    assert_eq!(
        (
            run.job().await.counters.deleted,
            run.stored().await.totals.counters.deleted
        ),
        (1, 1)
    );
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["deleted"]),
        (Action::ObjectsCommitted, &json!(1))
    );
    assert_eq!(run.let_unseen_go(2, 100).await, 0, "none is left");
    assert_eq!(
        acme.audited(Action::ObjectsCommitted).await,
        1,
        "and nothing more is recorded"
    );
}

pub async fn entries_are_let_go_in_portions(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(
        1,
        &["media/a", "media/b", "media/c", "media/d", "media/e"],
        "1",
    )
    .await;
    let portions = [
        run.let_unseen_go(2, 2).await,
        run.let_unseen_go(2, 2).await,
        run.let_unseen_go(2, 2).await,
        run.let_unseen_go(2, 2).await,
    ];
    assert_eq!(portions, [2, 2, 1, 0]);
    assert!(
        run.objects()
            .await
            .iter()
            .all(|object| object.deleted.is_some())
    );
    assert_eq!(run.job().await.counters.deleted, 5);
}

pub async fn a_shared_object_goes_when_the_last_sync_lets_go(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/put", "media/seen"], "1").await;
    let step = second.step(1, &["media/put"], "1").await;
    second
        .commit(Commit {
            adopted: vec!["media/seen".to_owned()],
            ..step
        })
        .await;
    assert_eq!(
        first.objects().await.len(),
        2,
        "the syncs share the objects"
    );
    assert_eq!(first.let_unseen_go(2, 10).await, 2);
    assert!(
        first
            .objects()
            .await
            .iter()
            .all(|object| object.deleted.is_none()),
        "the other sync holds on"
    );
    assert_eq!(
        (
            first.job().await.counters.deleted,
            acme.audited(Action::ObjectsCommitted).await
        ),
        (0, 0)
    );
    assert_eq!(second.let_unseen_go(2, 10).await, 2);
    assert!(
        first
            .objects()
            .await
            .iter()
            .all(|object| object.deleted.is_some())
    );
    assert_eq!(
        (
            second.job().await.counters.deleted,
            acme.audited(Action::ObjectsCommitted).await
        ),
        (2, 1)
    );
}

pub async fn a_removed_sync_holds_on_to_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/a"], "1").await;
    second.publish(1, &["media/a"], "1").await;
    let audit = h.audit(Action::SyncDeleted);
    h.repositories
        .syncs
        .remove(&acme.organization, &first.bucket.id, &first.sync.id, audit)
        .await
        .unwrap();
    assert_eq!(second.let_unseen_go(2, 10).await, 1);
    assert!(first.objects().await[0].deleted.is_some());
}

pub async fn adopted_names_that_the_bucket_does_not_have_are_passed_over(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let adopted = vec!["media/never".to_owned(), "media/either".to_owned()];
    run.commit(Commit {
        adopted,
        ..run.step(1, &["media/a"], "1").await
    })
    .await;
    assert_eq!(run.objects().await.len(), 1);
    assert_eq!(run.let_unseen_go(2, 10).await, 1);
}

pub async fn what_a_person_removed_stays_the_persons_tombstone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let object = run.objects().await.remove(0);
    let audit = h.audit(Action::ObjectDeleted);
    h.repositories
        .objects
        .remove(&acme.organization, &run.bucket.id, &object.id, audit)
        .await
        .unwrap();
    let tombstone = run.objects().await;
    run.commit(Commit {
        adopted: vec![object.source.object.clone()],
        seen: vec![object.source.object],
        ..build::commit(2)
    })
    .await;
    assert_eq!(
        run.objects().await,
        tombstone,
        "being seen does not bring it back"
    );
    assert_eq!(run.let_unseen_go(3, 10).await, 1);
    assert_eq!(run.objects().await, tombstone);
    assert_eq!(
        (
            run.job().await.counters.deleted,
            acme.audited(Action::ObjectsCommitted).await
        ),
        (0, 0)
    );
}
