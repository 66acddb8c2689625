//! Plans, and the runs that follow them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::estimate::Plan;
use wharf_domain::job::Job;
use wharf_domain::sync::{Sync, SyncMode, SyncSettings};
use wharf_engine::{CreateSync, EngineError};
use wharf_testkit::build;
use wharf_testkit::provider::{Failure, Times};

use crate::world::{World, filled, settings_with};

const BUDGET: Duration = Duration::from_secs(25);

async fn planned(world: &World, sync: &Sync) -> Plan {
    let sync = world.stored(sync).await;
    let plan = world.engine.plan_sync(&world.caller, &sync, BUDGET).await;
    plan.unwrap()
}

async fn planned_anew(
    world: &World,
    connection: &Connection,
    settings: SyncSettings,
) -> Result<Plan, EngineError> {
    let new = CreateSync {
        connection: connection.id.clone(),
        mode: SyncMode::Continuous,
        settings,
    };
    let engine = &world.engine;
    engine
        .plan_new_sync(&world.caller, &world.bucket, &new, BUDGET)
        .await
}

/// A plan and the run that followed tell of the same.
#[track_caller]
fn assert_same(plan: &Plan, job: &Job) {
    let counters = &job.counters;
    assert_eq!(plan.incomplete_reason, job.incomplete_reason);
    assert_eq!(plan.entries, counters.discovered);
    assert_eq!(plan.would_add + plan.would_update, counters.synced);
    assert_eq!(plan.bytes_to_copy, counters.bytes);
    assert_eq!(plan.unchanged, counters.verified);
    assert_eq!(plan.filtered_by, counters.filtered_by);
    assert_eq!(plan.skipped_by, counters.skipped_by);
    assert_eq!(plan.failed_by, counters.failed_by);
    assert_eq!(plan.would_delete, Some(counters.deleted));
    let held = plan.would_hold.as_ref().map_or(0, |held| held.count);
    assert_eq!(held, counters.held);
    assert_eq!(plan.undecided, 0);
}

#[tokio::test]
async fn the_first_run_does_what_was_planned_before_the_sync_was_there() {
    let world = filled(250).await;
    world.source.set_page_size(60);
    for name in ["x.tmp", "y.tmp", "z.png"] {
        world.source.put(&format!("media/{name}"), "12345");
    }
    world
        .source
        .make_unreadable("media/0007", "resource.archived");
    let connection = world.connect("store").await;
    let settings = settings_with(json!({"exclude_patterns": ["*.tmp"], "min_size_bytes": 5}));
    world.source.forget_calls();
    let plan = planned_anew(&world, &connection, settings.clone())
        .await
        .unwrap();
    let calls = world.source.calls();
    assert_eq!((calls.lists, calls.fetches, calls.looks), (5, 0, 0));
    assert_eq!((plan.entries, plan.would_add), (253, 250));
    assert_eq!(plan.by_type["image/png"], 1);
    assert_eq!(world.objects(true).await, []);

    world.source.forget_calls();
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    assert_eq!(
        planned(&world, &sync).await,
        plan,
        "stored or not, it is the same"
    );
    world.source.forget_calls();
    world.run().await;
    assert_same(&plan, &world.last_job(&sync).await);
    let calls = world.source.calls();
    assert_eq!(plan.provider_calls, calls.lists + calls.fetches);
}

#[tokio::test]
async fn a_later_run_does_what_was_planned_too() {
    let world = filled(200).await;
    world.source.set_page_size(30);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    let objects = world.objects(false).await;
    let object = objects
        .iter()
        .find(|object| object.source.object == "media/0009")
        .unwrap();
    world
        .engine
        .delete_object(&world.caller, &world.bucket, object.id.as_str())
        .await
        .unwrap();
    world.source.put("media/0003", "changed");
    world.source.put("media/new", "new");
    for n in (100..110).chain(199..200) {
        world.source.remove(&format!("media/{n:04}"));
    }
    let before = (
        world.stored(&sync).await,
        world.objects(true).await,
        world.jobs(&sync).await,
    );
    let plan = planned(&world, &sync).await;
    let after = (
        world.stored(&sync).await,
        world.objects(true).await,
        world.jobs(&sync).await,
    );
    assert_eq!(before, after, "nothing was written");
    assert_eq!(
        (plan.would_add, plan.would_update, plan.would_delete),
        (1, 1, Some(11))
    );
    assert_eq!(
        plan.skipped_by,
        BTreeMap::from([("deleted_by_person".to_owned(), 1)])
    );
    world.next_run().await;
    assert_same(&plan, &world.last_job(&sync).await);
    let quiet = planned(&world, &sync).await;
    assert_eq!(
        (quiet.unchanged, quiet.would_delete, quiet.bytes_to_copy),
        (189, Some(0), 0)
    );
    world.next_run().await;
    assert_same(&quiet, &world.last_job(&sync).await);
}

