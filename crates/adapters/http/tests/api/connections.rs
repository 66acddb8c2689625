use serde_json::{Value, json};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::input::InvalidInput;

use crate::world::{CANARY, World, new_connection, text};

const CONNECTIONS: &str = "/v1/organizations/connections";

fn failing(code: ErrorCode) -> CheckReport {
    let action = Some("s3:ListBucket on media".to_owned());
    CheckReport {
        checks: vec![
            Check::passed("configuration", 1),
            Check::failed("sign_in", code, action, "Do that.", 2),
        ],
    }
}

fn path(connection: &Value) -> String {
    format!("{CONNECTIONS}/{}", text(&connection["connection_id"]))
}

#[tokio::test]
async fn a_connection_is_created_read_by_id_and_by_name_and_shows_no_secret() {
    let world = World::new().await;
    let mut body = new_connection("  Média/store ");
    body["description"] = json!("What for.");
    body["metadata"] = json!({"team": "média", "n": 1});
    body["write_enabled"] = json!(true);
    let created = world.call("POST", CONNECTIONS, body).await.ok();
    assert_eq!(created["name"], "Média/store");
    assert_eq!(created["status"], "ACTIVE");
    assert_eq!(created["is_active"], true);
    assert_eq!(created["status_reason"], Value::Null);
    assert!(text(&created["next_health_check_at"]) > "2026-01-01T00:04");
    assert_eq!(created["credentials_expire_at"], Value::Null);
    assert_eq!(created["consecutive_failures"], 0);
    assert_eq!(created["revision"], 1);
    assert_eq!(created["write_enabled"], true);
    assert_eq!(created["metadata"], json!({"team": "média", "n": 1}));
    assert_eq!(
        created["provider_config"]["credentials"],
        json!({"type": "access_key"})
    );
    assert_eq!(created["provider_config"]["region"], "eu-central-1");
    assert_eq!(created["internal_id"], world.organization.as_str());
    assert!(text(&created["created_by_user_id"]).starts_with("usr_"));
    assert_eq!(created["created_at"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(world.get(&path(&created)).await.ok(), created);
    assert_eq!(
        world
            .get(&format!("{CONNECTIONS}/M%C3%A9dia%2Fstore"))
            .await
            .ok(),
        created
    );
    assert_eq!(
        world.source.calls().checks,
        1,
        "it was tested before it was saved"
    );
}

#[tokio::test]
async fn every_mistake_of_a_create_request_is_told_at_once() {
    let world = World::new().await;
    let body = json!({
        "name": "conn_x",
        "provider_type": "s3",
        "provider_config": {"region": 5, "credentials": {"type": "access_key", "access_key_id": ""}, "bucket": "b"},
        "description": "x".repeat(501),
        "metadata": [],
        "write_enabled": "yes",
        "test_before_save": 1,
        "colour": "red",
    });
    let mistakes = world.call("POST", CONNECTIONS, body).await.mistakes();
    let places: Vec<&str> = mistakes.iter().map(|(place, _)| place.as_str()).collect();
    for place in [
        "body.name",
        "body.provider_config.region",
        "body.provider_config.credentials.access_key_id",
        "body.provider_config.credentials.secret_access_key",
        "body.provider_config.bucket",
        "body.description",
        "body.metadata",
        "body.write_enabled",
        "body.test_before_save",
        "body.colour",
    ] {
        assert!(
            places.contains(&place),
            "{place} is missing among {places:?}"
        );
    }
    let empty = world
        .call("POST", CONNECTIONS, Value::Null)
        .await
        .mistakes();
    let missing = |name: &str| (format!("body.{name}"), "missing".to_owned());
    assert_eq!(
        empty,
        [
            missing("name"),
            missing("provider_type"),
            missing("provider_config")
        ]
    );
}

#[tokio::test]
async fn a_provider_that_wharf_does_not_know_is_refused_with_the_known_ones() {
    let world = World::new().await;
    let mut body = new_connection("x");
    body["provider_type"] = json!("gcs");
    let answer = world.call("POST", CONNECTIONS, body).await;
    assert_eq!(answer.mistakes()[0].0, "body.provider_type");
    assert!(
        text(&answer.error(422)["message"])
            .contains("google_drive, s3, snowflake, sharepoint, tigris")
    );
    let filter = world
        .call(
            "POST",
            &format!("{CONNECTIONS}/list"),
            json!({"provider_type": "gcs"}),
        )
        .await;
    assert_eq!(filter.mistakes()[0].0, "body.provider_type");
}

#[tokio::test]
async fn metadata_has_bounds() {
    let world = World::new().await;
    let mut deep = json!(1);
    for _ in 0..9 {
        deep = json!([deep]);
    }
    let many: serde_json::Map<String, Value> = (0..51).map(|i| (i.to_string(), json!(i))).collect();
    for (metadata, kind) in [
        (json!({"deep": deep}), "too_deep"),
        (Value::Object(many), "too_long"),
        (json!({"large": "x".repeat(17 * 1024)}), "too_large"),
        (json!({"nul": "a\0b"}), "string_pattern"),
        (json!({"nul\0": 1}), "string_pattern"),
    ] {
        let mut body = new_connection("x");
        body["metadata"] = metadata;
        let mistakes = world.call("POST", CONNECTIONS, body).await.mistakes();
        assert!(
            mistakes
                .iter()
                .any(|(place, k)| place.starts_with("body.metadata") && k == kind),
            "{mistakes:?}"
        );
    }
}

#[tokio::test]
async fn a_configuration_that_this_server_never_connects_to_is_refused_with_its_field() {
    let world = World::new().await;
    let message = "must not be a private address unless the operator opens it";
    let refusal = InvalidInput::one("provider_config.endpoint_url", "egress_refused", message);
    world.factory.refuse_configurations(Some(refusal));
    let mistakes = world
        .call("POST", CONNECTIONS, new_connection("store"))
        .await
        .mistakes();
    assert_eq!(
        mistakes,
        [(
            "body.provider_config.endpoint_url".to_owned(),
            "egress_refused".to_owned()
        )]
    );
    assert_eq!(world.source.calls().checks, 0);
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    let world = World::new().await;
    world.connection("store").await;
    let error = world
        .call("POST", CONNECTIONS, new_connection("store"))
        .await
        .error(409);
    assert_eq!(
        (&error["type"], &error["code"]),
        (
            &json!("AlreadyExistsError"),
            &json!("connection_name_taken")
        )
    );
}

#[tokio::test]
async fn a_connection_that_fails_its_test_is_not_saved() {
    let world = World::new().await;
    world
        .source
        .next_report(failing(ErrorCode::AuthInvalidCredentials));
    let error = world
        .call("POST", CONNECTIONS, new_connection("store"))
        .await
        .error(422);
    assert_eq!(error["code"], "connection_test_failed");
    assert_eq!(error["details"]["error_code"], "auth.invalid_credentials");
    let check = json!({
        "name": "sign_in", "outcome": "failed", "error_code": "auth.invalid_credentials",
        "action": "s3:ListBucket on media", "remedy": "Do that.", "ms": 2,
    });
    assert_eq!(error["details"]["checks"][1], check);
    let list = world
        .call("POST", &format!("{CONNECTIONS}/list"), json!({}))
        .await
        .ok();
    assert_eq!(list["total"], 0);

    world
        .source
        .next_report(failing(ErrorCode::QuotaRateLimited));
    let answer = world
        .call("POST", CONNECTIONS, new_connection("store"))
        .await;
    assert_eq!(answer.error(503)["code"], "connection_test_unavailable");
    assert!(answer.header("retry-after").parse::<u32>().is_ok());

    let mut untested = new_connection("store");
    untested["test_before_save"] = json!(false);
    world
        .source
        .next_report(failing(ErrorCode::AuthInvalidCredentials));
    assert_eq!(
        world.call("POST", CONNECTIONS, untested).await.ok()["status"],
        "ACTIVE"
    );
}

#[tokio::test]
async fn connections_of_providers_without_an_adapter_can_be_stored_untested() {
    let world = World::new().await;
    let mut body = json!({
        "name": "library",
        "provider_type": "sharepoint",
        "provider_config": {"credentials": {
            "type": "client_credentials", "tenant_id": "example.com", "client_id": "0d7f4ecb-5c14-4b7d-9f3c-1a2b3c4d5e6f", "client_secret": CANARY,
        }},
    });
    assert_eq!(
        world
            .call("POST", CONNECTIONS, body.clone())
            .await
            .mistakes()[0]
            .0,
        "body.test_before_save"
    );
    body["test_before_save"] = json!(false);
    let created = world.call("POST", CONNECTIONS, body).await.ok();
    assert_eq!(
        created["provider_config"]["credentials"],
        json!({"type": "client_credentials"})
    );
    let tested = world
        .call("POST", &format!("{}/test", path(&created)), Value::Null)
        .await
        .ok();
    assert_eq!(
        (&tested["success"], &tested["details"]["error_code"]),
        (&json!(false), &json!("adapter.missing"))
    );
}

#[tokio::test]
async fn a_test_answers_200_also_when_it_fails_and_five_failures_suspend() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let test = format!("{}/test", path(&connection));
    let passed = world.call("POST", &test, Value::Null).await.ok();
    assert_eq!(
        (&passed["success"], &passed["details"]["result"]),
        (&json!(true), &json!("success"))
    );
    assert_eq!(passed["details"]["checks"].as_array().unwrap().len(), 3);
    world.source.set_report(failing(ErrorCode::PermDenied));
    for n in 1..=5 {
        let failed = world.call("POST", &test, Value::Null).await.ok();
        assert_eq!(failed["success"], false);
        assert_eq!(failed["message"], failed["details"]["error"]);
        let now = world.get(&path(&connection)).await.ok();
        let (status, reason) = if n < 5 {
            ("FAILED", "health_check_failed")
        } else {
            ("SUSPENDED", "consecutive_failures")
        };
        assert_eq!(
            (&now["status"], &now["status_reason"]),
            (&json!(status), &json!(reason)),
            "{n}"
        );
        assert_eq!(now["consecutive_failures"], n);
        assert!(text(&now["last_error"]).contains("perm.denied"));
    }
}

#[tokio::test]
async fn a_change_touches_only_what_it_names() {
    let world = World::new().await;
    let mut body = new_connection("store");
    body["description"] = json!("old");
    body["metadata"] = json!({"a": 1});
    let connection = world.call("POST", CONNECTIONS, body).await.ok();
    let path = path(&connection);
    let same = world.call("PATCH", &path, json!({"name": null})).await.ok();
    assert_eq!(
        (&same["description"], &same["metadata"]),
        (&json!("old"), &json!({"a": 1}))
    );
    let cleared = world
        .call(
            "PATCH",
            &path,
            json!({"description": "", "metadata": {}, "write_enabled": true}),
        )
        .await
        .ok();
    assert_eq!(
        (&cleared["description"], &cleared["metadata"]),
        (&Value::Null, &json!({}))
    );
    assert_eq!(cleared["write_enabled"], true);
    assert_eq!(cleared["name"], "store");
    let renamed = world
        .call("PATCH", &path, json!({"name": "new name"}))
        .await
        .ok();
    assert_eq!(renamed["name"], "new name");
    assert!(renamed["revision"].as_u64() > connection["revision"].as_u64());
}

#[tokio::test]
async fn a_status_is_set_in_any_letter_case_and_must_make_sense() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let path = path(&connection);
    let suspended = world
        .call("PATCH", &path, json!({"status": "suspended"}))
        .await
        .ok();
    assert_eq!(
        (&suspended["status"], &suspended["status_reason"]),
        (&json!("SUSPENDED"), &json!("user_suspended"))
    );
    world.source.next_report(failing(ErrorCode::AuthExpired));
    assert_eq!(
        world
            .call("PATCH", &path, json!({"status": "ACTIVE"}))
            .await
            .error(422)["code"],
        "connection_test_failed"
    );
    assert_eq!(
        world
            .call("PATCH", &path, json!({"is_active": true}))
            .await
            .ok()["status"],
        "ACTIVE"
    );
    for body in [
        json!({"status": "FAILED"}),
        json!({"status": "PENDING"}),
        json!({"status": 1}),
        json!({"status": "ACTIVE", "is_active": false}),
    ] {
        let mistakes = world.call("PATCH", &path, body.clone()).await.mistakes();
        assert!(
            ["body.status", "body.is_active"].contains(&mistakes[0].0.as_str()),
            "{body}: {mistakes:?}"
        );
    }
}

