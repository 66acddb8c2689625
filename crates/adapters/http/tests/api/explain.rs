use serde_json::{Value, json};

use crate::world::{World, text};

fn path(sync: &Value, source: &str) -> String {
    format!(
        "/v1/buckets/{}/syncs/{}/explain?source={source}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    )
}

#[tokio::test]
async fn a_file_is_explained_by_what_became_of_it() {
    let world = World::new().await;
    world.source.put("media/a b.txt", "1");
    let sync = world.sync().await;
    let waiting = world.get(&path(&sync, "a%20b.txt")).await.ok();
    assert_eq!(waiting["decision"], "not_reached");
    assert_eq!(waiting.get("object_id"), None);
    assert_eq!(
        waiting["evidence"]["queued_job_id"],
        sync["current_sync_run_id"]
    );
    world.work().await;
    let told = world.get(&path(&sync, "s3://media/a%20b.txt")).await.ok();
    assert_eq!(told["decision"], "ingested");
    assert_eq!(told["sync_job_id"], sync["current_sync_run_id"]);
    assert!(text(&told["object_id"]).starts_with("obj_"));
    assert_eq!(told["evidence"]["source_object_id"], "media/a b.txt");
    assert!(text(&told["message"]).contains("in the bucket"));
    let gone = world.get(&path(&sync, "nothing")).await.ok();
    assert_eq!(gone["decision"], "not_visible");
    let elsewhere = world.get(&path(&sync, "s3://elsewhere/a")).await.ok();
    assert_eq!(elsewhere["decision"], "out_of_scope");
}

#[tokio::test]
async fn a_question_without_a_file_or_about_another_sync_is_refused() {
    let world = World::new().await;
    let sync = world.sync().await;
    let missing = [("query.source".to_owned(), "missing".to_owned())];
    assert_eq!(world.get(&path(&sync, "")).await.mistakes(), missing);
    let misspelt = format!("{}&sauce=a", path(&sync, "a"));
    assert_eq!(
        world.get(&misspelt).await.mistakes(),
        [("query.sauce".to_owned(), "extra_forbidden".to_owned())]
    );
    let unknown =
        json!({"bucket_id": sync["bucket_id"], "sync_config_id": "sync_0123456789abcdef"});
    world.get(&path(&unknown, "a")).await.error(404);
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&sync["connection_id"])
    );
    world
        .call("PATCH", &connection, json!({"status": "SUSPENDED"}))
        .await
        .ok();
    let error = world.get(&path(&sync, "a")).await.error(409);
    assert_eq!(error["code"], "connection_inactive");
}
