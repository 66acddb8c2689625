//! Runs: what arrives, what is left alone, and what vanishes.

use wharf_domain::audit::Action;
use wharf_domain::job::{JobStatus, JobTrigger};
use wharf_domain::sync::{Reconcile, SyncMode, SyncSettings, SyncState};
use wharf_engine::{EngineError, UpdateConnection};
use wharf_testkit::build;

use crate::world::{World, filled};

#[tokio::test]
async fn every_file_arrives_once_with_its_bytes() {
    let world = filled(250).await;
    world.source.put("media/empty", "");
    world.source.set_page_size(60);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::InitialOnly).await;
    assert!(world.run().await);
    assert_eq!(world.contents().await, world.source.files());
    let job = world.last_job(&sync).await;
    assert_eq!(
        (job.status, job.trigger, job.complete),
        (JobStatus::Completed, JobTrigger::Scheduled, Some(true))
    );
    assert_eq!((job.counters.discovered, job.counters.synced), (251, 251));
    assert_eq!(world.stored(&sync).await.state, SyncState::Completed);
    assert!(!world.next_run().await, "an initial sync runs once");
    assert!(world.connection(&connection).await.last_used_at.is_some());
    assert!(!world.audited(Action::ObjectsCommitted).await.is_empty());
}

#[tokio::test]
async fn an_unchanged_source_transfers_nothing() {
    let world = filled(120).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let before = world.objects(true).await;
    world.source.forget_calls();
    assert!(world.next_run().await);
    assert_eq!(world.source.calls().fetches, 0);
    assert_eq!(world.objects(true).await, before);
    let job = world.last_job(&sync).await;
    assert_eq!(
        (
            job.counters.verified,
            job.counters.synced,
            job.counters.deleted
        ),
        (120, 0, 0)
    );
}

#[tokio::test]
async fn changed_files_are_replaced_and_vanished_ones_become_tombstones() {
    let world = filled(10).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let before = world.objects(false).await;
    world.source.put("media/0003", "another content");
    world.source.remove("media/0007");
    world.next_run().await;
    assert_eq!(world.contents().await, world.source.files());
    let id_of = |objects: &[wharf_domain::object::Object], name: &str| {
        objects
            .iter()
            .find(|object| object.source.object == name)
            .map(|object| object.id.clone())
    };
    let after = world.objects(true).await;
    assert_eq!(after.len(), 10, "the tombstone is kept");
    assert_eq!(
        id_of(&before, "media/0003"),
        id_of(&after, "media/0003"),
        "a changed object keeps its identifier"
    );
    let counters = world.last_job(&sync).await.counters;
    assert_eq!(
        (counters.synced, counters.verified, counters.deleted),
        (1, 8, 1)
    );

    world.source.put("media/0007", "back");
    world.next_run().await;
    assert_eq!(world.contents().await, world.source.files());
    assert_eq!(
        id_of(&before, "media/0007"),
        id_of(&world.objects(false).await, "media/0007")
    );
}

#[tokio::test]
async fn switches_of_reconcile_are_obeyed() {
    let world = filled(4).await;
    let connection = world.connect("store").await;
    let reconcile = Reconcile {
        on_delete: false,
        on_update: false,
        ..Reconcile::default()
    };
    let settings = SyncSettings {
        reconcile,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    let before = world.contents().await;
    world.source.put("media/0000", "changed");
    world.source.remove("media/0001");
    world.next_run().await;
    assert_eq!(world.contents().await, before);
    assert_eq!(
        world
            .last_job(&sync)
            .await
            .counters
            .skipped_by
            .get("updates_off"),
        Some(&1)
    );
}

#[tokio::test]
async fn a_run_deals_with_no_more_files_than_allowed_and_the_next_goes_on() {
    let world = filled(25).await;
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        max_objects_per_run: 10,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::InitialOnly, settings)
        .await;
    for expected in [10, 20, 25] {
        assert!(world.next_run().await);
        assert_eq!(world.objects(false).await.len(), expected);
    }
    let jobs = world.jobs(&sync).await;
    let complete: Vec<_> = jobs.iter().map(|job| job.complete).collect();
    assert_eq!(complete, [Some(false), Some(false), Some(true)]);
    assert_eq!(
        jobs[0].incomplete_reason.as_deref(),
        Some("max_objects_per_run")
    );
}

