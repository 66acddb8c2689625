use serde_json::{Value, json};
use wharf_domain::audit::{Action, AuditFilter};
use wharf_domain::error_code::ErrorCode;
use wharf_testkit::provider::{Failure, Times};

use crate::world::{CANARY, World, text};

const DRIVE: &str = "/v1/organizations/connections/drive";

/// A world with a connection that can be browsed, and a few files behind it.
async fn world() -> World {
    let world = World::new().await;
    for object in [
        "plan.txt",
        "media/a.txt",
        "media/b.txt",
        "media/deep/c.txt",
        "old/d.txt",
    ] {
        world.source.put(object, object.to_owned());
    }
    let body = json!({
        "name": "drive",
        "provider_type": "google_drive",
        "provider_config": {"credentials": {
            "type": "oauth", "client_id": "app", "client_secret": CANARY, "refresh_token": CANARY,
        }},
    });
    world
        .call("POST", "/v1/organizations/connections", body)
        .await
        .ok();
    world
}

fn names(list: &Value) -> Vec<&str> {
    let results = list["results"].as_array().unwrap();
    results.iter().map(|found| text(&found["name"])).collect()
}

#[tokio::test]
async fn folders_and_files_are_shown_by_path_and_by_identity() {
    let world = world().await;
    let root = world.get(&format!("{DRIVE}/folders")).await.ok();
    assert_eq!(names(&root), ["media", "old"]);
    assert_eq!(root["parent_path"], "/");
    let first = &root["results"][0];
    assert_eq!(
        first,
        &json!({"id": "media", "name": "media", "path": "/media", "mime_type": "folder"})
    );
    for path in ["/media", text(&first["id"])] {
        let folders = world
            .get(&format!("{DRIVE}/folders?path={path}"))
            .await
            .ok();
        assert_eq!(
            (names(&folders), &folders["parent_path"]),
            (vec!["deep"], &json!(path))
        );
        let files = world.get(&format!("{DRIVE}/files?path={path}")).await.ok();
        assert_eq!(names(&files), ["a.txt", "b.txt"]);
        assert_eq!((&files["total"], &files["path"]), (&json!(2), &json!(path)));
        assert_eq!(files["results"][0]["size_bytes"], 11);
        assert_eq!(files["results"][0].get("web_view_link"), None);
    }
    let few = world
        .get(&format!("{DRIVE}/files?path=/media&max_results=1"))
        .await
        .ok();
    assert_eq!(few["total"], 1);
    for nowhere in ["folders", "files"] {
        let none = world
            .get(&format!("{DRIVE}/{nowhere}?path=/nowhere"))
            .await
            .ok();
        assert_eq!(none["results"], json!([]), "{nowhere}");
    }
}

#[tokio::test]
async fn browsing_that_works_is_a_use_and_every_one_is_in_the_trail() {
    let world = world().await;
    assert_eq!(world.get(DRIVE).await.ok()["last_used_at"], Value::Null);
    let before = world.get(DRIVE).await.ok();
    world.source.fail_look(
        "nowhere",
        Failure::transient(ErrorCode::ProviderUnavailable),
        Times::Once,
    );
    let error = world
        .get(&format!("{DRIVE}/files?path=/nowhere"))
        .await
        .error(503);
    assert_eq!(error["code"], "provider.unavailable");
    world.source.fail_look(
        "nowhere",
        Failure::permanent(ErrorCode::PermDenied),
        Times::Once,
    );
    let error = world
        .get(&format!("{DRIVE}/files?path=/nowhere"))
        .await
        .error(409);
    assert_eq!(error["code"], "provider_refused");
    assert_eq!(world.get(DRIVE).await.ok(), before);
    world.get(&format!("{DRIVE}/files")).await.ok();
    let after = world.get(DRIVE).await.ok();
    assert!(after["last_used_at"].is_string());
    assert_eq!(after["revision"], before["revision"]);
    let filter = AuditFilter {
        action: Some(Action::ConnectionUsed.as_str().to_owned()),
        ..AuditFilter::default()
    };
    let trail = world
        .repositories
        .audit
        .list(&world.organization, &filter, 0, 10)
        .await
        .unwrap();
    let purposes: Vec<_> = trail
        .rows
        .iter()
        .map(|row| &row.row.changes["purpose"])
        .collect();
    assert_eq!(purposes, [&json!("browse"); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_not_waited_for_and_one_at_rest_is_not_asked() {
    let world = world().await;
    world.source.before_list(|_| std::future::pending());
    let error = world.get(&format!("{DRIVE}/folders")).await.error(503);
    assert!(text(&error["message"]).contains("the provider"));
    world
        .call("PATCH", DRIVE, json!({"status": "SUSPENDED"}))
        .await
        .ok();
    let opens = world.source.calls().opens;
    let error = world.get(&format!("{DRIVE}/folders")).await.error(409);
    assert_eq!(error["code"], "connection_inactive");
    world.call("DELETE", DRIVE, Value::Null).await.ok();
    assert_eq!(world.source.calls().opens, opens);
}
