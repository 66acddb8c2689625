//! Failures: what a step notes about files that could not be copied.

use wharf_domain::run::commit::{Commit, LeftOut};

use crate::{Harness, Run, build};

pub async fn a_file_that_fails_gets_a_dead_letter(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let failed = build::failed(&h.ids, "media/caf\u{e9}'%", "1", "net.timeout");
    let now = h.repositories.across.now().await.unwrap();
    run.commit(Commit {
        failed: vec![failed.clone()],
        ..build::commit(1)
    })
    .await;
    let letter = run.dead_letter(&failed.object).await.unwrap();
    assert_eq!(
        (&letter.id, &letter.sync, &letter.job),
        (&failed.new_id, &run.sync.id, &run.lease.job)
    );
    assert_eq!(
        (&letter.bucket, &letter.namespace),
        (&run.bucket.id, &acme.namespace)
    );
    assert_eq!(
        (&letter.source_object, &letter.path, &letter.version),
        (&failed.object, &failed.path, &failed.version)
    );
    assert_eq!(
        (&letter.error_type, &letter.error_message),
        (&failed.error_type, &failed.error_message)
    );
    assert_eq!((letter.tries, letter.exhausted), (1, false));
    assert!(letter.first_seen_at >= now && letter.last_seen_at == letter.first_seen_at);
    assert_eq!(
        (
            letter.last_reattempt_at,
            letter.requeued_at,
            letter.resolved_at,
            letter.disposal_reason
        ),
        (None, None, None, None)
    );
    assert_eq!(
        run.rows(9).await,
        0,
        "the catalogue tells of what is copied"
    );
}

pub async fn every_failure_is_one_more_try_until_the_third_exhausts_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.fail("media/a", "1", "net.timeout").await;
    let first = run.dead_letter("media/a").await.unwrap();
    h.moment().await;
    run.fail("media/a", "1", "auth.expired").await;
    let second = run.dead_letter("media/a").await.unwrap();
    assert_eq!((second.tries, second.exhausted), (2, false));
    assert_eq!(
        (&second.id, second.first_seen_at),
        (&first.id, first.first_seen_at)
    );
    assert!(second.last_seen_at > first.last_seen_at);
    assert_eq!(
        second.error_type, "auth.expired",
        "the last failure is told"
    );
    assert_ne!(second.error_message, first.error_message);
    run.fail("media/a", "1", "net.timeout").await;
    let third = run.dead_letter("media/a").await.unwrap();
    assert_eq!((third.tries, third.exhausted), (3, true));
    assert_eq!(third.last_reattempt_at, None);
}

pub async fn an_exhausted_file_that_fails_again_only_notes_the_try(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    for _ in 0..3 {
        run.fail("media/a", "1", "net.timeout").await;
    }
    let exhausted = run.dead_letter("media/a").await.unwrap();
    h.moment().await;
    run.fail("media/a", "1", "auth.expired").await;
    let mut tried = run.dead_letter("media/a").await.unwrap();
    let at = tried.last_reattempt_at.take();
    assert!(at.is_some_and(|at| at > exhausted.last_seen_at));
    assert_eq!(tried, exhausted, "all else stays");
}

pub async fn another_version_of_a_failed_file_starts_over(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    for _ in 0..4 {
        run.fail("media/a", "1", "net.timeout").await;
    }
    let old = run.dead_letter("media/a").await.unwrap();
    assert!(old.exhausted && old.last_reattempt_at.is_some());
    h.moment().await;
    run.fail("media/a", "2", "auth.expired").await;
    let new = run.dead_letter("media/a").await.unwrap();
    assert_eq!(
        (&new.id, new.version.as_str(), new.error_type.as_str()),
        (&old.id, "2", "auth.expired")
    );
    assert_eq!((new.tries, new.exhausted), (1, false));
    assert!(new.first_seen_at > old.first_seen_at && new.last_seen_at == new.first_seen_at);
    assert_eq!((new.last_reattempt_at, new.requeued_at), (None, None));
}

pub async fn a_failed_file_of_the_bucket_stays_as_it_was(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/a"], "1").await;
    let objects = run.objects().await;
    run.fail("media/a", "2", "net.timeout").await;
    let known = run.known_one("media/a").await;
    assert_eq!((known.held, known.missing), (true, false));
    assert_eq!(
        known.dead_letter.map(|letter| letter.version).as_deref(),
        Some("2")
    );
    assert_eq!(run.objects().await, objects);
}

/// The step, of files that have failed before, that closes their dead letters.
async fn assert_resolves(h: &Harness, run: &Run<'_>, object: &str, step: Commit) {
    run.fail(object, "1", "net.timeout").await;
    let failed = run.dead_letter(object).await.unwrap();
    run.commit(step).await;
    assert_eq!(run.dead_letter(object).await, None, "{object}");
    h.moment().await;
    run.fail(object, "1", "net.timeout").await;
    let again = run.dead_letter(object).await.unwrap();
    assert_ne!(again.id, failed.id, "what is closed is not opened again");
    assert_eq!(again.tries, 1);
}

pub async fn what_is_copied_adopted_or_left_out_resolves_its_dead_letter(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let second = acme.second_run(&run).await;
    second
        .publish(1, &["media/adopted", "media/faster"], "1")
        .await;
    let copied = run.step(1, &["media/copied"], "1").await;
    assert_resolves(&h, &run, "media/copied", copied).await;
    let adopted = Commit {
        adopted: vec!["media/adopted".to_owned()],
        ..build::commit(1)
    };
    assert_resolves(&h, &run, "media/adopted", adopted).await;
    let left_out = Commit {
        left_out: vec![LeftOut {
            object: "media/left".to_owned(),
            version: "1".to_owned(),
            rule: "mime_types".to_owned(),
        }],
        ..build::commit(1)
    };
    assert_resolves(&h, &run, "media/left", left_out).await;
    let overtaken = Commit {
        puts: vec![run.put("media/faster", "1")],
        ..build::commit(1)
    };
    assert_resolves(&h, &run, "media/faster", overtaken).await;
}

pub async fn a_dead_letter_is_its_own_syncs_matter(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = acme.run().await;
    let second = acme.second_run(&first).await;
    first.fail("media/a", "1", "net.timeout").await;
    assert_eq!(second.dead_letter("media/a").await, None);
    second.fail("media/a", "1", "net.timeout").await;
    second.publish(1, &["media/a"], "1").await;
    assert_eq!(second.dead_letter("media/a").await, None);
    let open = first.dead_letter("media/a").await.unwrap();
    assert_eq!((open.tries, open.resolved_at), (1, None));
}

pub async fn a_refused_step_notes_no_failure(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let step = Commit {
        failed: vec![build::failed(&h.ids, "media/a", "1", "net.timeout")],
        ..build::commit(1)
    };
    let standing = wharf_domain::run::commit::Standing {
        epoch: run.connection.epoch + 1,
        ..run.standing()
    };
    let runs = &h.repositories.runs;
    let refused = runs.commit(&acme.organization, &run.lease, standing, &step, None);
    assert!(refused.await.is_err());
    assert_eq!(run.dead_letter("media/a").await, None);
}
