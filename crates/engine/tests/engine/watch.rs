//! The health watch, stepped on a fake clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, Actor};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::{Connection, Health, PublicStatus};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::health::{CheckCause, Rhythm};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::{Provider, parse_new};
use wharf_domain::sync::SyncMode;
use wharf_domain::sync_edit::SyncEdit;
use wharf_engine::{
    CheckHistory, ConfigFields, CreateConnection, CreateSync, Engine, EngineError,
    UpdateConnection, UpdateSync, Watcher,
};
use wharf_ports::Clock;
use wharf_sqlite::SqliteDatabase;
use wharf_testkit::provider::FakeProviderFactory;
use wharf_testkit::{TestSeal, build};

use crate::world::{World, fields, new_connection, s3_config};

const INTERVAL: Duration = Duration::from_mins(5);

fn failing(code: ErrorCode) -> CheckReport {
    CheckReport {
        checks: vec![Check::failed("sign_in", code, None, code.remedy(), 1)],
    }
}

fn passing_until(end: Option<Timestamp>) -> CheckReport {
    CheckReport {
        checks: vec![Check::passed("sign_in", 1).until(end)],
    }
}

/// Makes the check that is due by this engine; whether there was one.
async fn watched(engine: &Engine) -> bool {
    let watcher = Watcher::new(engine.clone());
    watcher.watch_once(&CancellationToken::new()).await.unwrap()
}

/// Lets the clock come to the connection's next check and makes it; how long that took.
async fn next_check(world: &World, connection: &Connection) -> TimeDelta {
    let planned = world.connection(connection).await.next_check_at;
    let planned = planned.expect("a check is planned");
    let began = world.clock.now();
    world.clock.set(planned - TimeDelta::microseconds(1));
    assert!(!watched(&world.engine).await, "not due yet");
    world.clock.set(planned);
    assert!(watched(&world.engine).await, "due now");
    planned - began
}

async fn history(world: &World, connection: &Connection) -> CheckHistory {
    let page = PageRequest::first(100);
    let id = connection.id.as_str();
    let history = world.engine.check_history(&world.caller, id, &page).await;
    history.unwrap()
}

async fn tested(world: &World, name: &str) -> Connection {
    let tested = world.engine.test_connection(&world.caller, name, None);
    tested.await.unwrap().connection
}

async fn set_status(engine: &Engine, world: &World, status: PublicStatus) {
    let change = UpdateConnection {
        status: Some(status),
        ..UpdateConnection::default()
    };
    let updated = engine.update_connection(&world.caller, "store", change);
    updated.await.unwrap();
}

/// What somebody does once, in the middle of the next check.
fn during_next_check<F: Future<Output = ()> + Send + 'static>(
    world: &World,
    act: impl Fn() -> F + Send + Sync + 'static,
) {
    let done = AtomicBool::new(false);
    world.source.before_check(move || {
        let first = !done.swap(true, Ordering::SeqCst);
        let acting = first.then(&act);
        async move {
            if let Some(acting) = acting {
                acting.await;
            }
        }
    });
}

#[tokio::test]
async fn a_connection_that_works_is_checked_again_and_again_a_little_before_its_interval_ends() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    assert!(!watched(&world.engine).await, "it was tested just now");
    for _ in 0..3 {
        let pause = next_check(&world, &connection).await.to_std().unwrap();
        assert!(
            (INTERVAL.mul_f64(0.9)..=INTERVAL).contains(&pause),
            "{pause:?}"
        );
    }
    let rows = world.audited(Action::ConnectionTested).await;
    assert_eq!(rows.len(), 3, "every use of the credentials leaves a row");
    assert!(rows.iter().all(|row| row.origin.actor == Actor::System));
    let history = history(&world, &connection).await;
    assert_eq!(history.checks.total, 3);
    assert_eq!(history.availability.day.passed, 3);
    assert_eq!(history.availability.day.share(), Some(1.0));
    assert_eq!(world.connection(&connection).await.last_used_at, None);
}

