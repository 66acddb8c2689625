//! What vanishes at the source: when it goes, when it waits, and when nothing follows from what is not listed.

use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::sync::{Reconcile, Sync, SyncMode, SyncSettings};
use wharf_testkit::build;
use wharf_testkit::provider::{Failure, Times};

use crate::world::{World, filled};

async fn continuous(world: &World) -> Sync {
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await
}

/// The next run's job.
async fn next(world: &World, sync: &Sync) -> Job {
    assert!(world.next_run().await);
    world.last_job(sync).await
}

#[tokio::test]
async fn a_source_that_loses_most_of_its_files_is_believed_the_second_time() {
    let world = filled(200).await;
    let sync = continuous(&world).await;
    world.run().await;
    let lost = world.source.lose(0.6).len() as u64;
    let job = next(&world, &sync).await;
    assert_eq!(job.complete, Some(true));
    assert_eq!((job.counters.deleted, job.counters.held), (0, lost));
    assert_eq!(world.objects(false).await.len(), 200);
    let held = world.stored(&sync).await.held_deletes.expect("it is told");
    assert_eq!(held.count, lost);
    let told = format!(
        "{lost} of 200 objects are gone from the source, or kept out by the sync's rules, at once: more than 20 % and more \
         than 50. They are deleted when the next complete pass agrees, or when a person approves."
    );
    assert_eq!(held.reason, told);
    let job = next(&world, &sync).await;
    assert_eq!((job.counters.deleted, job.counters.held), (lost, 0));
    assert_eq!(world.contents().await, world.source.files());
    assert_eq!(world.stored(&sync).await.held_deletes, None);
}

