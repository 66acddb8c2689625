//! Files that fail again and again: tried three times, then left alone until something changes.

use std::time::Duration;

use wharf_domain::dead_letter::{DeadLetter, DeadLetterFilter};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::job::Job;
use wharf_domain::page::PageRequest;
use wharf_domain::sync::{Sync, SyncMode};
use wharf_testkit::provider::{Failure, Times};

use crate::world::{World, filled};

const BAD: &str = "media/0003";

/// A source with one file that is refused, and a sync of it.
async fn poisoned() -> (World, Sync) {
    let world = filled(10).await;
    poison(&world);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    (world, sync)
}

fn poison(world: &World) {
    let refused = Failure::permanent(ErrorCode::PermDenied);
    world.source.fail_fetch(BAD, refused, Times::Always);
}

async fn next(world: &World, sync: &Sync) -> (Job, u64) {
    world.source.forget_calls();
    assert!(world.next_run().await);
    (world.last_job(sync).await, world.source.calls().fetches)
}

async fn letters(world: &World, sync: &Sync) -> Vec<DeadLetter> {
    let filter = DeadLetterFilter::default();
    let page = PageRequest::first(100);
    let found = world
        .engine
        .list_dead_letters(&world.caller, sync, &filter, &page);
    found.await.unwrap().items
}

/// Three runs in which it fails.
async fn exhausted() -> (World, Sync) {
    let (world, sync) = poisoned().await;
    for tries in 1..=3 {
        let (job, _) = next(&world, &sync).await;
        assert_eq!((job.complete, job.counters.failed), (Some(true), 1));
        let letters = letters(&world, &sync).await;
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].tries, tries);
        assert_eq!(letters[0].exhausted, tries == 3);
        assert_eq!(letters[0].error_type, "perm.denied");
        assert_eq!(letters[0].error_message, "as the test wished");
    }
    (world, sync)
}

#[tokio::test]
async fn a_file_that_failed_three_times_is_counted_as_failed_without_being_asked_for() {
    let (world, sync) = exhausted().await;
    let (job, fetches) = next(&world, &sync).await;
    assert_eq!(fetches, 0);
    assert_eq!((job.counters.verified, job.counters.failed), (9, 1));
    assert_eq!(job.counters.failed_by["perm.denied"], 1);
    assert_eq!(letters(&world, &sync).await[0].tries, 3);
}

#[tokio::test]
async fn once_a_day_it_is_tried_again_and_may_heal() {
    let (world, sync) = exhausted().await;
    world.clock.advance(Duration::from_hours(24));
    let (job, fetches) = next(&world, &sync).await;
    assert_eq!((job.counters.failed, fetches), (1, 1), "still bad");
    let (_, fetches) = next(&world, &sync).await;
    assert_eq!(fetches, 0, "not before tomorrow");
    world.source.heal();
    world.clock.advance(Duration::from_hours(24));
    let (job, fetches) = next(&world, &sync).await;
    assert_eq!((job.counters.synced, fetches), (1, 1));
    assert_eq!(letters(&world, &sync).await, []);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn a_person_gives_it_new_tries() {
    let (world, sync) = exhausted().await;
    let requeued = world
        .engine
        .requeue_dead_letters(&world.caller, &sync, None)
        .await;
    assert_eq!(requeued.unwrap(), 1);
    let (_, fetches) = next(&world, &sync).await;
    assert_eq!(fetches, 1);
    assert_eq!(letters(&world, &sync).await[0].tries, 1);
}

#[tokio::test]
async fn a_new_version_of_it_is_tried_at_once_and_starts_over_if_it_fails() {
    let (world, sync) = exhausted().await;
    let first = letters(&world, &sync).await.remove(0);
    world.source.put(BAD, "another version");
    let (_, fetches) = next(&world, &sync).await;
    assert_eq!(fetches, 1);
    let letter = letters(&world, &sync).await.remove(0);
    assert_eq!((letter.tries, letter.exhausted), (1, false));
    assert_ne!(letter.version, first.version);
    world.source.heal();
    let (job, _) = next(&world, &sync).await;
    assert_eq!(job.counters.synced, 1);
    assert_eq!(letters(&world, &sync).await, []);
}

#[tokio::test]
async fn a_failed_update_that_goes_back_to_what_is_here_is_settled() {
    let (world, sync) = exhausted().await;
    world.source.heal();
    let all = next(&world, &sync).await.0;
    assert_eq!(all.counters.failed, 1, "left alone for a day");
    // Another sync brings the file; this one shares it, and has nothing to complain about any more.
    let connection = world.connect("other").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.run().await;
    next(&world, &sync).await;
    world.run().await;
    assert_eq!(letters(&world, &sync).await, []);
    assert_eq!(world.contents().await, world.source.files());
}