#[tokio::test]
async fn omitted_secrets_are_kept_only_for_the_same_audience() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let path = path(&connection);
    let kept = world
        .call(
            "PATCH",
            &path,
            json!({"provider_config": {"region": "us-west-2"}}),
        )
        .await;
    let there = world.call(
        "PATCH",
        &path,
        json!({"provider_config": {"region": "us-west-2", "endpoint_url": "https://elsewhere.example"}}),
    );
    let refused = there.await;
    assert_eq!(refused.error(422)["code"], "credentials_reentry_required");
    let mistakes = refused.mistakes();
    assert!(
        mistakes
            .iter()
            .all(|(place, _)| place.starts_with("body.provider_config.credentials")),
        "{mistakes:?}"
    );
    // Regions of one partition belong to the same owner.
    assert_eq!(kept.ok()["provider_config"]["region"], "us-west-2");
    let described =
        json!({"provider_config": {"region": "eu-central-1", "description": "The same place."}});
    let same = world.call("PATCH", &path, described).await.ok();
    assert_eq!(same["provider_config"]["description"], "The same place.");
}

#[tokio::test]
async fn deleting_archives_for_good() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let path = path(&connection);
    let deleted = world.call("DELETE", &path, Value::Null).await.ok();
    assert_eq!(deleted["connection_id"], connection["connection_id"]);
    assert!(deleted.as_object().unwrap().values().all(Value::is_string));
    assert_eq!(world.call("DELETE", &path, Value::Null).await.ok(), deleted);
    let archived = world.get(&path).await.ok();
    assert_eq!(
        (&archived["status"], &archived["status_reason"]),
        (&json!("ARCHIVED"), &json!("archived"))
    );
    assert_eq!(
        archived["provider_config"]["credentials"],
        json!({"type": "access_key"})
    );
    for (method, path, body) in [
        ("PATCH", path.clone(), json!({"status": "ACTIVE"})),
        ("PATCH", path.clone(), json!({"description": "x"})),
        ("POST", format!("{path}/test"), Value::Null),
    ] {
        let error = world.call(method, &path, body).await.error(409);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("ConflictError"), &json!("connection_archived"))
        );
    }
    world.connection("store").await;
}