#[tokio::test]
async fn what_a_person_deleted_stays_deleted_until_the_source_changes() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let objects = world.objects(false).await;
    let object = objects
        .iter()
        .find(|object| object.source.object == "media/0001")
        .unwrap();
    world
        .engine
        .delete_object(&world.caller, &world.bucket, object.id.as_str())
        .await
        .unwrap();
    world.next_run().await;
    assert_eq!(world.objects(false).await.len(), 2);
    world.source.put("media/0001", "new");
    world.next_run().await;
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn after_a_suspension_nothing_more_is_published() {
    let world = filled(300).await;
    world.source.set_page_size(50);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    // The person suspends the connection while the third page is being listed.
    let (engine, caller) = (world.engine.clone(), world.caller.clone());
    let pages = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    world.source.before_list(move |_| {
        let (engine, caller, pages) = (engine.clone(), caller.clone(), pages.clone());
        async move {
            if pages.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 2 {
                let update = UpdateConnection {
                    is_active: Some(false),
                    ..UpdateConnection::default()
                };
                engine
                    .update_connection(&caller, "store", update)
                    .await
                    .unwrap();
            }
        }
    });
    world.run().await;
    assert_eq!(
        world.objects(false).await.len(),
        100,
        "two pages were published before"
    );
    let job = world.last_job(&sync).await;
    assert_eq!(job.incomplete_reason.as_deref(), Some("connection_changed"));
    assert!(!world.next_run().await);
}

#[tokio::test]
async fn archiving_a_connection_stops_its_syncs_for_good() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world
        .engine
        .archive_connection(&world.caller, "store", None)
        .await
        .unwrap();
    assert!(!world.next_run().await);
    assert_eq!(
        world.stored(&sync).await.state,
        SyncState::ConnectionArchived
    );
    assert_eq!(world.last_job(&sync).await.status, JobStatus::Skipped);
    let error = world
        .engine
        .trigger_sync(&world.caller, &world.bucket, sync.id.as_str(), false)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Conflict {
                code: "connection_archived",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_trigger_starts_a_run_unless_one_is_on_its_way() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let trigger = async || {
        world
            .engine
            .trigger_sync(&world.caller, &world.bucket, sync.id.as_str(), false)
            .await
            .unwrap()
    };
    assert!(
        trigger().await.already_running,
        "the first run is queued already"
    );
    world.run().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let triggered = trigger().await;
    assert!(!triggered.already_running);
    assert!(world.run().await, "at once, whatever the polling interval");
    let job = world.last_job(&sync).await;
    assert_eq!((job.id, job.trigger), (triggered.job, JobTrigger::Manual));
}

#[tokio::test]
async fn two_syncs_share_an_object_until_the_last_lets_go() {
    let world = filled(2).await;
    let connection = world.connect("store").await;
    let first = world.sync(&connection, SyncMode::Continuous).await;
    let second = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.forget_calls();
    world.run().await;
    assert_eq!(
        world.source.calls().fetches,
        0,
        "the second sync adopts what is there"
    );
    assert_eq!(world.objects(false).await.len(), 2);
    let counts = async |sync| world.last_job(sync).await.counters;
    assert_eq!(
        (
            counts(&first).await.synced,
            counts(&second).await.skipped_by.get("duplicate"),
        ),
        (2, Some(&2))
    );
    world.source.remove("media/0000");
    world.clock.advance(std::time::Duration::from_secs(301));
    world.run().await;
    assert_eq!(
        world.objects(false).await.len(),
        2,
        "the other sync holds on to it"
    );
    world.run().await;
    assert_eq!(world.objects(false).await.len(), 1);
}

#[tokio::test]
async fn blobs_that_nothing_points_at_are_swept_after_a_day() {
    let world = filled(5).await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.put("media/0000", "changed");
    world.next_run().await;
    assert_eq!(world.engine.sweep_blobs().await.unwrap(), 0, "too young");
    world.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(
        world.engine.sweep_blobs().await.unwrap(),
        1,
        "the replaced one"
    );
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test(start_paused = true)]
async fn what_is_copied_is_published_while_another_file_takes_its_time() {
    let world = filled(2).await;
    let second = |seconds| tokio::time::sleep(std::time::Duration::from_secs(seconds));
    world.source.before_fetch(move |object| async move {
        if object == "media/0001" {
            second(60).await;
        }
    });
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::InitialOnly).await;
    let meanwhile = async {
        second(10).await;
        world.objects(false).await.len()
    };
    let (_, published) = tokio::join!(world.run(), meanwhile);
    assert_eq!(published, 1);
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn an_initial_sync_is_complete_only_when_no_file_changed_under_it() {
    let world = filled(5).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::InitialOnly).await;
    let source = world.source.clone();
    let once = std::sync::atomic::AtomicBool::new(true);
    world.source.before_fetch(move |object| {
        if object == "media/0002" && once.swap(false, std::sync::atomic::Ordering::SeqCst) {
            source.put("media/0002", "changed just now");
        }
        std::future::ready(())
    });
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(
        (job.complete, job.incomplete_reason.as_deref()),
        (Some(false), Some("files_failed_or_changed"))
    );
    assert!(world.next_run().await, "another pass follows");
    assert_eq!(world.contents().await, world.source.files());
    assert_eq!(world.stored(&sync).await.state, SyncState::Completed);
}

