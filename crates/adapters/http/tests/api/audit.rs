use axum::body::Body;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use wharf_domain::access::Permission;
use wharf_engine::Operator;

use crate::world::{ADMIN, World, request, text};

const LOGS: &str = "/v1/organizations/audit/logs";
const SETTINGS: &str = "/v1/organizations/audit/settings";

fn actions(list: &Value) -> Vec<&str> {
    let rows = list["results"].as_array().unwrap().iter();
    rows.map(|row| text(&row["action"])).collect()
}

#[tokio::test]
async fn the_trail_tells_who_did_what_and_why() {
    let world = World::new().await;
    let request = request("POST", "/v1/namespaces")
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-change-reason", "A new team.")
        .header("user-agent", "a test");
    let body = json!({"namespace_name": "team-a"}).to_string();
    let namespace = world
        .send(request.body(Body::from(body)).unwrap())
        .await
        .ok();
    world.bucket("files").await;
    let list = world.get(LOGS).await.ok();
    assert_eq!(
        actions(&list),
        [
            "bucket_created",
            "namespace_created",
            "organization_created"
        ]
    );
    assert_eq!(
        (&list["total"], &list["skip"], &list["limit"]),
        (&json!(3), &json!(0), &json!(100))
    );
    let row = &list["results"][1];
    assert_eq!(row["resource_id"], namespace["namespace_id"]);
    assert_eq!(
        (
            &row["reason"],
            &row["user_agent"],
            &row["actor_type"],
            &row["status"]
        ),
        (
            &json!("A new team."),
            &json!("a test"),
            &json!("user"),
            &json!("success")
        )
    );
    assert_eq!(
        (&row["actor_email"], &row["actor_key_name"]),
        (&json!("admin@wharf.local"), &json!("admin-key"))
    );
    assert_eq!(row["position"], 2);
    let path = format!("{LOGS}/{}", text(&row["audit_id"]));
    assert_eq!(world.get(&path).await.ok(), *row);
    for unknown in ["aud_0123456789abcdef", "nothing"] {
        world.get(&format!("{LOGS}/{unknown}")).await.error(404);
    }
}

#[tokio::test]
async fn the_trail_is_filtered_and_paged() {
    let world = World::new().await;
    for name in ["a1", "b2", "c3"] {
        world.bucket(name).await;
    }
    let total =
        async |query: &str| world.get(&format!("{LOGS}?{query}")).await.ok()["total"].clone();
    assert_eq!(total("action=bucket_created").await, 3);
    assert_eq!(total("resource_type=organization").await, 1);
    assert_eq!(total("actor_id=system").await, 1);
    assert_eq!(total("resource_id=nothing").await, 0);
    assert_eq!(total("start=2999-01-01").await, 0);
    assert_eq!(total("end=2999-01-01T00:00:00Z").await, 4);
    let page = world.get(&format!("{LOGS}?skip=1&limit=2")).await.ok();
    let places: Vec<&Value> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["position"])
        .collect();
    assert_eq!(places, [3, 2]);
    for query in ["start=yesterday", "limit=0", "limit=1001", "skip=-1"] {
        world.get(&format!("{LOGS}?{query}")).await.error(422);
    }
}

