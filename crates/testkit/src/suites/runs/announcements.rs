//! What subscribers are told of a run's steps.

use std::time::Duration;

use serde_json::json;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::event::{Announcement, EventType, ObjectChange, ObjectFate};
use wharf_domain::ids::{JobId, SyncId};
use wharf_domain::job::JobEnd;
use wharf_domain::object::Object;
use wharf_domain::run::commit::{Commit, Put};

use super::finish;
use crate::{Harness, LONG, Run, SHORT, build};

fn change(object: &Object, fate: ObjectFate) -> ObjectChange {
    ObjectChange {
        object_id: object.id.clone(),
        fate,
        source_path: object.facts.path.clone(),
        size_bytes: object.content.size_bytes,
    }
}

/// A row that names the run that did it.
fn row_of(h: &Harness, run: &Run<'_>, action: Action) -> NewAuditRow {
    NewAuditRow {
        changes: json!({"sync_config_id": run.sync.id, "sync_job_id": run.lease.job}),
        ..h.audit(action)
    }
}

/// What is told of objects behind a place: who did it, and the changes of each entry.
async fn told(
    run: &Run<'_>,
    position: u64,
) -> Vec<(Option<SyncId>, Option<JobId>, Vec<ObjectChange>)> {
    let entries = run.tenant.entries_after(position).await.into_iter();
    let objects = entries.map(|entry| match entry.announcement {
        Announcement::Objects {
            bucket_id,
            sync_config_id,
            sync_job_id,
            changes,
            own: None,
        } => {
            assert_eq!(bucket_id, run.bucket.id);
            (sync_config_id, sync_job_id, changes)
        }
        other => panic!("{other:?} tells not of objects alone"),
    });
    objects.collect()
}

pub async fn a_step_announces_what_arrived_and_what_changed_in_order(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/b", "media/c", "media/d"], "1")
        .await;
    run.delete("media/c").await;
    let before = acme.head().await.position;
    let all = ["media/a", "media/b", "media/c"];
    let step = run.step(2, &all, "2").await;
    run.commit_with(step, Some(row_of(&h, &run, Action::ObjectsCommitted)))
        .await;
    let objects = run.objects().await;
    let changes = vec![
        change(&objects[0], ObjectFate::Created),
        change(&objects[1], ObjectFate::Updated),
        // A tombstone that comes back to life by a run arrives anew.
        change(&objects[2], ObjectFate::Created),
    ];
    let (sync, job) = (Some(run.sync.id.clone()), Some(run.lease.job.clone()));
    assert_eq!(told(&run, before).await, [(sync, job, changes)]);
    let events = acme.told_after(before).await;
    let types: Vec<_> = events.iter().map(|(event_type, _)| *event_type).collect();
    assert_eq!(
        types,
        [
            EventType::ObjectsCreatedBatch,
            EventType::ObjectCreated,
            EventType::ObjectUpdated,
            EventType::ObjectCreated,
        ]
    );
}

pub async fn what_a_step_passes_over_is_not_announced(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let before = acme.head().await.position;
    // One was planned on nothing, but somebody else was faster.
    let puts: Vec<Put> = vec![run.put("media/a", "2"), run.put("media/b", "1")];
    let step = Commit {
        puts,
        ..build::commit(1)
    };
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
    let arrived = run.object("media/b").await;
    let changes = vec![change(&arrived, ObjectFate::Created)];
    assert_eq!(told(&run, before).await, [(None, None, changes)]);
    let before = acme.head().await.position;
    let step = Commit {
        puts: vec![run.put("media/a", "3")],
        ..build::commit(1)
    };
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
    assert_eq!(told(&run, before).await, []);
}

pub async fn a_source_that_is_put_twice_is_announced_once_as_it_ends(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let before = acme.head().await.position;
    let mut last = run.put("media/a", "2");
    last.content.size_bytes = 7;
    let step = Commit {
        puts: vec![run.put("media/a", "1"), last],
        ..build::commit(1)
    };
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
    let arrived = run.object("media/a").await;
    assert_eq!(arrived.content.size_bytes, 7);
    let changes = vec![change(&arrived, ObjectFate::Created)];
    assert_eq!(told(&run, before).await, [(None, None, changes)]);
}

