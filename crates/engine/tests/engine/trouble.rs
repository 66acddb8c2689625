//! Runs in trouble: what a failure means for the file, the run, the sync and the connection.

use wharf_domain::connection::PublicStatus;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::job::JobStatus;
use wharf_domain::sync::{SyncMode, SyncSettings, SyncState};
use wharf_engine::EngineError;
use wharf_testkit::build;
use wharf_testkit::provider::{Failure, Times};

use crate::world::filled;

#[tokio::test]
async fn nothing_vanishes_before_a_listing_is_complete() {
    let world = filled(30).await;
    world.source.set_page_size(10);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.remove("media/0001");
    world
        .source
        .fail_page(3, Failure::permanent(ErrorCode::PermDenied), Times::Once);
    world.next_run().await;
    let job = world.last_job(&sync).await;
    assert_eq!((job.status, job.complete), (JobStatus::Failed, Some(false)));
    assert_eq!(
        world.objects(false).await.len(),
        30,
        "the listing was cut short"
    );
    assert_eq!(
        world
            .connection(&connection)
            .await
            .health
            .consecutive_failures(),
        0,
        "a path's failure is the sync's"
    );
    assert_eq!(world.stored(&sync).await.consecutive_failures, 1);
    // The next run goes on from the checkpoint, and the pass is complete then.
    world.next_run().await;
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn one_bad_file_does_not_stop_the_run() {
    let world = filled(20).await;
    world.source.fail_fetch(
        "media/0004",
        Failure::permanent(ErrorCode::PermDenied),
        Times::Always,
    );
    world
        .source
        .make_unreadable("media/0005", "resource.archived");
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(
        (
            job.counters.synced,
            job.counters.failed,
            job.counters.skipped
        ),
        (18, 1, 1)
    );
    assert_eq!(
        world.connection(&connection).await.status(),
        PublicStatus::Active
    );
    world.source.heal();
    world.next_run().await;
    assert_eq!(world.objects(false).await.len(), 19, "it heals by itself");
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_are_fetched_again_and_never_published() {
    let world = filled(3).await;
    world.source.corrupt("media/0000", Times::Once);
    world.source.cut("media/0001", 3, Times::Once);
    world.source.corrupt("media/0002", Times::Always);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let contents = world.contents().await;
    assert_eq!(contents.len(), 2);
    assert_eq!(contents["media/0001"], "content 1");
    assert_eq!(world.last_job(&sync).await.counters.failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_counts_once_against_its_connection_and_five_runs_trip_it() {
    let world = filled(50).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.source.fail_page(
        1,
        Failure::transient(ErrorCode::NetworkConnect),
        Times::Always,
    );
    for n in 1..=5 {
        assert!(world.next_run().await, "run {n}");
        assert_eq!(
            world
                .connection(&connection)
                .await
                .health
                .consecutive_failures(),
            n
        );
    }
    assert_eq!(
        world.connection(&connection).await.status(),
        PublicStatus::Suspended
    );
    assert!(
        !world.next_run().await,
        "nothing runs through a tripped connection"
    );
    let error = world
        .engine
        .trigger_sync(&world.caller, &world.bucket, sync.id.as_str(), false)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::Conflict {
                code: "connection_inactive",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn throttling_never_counts() {
    let world = filled(5).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.source.fail_page(
        1,
        Failure::transient(ErrorCode::QuotaRateLimited),
        Times::Always,
    );
    for _ in 0..6 {
        assert!(world.next_run().await);
    }
    let stored = world.connection(&connection).await;
    assert_eq!(
        (stored.status(), stored.health.consecutive_failures()),
        (PublicStatus::Active, 0)
    );
    assert!(stored.last_error.is_some());
    assert_eq!(
        world.last_job(&sync).await.incomplete_reason.as_deref(),
        Some("quota.rate_limited")
    );
}

#[tokio::test]
async fn an_expired_cursor_starts_the_pass_over() {
    let world = filled(30).await;
    world.source.set_page_size(10);
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        max_objects_per_run: 10,
        ..build::sync_settings()
    };
    world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    world.source.expire_cursors();
    world.source.remove("media/0000");
    for _ in 0..4 {
        world.next_run().await;
    }
    assert_eq!(world.contents().await, world.source.files());
}

#[tokio::test]
async fn a_file_that_a_policy_hides_concerns_neither_the_run_nor_the_connection() {
    let world = filled(20).await;
    let hidden = Failure::permanent(ErrorCode::PermPolicyBlocked);
    world.source.fail_fetch("media/0004", hidden, Times::Always);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!((job.status, job.counters.failed), (JobStatus::Completed, 1));
    assert_eq!(
        world.connection(&connection).await.status(),
        PublicStatus::Active
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_before_the_provider_failed_is_kept() {
    let world = filled(20).await;
    let gone = Failure::permanent(ErrorCode::AuthInvalidCredentials);
    world.source.fail_fetch("media/0019", gone, Times::Once);
    // By then the account refuses everything.
    let source = world.source.clone();
    world.source.before_fetch(move |object| {
        if object == "media/0019" {
            let refused = Failure::permanent(ErrorCode::AuthInvalidCredentials);
            source.fail_page(1, refused, Times::Always);
        }
        std::future::ready(())
    });
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        sync_concurrency: 1,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    assert_eq!(world.last_job(&sync).await.status, JobStatus::Failed);
    assert_eq!(world.objects(false).await.len(), 19);
    assert_eq!(
        world.connection(&connection).await.status(),
        PublicStatus::Failed
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_provider_cannot_deliver_does_not_stop_the_others() {
    let world = filled(20).await;
    for (file, code) in [
        ("media/0003", ErrorCode::ProviderUnavailable),
        ("media/0011", ErrorCode::NetworkTimeout),
    ] {
        world
            .source
            .fail_fetch(file, Failure::transient(code), Times::Always);
    }
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::InitialOnly).await;
    for pass in 1..=3 {
        assert!(world.next_run().await, "pass {pass}");
        let job = world.last_job(&sync).await;
        assert_eq!(
            (job.status, job.counters.failed),
            (JobStatus::Completed, 2),
            "pass {pass}"
        );
        assert_eq!(job.counters.failed_by["provider.unavailable"], 1);
    }
    assert_eq!(world.objects(false).await.len(), 18);
    assert_eq!(
        world.stored(&sync).await.state,
        SyncState::Completed,
        "three passes are enough"
    );
    assert_eq!(
        world
            .connection(&connection)
            .await
            .health
            .consecutive_failures(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_delivers_nothing_ends_the_run_early_and_is_tried_again_soon() {
    let world = filled(100).await;
    for file in world.source.files().keys() {
        world.source.fail_fetch(
            file,
            Failure::transient(ErrorCode::ProviderUnavailable),
            Times::Always,
        );
    }
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        polling_interval_seconds: 86_400,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    let job = world.last_job(&sync).await;
    assert_eq!(job.status, JobStatus::Failed);
    assert!(
        job.counters.failed < 20,
        "it did not go through all of them: {}",
        job.counters.failed
    );
    world.source.heal();
    world.clock.advance(std::time::Duration::from_secs(61));
    assert!(world.run().await, "not tomorrow");
    assert_eq!(world.contents().await, world.source.files());
}
