//! What [`RunRepository`](wharf_ports::RunRepository) promises.

use std::time::Duration;

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::connection::{Edit, Event};
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::object::{DeletedBy, SourceId};
use wharf_domain::plan::Known;
use wharf_domain::provider::{CredentialType, Provider};
use wharf_domain::sync::{Checkpoint, Cursor, Lease, SyncMode, SyncState};
use wharf_ports::{Commit, Put, RunError, TriggerOutcome};

use crate::{Harness, LONG, Run, SHORT, build};

const DAY: Duration = Duration::from_secs(86_400);

async fn finish(h: &Harness, run: &Run<'_>, lease: &Lease, end: JobEnd, delay: Duration) {
    let audit = h.audit(Action::JobFinished);
    h.repositories
        .runs
        .finish(&run.tenant.organization, lease, end, delay, audit)
        .await
        .unwrap();
}

async fn known(h: &Harness, run: &Run<'_>, objects: &[&str]) -> Vec<Known> {
    let sources: Vec<_> = objects.iter().map(|object| build::source(object)).collect();
    let mut known = h
        .repositories
        .runs
        .known(&run.tenant.organization, &run.lease, &sources)
        .await
        .unwrap();
    known.sort_by(|a, b| a.object.cmp(&b.object));
    known
}

/// What each method answers to a caller with that organization and lease.
async fn every_call(
    h: &Harness,
    run: &Run<'_>,
    organization: &OrganizationId,
    lease: &Lease,
) -> Vec<(&'static str, Result<(), RunError>)> {
    let runs = &h.repositories.runs;
    let commit = Commit {
        audit: Some(h.audit(Action::ObjectsCommitted)),
        ..run.step(9, &["media/stray"], "1")
    };
    let epoch = run.connection.epoch;
    let (end, audit) = (JobEnd::complete(), h.audit(Action::JobFinished));
    vec![
        ("load", runs.load(organization, lease).await.map(drop)),
        ("extend", runs.extend(organization, lease, LONG).await),
        (
            "known",
            runs.known(organization, lease, &[build::source("media/a")])
                .await
                .map(drop),
        ),
        ("commit", runs.commit(organization, lease, commit).await),
        (
            "let_go",
            runs.let_go(
                organization,
                lease,
                epoch,
                9,
                10,
                h.audit(Action::ObjectsCommitted),
            )
            .await
            .map(drop),
        ),
        ("restart_pass", runs.restart_pass(organization, lease).await),
        (
            "finish",
            runs.finish(organization, lease, end, DAY, audit).await,
        ),
    ]
}

fn assert_all_lost(answers: &[(&'static str, Result<(), RunError>)]) {
    for (method, answer) in answers {
        assert!(
            matches!(answer, Err(RunError::LeaseLost)),
            "{method}: {answer:?}"
        );
    }
}

/// A step that changes everything a step can change.
fn rich_step(h: &Harness, run: &Run<'_>) -> Commit {
    let mut counters = Counters {
        discovered: 5,
        synced: 2,
        verified: 2,
        bytes: 10,
        ..Counters::default()
    };
    counters.skip("resource.archived");
    counters.filtered_by.insert("too_large".to_owned(), 3);
    Commit {
        counters,
        checkpoint: Some(Checkpoint {
            pass: 3,
            cursor: Some(Cursor("seite 2 ✓".to_owned())),
            objects_processed: 5,
        }),
        phase: JobPhase::Verifying,
        audit: Some(h.audit(Action::ObjectsCommitted)),
        ..run.step(3, &["media/a", "media/b"], "1")
    }
}

pub async fn the_leased_sync_is_loaded_as_it_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let loaded = h
        .repositories
        .runs
        .load(&acme.organization, &run.lease)
        .await
        .unwrap();
    assert_eq!(loaded, run.stored().await);
    assert_eq!(
        loaded.lease.map(|holder| holder.job),
        Some(run.lease.job.clone())
    );
}

pub async fn a_stale_fence_is_refused_by_every_call(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let stale = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease: h.lease(LONG).await,
    };
    let before = (run.stored().await, run.objects().await, acme.trail().await);
    assert_all_lost(&every_call(&h, &run, &acme.organization, &stale).await);
    let old_fence = Lease {
        fence: stale.fence,
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &old_fence).await);
    assert_eq!(
        (run.stored().await, run.objects().await, acme.trail().await),
        before,
        "nothing was stored"
    );
    assert_eq!(
        run.job().await.status,
        JobStatus::Running,
        "the run that took over goes on"
    );
}

