//! Connections: created, tested, changed, archived.

use std::sync::Arc;

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::PublicStatus;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::{Provider, parse_new};
use wharf_engine::{ConfigFields, EngineError, UpdateConnection};
use wharf_testkit::provider::{Failure, FakeProviderFactory};

use crate::world::{World, fields, new_connection, s3_config, sign_up};

fn failing(code: ErrorCode) -> CheckReport {
    CheckReport {
        checks: vec![Check::failed("sign_in", code, None, code.remedy(), 1)],
    }
}

fn code_of(error: &EngineError) -> &'static str {
    match error {
        EngineError::Conflict { code, .. } => code,
        other => panic!("not a conflict: {other:?}"),
    }
}

fn config(value: serde_json::Value) -> UpdateConnection {
    UpdateConnection {
        provider_config: Some(ConfigFields::new(fields(value))),
        ..UpdateConnection::default()
    }
}

fn status(status: PublicStatus) -> UpdateConnection {
    UpdateConnection {
        status: Some(status),
        ..UpdateConnection::default()
    }
}

#[tokio::test]
async fn a_connection_that_fails_its_test_is_not_saved() {
    let world = World::new().await;
    world
        .source
        .set_report(failing(ErrorCode::AuthInvalidCredentials));
    let refused = world
        .engine
        .create_connection(&world.caller, new_connection("store", true))
        .await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    world
        .source
        .set_report(failing(ErrorCode::QuotaRateLimited));
    let refused = world
        .engine
        .create_connection(&world.caller, new_connection("store", true))
        .await;
    assert!(
        matches!(refused, Err(EngineError::ConnectionTestUnavailable(_))),
        "not its own fault"
    );
    assert!(matches!(
        world.engine.connection(&world.caller, "store").await,
        Err(EngineError::NotFound { .. })
    ));
    assert!(world.audited(Action::ConnectionCreated).await.is_empty());
    world
        .engine
        .create_connection(&world.caller, new_connection("store", false))
        .await
        .unwrap();
    assert_eq!(
        world.source.calls().checks,
        2,
        "the last one was not to be tested"
    );
}

#[tokio::test]
async fn what_no_account_can_be_made_of_is_not_saved_untested_either() {
    let world = World::new().await;
    let providers = Arc::new(FakeProviderFactory::new(world.source.clone()));
    let engine = world.engine_with(providers.clone());
    let create = || engine.create_connection(&world.caller, new_connection("store", false));
    providers.fail_to_open(Some(Failure::permanent(ErrorCode::ConfigInvalid)));
    let refused = create().await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    providers.fail_to_open(Some(Failure::permanent(ErrorCode::AdapterMissing)));
    create().await.unwrap();
    assert_eq!(world.source.calls().checks, 0);
}

#[tokio::test]
async fn a_taken_name_is_told_before_anything_is_dialled() {
    let world = World::new().await;
    world.connect("store").await;
    world.source.forget_calls();
    let error = world
        .engine
        .create_connection(&world.caller, new_connection("store", true))
        .await
        .unwrap_err();
    assert_eq!(code_of(&error), "connection_name_taken");
    assert_eq!(world.source.calls().checks, 0);
}

#[tokio::test]
async fn a_provider_without_an_adapter_is_stored_only_untested() {
    let world = World::new().await;
    let drive = || {
        let credentials =
            json!({"type": "oauth", "client_id": "a", "client_secret": "b", "refresh_token": "c"});
        let config = json!({"credentials": credentials});
        parse_new(Provider::GoogleDrive, fields(config), "provider_config").unwrap()
    };
    let mut new = new_connection("drive", true);
    new.provider_config = drive();
    let error = world
        .engine
        .create_connection(&world.caller, new)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("test_before_save"), "{error}");
    let mut new = new_connection("drive", false);
    new.provider_config = drive();
    let stored = world
        .engine
        .create_connection(&world.caller, new)
        .await
        .unwrap();
    let tested = world
        .engine
        .test_connection(&world.caller, "drive", None)
        .await
        .unwrap();
    assert_eq!(tested.report.error_code(), Some(ErrorCode::AdapterMissing));
    assert_eq!(tested.connection.health, stored.health);
}

