//! Channels: a provider tells that something changed.

use wharf_domain::audit::Action;
use wharf_domain::connection::Event;
use wharf_domain::job::{JobEnd, RING_REST};
use wharf_domain::sync::{Lease, PushChannel, SyncMode, SyncState};
use wharf_ports::RunError;

use super::{HOUR, finish};
use crate::{Harness, LONG, Run, SHORT};

async fn channel(h: &Harness, name: &str) -> PushChannel {
    let began_at = h.repositories.across.now().await.unwrap();
    PushChannel {
        channel: name.to_owned(),
        scope: "media/".to_owned(),
        credential_version: 1,
        resource: format!("the resource of {name} \u{e4}"),
        token_sha256: format!("the word of {name}"),
        began_at,
        expires_at: began_at + HOUR,
    }
}

async fn keep(
    h: &Harness,
    run: &Run<'_>,
    lease: &Lease,
    channel: Option<PushChannel>,
) -> Result<(), RunError> {
    let runs = &h.repositories.runs;
    let organization = &run.tenant.organization;
    runs.keep_channel(organization, lease, channel).await
}

/// A channel of the run's sync.
async fn open(h: &Harness, run: &Run<'_>, name: &str) -> PushChannel {
    let channel = channel(h, name).await;
    keep(h, run, &run.lease, Some(channel.clone()))
        .await
        .unwrap();
    channel
}

async fn ring(h: &Harness, channel: &PushChannel) -> bool {
    ring_with(h, &channel.channel, &channel.token_sha256).await
}

async fn ring_with(h: &Harness, channel: &str, word: &str) -> bool {
    let across = &h.repositories.across;
    across.ring_channel(channel, word).await.unwrap()
}

pub async fn a_channel_that_rings_makes_its_sync_due_at_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let channel = open(&h, &run, "one").await;
    assert_eq!(run.stored().await.push, Some(channel.clone()));
    finish(&h, &run, HOUR).await;
    let before = run.stored().await;
    assert_eq!(
        before.push,
        Some(channel.clone()),
        "the run's end leaves it"
    );
    assert_eq!(h.try_lease(LONG).await, None);
    for _ in ["first", "again"] {
        assert!(ring(&h, &channel).await);
    }
    let after = run.stored().await;
    assert!(after.next_run_at < before.next_run_at);
    assert_eq!(after.revision, before.revision, "no person changed it");
    assert_eq!(h.try_lease(LONG).await, None, "it rests after a run");
    h.outlive(RING_REST).await;
    let lease = h.lease(LONG).await;
    assert_eq!(lease.sync, run.sync.id);
    let run = Run { lease, ..run };
    finish(&h, &run, HOUR).await;
    assert_eq!(h.try_lease(LONG).await, None, "once");
}

pub async fn a_channel_that_rings_while_a_worker_holds_its_sync_lets_it_run_again(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let channel = open(&h, &run, "one").await;
    for _ in ["first", "again"] {
        assert!(ring(&h, &channel).await);
    }
    assert_eq!(
        h.try_lease(LONG).await,
        None,
        "the run ends in its own time"
    );
    finish(&h, &run, HOUR).await;
    assert_eq!(h.try_lease(LONG).await, None, "it rests after a run");
    h.outlive(RING_REST).await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    finish(&h, &run, HOUR).await;
    h.outlive(RING_REST).await;
    assert_eq!(h.try_lease(LONG).await, None, "once");
}

pub async fn a_channel_shortens_no_pause_after_a_run_that_failed_or_was_throttled(h: Harness) {
    let acme = h.tenant("acme").await;
    let mut run = acme.run().await;
    let channel = open(&h, &run, "one").await;
    let throttled = JobEnd {
        error: Some("too many requests".to_owned()),
        ..JobEnd::incomplete("quota.rate_limited")
    };
    let pause = RING_REST + SHORT;
    for end in [JobEnd::failed("internal", "no".to_owned()), throttled] {
        assert!(ring(&h, &channel).await, "while a worker holds it");
        let audit = h.audit(Action::JobFinished);
        let runs = &h.repositories.runs;
        runs.finish(&acme.organization, &run.lease, end, pause, audit)
            .await
            .unwrap();
        let before = run.stored().await;
        assert!(ring(&h, &channel).await, "while nobody does");
        assert_eq!(run.stored().await.next_run_at, before.next_run_at);
        h.outlive(pause).await;
        run.lease = h.lease(LONG).await;
    }
}

