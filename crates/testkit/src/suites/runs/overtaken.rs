//! Overtaken: a copy is published only over what it was planned on.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::job::Counters;
use wharf_domain::object::{DeletedBy, Object};
use wharf_domain::run::commit::{Commit, Put};

use crate::{Harness, Run, build};

/// A step that has copied those files.
fn copied(pass: u64, puts: Vec<Put>) -> Commit {
    let synced = puts.len() as u64;
    Commit {
        counters: Counters {
            discovered: synced,
            synced,
            bytes: puts.iter().map(|put| put.content.size_bytes).sum(),
            ..Counters::default()
        },
        puts,
        ..build::commit(pass)
    }
}

/// Publishes a step with its row of the audit trail.
async fn publish(h: &Harness, run: &Run<'_>, step: Commit) {
    let audit = h.audit(Action::ObjectsCommitted);
    run.commit_with(step, Some(audit)).await;
}

/// Files that the run discovered, copied and found, and bytes that it copied; the same for its job and its sync.
async fn counted(run: &Run<'_>) -> [u64; 4] {
    let counters = run.job().await.counters;
    assert_eq!(run.stored().await.totals.counters, counters);
    assert!(counters.conserved(), "{counters:?}");
    [
        counters.discovered,
        counters.synced,
        counters.verified,
        counters.bytes,
    ]
}

async fn delete(h: &Harness, run: &Run<'_>, object: &Object) {
    let audit = h.audit(Action::ObjectDeleted);
    let objects = &h.repositories.objects;
    let organization = &run.tenant.organization;
    let deleted = objects
        .remove(organization, &run.bucket.id, &object.id, audit)
        .await;
    assert!(deleted.unwrap());
}

pub async fn an_older_copy_never_replaces_a_newer_publication(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/a"], "1").await;
    let older = first.put_over("media/a", "2").await;
    second.publish(1, &["media/a"], "3").await;
    let (published, bucket) = (first.objects().await, first.bucket().await);
    h.moment().await;
    publish(&h, &first, copied(2, vec![older])).await;
    assert_eq!(first.objects().await, published);
    assert_eq!(
        first.bucket().await.last_upload_at,
        bucket.last_upload_at,
        "nothing has arrived"
    );
    assert_eq!(counted(&first).await, [1, 0, 1, 0]);
    assert_eq!(acme.audited(Action::ObjectsCommitted).await, 0);
    assert_eq!(first.let_unseen_go(2, 10).await, 0, "it counts as seen");

    let newer = first.put_over("media/a", "4").await;
    publish(&h, &first, copied(3, vec![newer.clone()])).await;
    let objects = first.objects().await;
    assert_eq!(
        (&objects[0].content, objects[0].id.clone()),
        (&newer.content, published[0].id.clone()),
        "planned on what is there, it is published"
    );
    assert_eq!(counted(&first).await, [2, 1, 1, 5]);
}

pub async fn what_a_person_deletes_after_planning_stays_deleted(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let planned = run.put_over("media/a", "2").await;
    delete(&h, &run, &run.objects().await[0]).await;
    let tombstone = run.objects().await;
    publish(&h, &run, copied(2, vec![planned])).await;
    assert_eq!(run.objects().await, tombstone);
    assert_eq!(counted(&run).await, [1, 0, 1, 0]);
    assert_eq!(acme.audited(Action::ObjectsCommitted).await, 0);
    assert_eq!(run.let_unseen_go(2, 10).await, 0, "it counts as seen");

    run.publish(3, &["media/a"], "2").await;
    assert_eq!(
        run.objects().await[0].deleted,
        None,
        "planned on the tombstone, it comes back to life"
    );
}

pub async fn what_another_sync_publishes_meanwhile_is_not_published_twice(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    let late = second.put_over("media/a", "1").await;
    assert_eq!(late.replaces, None);
    first.publish(1, &["media/a"], "1").await;
    let published = first.objects().await;
    h.moment().await;
    publish(&h, &second, copied(1, vec![late])).await;
    assert_eq!(second.objects().await, published);
    assert_eq!(counted(&second).await, [1, 0, 1, 0]);
    assert_eq!(first.let_unseen_go(2, 10).await, 1);
    assert_eq!(
        second.objects().await,
        published,
        "the second sync holds on to it"
    );
    assert_eq!(second.let_unseen_go(2, 10).await, 1);
    assert!(second.objects().await[0].deleted.is_some());
}

pub async fn what_another_sync_revives_meanwhile_is_not_published_twice(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.publish(1, &["media/a"], "1").await;
    let on_a_live_one = second.put_over("media/a", "2").await;
    first.let_unseen_go(2, 10).await;
    let tombstone = first.objects().await;
    publish(&h, &second, copied(1, vec![on_a_live_one])).await;
    assert_eq!(
        second.objects().await,
        tombstone,
        "it was let go of meanwhile; the next pass brings it back"
    );

    let late = second.put_over("media/a", "1").await;
    first.publish(3, &["media/a"], "1").await;
    let revived = first.objects().await;
    assert_eq!(revived[0].deleted, None);
    h.moment().await;
    publish(&h, &second, copied(2, vec![late])).await;
    assert_eq!(second.objects().await, revived);
    assert_eq!(counted(&second).await, [2, 0, 2, 0]);
}

pub async fn counters_stay_conserved_when_part_of_a_step_is_passed_over(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    let planned = first
        .step(1, &["media/a", "media/b", "media/c"], "1")
        .await
        .puts;
    let mut step = copied(1, planned);
    step.puts[1].content.size_bytes = 7;
    step.counters.bytes += 2;
    step.counters.discovered += 1;
    step.counters.skip("resource.archived");
    second.publish(1, &["media/b"], "1").await;
    let theirs = first.objects().await.remove(0);
    h.moment().await;
    publish(&h, &first, step.clone()).await;
    assert_eq!(counted(&first).await, [4, 2, 1, 10]);
    let objects = first.objects().await;
    assert_eq!(
        (&objects[0].content, &objects[1], &objects[2].content),
        (&step.puts[0].content, &theirs, &step.puts[2].content)
    );
    let row = acme.trail().await.remove(0);
    assert_eq!(
        (row.action, &row.changes["passed_over"]),
        (Action::ObjectsCommitted, &json!(1)),
        "the trail tells of it"
    );
    assert_eq!(
        first.let_unseen_go(1, 10).await,
        0,
        "all three count as seen"
    );
}

pub async fn a_person_who_deletes_while_a_step_is_published_has_the_last_word(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    for round in 1..=30 {
        let name = format!("media/{round:02}");
        run.publish(1, &[&name], "1").await;
        let object = run.objects().await.pop().unwrap();
        let step = copied(1, vec![run.put_over(&name, "2").await]);
        let (runs, organization, lease, standing) = (
            h.repositories.runs.clone(),
            acme.organization.clone(),
            run.lease.clone(),
            run.standing(),
        );
        let publishing = tokio::spawn(async move {
            let audit = None;
            runs.commit(&organization, &lease, standing, &step, audit)
                .await
        });
        delete(&h, &run, &object).await;
        publishing.await.unwrap().unwrap();
        let stored = run.objects().await.pop().unwrap();
        assert_eq!(
            (stored.id, stored.deleted.map(|(_, by)| by)),
            (object.id, Some(DeletedBy::Person)),
            "round {round}"
        );
    }
    counted(&run).await;
}