pub async fn a_step_that_publishes_nothing_announces_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let before = acme.head().await;
    let step = Commit {
        seen: vec!["media/a".to_owned()],
        adopted: vec!["media/a".to_owned()],
        failed: vec![build::failed(&h.ids, "media/b", "1", "perm.denied")],
        ..build::commit(2)
    };
    run.commit_with(step, Some(h.audit(Action::ObjectsCommitted)))
        .await;
    run.mark_unseen(2, None, 10).await;
    run.let_go(2, 10).await;
    assert_eq!(acme.head().await, before, "nor does it leave a row");
}

pub async fn what_is_let_go_of_is_announced_where_it_became_a_tombstone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    let all = ["media/a", "media/b", "media/gone", "media/shared"];
    run.publish(1, &all, "1").await;
    second
        .commit(Commit {
            adopted: vec!["media/shared".to_owned()],
            ..build::commit(1)
        })
        .await;
    run.delete("media/gone").await;
    let before = acme.head().await.position;
    assert_eq!(run.let_unseen_go(2, 10).await, 4);
    let objects = run.objects().await;
    let changes = vec![
        change(&objects[0], ObjectFate::Deleted),
        change(&objects[1], ObjectFate::Deleted),
    ];
    let mut told = told(&run, before).await;
    assert_eq!(told.len(), 1, "one step, one entry: {told:?}");
    let mut told = told.remove(0).2;
    told.sort_by(|a, b| a.source_path.cmp(&b.source_path));
    assert_eq!(told, changes);
    let before = acme.head().await.position;
    assert_eq!(run.let_go(2, 10).await, 0);
    assert_eq!(acme.entries_after(before).await, []);
}

pub async fn a_run_that_begins_and_ends_is_audited_and_announced(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let started = acme.trail().await.remove(0);
    assert_eq!(
        (started.action, started.resource_id.as_str()),
        (Action::JobStarted, run.lease.job.as_str())
    );
    assert_eq!(started.resource_type, ResourceType::Job);
    assert_eq!(started.origin, Origin::system());
    assert_eq!(
        started.changes,
        json!({
            "sync_config_id": run.sync.id,
            "bucket_id": run.bucket.id,
            "connection_id": run.connection.id,
            "trigger": run.job().await.trigger.as_str(),
        })
    );
    let ended = NewAuditRow {
        resource_id: run.lease.job.to_string(),
        changes: json!({"status": "completed"}),
        ..h.audit(Action::JobFinished)
    };
    let runs = &h.repositories.runs;
    let end = JobEnd::complete();
    let finished = runs.finish(&acme.organization, &run.lease, end, Duration::ZERO, ended);
    finished.await.unwrap();
    let next = h.lease(LONG).await;
    finish(&h, &run, &next, JobEnd::complete(), Duration::ZERO).await;
    let told = acme.told_after(0).await;
    let of_jobs = |told: &(EventType, String)| {
        let types = [EventType::JobStarted, EventType::JobCompleted];
        types.contains(&told.0).then(|| told.clone())
    };
    let told: Vec<_> = told.iter().filter_map(of_jobs).collect();
    let (first, second) = (run.lease.job.to_string(), next.job.to_string());
    assert_eq!(
        told,
        [
            (EventType::JobStarted, first.clone()),
            (EventType::JobCompleted, first),
            (EventType::JobStarted, second),
        ]
    );
}

pub async fn a_run_that_is_taken_over_is_told_to_have_ended_before_the_next_began(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_for(SHORT).await;
    h.outlive(SHORT).await;
    let before = acme.head().await.position;
    let next = h.lease(LONG).await;
    assert_eq!(
        acme.told_after(before).await,
        [
            (EventType::JobInterrupted, run.lease.job.to_string()),
            (EventType::JobStarted, next.job.to_string()),
        ]
    );
    acme.chain().await;
}
