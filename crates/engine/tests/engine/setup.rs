//! External ids and source paths: what keeps a stranger from using our identity, and a sync from failing at once.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::PublicStatus;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::{Provider, parse_new};
use wharf_domain::sync::SyncMode;
use wharf_engine::{
    ConfigFields, CreateConnection, CreateSync, EngineError, SetupWish, UpdateConnection,
};
use wharf_testkit::build;

use crate::world::{World, fields, new_connection, sign_up};

fn role(external_id: &str) -> serde_json::Value {
    json!({"credentials": {
        "type": "iam_role", "role_arn": "arn:aws:iam::123456789012:role/reader", "external_id": external_id,
    }})
}

fn role_connection(name: &str, external_id: &str) -> CreateConnection {
    let config = parse_new(Provider::S3, fields(role(external_id)), "provider_config");
    CreateConnection {
        provider_config: config.unwrap(),
        ..new_connection(name, false)
    }
}

/// The field that an error blames.
fn blamed(error: &EngineError) -> String {
    match error {
        EngineError::Invalid(invalid) => invalid.0[0].path(),
        other => panic!("not invalid input: {other:?}"),
    }
}

async fn issued_to(world: &World) -> String {
    let setup = world
        .engine
        .setup(&world.caller, Provider::S3, SetupWish::default());
    setup.await.unwrap().external_id.unwrap().to_string()
}

#[tokio::test]
async fn an_organization_s_external_id_is_issued_once_and_audited() {
    let world = World::new().await;
    let first = issued_to(&world).await;
    assert!(first.starts_with("wharf-"));
    assert_eq!(issued_to(&world).await, first);
    let rows = world.audited(Action::ExternalIdIssued).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].changes, json!({"external_id": first}));

    let tigris = world
        .engine
        .setup(&world.caller, Provider::Tigris, SetupWish::default());
    assert_eq!(tigris.await.unwrap().external_id, None, "it has no roles");
}

#[tokio::test]
async fn only_an_issued_external_id_of_the_same_organization_makes_a_role_connection() {
    let world = World::new().await;
    let stranger = sign_up(&world.engine, "stranger").await;
    let theirs = world
        .engine
        .setup(&stranger, Provider::S3, SetupWish::default());
    let theirs = theirs.await.unwrap().external_id.unwrap().to_string();
    let ours = issued_to(&world).await;
    for (n, wrong) in [
        theirs.as_str(),
        "chosen-by-the-customer",
        &ours.to_uppercase(),
        &ours[..ours.len() - 1],
        &format!("{ours}0"),
    ]
    .into_iter()
    .enumerate()
    {
        let new = role_connection(&format!("role {n}"), wrong);
        let error = world.engine.create_connection(&world.caller, new).await;
        let error = error.expect_err(wrong);
        assert_eq!(blamed(&error), "provider_config.credentials.external_id");
        assert!(error.to_string().contains("/setup/s3"), "{error}");
    }
    assert_eq!(world.source.calls().opens, 0, "nothing was tried");

    let new = role_connection("role", &ours);
    let created = world.engine.create_connection(&world.caller, new).await;
    let created = created.unwrap();
    let change = |external_id: &str| UpdateConnection {
        provider_config: Some(ConfigFields::new(fields(role(external_id)))),
        ..UpdateConnection::default()
    };
    let id = created.id.as_str();
    let update = world
        .engine
        .update_connection(&world.caller, id, change(&theirs));
    let error = update.await.expect_err("another organization's id");
    assert_eq!(blamed(&error), "provider_config.credentials.external_id");
    let update = world
        .engine
        .update_connection(&world.caller, id, change(&ours));
    update.await.unwrap();
}