#[tokio::test]
async fn five_failing_tests_suspend_and_only_a_passed_one_reactivates() {
    let world = World::new().await;
    world.connect("store").await;
    world
        .source
        .set_report(failing(ErrorCode::AuthInvalidCredentials));
    for n in 1..=5u32 {
        let tested = world
            .engine
            .test_connection(&world.caller, "store", None)
            .await
            .unwrap();
        assert!(!tested.report.success());
        assert_eq!(tested.connection.health.consecutive_failures(), n);
    }
    let tripped = world
        .engine
        .test_connection(&world.caller, "store", None)
        .await
        .unwrap()
        .connection;
    assert_eq!(tripped.status(), PublicStatus::Suspended);
    assert_eq!(
        tripped.health.consecutive_failures(),
        5,
        "a tripped one does not count on"
    );
    assert!(
        tripped
            .last_error
            .is_some_and(|error| error.contains("auth.invalid_credentials"))
    );
    assert_eq!(
        world.audited(Action::ConnectionTested).await.len(),
        6,
        "every test leaves a row"
    );

    let refused = world
        .engine
        .update_connection(&world.caller, "store", status(PublicStatus::Active))
        .await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    world.source.set_report(CheckReport {
        checks: vec![Check::passed("sign_in", 1)],
    });
    let passed = world
        .engine
        .test_connection(&world.caller, "store", None)
        .await
        .unwrap();
    assert_eq!(
        passed.connection.status(),
        PublicStatus::Suspended,
        "a success alone does not wake it"
    );
    let active = world
        .engine
        .update_connection(&world.caller, "store", status(PublicStatus::Active))
        .await
        .unwrap();
    assert_eq!(
        (active.status(), active.health.consecutive_failures()),
        (PublicStatus::Active, 0)
    );
}

#[tokio::test]
async fn secrets_are_kept_only_for_the_same_audience() {
    let world = World::new().await;
    world.connect("store").await;
    let mut same = s3_config("");
    same["region"] = json!("eu-west-1");
    same["credentials"] = json!({"type": "access_key"});
    let changed = world
        .engine
        .update_connection(&world.caller, "store", config(same))
        .await
        .unwrap();
    assert_eq!(changed.credential_version, 2);

    world.source.forget_calls();
    let elsewhere =
        json!({"endpoint_url": "https://evil.example.com", "credentials": {"type": "access_key"}});
    let error = world
        .engine
        .update_connection(&world.caller, "store", config(elsewhere))
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::CredentialsReentryRequired { .. }),
        "{error:?}"
    );
    assert_eq!(
        (world.source.calls().opens, world.source.calls().checks),
        (0, 0),
        "nothing was dialled"
    );
}

#[tokio::test]
async fn a_changed_configuration_must_pass_its_test() {
    let world = World::new().await;
    let before = world.connect("store").await;
    world
        .source
        .set_report(failing(ErrorCode::AuthInvalidCredentials));
    let update = || UpdateConnection {
        name: Some(wharf_domain::connection::ConnectionName::parse("renamed").unwrap()),
        ..config(s3_config("second secret"))
    };
    let refused = world
        .engine
        .update_connection(&world.caller, "store", update())
        .await;
    assert!(matches!(refused, Err(EngineError::ConnectionTestFailed(_))));
    assert_eq!(world.connection(&before).await, before, "nothing was saved");
    world.source.set_report(CheckReport { checks: vec![] });
    let after = world
        .engine
        .update_connection(&world.caller, "store", update())
        .await
        .unwrap();
    assert_eq!(
        (after.name.as_str(), after.revision),
        ("renamed", before.revision + 1)
    );
    assert_ne!(after.sealed, before.sealed);
}