pub async fn a_run_that_begins_after_a_channel_has_rung_answers_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_for(SHORT).await;
    let channel = open(&h, &run, "one").await;
    assert!(ring(&h, &channel).await);
    h.outlive(SHORT).await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    finish(&h, &run, HOUR).await;
    assert_eq!(h.try_lease(LONG).await, None);
}

pub async fn a_channel_wakes_nothing_that_is_paused_or_stopped(h: Harness) {
    let acme = h.tenant("acme").await;
    let paused = acme.run().await;
    let channel = open(&h, &paused, "paused").await;
    finish(&h, &paused, HOUR).await;
    let syncs = &h.repositories.syncs;
    let (organization, bucket, sync) = (&acme.organization, &paused.bucket.id, &paused.sync.id);
    let audit = h.audit(Action::SyncPaused);
    syncs
        .pause(organization, bucket, sync, &acme.admin, None, audit)
        .await
        .unwrap();
    let before = paused.stored().await;
    assert!(ring(&h, &channel).await, "there is such a channel");
    assert_eq!(paused.stored().await, before);

    let connection = acme.connection("once").await;
    let once = acme.bucket("once").await;
    let once = acme
        .sync_in_mode(&once, &connection, SyncMode::InitialOnly)
        .await;
    let lease = h.lease(LONG).await;
    assert_eq!(lease.sync, once.id);
    let done = Run {
        sync: once,
        lease,
        connection,
        ..paused
    };
    let channel = open(&h, &done, "done").await;
    assert!(ring(&h, &channel).await);
    finish(&h, &done, HOUR).await;
    assert_eq!(h.try_lease(LONG).await, None, "it has had its pass");
    assert!(ring(&h, &channel).await);
    assert_eq!(h.try_lease(LONG).await, None);

    let stopped = acme
        .run_into(&done.bucket, &acme.connection("archived").await)
        .await;
    let channel = open(&h, &stopped, "stopped").await;
    acme.apply(&stopped.connection, vec![Event::Archive]).await;
    assert!(ring(&h, &channel).await);
    let stored = stopped.stored().await;
    assert_eq!(
        (stored.state, stored.next_run_at),
        (SyncState::ConnectionArchived, None)
    );
}

pub async fn a_wrong_word_or_name_rings_nothing_and_nothing_does_after_its_end(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let channel = open(&h, &run, "one").await;
    let other = acme.second_run(&run).await;
    let beside = open(&h, &other, "two").await;
    finish(&h, &run, HOUR).await;
    finish(&h, &other, HOUR).await;
    for (name, word) in [
        ("one", ""),
        ("one", "The word of one"),
        ("one", &*beside.token_sha256),
        ("One", &*channel.token_sha256),
        ("", ""),
        ("%", &*channel.token_sha256),
    ] {
        assert!(!ring_with(&h, name, word).await, "{name}: {word}");
    }
    assert_eq!(h.try_lease(LONG).await, None);
    assert!(ring(&h, &beside).await);
    h.outlive(RING_REST).await;
    let lease = h.lease(LONG).await;
    assert_eq!(lease.sync, other.sync.id, "the other one is left alone");

    let other = Run { lease, ..other };
    let ends = PushChannel {
        expires_at: h.repositories.across.now().await.unwrap(),
        ..beside
    };
    keep(&h, &other, &other.lease, Some(ends.clone()))
        .await
        .unwrap();
    h.moment().await;
    assert!(!ring(&h, &ends).await, "it has expired");
}

pub async fn a_channel_takes_the_place_of_an_earlier_one(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let first = open(&h, &run, "first").await;
    let second = open(&h, &run, "second").await;
    assert_eq!(run.stored().await.push, Some(second.clone()));
    assert!(!ring(&h, &first).await);
    assert!(ring(&h, &second).await);
    let elsewhere = acme.second_run(&run).await;
    open(&h, &elsewhere, "first").await;
    keep(&h, &run, &run.lease, None).await.unwrap();
    assert_eq!(run.stored().await.push, None);
    assert!(!ring(&h, &second).await);
    assert!(ring(&h, &first).await, "another sync has that name now");
    let taken = Lease {
        fence: run.lease.fence + 1,
        ..run.lease.clone()
    };
    let refused = keep(&h, &run, &taken, Some(first)).await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
    assert_eq!(run.stored().await.push, None);
}