pub async fn a_lease_of_another_job_or_organization_is_refused_by_every_call(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let before = (run.stored().await, run.objects().await, acme.trail().await);
    assert_all_lost(&every_call(&h, &run, &other.organization, &run.lease).await);
    let forged = Lease {
        job: h.ids.id(),
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &forged).await);
    let forged = Lease {
        sync: h.ids.id(),
        ..run.lease.clone()
    };
    assert_all_lost(&every_call(&h, &run, &acme.organization, &forged).await);
    assert_eq!(
        (run.stored().await, run.objects().await, acme.trail().await),
        before,
        "nothing was stored"
    );
}

pub async fn a_finished_run_has_no_lease_any_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    assert_eq!(run.stored().await.lease, None);
    assert_all_lost(&every_call(&h, &run, &acme.organization, &run.lease).await);
    assert_eq!(run.stored().await.totals.runs_completed, 1);
}

pub async fn an_expired_lease_that_nobody_took_over_is_still_the_runs(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let lease = h.lease(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease,
    };
    h.outlive(SHORT).await;
    h.repositories
        .runs
        .extend(&acme.organization, &run.lease, LONG)
        .await
        .expect("nobody took it over");
    assert_eq!(h.try_lease(LONG).await, None, "it is held again");
    for (method, answer) in every_call(&h, &run, &acme.organization, &run.lease).await {
        assert!(answer.is_ok(), "{method}: {answer:?}");
    }
}

pub async fn extending_a_lease_counts_from_now(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let now = h.repositories.across.now().await.unwrap();
    h.repositories
        .runs
        .extend(&acme.organization, &run.lease, 2 * DAY)
        .await
        .unwrap();
    let expires_at = run.stored().await.lease.unwrap().expires_at;
    assert!(
        expires_at >= now + 2 * DAY && expires_at < now + 3 * DAY,
        "{expires_at}"
    );
}

pub async fn every_write_extends_the_lease(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let mut last = run.stored().await.lease.unwrap().expires_at;
    for write in ["commit", "let_go", "restart_pass"] {
        h.moment().await;
        match write {
            "commit" => run.publish(1, &["media/a"], "1").await,
            "let_go" => assert_eq!(run.let_go(1, 10).await, 0),
            _ => h
                .repositories
                .runs
                .restart_pass(&acme.organization, &run.lease)
                .await
                .unwrap(),
        }
        let expires_at = run.stored().await.lease.unwrap().expires_at;
        assert!(
            expires_at > last && expires_at < last + DAY,
            "{write}: {last} {expires_at}"
        );
        last = expires_at;
    }
}

pub async fn a_step_is_published_all_together(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let step = rich_step(&h, &run);
    h.moment().await;
    run.commit(step.clone()).await;
    let objects = run.objects().await;
    assert_eq!(objects.len(), 2);
    for (object, put) in objects.iter().zip(&step.puts) {
        assert_eq!(
            (&object.id, &object.source, &object.facts),
            (&put.new_id, &put.source, &put.facts)
        );
        assert_eq!((&object.content, object.deleted), (&put.content, None));
        assert_eq!(
            (&object.bucket, &object.namespace),
            (&run.bucket.id, &acme.namespace)
        );
        assert_eq!(object.created_at, object.updated_at);
    }
    let (job, sync) = (run.job().await, run.stored().await);
    assert_eq!(
        (&job.counters, job.phase),
        (&step.counters, JobPhase::Verifying)
    );
    assert!(job.updated_at > run.sync.created_at, "it told of progress");
    assert_eq!(
        (&sync.totals.counters, &sync.checkpoint),
        (&step.counters, &step.checkpoint)
    );
    assert_eq!(sync.last_pass, 3);
    assert_eq!(acme.trail().await.first(), step.audit.as_ref());
    run.commit(Commit {
        puts: Vec::new(),
        audit: None,
        ..step.clone()
    })
    .await;
    let mut twice = step.counters.clone();
    twice.add(&step.counters);
    assert_eq!(
        (run.job().await.counters, run.stored().await.totals.counters),
        (twice.clone(), twice)
    );
    assert_eq!(acme.audited(Action::ObjectsCommitted).await, 1);
}

