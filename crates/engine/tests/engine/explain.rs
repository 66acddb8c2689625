//! Why a file is, or is not, in the bucket: one file of each kind, made so by real runs.

use std::time::Duration;

use wharf_domain::connection::PublicStatus;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::explain::{Decision, Explanation};
use wharf_domain::sync::{Sync, SyncMode, SyncSettings};
use wharf_engine::{EngineError, UpdateConnection};
use wharf_testkit::build;
use wharf_testkit::provider::{Failure, Times};

use crate::world::{World, filled, settings_with};

async fn explained(world: &World, sync: &Sync, source: &str) -> Explanation {
    let sync = world.stored(sync).await;
    world
        .engine
        .explain(&world.caller, &world.bucket, &sync, source)
        .await
        .unwrap()
}

async fn refused(world: &World, sync: &Sync, source: &str) -> EngineError {
    let sync = world.stored(sync).await;
    let told = world
        .engine
        .explain(&world.caller, &world.bucket, &sync, source)
        .await;
    told.unwrap_err()
}

/// How often the provider was asked for an explanation.
fn looks(world: &World) -> u64 {
    world.source.calls().looks
}

async fn set_status(world: &World, status: PublicStatus) {
    let change = UpdateConnection {
        status: Some(status),
        ..UpdateConnection::default()
    };
    world
        .engine
        .update_connection(&world.caller, "store", change)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_copied_is_told_without_asking_the_provider() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let job = world.last_job(&sync).await;
    let objects = world.objects(false).await;
    let object = objects
        .iter()
        .find(|object| object.source.object == "media/0001");
    for source in ["0001", "media/0001", "s3://media/0001"] {
        let told = explained(&world, &sync, source).await;
        assert_eq!(told.decision, Decision::Ingested);
        assert_eq!(told.object.as_ref(), object.map(|object| &object.id));
        assert_eq!(told.job.as_ref(), Some(&job.id));
    }
    assert_eq!(looks(&world), 0);
}

#[tokio::test]
async fn what_is_not_there_takes_one_question() {
    let world = filled(1).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    assert_eq!(
        explained(&world, &sync, "missing").await.decision,
        Decision::NotVisible
    );
    assert_eq!(looks(&world), 1);
    assert_eq!(
        explained(&world, &sync, "s3://other/a").await.decision,
        Decision::OutOfScope
    );
    assert_eq!(looks(&world), 1);
    world.source.put("media/later", "1");
    assert_eq!(
        explained(&world, &sync, "later").await.decision,
        Decision::NotReached
    );
    world
        .source
        .make_unreadable("media/later", "resource.archived");
    let skipped = explained(&world, &sync, "later").await;
    assert_eq!(skipped.decision, Decision::Skipped);
    assert_eq!(skipped.evidence["reason"], "resource.archived");
    let denial = Failure::permanent(ErrorCode::PermDenied);
    world.source.fail_look("media/later", denial, Times::Once);
    let denied = explained(&world, &sync, "later").await;
    assert_eq!((denied.decision, looks(&world)), (Decision::NotVisible, 4));
    assert_eq!(denied.evidence["error_code"], "perm.denied");
}

#[tokio::test]
async fn a_rule_is_named_that_leaves_a_file_out_in_either_stage() {
    let world = World::new().await;
    for name in ["a.txt", "b.tmp", "c.bin"] {
        world.source.put(&format!("media/{name}"), name);
    }
    world.source.set_content_type("media/a.txt", "text/plain");
    let filters = serde_json::json!({"exclude_patterns": ["*.tmp"], "mime_types": ["text/*"]});
    let connection = world.connect("store").await;
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings_with(filters))
        .await;
    let before = explained(&world, &sync, "c.bin").await;
    assert_eq!(
        (before.decision, &before.evidence["rule"]),
        (Decision::Filtered, &"mime_types".into())
    );
    world.run().await;
    assert_eq!(
        explained(&world, &sync, "a.txt").await.decision,
        Decision::Ingested
    );
    for (name, rule) in [("b.tmp", "exclude_patterns"), ("c.bin", "mime_types")] {
        let told = explained(&world, &sync, name).await;
        assert_eq!(
            (told.decision, &told.evidence["rule"]),
            (Decision::Filtered, &rule.into())
        );
    }
}

#[tokio::test]
async fn a_duplicate_names_what_copied_it() {
    let world = filled(1).await;
    let connection = world.connect("store").await;
    let first = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let second = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    assert_eq!(
        explained(&world, &first, "0000").await.decision,
        Decision::Ingested
    );
    let told = explained(&world, &second, "0000").await;
    assert_eq!(told.decision, Decision::Duplicate);
    assert_eq!(told.evidence["copied_by_sync"], first.id.as_str());
    assert_eq!(told.evidence["held"], true);
}

