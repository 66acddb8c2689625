//! What a person does with a sync.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::sync::{Sync, SyncMode};
use wharf_domain::sync_edit::SyncEdit;
use wharf_engine::{EngineError, RunWish, UpdateSync};

use crate::contended::contended;
use crate::world::World;

fn prefix(text: &str) -> SyncEdit {
    SyncEdit::ProviderFilters(Some(ProviderFilters {
        prefix: Some(text.to_owned()),
        ..ProviderFilters::default()
    }))
}

async fn update(world: &World, sync: &Sync, update: UpdateSync) -> Result<Sync, EngineError> {
    world
        .engine
        .update_sync(&world.caller, &world.bucket, sync.id.as_str(), update)
        .await
}

async fn edit(world: &World, sync: &Sync, edits: Vec<SyncEdit>) -> Result<Sync, EngineError> {
    update(
        world,
        sync,
        UpdateSync {
            edits,
            ..UpdateSync::default()
        },
    )
    .await
}

fn denied() -> CheckReport {
    CheckReport {
        checks: vec![Check::failed(
            "list",
            ErrorCode::PermDenied,
            Some("s3:ListBucket".to_owned()),
            "Grant it.",
            1,
        )],
    }
}

async fn syncing(world: &World) -> Sync {
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await
}

#[tokio::test]
async fn a_change_that_comes_too_late_is_made_again_on_what_is_there_now() {
    let world = World::on(|repositories| contended(repositories, 2)).await;
    let sync = syncing(&world).await;
    let changed = edit(&world, &sync, vec![SyncEdit::Concurrency(1)]).await;
    assert_eq!(changed.unwrap().settings.sync_concurrency, 1);
    let rows = world.audited(Action::SyncUpdated).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].changes, json!({"changed": ["sync_concurrency"]}));

    let world = World::on(|repositories| contended(repositories, 3)).await;
    let sync = syncing(&world).await;
    let refused = edit(&world, &sync, vec![SyncEdit::Concurrency(1)]).await;
    assert!(
        matches!(
            refused,
            Err(EngineError::Conflict {
                code: "revision_conflict",
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(world.stored(&sync).await, sync);
}

#[tokio::test]
async fn a_narrower_scope_must_pass_its_test() {
    let world = World::new().await;
    let sync = syncing(&world).await;
    let tests = world.source.calls().checks_of_path;
    edit(&world, &sync, vec![SyncEdit::Concurrency(1)])
        .await
        .unwrap();
    assert_eq!(world.source.calls().checks_of_path, tests);
    world.source.next_report(denied());
    let update_both = UpdateSync {
        edits: vec![prefix("a/"), SyncEdit::Concurrency(2)],
        wish: Some(RunWish::Pause),
        ..UpdateSync::default()
    };
    let refused = update(&world, &sync, update_both.clone()).await;
    assert!(
        matches!(refused, Err(EngineError::ConnectionTestFailed(_))),
        "{refused:?}"
    );
    let unchanged = world.stored(&sync).await;
    assert_eq!(unchanged.settings.sync_concurrency, 1);
    assert_eq!(
        (unchanged.settings.prefix(), unchanged.paused),
        (None, None)
    );
    let changed = update(&world, &sync, update_both).await.unwrap();
    assert_eq!(changed.settings.prefix(), Some("a/"));
    assert!(changed.paused.is_some());
    let refused = edit(&world, &sync, vec![prefix("/")]).await;
    assert!(
        matches!(refused, Err(EngineError::Invalid(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_sync_is_paused_for_the_reason_that_was_given_and_that_is_told_once() {
    let mut world = World::new().await;
    let sync = syncing(&world).await;
    world.caller.origin.reason = Some("moving house".to_owned());
    for _ in 0..2 {
        let paused = world
            .engine
            .pause_sync(&world.caller, &world.bucket, sync.id.as_str())
            .await
            .unwrap();
        let pause = paused.paused.expect("it is paused");
        assert_eq!(pause.reason.as_deref(), Some("moving house"));
        assert_eq!(pause.by, world.caller.principal.user);
    }
    assert_eq!(world.audited(Action::SyncPaused).await.len(), 1);
    assert!(!world.run().await, "a paused sync does not run");
    for _ in 0..2 {
        world
            .engine
            .resume_sync(&world.caller, &world.bucket, sync.id.as_str())
            .await
            .unwrap();
    }
    assert_eq!(world.audited(Action::SyncResumed).await.len(), 1);
    assert!(world.run().await, "a resumed one does, at once");
}