#[tokio::test]
async fn failures_back_off_and_double_and_the_fifth_stops_the_checks_until_a_person_acts() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    world.source.set_report(failing(ErrorCode::NetworkTimeout));
    next_check(&world, &connection).await;
    for minutes in [15, 30, 60, 120] {
        assert!(world.connection(&connection).await.is_active());
        let pause = next_check(&world, &connection).await.num_seconds();
        assert!((minutes * 54..=minutes * 60).contains(&pause), "{pause} s");
    }
    let tripped = world.connection(&connection).await;
    assert_eq!(tripped.status(), PublicStatus::Suspended);
    assert_eq!(tripped.next_check_at, None);
    world.clock.advance(Duration::from_hours(1000));
    assert!(!watched(&world.engine).await);
    assert!(!tested(&world, "store").await.is_active());
    assert!(
        !watched(&world.engine).await,
        "a test alone brings nothing back"
    );
    let rows = world.audited(Action::ConnectionTested).await;
    let change = json!({"from": "ACTIVE", "to": "SUSPENDED"});
    let told = rows.iter().filter(|row| row.changes["status"] == change);
    assert_eq!(told.count(), 1, "one notification");

    world.source.set_report(passing_until(None));
    set_status(&world.engine, &world, PublicStatus::Active).await;
    let back = world.connection(&connection).await;
    assert_eq!((back.is_active(), back.health), (true, Health::Healthy));
    next_check(&world, &connection).await;
}

#[tokio::test]
async fn a_failed_connection_recovers_by_a_check_that_passes() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    world.source.next_report(failing(ErrorCode::PermDenied));
    next_check(&world, &connection).await;
    let failed = world.connection(&connection).await;
    assert_eq!(failed.status(), PublicStatus::Failed);
    next_check(&world, &connection).await;
    let recovered = world.connection(&connection).await;
    assert_eq!(recovered.status(), PublicStatus::Active);
    assert_eq!(
        (recovered.health, recovered.last_error),
        (Health::Healthy, None)
    );
    let checks = history(&world, &connection).await.checks.items;
    let statuses: Vec<PublicStatus> = checks.iter().map(|check| check.status).collect();
    assert_eq!(statuses, [PublicStatus::Active, PublicStatus::Failed]);
}

#[tokio::test]
async fn a_password_that_was_refused_is_not_tried_again_before_a_person_acts() {
    let world = World::new().await;
    let providers = FakeProviderFactory::new(world.source.clone());
    let engine = world.engine_with(Arc::new(providers.supporting(&[Provider::Snowflake])));
    let config = json!({
        "account": "org-account", "warehouse": "WH",
        "credentials": {"type": "username_password", "username": "wharf", "password": "hunter2hunter2"},
    });
    let new = CreateConnection {
        provider_config: parse_new(Provider::Snowflake, fields(config), "provider_config").unwrap(),
        ..new_connection("store", true)
    };
    let connection = engine.create_connection(&world.caller, new).await.unwrap();
    world.source.next_report(failing(ErrorCode::NetworkConnect));
    world
        .source
        .next_report(failing(ErrorCode::AuthInvalidCredentials));
    for _ in 0..2 {
        world.clock.advance(Duration::from_mins(15));
        assert!(watched(&engine).await);
    }
    let failed = world.connection(&connection).await;
    assert_eq!(failed.status(), PublicStatus::Failed);
    assert_eq!(
        (failed.health.consecutive_failures(), failed.next_check_at),
        (2, None)
    );
    world.clock.advance(Duration::from_hours(1000));
    assert!(
        !watched(&engine).await,
        "another refusal could lock the account"
    );

    for code in [ErrorCode::NetworkConnect, ErrorCode::QuotaRateLimited] {
        world.source.next_report(failing(code));
        let tested = engine.test_connection(&world.caller, "store", None).await;
        assert_eq!(tested.unwrap().connection.next_check_at, None, "{code}");
    }
    let passed = engine.test_connection(&world.caller, "store", None).await;
    let passed = passed.unwrap().connection;
    assert_eq!(passed.status(), PublicStatus::Active);
    assert!(passed.next_check_at.is_some(), "it is watched again");
}