#[tokio::test]
async fn a_pass_never_goes_on_under_other_credentials() {
    let world = filled(30).await;
    world.source.set_page_size(10);
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        max_objects_per_run: 10,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::InitialOnly, settings)
        .await;
    world.run().await;
    let update = UpdateConnection {
        provider_config: Some(wharf_engine::ConfigFields::new(crate::world::fields(
            crate::world::s3_config("another secret"),
        ))),
        ..UpdateConnection::default()
    };
    world
        .engine
        .update_connection(&world.caller, "store", update)
        .await
        .unwrap();
    let before = world.stored(&sync).await.last_pass;
    world.next_run().await;
    let after = world.stored(&sync).await;
    assert_eq!(
        (after.last_pass, after.checkpoint.unwrap().objects_processed),
        (before + 1, 10)
    );
}

#[tokio::test]
async fn blobs_of_another_database_are_never_swept() {
    let world = filled(1).await;
    let stranger = World::new().await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.clock.advance(std::time::Duration::from_hours(25));
    assert_eq!(
        stranger.sweeping(&world).await,
        0,
        "it has never heard of that organization"
    );
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn without_sharing_each_sync_copies_a_file_once_itself() {
    let world = filled(2).await;
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        skip_duplicates: false,
        ..build::sync_settings()
    };
    let first = world.sync(&connection, SyncMode::Continuous).await;
    let second = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    world.run().await;
    assert_eq!(world.source.calls().fetches, 4);
    assert_eq!(world.objects(false).await.len(), 2, "objects are one");
    world.clock.advance(std::time::Duration::from_secs(301));
    world.run().await;
    world.run().await;
    assert_eq!(world.source.calls().fetches, 4, "and no third time");
    let counts = async |sync| world.last_job(sync).await.counters;
    assert_eq!(counts(&second).await.verified, 2);
    assert_eq!(counts(&first).await.skipped_by["duplicate"], 2);
}

#[tokio::test]
async fn a_run_that_is_paused_at_work_ends_in_its_own_time_and_no_other_starts() {
    let world = filled(30).await;
    world.source.set_page_size(10);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let (engine, caller, bucket, id) = (
        world.engine.clone(),
        world.caller.clone(),
        world.bucket.clone(),
        sync.id.clone(),
    );
    world.source.before_list(move |_| {
        let (engine, caller, bucket, id) =
            (engine.clone(), caller.clone(), bucket.clone(), id.clone());
        async move {
            engine
                .pause_sync(&caller, &bucket, id.as_str())
                .await
                .unwrap();
        }
    });
    world.run().await;
    assert_eq!(world.last_job(&sync).await.complete, Some(true));
    assert_eq!(world.contents().await, world.source.files());
    assert!(!world.next_run().await);
    world
        .engine
        .resume_sync(&world.caller, &world.bucket, sync.id.as_str())
        .await
        .unwrap();
    assert!(world.run().await);
}

#[tokio::test]
async fn a_full_run_that_was_asked_for_meanwhile_begins_a_pass_of_its_own() {
    let world = filled(30).await;
    world.source.set_page_size(10);
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        max_objects_per_run: 20,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    let (engine, caller, bucket, id) = (
        world.engine.clone(),
        world.caller.clone(),
        world.bucket.clone(),
        sync.id.clone(),
    );
    world.source.before_list(move |_| {
        let (engine, caller, bucket, id) =
            (engine.clone(), caller.clone(), bucket.clone(), id.clone());
        async move {
            engine
                .trigger_sync(&caller, &bucket, id.as_str(), true)
                .await
                .unwrap();
        }
    });
    world.run().await;
    world.source.before_list(|_| std::future::ready(()));
    let stored = world.stored(&sync).await;
    assert!(stored.pending_full);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(world.run().await, "at once");
    let after = world.stored(&sync).await;
    assert!(!after.pending_full);
    assert_eq!(after.last_pass, stored.last_pass + 1);
    assert_eq!(world.last_job(&sync).await.counters.verified, 20);
}
