//! Access tokens that replicas share, and refresh tokens that a provider rotates: at most one sign-in at a time, and none lost.

use std::sync::Arc;

use serde_json::json;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::sync::{SyncMode, SyncSettings};
use wharf_engine::{ConfigFields, Engine, UpdateConnection};
use wharf_testkit::provider::{FakeDrive, FakeProviderFactory};

use crate::feed::{connected, drive_connection, driven};
use crate::world::{World, fields};

/// A second process on the same database.
fn another_engine(world: &World, drive: &FakeDrive) -> Engine {
    let factory = FakeProviderFactory::new(world.source.clone()).with_drive(drive.clone());
    world.engine_with(Arc::new(factory))
}

async fn passes(world: &World, engine: &Engine, connection: &Connection) -> bool {
    let tested = engine
        .test_connection(&world.caller, connection.id.as_str(), None)
        .await;
    tested.unwrap().report.success()
}

#[tokio::test]
async fn two_replicas_under_load_sign_in_one_at_a_time_and_lose_no_rotated_token() {
    let (world, drive) = driven(&["a", "b", "c"]).await;
    drive.rotate_refresh_tokens();
    let connection = connected(&world).await;
    let settings = SyncSettings::of("root".to_owned());
    world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    let engines = [world.engine.clone(), another_engine(&world, &drive)];
    let tests = (0..40).map(|n| {
        let (world, engine, connection) = (&world, &engines[n % 2], &connection);
        async move { passes(world, engine, connection).await }
    });
    let (tested, ran) = tokio::join!(futures::future::join_all(tests), world.run());
    assert!(ran && tested.into_iter().all(|passed| passed));
    let sign_ins = drive.sign_ins();
    assert_eq!((sign_ins.at_once, sign_ins.refused), (1, 0));
    assert!(sign_ins.granted > 1, "{sign_ins:?}");
    // What is stored is the last one.
    let third = another_engine(&world, &drive);
    assert!(passes(&world, &third, &connection).await);
    assert_eq!(drive.sign_ins().refused, 0);
}

#[tokio::test]
async fn a_token_is_shared_by_what_opens_the_connection_later() {
    let (world, drive) = driven(&["a"]).await;
    let connection = connected(&world).await;
    let settings = SyncSettings::of("root".to_owned());
    world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    world.run().await;
    let before = drive.sign_ins().granted;
    for _ in 0..3 {
        world.next_run().await;
    }
    assert_eq!(drive.sign_ins().granted, before);
    world.clock.advance(std::time::Duration::from_hours(1));
    world.next_run().await;
    assert_eq!(
        drive.sign_ins().granted,
        before + 1,
        "it had come to its end"
    );
}

#[tokio::test]
async fn what_is_rotated_while_a_new_connection_is_tested_is_what_is_stored() {
    let (world, drive) = driven(&["a"]).await;
    drive.rotate_refresh_tokens();
    let connection = connected(&world).await;
    assert_ne!(drive.refresh_token(), "refresh-0");
    assert!(passes(&world, &world.engine, &connection).await);
    assert_eq!(drive.sign_ins().refused, 0);
}

#[tokio::test]
async fn what_is_rotated_while_a_change_is_tested_is_kept_whether_the_change_is_saved_or_not() {
    for saved in [true, false] {
        let (world, drive) = driven(&["a"]).await;
        drive.rotate_refresh_tokens();
        let connection = connected(&world).await;
        if !saved {
            drive.fail_checks(Some(ErrorCode::PermDenied));
        }
        // All but the secrets, which are kept.
        let config = json!({"shared_drive_id": "0AShared"});
        let update = UpdateConnection {
            provider_config: Some(ConfigFields::new(fields(config))),
            ..UpdateConnection::default()
        };
        let before = drive.refresh_token();
        let updated = world
            .engine
            .update_connection(&world.caller, connection.id.as_str(), update)
            .await;
        assert_eq!(updated.is_ok(), saved, "{updated:?}");
        assert_ne!(drive.refresh_token(), before);
        drive.fail_checks(None);
        assert!(passes(&world, &world.engine, &connection).await, "{saved}");
        assert_eq!(drive.sign_ins().refused, 0);
    }
}

#[tokio::test]
async fn credentials_that_were_replaced_bring_a_token_of_their_own() {
    let (world, drive) = driven(&["a"]).await;
    let connection = connected(&world).await;
    assert!(passes(&world, &world.engine, &connection).await);
    let config = json!({
        "credentials": {
            "type": "oauth",
            "client_id": "client",
            "client_secret": "secret of the client",
            "refresh_token": "worth-nothing",
        },
    });
    let update = UpdateConnection {
        provider_config: Some(ConfigFields::new(fields(config))),
        ..UpdateConnection::default()
    };
    let refused = world
        .engine
        .update_connection(&world.caller, connection.id.as_str(), update)
        .await;
    assert!(refused.is_err());
    let new = drive_connection("another", "worth-nothing");
    let refused = world.engine.create_connection(&world.caller, new).await;
    assert!(refused.is_err());
    assert_eq!(drive.sign_ins().refused, 2);
    assert!(passes(&world, &world.engine, &connection).await);
}