#[tokio::test]
async fn what_comes_back_while_deletes_are_held_stays() {
    let world = filled(200).await;
    let sync = continuous(&world).await;
    world.run().await;
    let before = world.objects(true).await;
    let files = world.source.files();
    for name in world.source.lose(0.6) {
        // Gone for one pass only.
        world.source.put(&name, files[&name].clone());
        world.source.remove(&name);
    }
    next(&world, &sync).await;
    for (name, bytes) in &files {
        world.source.put(name, bytes.clone());
    }
    let job = next(&world, &sync).await;
    assert_eq!(job.counters.deleted, 0);
    assert_eq!(world.stored(&sync).await.held_deletes, None);
    let ids = |objects: Vec<wharf_domain::object::Object>| {
        let mut ids: Vec<_> = objects.into_iter().map(|object| object.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(before), ids(world.objects(false).await));
}

#[tokio::test]
async fn a_person_approves_or_discards_what_is_held() {
    for approves in [true, false] {
        let world = filled(200).await;
        let sync = continuous(&world).await;
        world.run().await;
        let lost = world.source.lose(0.6).len();
        next(&world, &sync).await;
        let (engine, caller, bucket) = (&world.engine, &world.caller, &world.bucket);
        let decided = if approves {
            engine
                .approve_deletes(caller, bucket, sync.id.as_str())
                .await
        } else {
            engine
                .discard_deletes(caller, bucket, sync.id.as_str())
                .await
        };
        assert_eq!(decided.unwrap(), lost as u64);
        let left = if approves { 200 - lost } else { 200 };
        assert_eq!(world.objects(false).await.len(), left);
        assert_eq!(next(&world, &sync).await.counters.deleted, 0);
        assert_eq!(world.objects(false).await.len(), left);
        assert_eq!(world.stored(&sync).await.held_deletes, None);
    }
}

#[tokio::test]
async fn a_store_whose_listings_lag_must_say_it_twice() {
    let world = filled(10).await;
    let connection = world.connect_tigris("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.remove("media/0003");
    let job = next(&world, &sync).await;
    assert_eq!((job.counters.deleted, job.counters.held), (0, 1));
    let reason = world.stored(&sync).await.held_deletes.unwrap().reason;
    assert!(reason.contains("may lag behind"), "{reason}");
    assert_eq!(next(&world, &sync).await.counters.deleted, 1);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn a_denied_part_of_the_source_freezes_deletes_there_and_nowhere_else() {
    let world = World::new().await;
    for name in ["media/a/1", "media/a/2", "media/b/1", "media/b/2"] {
        world.source.put(name, name.to_owned());
    }
    let sync = continuous(&world).await;
    world.run().await;
    world.source.deny_scope("media/a/");
    world.source.remove("media/a/1");
    world.source.remove("media/b/1");
    let job = next(&world, &sync).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(job.incomplete_reason.as_deref(), Some("scope_denied"));
    assert_eq!(job.counters.deleted, 1);
    let names: Vec<String> = world.contents().await.into_keys().collect();
    assert_eq!(names, ["media/a/1", "media/a/2", "media/b/2"]);
    world.source.heal();
    let job = next(&world, &sync).await;
    assert_eq!((job.complete, job.counters.deleted), (Some(true), 1));
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn a_listing_without_order_is_understood_all_the_same() {
    let world = filled(40).await;
    world.source.set_page_size(7);
    world.source.list_out_of_order();
    let sync = continuous(&world).await;
    world.run().await;
    assert_eq!(world.contents().await, world.source.files());
    world.source.remove("media/0005");
    world.source.remove("media/0033");
    world.source.put("media/0011", "changed");
    world.source.put("media/9999", "new");
    let job = next(&world, &sync).await;
    assert_eq!((job.complete, job.counters.deleted), (Some(true), 2));
    assert_eq!((job.counters.synced, job.counters.verified), (2, 37));
    assert_eq!(world.contents().await, world.source.files());
    // And in order again.
    world.source.heal();
    world.source.remove("media/0006");
    assert_eq!(next(&world, &sync).await.counters.deleted, 1);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_cannot_be_trusted_deletes_nothing() {
    for (vice, told) in [
        ("repeats", "in circles"),
        ("cut short", "protocol.unexpected_response"),
    ] {
        let world = filled(30).await;
        world.source.set_page_size(7);
        let sync = continuous(&world).await;
        world.run().await;
        world.source.remove("media/0002");
        world.source.remove("media/0020");
        match vice {
            "repeats" => world.source.repeat_token(),
            _ => world.source.truncate_without_token(),
        }
        let job = next(&world, &sync).await;
        assert_eq!(job.status, JobStatus::Failed, "{vice}");
        let error = job.error.expect("it is told");
        assert!(error.contains(told), "{error}");
        assert_eq!(world.objects(false).await.len(), 30, "{vice}");
        // The connection has failed by that, until a test of it passes.
        world.source.heal();
        let tested = world
            .engine
            .test_connection(&world.caller, "store", None)
            .await;
        tested.unwrap();
        next(&world, &sync).await;
        assert_eq!(world.contents().await, world.source.files(), "{vice}");
    }
}

#[tokio::test]
async fn vanished_files_stay_where_deletes_are_off_and_go_when_they_are_on_again() {
    let world = filled(5).await;
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        reconcile: Reconcile {
            on_delete: false,
            ..Reconcile::default()
        },
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    world.source.remove("media/0001");
    for _ in 0..2 {
        assert_eq!(next(&world, &sync).await.counters.deleted, 0);
    }
    assert_eq!(world.objects(false).await.len(), 5);
    let on = wharf_domain::sync_edit::SyncEdit::OnDelete(true);
    world.edit(&sync, vec![on]).await;
    assert_eq!(next(&world, &sync).await.counters.deleted, 1);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn a_vanished_file_comes_back_as_the_object_that_it_was() {
    let world = filled(3).await;
    let sync = continuous(&world).await;
    world.run().await;
    let bytes = world.source.files()["media/0001"].clone();
    world.source.remove("media/0001");
    next(&world, &sync).await;
    world.source.put("media/0001", bytes);
    let job = next(&world, &sync).await;
    assert_eq!((job.counters.synced, job.counters.verified), (1, 2));
    assert_eq!(world.objects(true).await.len(), 3, "no second object");
}

#[tokio::test]
async fn a_pass_without_changes_writes_nothing_to_the_catalogue() {
    let world = filled(50).await;
    world.source.set_page_size(20);
    let sync = continuous(&world).await;
    world.run().await;
    let before = world.objects(true).await;
    world.source.forget_calls();
    let job = next(&world, &sync).await;
    assert_eq!(job.counters.verified, 50);
    let calls = world.source.calls();
    assert_eq!((calls.lists, calls.fetches, calls.looks), (3, 0, 0));
    assert_eq!(world.objects(true).await, before);
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_run_did_not_come_to_is_counted() {
    let world = filled(30).await;
    let sync = {
        let connection = world.connect("store").await;
        let settings = SyncSettings {
            sync_concurrency: 1,
            ..build::sync_settings()
        };
        world
            .sync_with(&connection, SyncMode::Continuous, settings)
            .await
    };
    let throttled = Failure::transient(ErrorCode::QuotaRateLimited);
    world
        .source
        .fail_fetch("media/0010", throttled, Times::Always);
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(job.incomplete_reason.as_deref(), Some("quota.rate_limited"));
    let counters = job.counters;
    assert_eq!(
        (counters.discovered, counters.synced, counters.not_reached),
        (30, 10, 20)
    );
    world.source.heal();
    world.clock.advance(Duration::from_hours(2));
    world.run().await;
    assert_eq!(world.contents().await, world.source.files());
}