#[tokio::test]
async fn what_a_capped_run_did_not_come_to_is_over_the_cap() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    let settings = SyncSettings {
        max_objects_per_run: 2,
        ..build::sync_settings()
    };
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    assert_eq!(
        explained(&world, &sync, "0001").await.decision,
        Decision::Ingested
    );
    assert_eq!(
        explained(&world, &sync, "0002").await.decision,
        Decision::OverCap
    );
    world.source.put("media/0000-later", "1");
    assert_eq!(
        explained(&world, &sync, "0000-later").await.decision,
        Decision::NotReached
    );
}

#[tokio::test]
async fn a_dead_letter_is_told_with_its_cause_and_next_try() {
    let world = filled(2).await;
    let connection = world.connect("store").await;
    let denial = Failure::permanent(ErrorCode::PermDenied);
    world.source.fail_fetch("media/0001", denial, Times::Always);
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let told = explained(&world, &sync, "0001").await;
    assert_eq!(told.decision, Decision::DeadLetter);
    assert_eq!(told.evidence["error_type"], "perm.denied");
    assert!(told.evidence["next_try_at"].is_string());
    assert!(told.dead_letter.is_some());
    assert_eq!(told.job, Some(world.last_job(&sync).await.id));
    assert_eq!(looks(&world), 0);
}

#[tokio::test]
async fn tombstones_tell_who_deleted_them_and_until_when_they_come_back() {
    let world = filled(3).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let objects = world.objects(false).await;
    let object = objects
        .iter()
        .find(|object| object.source.object == "media/0000")
        .unwrap();
    world
        .engine
        .delete_object(&world.caller, &world.bucket, object.id.as_str())
        .await
        .unwrap();
    let person = explained(&world, &sync, "0000").await;
    assert_eq!(
        (person.decision, &person.evidence["deleted_by"]),
        (Decision::Deleted, &"person".into())
    );
    assert_eq!(looks(&world), 0);
    world.source.remove("media/0001");
    world.next_run().await;
    let source = explained(&world, &sync, "0001").await;
    assert_eq!(
        (source.decision, &source.evidence["deleted_by"]),
        (Decision::Deleted, &"source".into())
    );
    assert!(source.evidence["restorable_until"].is_string());
    assert!(source.object.is_some());
    world.source.put("media/0001", "back");
    assert_eq!(
        explained(&world, &sync, "0001").await.decision,
        Decision::NotReached
    );
}

#[tokio::test]
async fn a_connection_that_is_not_in_use_refuses_only_what_needs_the_provider() {
    let world = filled(2).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    set_status(&world, PublicStatus::Suspended).await;
    world.source.put("media/later", "1");
    assert_eq!(
        explained(&world, &sync, "0001").await.decision,
        Decision::Ingested
    );
    let EngineError::Conflict { code, .. } = refused(&world, &sync, "later").await else {
        panic!("a conflict");
    };
    assert_eq!(code, "connection_inactive");
    world
        .engine
        .archive_connection(&world.caller, connection.id.as_str(), None)
        .await
        .unwrap();
    assert_eq!(
        explained(&world, &sync, "0001").await.decision,
        Decision::Ingested
    );
    let EngineError::Conflict { code, .. } = refused(&world, &sync, "later").await else {
        panic!("a conflict");
    };
    assert_eq!(code, "connection_archived");
    assert_eq!(looks(&world), 0);
}

#[tokio::test]
async fn a_provider_that_cannot_answer_is_no_explanation() {
    let world = filled(2).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.put("media/later", "1");
    let away = Failure::transient(ErrorCode::ProviderUnavailable);
    world.source.fail_look("media/later", away, Times::Always);
    let error = refused(&world, &sync, "later").await;
    assert!(
        matches!(
            error,
            EngineError::ProviderAway {
                code: ErrorCode::ProviderUnavailable,
                after: None,
                ..
            }
        ),
        "{error}"
    );
    let expired = Failure::permanent(ErrorCode::AuthExpired);
    world
        .source
        .fail_look("media/later", expired, Times::Always);
    let error = refused(&world, &sync, "later").await;
    assert!(
        matches!(
            error,
            EngineError::Conflict {
                code: "provider_refused",
                ..
            }
        ),
        "{error}"
    );
    // What is stored is an answer all the same.
    world.source.remove("media/0001");
    world.next_run().await;
    let expired = Failure::permanent(ErrorCode::AuthExpired);
    world.source.fail_look("media/0001", expired, Times::Always);
    assert_eq!(
        explained(&world, &sync, "0001").await.decision,
        Decision::Deleted
    );
}

#[tokio::test]
async fn a_throttled_question_closes_the_gate_for_the_next_one() {
    let world = filled(1).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let throttled = Failure::after(ErrorCode::QuotaRateLimited, Duration::from_secs(100));
    world.source.fail_look("media/a", throttled, Times::Once);
    for _ in 0..2 {
        let error = refused(&world, &sync, "a").await;
        let EngineError::ProviderAway { code, after, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(code, ErrorCode::QuotaRateLimited);
        let after = after.unwrap();
        assert!(after > Duration::from_secs(90) && after <= Duration::from_secs(100));
    }
    assert_eq!(looks(&world), 1, "nothing went out to a closed gate");
}
