//! Steps: what is published, together or not at all.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::connection::{Edit, Event};
use wharf_domain::job::{Counters, JobEnd, JobPhase};
use wharf_domain::object::SourceId;
use wharf_domain::provider::{CredentialType, Provider};
use wharf_domain::run::commit::{Commit, Put};
use wharf_ports::RunError;

use super::{DAY, assert_stopped, finish, rich_step};
use crate::{Harness, Run, build};

pub async fn a_step_is_published_all_together(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let step = rich_step(&run).await;
    h.moment().await;
    let audit = h.audit(Action::ObjectsCommitted);
    run.commit_with(step.clone(), Some(audit.clone())).await;
    let objects = run.objects().await;
    assert_eq!(objects.len(), 2);
    for (object, put) in objects.iter().zip(&step.puts) {
        assert_eq!(
            (&object.id, &object.source, &object.facts),
            (&put.new_id, &put.source, &put.facts)
        );
        assert_eq!((&object.content, object.deleted), (&put.content, None));
        assert_eq!((&object.mapped, object.purged), (&put.mapped, false));
        assert_eq!(
            object.copied_by,
            Some((run.sync.id.clone(), run.lease.job.clone()))
        );
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
    assert_eq!(acme.trail().await.first(), Some(&audit));
    let nothing_arrives = Commit {
        puts: Vec::new(),
        ..step.clone()
    };
    let audit = h.audit(Action::ObjectsCommitted);
    run.commit_with(nothing_arrives, Some(audit)).await;
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
    run.commit(rich_step(&run).await).await;
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
        assert_stopped(&h, &run).await;
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

/// New credentials for the run's connection, which leave its status alone.
async fn replace_credentials(run: &Run<'_>) {
    let sealed = run.connection.sealed.clone().unwrap();
    let config = Some((build::provider_config(), CredentialType::AccessKey, sealed));
    let edit = Edit {
        config,
        ..Edit::default()
    };
    run.tenant
        .apply(&run.connection, vec![Event::Edit(Box::new(edit))])
        .await;
}

pub async fn under_a_changed_credential_version_nothing_is_let_go(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let before = (
        run.objects().await,
        run.job().await,
        run.stored().await.totals,
    );
    replace_credentials(&run).await;
    assert_stopped(&h, &run).await;
    let after = (
        run.objects().await,
        run.job().await,
        run.stored().await.totals,
    );
    assert_eq!(after, before);
    assert_eq!(acme.audited(Action::ObjectsCommitted).await, 0);
    let run = Run {
        connection: acme.stored_connection(&run.connection).await,
        ..run
    };
    assert_eq!(
        run.let_unseen_go(2, 10).await,
        1,
        "the entry was still there"
    );
}

pub async fn what_was_found_missing_through_other_credentials_agrees_with_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a", "media/b"], "1").await;
    run.pass_over(2, build::span(None, None), &["media/a"])
        .await;
    assert_eq!(run.hold(2, &[], 10).await, 1);
    replace_credentials(&run).await;
    assert_eq!(run.stored().await.held_deletes, None);
    let run = Run {
        connection: acme.stored_connection(&run.connection).await,
        ..run
    };
    run.pass_over(3, build::span(None, None), &["media/a"])
        .await;
    let survey = run.survey(3, &[]).await;
    assert_eq!((survey.missing, survey.agreed), (1, 0));
}

pub async fn a_changed_credential_version_is_refused_and_nothing_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    replace_credentials(&run).await;
    assert_stopped(&h, &run).await;
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
        .map(|n| Commit {
            puts: vec![run.put(&format!("media/{n:03}"), "1")],
            ..build::commit(1)
        })
        .collect();
    let (runs, organization, lease, standing) = (
        h.repositories.runs.clone(),
        acme.organization.clone(),
        run.lease.clone(),
        run.standing(),
    );
    let publishing = tokio::spawn(async move {
        for step in &steps {
            let commit = runs.commit(&organization, &lease, standing, step, None);
            if let Err(refused) = commit.await {
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
    let mut changed = run.put_over("media/a", "2").await;
    changed.content.content_type = None;
    changed.facts.modified_at = None;
    run.commit(Commit {
        puts: vec![changed.clone()],
        ..build::commit(2)
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
        ..build::commit(2)
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
            let (runs, organization, lease, standing) = (
                h.repositories.runs.clone(),
                acme.organization.clone(),
                run.lease.clone(),
                run.standing(),
            );
            let mut puts: Vec<_> = names.iter().map(|name| run.put(name, "1")).collect();
            if backwards {
                puts.reverse();
            }
            let empty = Commit {
                counters: Counters {
                    discovered: 5,
                    synced: 5,
                    bytes: 25,
                    ..Counters::default()
                },
                ..build::commit(1)
            };
            tokio::spawn(async move {
                for some in puts.chunks(5) {
                    let step = Commit {
                        puts: some.to_vec(),
                        ..empty.clone()
                    };
                    let commit = runs.commit(&organization, &lease, standing, &step, None);
                    commit.await.unwrap();
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
    let mut counted = first.job().await.counters;
    counted.add(&second.job().await.counters);
    assert_eq!(
        (counted.synced, counted.verified, counted.bytes),
        (20, 20, 100),
        "each was published once"
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
    for put in &puts {
        run.commit(Commit {
            puts: vec![put.clone()],
            authority: put.source.authority.clone(),
            ..build::commit(1)
        })
        .await;
    }
    let objects = run.objects().await;
    assert_eq!(objects.len(), 3);
    let two = objects.iter().find(|object| object.id == puts[1].new_id);
    assert_eq!(
        two.map(|object| object.facts.version.as_str()),
        Some("two"),
        "each keeps its own version"
    );
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
    let known = run.known(&odd).await;
    assert_eq!(
        known
            .iter()
            .map(|known| known.object.as_str())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(known.iter().all(|known| {
        let copy = known.copy.as_ref().unwrap();
        copy.version == "\u{1}v\n'\"" && known.held
    }));
    run.commit(Commit {
        seen: odd.map(str::to_owned).to_vec(),
        ..build::commit(2)
    })
    .await;
    assert_eq!(
        run.let_unseen_go(2, 100).await,
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
    assert_eq!(run.known(&names).await.len(), 1000);
    let seen = names[1..].iter().map(|&name| name.to_owned()).collect();
    run.commit(Commit {
        seen,
        ..build::commit(2)
    })
    .await;
    assert_eq!(
        (
            run.let_unseen_go(2, 1000).await,
            run.let_unseen_go(2, 1000).await
        ),
        (1, 0)
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
    run.let_unseen_go(2, 10).await;
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
        run.let_unseen_go(3, 10).await,
        0,
        "the sync holds on to them again"
    );
}