#[tokio::test]
async fn status_and_activity_must_agree() {
    let world = World::new().await;
    world.connect("store").await;
    let contradictions = [
        (PublicStatus::Active, false),
        (PublicStatus::Suspended, true),
        (PublicStatus::Archived, true),
    ];
    for (wanted, active) in contradictions {
        let update = UpdateConnection {
            is_active: Some(active),
            ..status(wanted)
        };
        let refused = world
            .engine
            .update_connection(&world.caller, "store", update)
            .await;
        assert!(
            matches!(refused, Err(EngineError::Invalid(_))),
            "{wanted} {active}"
        );
    }
    let refused = world
        .engine
        .update_connection(&world.caller, "store", status(PublicStatus::Failed))
        .await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))));
    let update = UpdateConnection {
        is_active: Some(false),
        ..UpdateConnection::default()
    };
    let suspended = world
        .engine
        .update_connection(&world.caller, "store", update)
        .await
        .unwrap();
    assert_eq!(suspended.status(), PublicStatus::Suspended);
}

#[tokio::test]
async fn archiving_is_for_good_and_leaves_no_credentials() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let id = connection.id.as_str();
    let archived = world
        .engine
        .archive_connection(&world.caller, "store", None)
        .await
        .unwrap();
    assert_eq!(
        (archived.status(), archived.sealed.clone()),
        (PublicStatus::Archived, None)
    );
    assert_eq!(
        world
            .engine
            .archive_connection(&world.caller, id, None)
            .await
            .unwrap(),
        archived,
        "twice is no error"
    );
    assert_eq!(world.audited(Action::ConnectionDeleted).await.len(), 1);
    let error = world
        .engine
        .update_connection(&world.caller, id, status(PublicStatus::Active))
        .await
        .unwrap_err();
    assert_eq!(code_of(&error), "connection_archived");
    let error = world
        .engine
        .test_connection(&world.caller, id, None)
        .await
        .unwrap_err();
    assert_eq!(code_of(&error), "connection_archived");
    world.connect("store").await;
}

#[tokio::test]
async fn sealed_credentials_do_not_open_when_their_row_was_changed() {
    let world = World::new().await;
    let a = world.connect("a").await;
    let b = world.connect("b").await;
    // A writer of the database swaps the sealed credentials of two rows.
    let edit = wharf_domain::connection::Edit {
        config: Some((
            b.config.clone(),
            b.credential_type,
            a.sealed.clone().unwrap(),
        )),
        ..Default::default()
    };
    let event = wharf_domain::connection::Event::Edit(Box::new(edit));
    let organization = world.caller.organization();
    world
        .repositories
        .connections
        .apply(organization, &b.id, None, vec![event], vec![])
        .await
        .unwrap();
    world.source.forget_calls();
    let tested = world
        .engine
        .test_connection(&world.caller, "b", None)
        .await
        .unwrap();
    assert_eq!(tested.report.error_code(), Some(ErrorCode::IntegrityError));
    assert_eq!(world.source.calls().opens, 0, "nothing was dialled");

    // Whoever enters them again, whole, has a working connection.
    let partly =
        json!({"endpoint_url": "https://store.example.com", "credentials": {"type": "access_key"}});
    let refused = world
        .engine
        .update_connection(&world.caller, "b", config(partly))
        .await;
    assert!(
        matches!(refused, Err(EngineError::CredentialsReentryRequired { .. })),
        "{refused:?}"
    );
    world
        .engine
        .update_connection(&world.caller, "b", config(s3_config("again")))
        .await
        .unwrap();
    assert!(
        world
            .engine
            .test_connection(&world.caller, "b", None)
            .await
            .unwrap()
            .report
            .success()
    );
}

#[tokio::test]
async fn another_organization_sees_nothing() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let stranger = sign_up(&world.engine, "other").await;
    for identifier in ["store", connection.id.as_str()] {
        assert!(matches!(
            world.engine.connection(&stranger, identifier).await,
            Err(EngineError::NotFound { .. })
        ));
        assert!(matches!(
            world
                .engine
                .test_connection(&stranger, identifier, None)
                .await,
            Err(EngineError::NotFound { .. })
        ));
        let archived = world
            .engine
            .archive_connection(&stranger, identifier, None)
            .await;
        assert!(matches!(archived, Err(EngineError::NotFound { .. })));
    }
    assert_eq!(world.connection(&connection).await, connection);
}