pub async fn a_step_without_a_checkpoint_keeps_the_last_one(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit(rich_step(&h, &run)).await;
    let kept = run.stored().await.checkpoint;
    run.publish(3, &["media/c"], "1").await;
    assert_eq!(
        (run.stored().await.checkpoint, kept.is_some()),
        (kept.clone(), true)
    );
}

pub async fn a_changed_epoch_is_refused_and_nothing_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/old"], "1").await;
    let before = (
        run.objects().await,
        run.job().await,
        run.stored().await.totals,
        run.stored().await.checkpoint,
    );
    acme.apply(&run.connection, vec![Event::Suspend]).await;
    for _ in ["suspended", "active again, in another epoch"] {
        let commit = h
            .repositories
            .runs
            .commit(&acme.organization, &run.lease, rich_step(&h, &run))
            .await;
        assert!(
            matches!(commit, Err(RunError::ConnectionChanged)),
            "{commit:?}"
        );
        let (epoch, audit) = (run.connection.epoch, h.audit(Action::ObjectsCommitted));
        let let_go = h
            .repositories
            .runs
            .let_go(&acme.organization, &run.lease, epoch, 2, 10, audit)
            .await;
        assert!(
            matches!(let_go, Err(RunError::ConnectionChanged)),
            "{let_go:?}"
        );
        let stored = run.stored().await;
        assert_eq!(
            (
                run.objects().await,
                run.job().await,
                stored.totals,
                stored.checkpoint
            ),
            before
        );
        assert_eq!(acme.audited(Action::ObjectsCommitted).await, 0);
        acme.apply(&run.connection, vec![Event::Activate { tested: false }])
            .await;
    }
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::incomplete("connection_changed"),
        DAY,
    )
    .await;
}

pub async fn a_changed_credential_version_is_refused_and_nothing_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let sealed = run.connection.sealed.clone().unwrap();
    let config = Some((build::provider_config(), CredentialType::AccessKey, sealed));
    acme.apply(
        &run.connection,
        vec![Event::Edit(Box::new(Edit {
            config,
            ..Edit::default()
        }))],
    )
    .await;
    let commit = h
        .repositories
        .runs
        .commit(&acme.organization, &run.lease, rich_step(&h, &run))
        .await;
    assert!(
        matches!(commit, Err(RunError::ConnectionChanged)),
        "{commit:?}"
    );
    assert_eq!(
        (run.objects().await, run.job().await.counters),
        (vec![], Counters::default())
    );
    assert_eq!(
        (
            run.stored().await.checkpoint,
            acme.audited(Action::ObjectsCommitted).await
        ),
        (None, 0)
    );
}

pub async fn a_change_that_leaves_the_status_alone_stops_no_run(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let edit = Edit {
        description: Some(None),
        ..Edit::default()
    };
    let failure = build::network_failure(&run.connection);
    acme.apply(&run.connection, vec![Event::Edit(Box::new(edit)), failure])
        .await;
    run.publish(1, &["media/a"], "1").await;
}

pub async fn after_a_suspension_has_returned_nothing_is_published(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let steps: Vec<_> = (0..500)
        .map(|n| run.step(1, &[&format!("media/{n:03}")], "1"))
        .collect();
    let (runs, organization, lease) = (
        h.repositories.runs.clone(),
        acme.organization.clone(),
        run.lease.clone(),
    );
    let publishing = tokio::spawn(async move {
        for step in steps {
            if let Err(refused) = runs.commit(&organization, &lease, step).await {
                return Some(refused);
            }
        }
        None
    });
    tokio::time::sleep(Duration::from_millis(3)).await;
    acme.apply(&run.connection, vec![Event::Suspend]).await;
    let published = run.objects().await.len();
    let refused = publishing.await.unwrap();
    assert!(
        matches!(refused, None | Some(RunError::ConnectionChanged)),
        "{refused:?}"
    );
    assert_eq!(run.objects().await.len(), published);
}