#[tokio::test]
async fn what_cannot_be_decided_keeps_the_ordinary_rhythm_and_the_health() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let adapterless = Arc::new(FakeProviderFactory::new(world.source.clone()).supporting(&[]));
    let engines = [
        (world.engine_with(adapterless), "adapter.missing"),
        (world.engine_with_another_ring(), "integrity_error"),
        (world.engine.clone(), "quota.rate_limited"),
    ];
    world
        .source
        .set_report(failing(ErrorCode::QuotaRateLimited));
    for (engine, code) in engines {
        world.clock.advance(INTERVAL);
        assert!(watched(&engine).await);
        let checked = world.connection(&connection).await;
        assert_eq!(
            (checked.is_active(), checked.health),
            (true, Health::Healthy)
        );
        assert!(checked.last_error.unwrap().contains(code));
        assert!(checked.next_check_at.unwrap() <= world.clock.now() + INTERVAL);
    }
    let availability = history(&world, &connection).await.availability;
    assert_eq!(
        (availability.day.undecided, availability.day.share()),
        (3, None)
    );
}

#[tokio::test]
async fn two_watchers_never_check_the_same_connection_at_once() {
    let world = World::new().await;
    world.connect("store").await;
    world.source.forget_calls();
    world.clock.advance(INTERVAL);
    let go_on = Arc::new(Notify::new());
    let (waiting, asked) = (go_on.clone(), Arc::new(Notify::new()));
    let began = asked.clone();
    world.source.before_check(move || {
        began.notify_one();
        let waiting = waiting.clone();
        async move { waiting.notified().await }
    });
    let engine = world.engine.clone();
    let first = tokio::spawn(async move { watched(&engine).await });
    asked.notified().await;
    assert!(!watched(&world.engine).await, "the first has it");
    go_on.notify_one();
    assert!(first.await.unwrap());
    assert!(!watched(&world.engine).await, "it was checked just now");
    assert_eq!(world.source.calls().checks, 1);
}

#[tokio::test]
async fn a_check_that_outlives_its_lease_is_made_again_and_recorded_once() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    world.clock.advance(INTERVAL);
    let (engine, clock) = (world.engine.clone(), world.clock.clone());
    during_next_check(&world, move || {
        let (engine, clock) = (engine.clone(), clock.clone());
        async move {
            clock.advance(Duration::from_mins(10));
            assert!(watched(&engine).await, "the lease is over");
        }
    });
    world.source.next_report(passing_until(None));
    world.source.next_report(failing(ErrorCode::PermDenied));
    assert!(watched(&world.engine).await);
    assert_eq!(world.connection(&connection).await.health, Health::Healthy);
    assert_eq!(history(&world, &connection).await.checks.total, 1);
}

#[tokio::test]
async fn what_a_person_changes_during_a_check_is_not_undone_by_its_result() {
    let world = Arc::new(World::new().await);
    let connection = world.connect("store").await;
    let inner = world.clone();
    during_next_check(&world, move || {
        let world = inner.clone();
        async move {
            let change = UpdateConnection {
                provider_config: Some(ConfigFields::new(fields(s3_config("second secret")))),
                ..UpdateConnection::default()
            };
            let updated = world
                .engine
                .update_connection(&world.caller, "store", change);
            updated.await.unwrap();
        }
    });
    world.source.next_report(passing_until(None));
    world
        .source
        .next_report(failing(ErrorCode::AuthInvalidCredentials));
    next_check(&world, &connection).await;
    let changed = world.connection(&connection).await;
    assert_eq!(
        (changed.is_active(), changed.health),
        (true, Health::Healthy)
    );
    assert_eq!(changed.last_error, None);
    let checks = history(&world, &connection).await.checks.items;
    assert_eq!(checks.len(), 1, "it is in the history all the same");
    assert!(!checks[0].check.report.success());
    assert_eq!(checks[0].status, PublicStatus::Active);

    let inner = world.clone();
    during_next_check(&world, move || {
        let world = inner.clone();
        async move { set_status(&world.engine, &world, PublicStatus::Suspended).await }
    });
    next_check(&world, &connection).await;
    let resting = world.connection(&connection).await;
    assert_eq!(resting.status(), PublicStatus::Suspended);
    assert_eq!(resting.next_check_at, None, "what rests is not checked");
    world.clock.advance(INTERVAL);
    assert!(!watched(&world.engine).await);
    set_status(&world.engine, &world, PublicStatus::Active).await;
    next_check(&world, &connection).await;
}