#[tokio::test]
async fn a_kit_is_for_a_connection_of_its_provider_and_a_path_that_can_be_read() {
    let world = World::new().await;
    world.connect("store").await;
    let wish = |connection: &str, path: &str| SetupWish {
        connection: Some(connection.to_owned()),
        source_path: Some(path.to_owned()),
    };
    let setup = |provider, wish| world.engine.setup(&world.caller, provider, wish);
    let kit = setup(Provider::S3, wish("store", "media/a")).await.unwrap();
    assert_eq!(kit.kit.grants[0].resource, "media/a");
    let error = setup(Provider::Tigris, wish("store", "media")).await;
    assert_eq!(blamed(&error.unwrap_err()), "connection");
    let error = setup(Provider::S3, wish("store", " ")).await;
    assert_eq!(blamed(&error.unwrap_err()), "source_path");
    let error = setup(Provider::S3, wish("nobody", "media")).await;
    assert!(matches!(error, Err(EngineError::NotFound { .. })));
    let error = setup(Provider::Snowflake, SetupWish::default()).await;
    assert!(matches!(error, Err(EngineError::NotSupported(_))));
}

fn path_failure(code: ErrorCode) -> CheckReport {
    let list = Check::failed("list", code, None, code.remedy(), 1);
    CheckReport {
        checks: vec![Check::passed("sign_in", 1), list.of_path()],
    }
}

#[tokio::test]
async fn a_test_of_a_source_path_tells_of_it_and_counts_only_what_is_the_connection_s() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let test =
        |path: Option<&'static str>| world.engine.test_connection(&world.caller, "store", path);
    world.source.set_report(path_failure(ErrorCode::PermDenied));
    let tested = test(Some("media/a")).await.unwrap();
    assert_eq!(tested.report.error_code(), Some(ErrorCode::PermDenied));
    assert_eq!(tested.connection.status(), PublicStatus::Active);
    assert_eq!(world.source.calls().checks_of_path, 1);

    let mut report = path_failure(ErrorCode::PermDenied);
    let code = ErrorCode::AuthInvalidCredentials;
    report.checks[0] = Check::failed("sign_in", code, None, code.remedy(), 1);
    world.source.set_report(report);
    let tested = test(Some("media/a")).await.unwrap();
    assert_eq!(tested.connection.status(), PublicStatus::Failed);

    let error = test(Some(" ")).await.unwrap_err();
    assert_eq!(blamed(&error), "source_path");
    assert_eq!(
        world
            .connection(&connection)
            .await
            .health
            .consecutive_failures(),
        1
    );
}

#[tokio::test]
async fn a_sync_is_refused_for_what_a_person_must_mend_and_only_told_of_a_missing_path() {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let create = || {
        let new = CreateSync {
            connection: connection.id.clone(),
            mode: SyncMode::Continuous,
            settings: build::sync_settings(),
        };
        world.engine.create_sync(&world.caller, &world.bucket, new)
    };
    for code in [ErrorCode::PermDenied, ErrorCode::ConfigWrongRegion] {
        world.source.set_report(path_failure(code));
        let error = create().await.unwrap_err();
        let EngineError::ConnectionTestFailed(report) = error else {
            panic!("{error:?}");
        };
        assert_eq!(report.error_code(), Some(code));
    }
    assert!(world.audited(Action::SyncCreated).await.is_empty());
    for code in [
        ErrorCode::ResourceNotFound,
        ErrorCode::NetworkTimeout,
        ErrorCode::QuotaRateLimited,
    ] {
        world.source.set_report(path_failure(code));
        let created = create().await.unwrap();
        assert_eq!(created.report.unwrap().error_code(), Some(code));
    }
    let healthy = world.connection(&connection).await;
    assert_eq!(
        healthy.health.consecutive_failures(),
        0,
        "no attempt was counted"
    );

    let suspend = UpdateConnection {
        is_active: Some(false),
        ..UpdateConnection::default()
    };
    let update = world
        .engine
        .update_connection(&world.caller, "store", suspend);
    update.await.unwrap();
    let before = world.source.calls().checks;
    assert_eq!(create().await.unwrap().report, None);
    assert_eq!(
        world.source.calls().checks,
        before,
        "a suspended connection is left alone"
    );
}