pub async fn a_source_object_is_one_object_however_often_it_is_published(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let first = run.objects().await.remove(0);
    h.moment().await;
    let mut changed = run.put("media/a", "2");
    changed.content.content_type = None;
    changed.facts.modified_at = None;
    run.commit(Commit {
        puts: vec![changed.clone()],
        ..build::commit(&run.connection, 2)
    })
    .await;
    let objects = run.objects().await;
    assert_eq!(objects.len(), 1);
    assert_eq!(
        (&objects[0].id, objects[0].created_at),
        (&first.id, first.created_at),
        "it stays the same object"
    );
    assert_eq!(
        (&objects[0].content, &objects[0].facts),
        (&changed.content, &changed.facts),
        "the pointer moves"
    );
    assert!(objects[0].updated_at > first.updated_at);
    let twice = vec![run.put("media/b", "1"), run.put("media/b", "2")];
    run.commit(Commit {
        puts: twice.clone(),
        ..build::commit(&run.connection, 2)
    })
    .await;
    let objects = run.objects().await;
    assert_eq!(
        (objects.len(), &objects[1].content),
        (2, &twice[1].content),
        "within one step the last one stands"
    );
}

pub async fn syncs_of_a_bucket_that_publish_the_same_source_at_once_make_one_object(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    let names: Vec<_> = (0..20).map(|n| format!("media/{n:02}")).collect();
    let tasks: Vec<_> = [(&first, false), (&second, true)]
        .into_iter()
        .map(|(run, backwards)| {
            let (runs, organization, lease) = (
                h.repositories.runs.clone(),
                acme.organization.clone(),
                run.lease.clone(),
            );
            let mut puts: Vec<_> = names.iter().map(|name| run.put(name, "1")).collect();
            if backwards {
                puts.reverse();
            }
            let empty = build::commit(&run.connection, 1);
            tokio::spawn(async move {
                for some in puts.chunks(5) {
                    let step = Commit {
                        puts: some.to_vec(),
                        ..empty.clone()
                    };
                    runs.commit(&organization, &lease, step).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let objects = first.objects().await;
    assert_eq!(
        objects
            .iter()
            .map(|object| object.source.object.as_str())
            .collect::<Vec<_>>(),
        names
    );
}

pub async fn equal_names_under_two_authorities_or_providers_are_two_objects(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let put = |authority: &str, provider| Put {
        source: SourceId {
            authority: authority.to_owned(),
            provider,
            ..build::source("media/a")
        },
        ..run.put("media/a", authority)
    };
    let puts = vec![
        put("one", Provider::S3),
        put("two", Provider::S3),
        put("one", Provider::Tigris),
    ];
    run.commit(Commit {
        puts: puts.clone(),
        ..build::commit(&run.connection, 1)
    })
    .await;
    assert_eq!(run.objects().await.len(), 3);
    let asked = [puts[1].source.clone()];
    let known = h
        .repositories
        .runs
        .known(&acme.organization, &run.lease, &asked)
        .await
        .unwrap();
    assert_eq!((known.len(), known[0].version.as_str()), (1, "two"));
}

pub async fn odd_source_names_survive_byte_for_byte(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let long = "ü".repeat(550);
    let odd = [
        "a",
        "A",
        "a ",
        " a",
        "a/",
        "a//b",
        "./a",
        "../a",
        "caf\u{e9}",
        "cafe\u{301}",
        "📁/🎉.txt",
        "שלום",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\u{1}\u{1f}\u{7f}\u{85}",
        "'",
        "''",
        "\"",
        "\\",
        "\\'",
        "%",
        "_",
        "a;b--",
        "$1",
        "?",
        "{}",
        "\u{feff}a",
        "a\u{200d}b",
        "\u{10ffff}",
        "ı",
        "I",
        &long,
    ];
    run.publish(1, &odd, "\u{1}v\n'\"").await;
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    let objects = run.objects().await;
    assert_eq!(
        objects
            .iter()
            .map(|object| object.source.object.as_str())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(
        objects
            .iter()
            .all(|object| object.facts.path == object.source.object)
    );
    let known = known(&h, &run, &odd).await;
    assert_eq!(
        known
            .iter()
            .map(|known| known.object.as_str())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(known.iter().all(|known| known.version == "\u{1}v\n'\""));
    run.commit(Commit {
        seen: odd.map(build::source).to_vec(),
        ..build::commit(&run.connection, 2)
    })
    .await;
    assert_eq!(
        run.let_go(2, 100).await,
        0,
        "each was seen under its own name"
    );
}

pub async fn a_step_of_a_thousand_objects_is_one_step(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let names: Vec<_> = (0..1000).map(|n| format!("media/{n:04}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    run.publish(1, &names, "1").await;
    assert_eq!(known(&h, &run, &names).await.len(), 1000);
    let seen = names[1..].iter().map(|name| build::source(name)).collect();
    run.commit(Commit {
        seen,
        ..build::commit(&run.connection, 2)
    })
    .await;
    assert_eq!(
        (run.let_go(2, 1000).await, run.let_go(2, 1000).await),
        (1, 0)
    );
}

pub async fn the_bucket_tells_what_it_knows_tombstones_included(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let elsewhere = acme
        .run_into(&acme.bucket("elsewhere").await, &run.connection)
        .await;
    elsewhere.publish(1, &["media/theirs"], "1").await;
    run.publish(1, &["media/live", "media/gone"], "7").await;
    run.commit(Commit {
        seen: vec![build::source("media/live")],
        ..build::commit(&run.connection, 2)
    })
    .await;
    run.let_go(2, 10).await;
    let objects = run.objects().await;
    let known_object = |object: &str, at: usize, deleted| Known {
        object: object.to_owned(),
        id: objects[at].id.clone(),
        version: "7".to_owned(),
        deleted,
    };
    let expected = [
        known_object("media/gone", 0, Some(DeletedBy::Source)),
        known_object("media/live", 1, None),
    ];
    assert_eq!(
        known(
            &h,
            &run,
            &["media/live", "media/gone", "media/new", "media/theirs"]
        )
        .await,
        expected
    );
    assert_eq!(known(&h, &run, &[]).await, []);
    let second = acme.second_run(&run).await;
    assert_eq!(
        known(&h, &second, &["media/live"]).await.len(),
        1,
        "what another sync brought is known too"
    );
}

pub async fn what_was_not_seen_is_let_go_and_becomes_a_tombstone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/changed", "media/gone", "media/same"], "1")
        .await;
    let second = Commit {
        seen: vec![build::source("media/same")],
        ..run.step(2, &["media/changed"], "2")
    };
    run.commit(second).await;
    h.moment().await;
    assert_eq!(run.let_go(2, 100).await, 1);
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
    assert_eq!(run.let_go(2, 100).await, 0, "none is left");
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
        run.let_go(2, 2).await,
        run.let_go(2, 2).await,
        run.let_go(2, 2).await,
        run.let_go(2, 2).await,
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
    let step = second.step(1, &["media/put"], "1");
    second
        .commit(Commit {
            seen: vec![build::source("media/seen")],
            ..step
        })
        .await;
    assert_eq!(
        first.objects().await.len(),
        2,
        "the syncs share the objects"
    );
    assert_eq!(first.let_go(2, 10).await, 2);
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
    assert_eq!(second.let_go(2, 10).await, 2);
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
    assert_eq!(second.let_go(2, 10).await, 1);
    assert!(first.objects().await[0].deleted.is_some());
}

pub async fn seen_names_that_the_bucket_does_not_have_are_passed_over(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let seen = vec![build::source("media/never"), build::source("media/either")];
    run.commit(Commit {
        seen,
        ..run.step(1, &["media/a"], "1")
    })
    .await;
    assert_eq!(run.objects().await.len(), 1);
    assert_eq!(run.let_go(2, 10).await, 1);
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
        seen: vec![object.source],
        ..build::commit(&run.connection, 2)
    })
    .await;
    assert_eq!(
        run.objects().await,
        tombstone,
        "being seen does not bring it back"
    );
    assert_eq!(run.let_go(3, 10).await, 1);
    assert_eq!(run.objects().await, tombstone);
    assert_eq!(
        (
            run.job().await.counters.deleted,
            acme.audited(Action::ObjectsCommitted).await
        ),
        (0, 0)
    );
}

pub async fn a_tombstone_comes_back_to_life_when_it_is_published_again(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    let before = run.objects().await;
    let audit = h.audit(Action::ObjectDeleted);
    h.repositories
        .objects
        .remove(&acme.organization, &run.bucket.id, &before[0].id, audit)
        .await
        .unwrap();
    run.let_go(2, 10).await;
    assert!(
        run.objects()
            .await
            .iter()
            .all(|object| object.deleted.is_some())
    );
    run.publish(3, &["media/a", "media/b"], "2").await;
    let after = run.objects().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(
            (&after.id, after.created_at, after.deleted),
            (&before.id, before.created_at, None)
        );
        assert_eq!(after.facts.version, "2");
    }
    assert_eq!(
        run.let_go(3, 10).await,
        0,
        "the sync holds on to them again"
    );
}

pub async fn a_restarted_pass_forgets_the_checkpoint_and_keeps_the_catalogue(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.commit(rich_step(&h, &run)).await;
    h.repositories
        .runs
        .restart_pass(&acme.organization, &run.lease)
        .await
        .unwrap();
    let stored = run.stored().await;
    assert_eq!(
        (stored.checkpoint, stored.last_pass),
        (None, 3),
        "the next pass is a new one"
    );
    assert_eq!(run.let_go(4, 10).await, 2);
}

pub async fn a_complete_pass_clears_checkpoint_and_failures_and_plans_the_next(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::failed("listing_failed", "no answer".to_owned()),
        Duration::ZERO,
    )
    .await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    run.commit(rich_step(&h, &run)).await;
    let now = h.repositories.across.now().await.unwrap();
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.state, &sync.checkpoint, sync.lease),
        (SyncState::Active, &None, None)
    );
    assert_eq!(
        (sync.consecutive_failures, &sync.last_error, sync.last_pass),
        (0, &None, 3)
    );
    assert!(sync.last_sync_at.is_some_and(|at| at >= now));
    assert!(
        sync.next_run_at
            .is_some_and(|at| at >= now + DAY && at < now + 2 * DAY)
    );
    assert_eq!(
        (sync.totals.runs_completed, sync.totals.runs_failed),
        (1, 1)
    );
    assert_eq!(
        (job.status, job.complete, &job.incomplete_reason),
        (JobStatus::Completed, Some(true), &None)
    );
    assert_eq!((job.phase, &job.error), (JobPhase::Idle, &None));
    assert!(job.completed_at.is_some_and(|at| at >= now));
    assert_eq!(acme.audited(Action::JobFinished).await, 2);
}

pub async fn a_complete_pass_completes_a_sync_that_runs_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    run.commit(rich_step(&h, &run)).await;
    finish(&h, &run, &run.lease, JobEnd::complete(), Duration::ZERO).await;
    let sync = run.stored().await;
    assert_eq!(
        (sync.state, sync.next_run_at, sync.checkpoint),
        (SyncState::Completed, None, None)
    );
    assert_eq!(h.try_lease(LONG).await, None);
}

pub async fn an_incomplete_pass_is_gone_on_with_whatever_the_mode(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    let step = rich_step(&h, &run);
    run.commit(step.clone()).await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::incomplete("over_cap"),
        Duration::ZERO,
    )
    .await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.state, sync.checkpoint),
        (SyncState::Active, step.checkpoint)
    );
    assert!(sync.last_sync_at.is_some() && sync.next_run_at.is_some());
    assert_eq!(
        (sync.totals.runs_completed, job.status, job.complete),
        (1, JobStatus::Completed, Some(false))
    );
    assert_eq!(job.incomplete_reason.as_deref(), Some("over_cap"));
    let next = h.lease(LONG).await;
    assert_eq!(
        acme.jobs(&run.sync.id)
            .await
            .iter()
            .find(|job| job.id == next.job)
            .unwrap()
            .trigger,
        JobTrigger::Scheduled
    );
}