#[tokio::test]
async fn a_stop_gives_the_check_back_at_once() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    world.clock.advance(INTERVAL);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    during_next_check(&world, move || {
        stopped.cancel();
        std::future::pending()
    });
    let watcher = Watcher::new(world.engine.clone());
    assert!(watcher.watch_once(&stop).await.unwrap());
    assert_eq!(history(&world, &connection).await.checks.total, 0);
    assert!(watched(&world.engine).await, "another one may have it");
    assert_eq!(history(&world, &connection).await.checks.total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_makes_several_checks_at_once_but_not_all_of_them() {
    let world = World::new().await;
    for n in 0..20 {
        world.connect(&format!("store {n}")).await;
    }
    world.source.forget_calls();
    world.clock.advance(INTERVAL);
    let turnstile = Arc::new(Semaphore::new(0));
    let inside = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (gate, count, peak) = (turnstile.clone(), inside.clone(), most.clone());
    world.source.before_check(move || {
        let (gate, count) = (gate.clone(), count.clone());
        let now = count.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(now, Ordering::SeqCst);
        async move {
            gate.acquire().await.unwrap().forget();
            count.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let stop = CancellationToken::new();
    let watcher = Watcher::new(world.engine.clone());
    let stopping = stop.clone();
    let watching = tokio::spawn(async move { watcher.watch(&stopping).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(inside.load(Ordering::SeqCst), 8);
    turnstile.add_permits(20);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.source.calls().checks, 20);
    assert_eq!(most.load(Ordering::SeqCst), 8);
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn checks_that_are_due_together_leave_room_for_other_writes_where_there_is_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wharf.db");
    let database = SqliteDatabase::open(path.to_str().unwrap()).await.unwrap();
    let world = World::on(|_| database.repositories(Arc::new(TestSeal))).await;
    let moment = Duration::from_millis(20);
    let engine = world.engine_in(Rhythm {
        interval: moment,
        probe_backoff: moment,
    });
    for n in 0..10 {
        let new = new_connection(&format!("store {n}"), true);
        engine.create_connection(&world.caller, new).await.unwrap();
    }
    world.source.forget_calls();
    let stop = CancellationToken::new();
    let (watcher, stopping) = (Watcher::new(engine), stop.clone());
    let watching = tokio::spawn(async move { watcher.watch(&stopping).await });
    for n in 0..50 {
        let name = format!("another {n}");
        let write = world.connect(&name);
        let written = tokio::time::timeout(Duration::from_secs(10), write).await;
        assert!(written.is_ok(), "write {n} waited for the watch");
    }
    stop.cancel();
    watching.await.unwrap();
    assert!(world.source.calls().checks > 60, "the watch was at work");
}

#[tokio::test]
async fn a_run_brings_the_checks_back_to_their_rhythm_or_puts_them_off() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    world.sync(&connection, SyncMode::Continuous).await;
    world.source.next_report(failing(ErrorCode::NetworkTimeout));
    next_check(&world, &connection).await;
    let planned = async || {
        let stored = world.connection(&connection).await;
        stored.next_check_at.unwrap() - world.clock.now()
    };
    let backing_off = planned().await.to_std().unwrap();
    assert!(backing_off > INTERVAL, "{backing_off:?}");
    assert!(world.run().await);
    assert_eq!(world.connection(&connection).await.health, Health::Healthy);
    let ordinary = planned().await.to_std().unwrap();
    assert!(ordinary <= INTERVAL, "{ordinary:?}");
}

#[tokio::test]
async fn a_test_that_keeps_a_sync_from_being_saved_leaves_a_row() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world.source.set_report(failing(ErrorCode::PermDenied));
    let (engine, caller) = (&world.engine, &world.caller);
    let new = CreateSync {
        connection: connection.id.clone(),
        mode: SyncMode::Continuous,
        settings: build::sync_settings(),
    };
    let refused = engine.create_sync(caller, &world.bucket, new).await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    let narrower = ProviderFilters {
        prefix: Some("a".to_owned()),
        ..ProviderFilters::default()
    };
    let update = UpdateSync {
        edits: vec![SyncEdit::ProviderFilters(Some(narrower))],
        ..UpdateSync::default()
    };
    let id = sync.id.as_str();
    let refused = engine.update_sync(caller, &world.bucket, id, update).await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    let rows = world.audited(Action::ConnectionTested).await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row.resource_id, connection.id.as_str());
        assert_eq!(row.changes["saved"], false);
    }
}

#[tokio::test]
async fn an_expiry_is_warned_about_once_and_another_one_again() {
    const DAY: Duration = Duration::from_hours(24);
    let world = World::new().await;
    let connection = world.connect("store").await;
    let warnings = async || world.audited(Action::ConnectionExpiring).await;
    let end = world.clock.now() + 20 * DAY;
    world.source.set_report(passing_until(Some(end)));
    next_check(&world, &connection).await;
    assert_eq!(world.connection(&connection).await.expires_at, Some(end));
    assert!(warnings().await.is_empty(), "that is far away");
    world.clock.advance(7 * DAY);
    for _ in 0..3 {
        assert!(watched(&world.engine).await);
        world.clock.advance(INTERVAL);
    }
    let warned = warnings().await;
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0].resource_id, connection.id.as_str());
    let told = warned[0].changes["expires_at"].as_str().unwrap();
    assert_eq!(told.parse::<Timestamp>().unwrap(), end);

    world
        .source
        .set_report(failing(ErrorCode::ProviderUnavailable));
    assert!(watched(&world.engine).await);
    world.clock.advance(INTERVAL);
    let renewed = world.clock.now() + 2 * DAY;
    world.source.set_report(passing_until(Some(renewed)));
    assert!(watched(&world.engine).await);
    assert_eq!(warnings().await.len(), 2);
    let tested = tested(&world, "store").await;
    assert_eq!(tested.expires_at, Some(renewed));
    assert_eq!(
        warnings().await.len(),
        2,
        "a person's test knows of it, too"
    );
}

