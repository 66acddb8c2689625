use serde_json::{Value, json};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;

use crate::world::{World, text};

const SETUP: &str = "/v1/organizations/setup";

#[tokio::test]
async fn the_kit_tells_the_issued_external_id_and_what_to_grant() {
    let world = World::new().await;
    let kit = world
        .get(&format!("{SETUP}/s3?source_path=media/a%20b"))
        .await
        .ok();
    assert!(text(&kit["external_id"]).starts_with("wharf-"));
    assert_eq!(kit["provider_type"], "s3");
    assert_eq!(kit["principal"], "the fake principal");
    assert_eq!(kit["steps"].as_array().unwrap().len(), 1);
    assert_eq!(
        kit["grants"][0],
        json!({"action": "fake:Read", "resource": "media/a b", "purpose": "to copy files", "optional": false})
    );
    assert_eq!(
        kit["documents"][0]["content"],
        json!({}),
        "a JSON document stands there as it is"
    );
    let again = world.get(&format!("{SETUP}/s3")).await.ok();
    assert_eq!(again["external_id"], kit["external_id"]);
    let stranger = world.stranger().await;
    let theirs = world
        .call_as(&stranger, "GET", &format!("{SETUP}/s3"), Value::Null)
        .await
        .ok();
    assert_ne!(theirs["external_id"], kit["external_id"]);
    let tigris = world.get(&format!("{SETUP}/tigris")).await.ok();
    assert_eq!(tigris["external_id"], Value::Null);
}

#[tokio::test]
async fn one_document_alone_comes_as_text() {
    let world = World::new().await;
    let answer = world.get(&format!("{SETUP}/s3?format=text")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(told.starts_with("1. Let the fake principal"), "{told}");
    assert!(told.contains("--- permission_policy"), "{told}");
}

#[tokio::test]
async fn what_a_kit_cannot_be_made_for_is_named() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    for (query, place) in [
        ("format=yaml", "query.format"),
        ("format=sql", "query.format"),
        ("source_path=%20", "query.source_path"),
    ] {
        let refused = world.get(&format!("{SETUP}/s3?{query}")).await.mistakes();
        assert_eq!(refused[0].0, place, "{query}");
    }
    let id = text(&connection["connection_id"]);
    let refused = world.get(&format!("{SETUP}/tigris?connection={id}")).await;
    assert_eq!(refused.mistakes()[0].0, "query.connection");
    world
        .get(&format!("{SETUP}/s3?connection=nobody"))
        .await
        .error(404);
    let refused = world.get(&format!("{SETUP}/ftp")).await.mistakes();
    assert_eq!(refused[0].0, "path.provider_type");
    let refused = world.get(&format!("{SETUP}/s3?sourcepath=a")).await;
    assert_eq!(refused.mistakes()[0].0, "query.sourcepath");
    world.get(&format!("{SETUP}/snowflake")).await.error(400);
}

#[tokio::test]
async fn a_role_needs_the_issued_external_id() {
    let world = World::new().await;
    let kit = world.get(&format!("{SETUP}/s3")).await.ok();
    let create = |name: &str, external_id: &Value| {
        let credentials = json!({
            "type": "iam_role", "role_arn": "arn:aws:iam::123456789012:role/reader", "external_id": external_id,
        });
        let body = json!({"name": name, "provider_type": "s3", "provider_config": {"credentials": credentials}});
        world.call("POST", "/v1/organizations/connections", body)
    };
    let refused = create("a", &json!("mixpeek-int_abc")).await.mistakes();
    assert_eq!(
        refused,
        [(
            "body.provider_config.credentials.external_id".to_owned(),
            "not_issued".to_owned()
        )]
    );
    let created = create("a", &kit["external_id"]).await.ok();
    assert_eq!(
        created["provider_config"]["credentials"],
        json!({"type": "iam_role"})
    );
}

fn denied() -> CheckReport {
    let code = ErrorCode::PermDenied;
    let action = Some("fake:Read on media".to_owned());
    let list = Check::failed("list", code, action, "Grant it.", 3);
    CheckReport {
        checks: vec![Check::passed("sign_in", 1), list.of_path()],
    }
}

#[tokio::test]
async fn a_source_path_is_tested_with_the_connection_and_before_a_sync_of_it() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    world.source.set_report(denied());
    let path = "/v1/organizations/connections/store";
    let outcome = world
        .call(
            "POST",
            &format!("{path}/test?source_path=media/a"),
            Value::Null,
        )
        .await
        .ok();
    assert_eq!(outcome["success"], false);
    let list = &outcome["details"]["checks"][1];
    assert_eq!(
        (&list["name"], &list["action"], &list["remedy"]),
        (
            &json!("list"),
            &json!("fake:Read on media"),
            &json!("Grant it.")
        )
    );
    assert_eq!(world.get(path).await.ok()["status"], "ACTIVE");
    let refused = world
        .call("POST", &format!("{path}/test?source_path=%20"), Value::Null)
        .await;
    assert_eq!(refused.mistakes()[0].0, "query.source_path");
    let misspelt = format!("{path}/test?sourcepath=media");
    let refused = world.call("POST", &misspelt, Value::Null).await;
    assert_eq!(refused.mistakes()[0].0, "query.sourcepath");

    let bucket = world.bucket("files").await;
    let syncs = format!("/v1/buckets/{}/syncs", text(&bucket["bucket_id"]));
    let body = json!({"connection_id": connection["connection_id"], "source_path": "media/a"});
    let error = world.call("POST", &syncs, body.clone()).await.error(422);
    assert_eq!(error["code"], "connection_test_failed");
    assert_eq!(error["details"]["checks"][1]["name"], "list");

    let mut report = denied();
    report.checks[1].error_code = Some(ErrorCode::ResourceNotFound);
    world.source.set_report(report);
    let sync = world.call("POST", &syncs, body).await.ok();
    assert_eq!(sync["source_test"]["error_code"], "resource.not_found");
}