pub async fn failed_runs_are_counted_in_a_row(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    run.commit(rich_step(&h, &run)).await;
    let checkpoint = run.stored().await.checkpoint;
    let failed = |error: &str| JobEnd::failed("listing_failed", error.to_owned());
    finish(&h, &run, &run.lease, failed("first"), Duration::ZERO).await;
    finish(&h, &run, &h.lease(LONG).await, failed("second"), DAY).await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.consecutive_failures, sync.last_error.as_deref()),
        (2, Some("second"))
    );
    assert_eq!(
        (
            sync.totals.runs_failed,
            sync.totals.runs_completed,
            sync.last_sync_at
        ),
        (2, 0, None)
    );
    assert_eq!(
        (sync.state, sync.checkpoint),
        (SyncState::Active, checkpoint)
    );
    assert!(sync.next_run_at.is_some());
    assert_eq!(
        (job.status, job.complete, job.error.as_deref()),
        (JobStatus::Failed, Some(false), Some("first"))
    );
    assert_eq!(job.incomplete_reason.as_deref(), Some("listing_failed"));
}

pub async fn an_interrupted_run_is_gone_on_with_by_a_resume(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let step = rich_step(&h, &run);
    run.commit(step.clone()).await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::interrupted("shutdown"),
        Duration::from_millis(400),
    )
    .await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (job.status, job.complete),
        (JobStatus::Interrupted, Some(false))
    );
    assert_eq!(
        (
            sync.consecutive_failures,
            sync.last_sync_at,
            &sync.last_error
        ),
        (0, None, &None)
    );
    assert_eq!(
        (sync.totals.runs_completed, sync.totals.runs_failed),
        (0, 0)
    );
    assert_eq!(sync.checkpoint, step.checkpoint);
    assert_eq!(h.try_lease(LONG).await, None, "not before the delay");
    h.pass(Duration::from_millis(500)).await;
    let resumed = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let resume = jobs.iter().find(|job| job.id == resumed.job).unwrap();
    assert_eq!(
        (resume.trigger, &resume.resumed_from),
        (JobTrigger::Resume, &Some(run.lease.job.clone()))
    );
    finish(&h, &run, &resumed, JobEnd::complete(), Duration::ZERO).await;
    let next = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let next = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (next.trigger, &next.resumed_from),
        (JobTrigger::Scheduled, &None),
        "resumed once"
    );
}

