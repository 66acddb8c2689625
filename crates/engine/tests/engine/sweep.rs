//! What the sweep ends, and when.

use std::time::Duration;

use wharf_domain::dead_letter::DeadLetterFilter;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::page::PageRequest;
use wharf_domain::sync::SyncMode;
use wharf_engine::Swept;
use wharf_testkit::provider::{Failure, Times};

use crate::world::filled;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn tombstones_keep_their_bytes_for_the_undo_window() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.remove("media/0000");
    world.next_run().await;
    let tombstone = world
        .objects(true)
        .await
        .into_iter()
        .find(|object| object.deleted.is_some())
        .expect("one is gone");
    world.clock.advance(DAY * 6);
    assert_eq!(world.engine.sweep().await.unwrap(), Swept::default());
    let restored = world
        .engine
        .restore_object(&world.caller, &world.bucket, tombstone.id.as_str())
        .await
        .unwrap();
    assert_eq!(restored.deleted, None);
    assert_eq!(world.contents().await.len(), 3);
    world
        .engine
        .delete_object(&world.caller, &world.bucket, tombstone.id.as_str())
        .await
        .unwrap();
    world.clock.advance(DAY * 8);
    let swept = world.engine.sweep().await.unwrap();
    assert_eq!((swept.tombstones, swept.blobs), (1, 1));
    assert_eq!(world.engine.sweep().await.unwrap(), Swept::default());
    assert_eq!(world.contents().await.len(), 2);
}

#[tokio::test]
async fn dead_letters_of_a_sync_that_does_not_run_are_closed_after_a_week() {
    let world = filled(2).await;
    let broken = Failure::permanent(ErrorCode::IntegrityMismatch);
    world.source.fail_fetch("media/0000", broken, Times::Always);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    for _ in 0..2 {
        world.next_run().await;
    }
    let open = async || {
        let filter = DeadLetterFilter::default();
        let page = PageRequest::first(10);
        world
            .engine
            .list_dead_letters(&world.caller, &sync, &filter, &page)
            .await
            .unwrap()
            .total
    };
    world.clock.advance(DAY * 8);
    assert_eq!(
        world.engine.sweep().await.unwrap().dead_letters,
        0,
        "it runs"
    );
    world
        .engine
        .pause_sync(&world.caller, &world.bucket, sync.id.as_str())
        .await
        .unwrap();
    assert_eq!(open().await, 1);
    assert_eq!(world.engine.sweep().await.unwrap().dead_letters, 1);
    assert_eq!(open().await, 0);
}