#[tokio::test]
async fn browsing_is_refused_with_a_reason_after_its_parameters_were_read() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let path = path(&connection);
    for browse in ["folders?path=/x", "folders", "files?path=/&max_results=100"] {
        let error = world.get(&format!("{path}/{browse}")).await.error(400);
        assert_eq!(error["type"], "BadRequestError");
        assert!(text(&error["message"]).contains("s3"));
    }
    for max_results in ["0", "101", "x"] {
        let mistakes = world
            .get(&format!("{path}/files?max_results={max_results}"))
            .await
            .mistakes();
        assert_eq!(mistakes[0].0, "query.max_results");
    }
    world
        .get(&format!("{CONNECTIONS}/nobody/folders"))
        .await
        .error(404);
}

#[tokio::test]
async fn lists_are_filtered_by_every_field() {
    let world = World::new().await;
    world.connection("a").await;
    let suspended = world.connection("b").await;
    world
        .call("PATCH", &path(&suspended), json!({"status": "SUSPENDED"}))
        .await
        .ok();
    let names = async |filter: Value| -> Vec<String> {
        let list = world
            .call("POST", &format!("{CONNECTIONS}/list"), filter)
            .await
            .ok();
        let names = list["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| text(&found["name"]).to_owned());
        let names: Vec<String> = names.collect();
        assert_eq!(list["total"], names.len());
        assert_eq!(list["pagination"]["total"], Value::Null);
        names
    };
    assert_eq!(names(Value::Null).await.len(), 2);
    assert_eq!(names(json!({"status": "suspended"})).await, ["b"]);
    assert_eq!(names(json!({"is_active": true})).await, ["a"]);
    assert_eq!(
        names(json!({"provider_type": "tigris"})).await,
        Vec::<String>::new()
    );
    assert_eq!(
        names(json!({"provider_type": "s3", "status": "ACTIVE", "is_active": true})).await,
        ["a"]
    );
}