pub async fn a_skipped_run_leaves_failures_and_last_sync_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::failed("listing_failed", "no answer".to_owned()),
        Duration::ZERO,
    )
    .await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::skipped("connection_not_active"),
        DAY,
    )
    .await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.consecutive_failures, sync.last_error.as_deref()),
        (1, Some("no answer"))
    );
    assert_eq!(
        (
            sync.totals.runs_completed,
            sync.totals.runs_failed,
            sync.last_sync_at
        ),
        (0, 1, None)
    );
    assert_eq!(
        (job.status, job.complete),
        (JobStatus::Skipped, Some(false))
    );
    assert_eq!(
        job.incomplete_reason.as_deref(),
        Some("connection_not_active")
    );
    assert!(sync.next_run_at.is_some());
}

pub async fn a_queued_job_is_due_at_once_when_a_run_ends(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let lease = h.lease(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease,
    };
    h.outlive(SHORT).await;
    let (job, audit) = (h.ids.id(), h.audit(Action::SyncTriggered));
    let syncs = &h.repositories.syncs;
    let trigger = syncs
        .trigger(
            &acme.organization,
            &run.bucket.id,
            &run.sync.id,
            &job,
            false,
            audit,
        )
        .await
        .unwrap();
    assert_eq!(trigger, Some(TriggerOutcome::Queued(job.clone())));
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    assert_eq!(h.lease(LONG).await.job, job);
}