#[tokio::test]
async fn an_export_is_newest_first_and_says_when_it_is_cut() {
    let world = World::new().await;
    for number in 0..4 {
        world.bucket(&format!("bucket {number}")).await;
    }
    let export = async |query: &str| {
        let answer = world.get(&format!("{LOGS}/export{query}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/x-ndjson");
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines
    };
    let places = |lines: &[Value]| {
        lines
            .iter()
            .map(|line| line["position"].as_u64())
            .collect::<Vec<_>>()
    };
    let whole = export("").await;
    assert_eq!(places(&whole), [5, 4, 3, 2, 1].map(Some));
    assert_eq!(export("?max_events=5").await, whole);
    let cut = export("?max_events=2").await;
    assert_eq!(cut[..2], whole[..2]);
    assert_eq!(
        cut[2..],
        [json!({"__truncated__": true, "exported": 2, "total": 5})]
    );
    let filtered = export("?action=organization_created").await;
    assert_eq!(places(&filtered), [Some(1)]);
    assert!(export("?actor_id=nobody").await.is_empty());
    for most in ["0", "200001"] {
        world
            .get(&format!("{LOGS}/export?max_events={most}"))
            .await
            .error(422);
    }
}

#[tokio::test]
async fn an_export_breaks_off_when_its_key_is_revoked() {
    let world = World::new().await;
    for number in 0..600 {
        world.bucket(&format!("bucket {number}")).await;
    }
    let key = world.key(Permission::Admin).await;
    let request = request("GET", &format!("{LOGS}/export"))
        .header("authorization", format!("Bearer {key}"))
        .body(Body::empty());
    let response = world
        .router
        .clone()
        .oneshot(request.unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut lines = response.into_body().into_data_stream();
    assert!(lines.next().await.unwrap().is_ok());
    let path = "/v1/organizations/users/admin@wharf.local/api-keys/admin%20key";
    world.call("DELETE", path, Value::Null).await.ok();
    assert!(lines.next().await.unwrap().is_err());
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn reads_leave_rows_where_the_organization_wants_that() {
    let world = World::new().await;
    let connection = world.connection("store").await;
    let bucket = world.bucket("files").await;
    let paths = [
        format!(
            "/v1/organizations/connections/{}",
            text(&connection["connection_id"])
        ),
        "/v1/namespaces/default".to_owned(),
        format!("/v1/buckets/{}", text(&bucket["bucket_id"])),
    ];
    let read_all = async || {
        for path in &paths {
            world.get(path).await.ok();
        }
        let list = world.get(&format!("{LOGS}?limit=3")).await.ok();
        let actions: Vec<String> = actions(&list)
            .iter()
            .map(|action| (*action).to_owned())
            .collect();
        actions
    };
    assert_eq!(
        world.get(SETTINGS).await.ok(),
        json!({"read_auditing_enabled": false})
    );
    assert!(
        !read_all()
            .await
            .iter()
            .any(|action| action.ends_with("_accessed"))
    );
    let on = json!({"read_auditing_enabled": true});
    assert_eq!(world.call("PATCH", SETTINGS, on.clone()).await.ok(), on);
    assert_eq!(
        read_all().await,
        [
            "bucket_accessed",
            "namespace_accessed",
            "storage_connection_accessed"
        ]
    );
    assert_eq!(world.call("PATCH", SETTINGS, json!({})).await.ok(), on);
    let mistakes = world
        .call("PATCH", SETTINGS, json!({"read_auditing_enabled": 1}))
        .await
        .mistakes();
    assert_eq!(mistakes[0].0, "body.read_auditing_enabled");
    let changed = world
        .get(&format!("{LOGS}?action=audit_settings_updated"))
        .await
        .ok();
    assert_eq!(changed["total"], 1);
}

#[tokio::test]
async fn the_trail_is_intact_and_its_head_is_told() {
    let world = World::new().await;
    world.bucket("files").await;
    let verify = async |head| {
        world
            .engine
            .verify_audit(&world.organization, head)
            .await
            .unwrap()
    };
    let verdict = verify(None).await;
    assert_eq!((verdict.rows, verdict.fault.is_none()), (2, true));
    assert!(verdict.unseen.is_some());
    let known = verdict.head;
    world.bucket("more").await;
    let later = verify(Some(known)).await;
    assert_eq!((later.rows, later.fault), (3, None));
    let mut ahead = later.head;
    ahead.position += 1;
    let fault = verify(Some(ahead)).await.fault.unwrap();
    assert_eq!((fault.kind.as_str(), fault.position), ("rolled_back", 4));
}

#[tokio::test]
async fn what_an_operator_does_is_in_the_trail() {
    let world = World::new().await;
    world.key(Permission::Read).await;
    let operator = Operator::of(&world.organization);
    world
        .engine
        .revoke_api_key(&operator, "admin@wharf.local", "read key")
        .await
        .unwrap();
    let list = world.get(&format!("{LOGS}?actor_id=operator")).await.ok();
    assert_eq!(actions(&list), ["api_key_revoked", "api_key_created"]);
    assert_eq!(list["results"][0]["actor_name"], Value::Null);
}