#[tokio::test]
async fn deletes_that_would_wait_are_told_as_such() {
    let world = filled(200).await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.lose(0.6);
    let plan = planned(&world, &sync).await;
    assert_eq!(plan.would_delete, Some(0));
    let held = plan.would_hold.clone().unwrap();
    assert_eq!(held.count, 120);
    world.next_run().await;
    assert_same(&plan, &world.last_job(&sync).await);
    let told = world.stored(&sync).await.held_deletes.unwrap();
    assert_eq!(told.reason, held.reason);
    let second = planned(&world, &sync).await;
    assert_eq!(
        (second.would_delete, &second.would_hold),
        (Some(120), &None)
    );
    world.next_run().await;
    assert_same(&second, &world.last_job(&sync).await);
}

#[tokio::test]
async fn content_types_that_names_tell_are_decided_as_the_run_decides_them() {
    let world = World::new().await;
    for (name, kind) in [
        ("a.png", "image/png"),
        ("b.txt", "text/plain"),
        ("c.png", "image/png"),
    ] {
        world.source.put(&format!("media/{name}"), name);
        world
            .source
            .set_content_type(&format!("media/{name}"), kind);
    }
    let connection = world.connect("store").await;
    let settings = settings_with(json!({"mime_types": ["image/*"]}));
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    let plan = planned(&world, &sync).await;
    assert_eq!(plan.would_add, 2);
    world.run().await;
    assert_same(&plan, &world.last_job(&sync).await);
    let again = planned(&world, &sync).await;
    assert_eq!(
        (again.unchanged, again.provider_calls),
        (2, 1),
        "what was left out is remembered"
    );
    world.next_run().await;
    assert_same(&again, &world.last_job(&sync).await);
}

#[tokio::test]
async fn what_another_sync_brought_is_a_duplicate_before_the_sync_is_there() {
    let world = filled(5).await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    world.source.put("media/new", "1");
    let plan = planned_anew(&world, &connection, build::sync_settings())
        .await
        .unwrap();
    assert_eq!((plan.would_add, plan.skipped_by["duplicate"]), (1, 5));
    let second = world.sync(&connection, SyncMode::Continuous).await;
    world.run().await;
    assert_same(&plan, &world.last_job(&second).await);
}

#[tokio::test]
async fn a_plan_tells_what_it_saw_when_its_listing_breaks_off() {
    let world = filled(50).await;
    world.source.set_page_size(20);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let denied = Failure::permanent(ErrorCode::PermDenied);
    world.source.fail_page(2, denied.clone(), Times::Always);
    let cut = planned(&world, &sync).await;
    assert_eq!((cut.entries, cut.would_delete), (20, None));
    assert_eq!(cut.incomplete_reason.as_deref(), Some("perm.denied"));
    world.source.fail_page(1, denied, Times::Always);
    let stored = world.stored(&sync).await;
    let error = world
        .engine
        .plan_sync(&world.caller, &stored, BUDGET)
        .await
        .unwrap_err();
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
    world.source.heal();
    world.source.repeat_token();
    let circles = planned(&world, &sync).await;
    assert_eq!(
        circles.incomplete_reason.as_deref(),
        Some("protocol.unexpected_response")
    );
    world.source.heal();
    world.source.deny_scope("media/001");
    let denied = planned(&world, &sync).await;
    assert_eq!((denied.entries, denied.would_delete), (40, None));
    assert_eq!(denied.incomplete_reason.as_deref(), Some("scope_denied"));
    world.source.heal();
    let away = Failure::transient(ErrorCode::ProviderUnavailable);
    world.source.fail_page(2, away, Times::Once);
    assert_eq!(
        planned(&world, &sync).await.entries,
        50,
        "what passes is tried again"
    );
}

#[tokio::test]
async fn a_plan_ends_when_its_time_is_up() {
    let world = filled(50).await;
    world.source.set_page_size(20);
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world
        .source
        .before_list(|_| tokio::time::sleep(Duration::from_millis(200)));
    let budget = Duration::from_millis(300);
    let plan = world
        .engine
        .plan_sync(&world.caller, &sync, budget)
        .await
        .unwrap();
    assert_eq!(plan.incomplete_reason.as_deref(), Some("budget_seconds"));
    assert_eq!((plan.entries, plan.would_delete), (20, None));
}

#[tokio::test]
async fn what_cannot_be_created_or_read_through_cannot_be_planned() {
    let world = filled(1).await;
    let connection = world.connect("store").await;
    let nowhere = SyncSettings {
        source_path: "  ".to_owned(),
        ..build::sync_settings()
    };
    let error = planned_anew(&world, &connection, nowhere)
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::Invalid(_)), "{error}");
    let archived = world
        .engine
        .archive_connection(&world.caller, "store", None)
        .await;
    archived.unwrap();
    let error = planned_anew(&world, &connection, build::sync_settings())
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
        "{error}"
    );
}