#[tokio::test]
async fn the_history_tells_who_asked_and_nothing_of_paths() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    next_check(&world, &connection).await;
    let denied = Check::failed("list", ErrorCode::PermDenied, None, "Grant it.", 1).of_path();
    world.source.next_report(CheckReport {
        checks: vec![Check::passed("sign_in", 1), denied],
    });
    let asked = world
        .engine
        .test_connection(&world.caller, "store", Some("media"));
    let asked = asked.await.unwrap();
    assert!(!asked.report.success());
    assert!(asked.connection.is_active());
    let history = history(&world, &connection).await;
    let causes: Vec<CheckCause> = history.checks.items.iter().map(|c| c.check.cause).collect();
    assert_eq!(causes, [CheckCause::Person, CheckCause::Watch]);
    assert_eq!(history.availability.day.passed, 2);
    let stranger = crate::world::sign_up(&world.engine, "other").await;
    let page = PageRequest::first(100);
    let id = connection.id.as_str();
    let refused = world.engine.check_history(&stranger, id, &page).await;
    assert!(matches!(refused, Err(EngineError::NotFound { .. })));
}

#[tokio::test]
async fn every_other_use_of_stored_credentials_leaves_a_row() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let sync = world.stored(&sync).await;
    let (engine, caller) = (&world.engine, &world.caller);
    engine.plan_sync(caller, &sync, INTERVAL).await.unwrap();
    engine
        .explain(caller, &world.bucket, &sync, "media/a")
        .await
        .unwrap();
    let rows = world.audited(Action::ConnectionUsed).await;
    let mut purposes: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.changes["purpose"].as_str())
        .collect();
    purposes.sort_unstable();
    assert_eq!(purposes, ["explain", "plan"]);
    assert!(
        rows.iter()
            .all(|row| row.resource_id == connection.id.as_str())
    );

    world
        .source
        .set_report(failing(ErrorCode::AuthInvalidCredentials));
    let change = UpdateConnection {
        provider_config: Some(ConfigFields::new(fields(s3_config("second secret")))),
        ..UpdateConnection::default()
    };
    let refused = engine.update_connection(caller, "store", change).await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    let rows = world.audited(Action::ConnectionTested).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].changes["saved"], false);
    assert_eq!(world.connection(&connection).await.health, Health::Healthy);
}
