use serde_json::{Value, json};
use wharf_domain::access::{Grant, Permission, ResourceScope};
use wharf_domain::audit::AuditFilter;

use crate::world::{Answer, World, new_connection, text};

fn scope(kind: &str, id: &str, operations: &[&str]) -> ResourceScope {
    let operations: Vec<String> = operations.iter().map(|word| (*word).to_owned()).collect();
    ResourceScope {
        resource_type: kind.to_owned(),
        resource_id: id.to_owned(),
        operations: (!operations.is_empty()).then_some(operations),
    }
}

async fn key(world: &World, name: &str, scopes: Vec<ResourceScope>) -> String {
    let grant = Grant {
        scopes,
        ..Grant::of(Permission::Admin)
    };
    world.key_with(name, grant).await
}

#[track_caller]
fn denied(answer: &Answer, what: &str) -> Value {
    let error = answer.error(403);
    assert_eq!(error["code"], "scope_denied", "{what}");
    error["details"].clone()
}

/// A webhook as somebody wishes for one.
fn new_webhook() -> Value {
    json!({"webhook_name": "w", "event_types": ["object.created"], "channels": [
        {"channel": "webhook", "configs": {"url": "https://hooks.example/w"}},
    ]})
}

/// A body that an operation would take.
fn body(method: &str, path: &str, connection: &str) -> Value {
    let sync = json!({"connection_id": connection, "source_path": "media/"});
    match (method, path) {
        ("GET" | "DELETE", _) => Value::Null,
        ("PUT", path) if path.contains("/webhooks/") => new_webhook(),
        ("POST", "/v1/organizations/webhooks") => new_webhook(),
        ("POST", path) if path.ends_with("/redeliver") => {
            json!({"event_ids": ["evt_0123456789abcdef"]})
        }
        ("POST", "/v1/organizations/connections") => new_connection("another"),
        ("POST", "/v1/organizations/users") => {
            json!({"email": "x@example.com", "user_name": "Somebody"})
        }
        ("POST", path) if path.ends_with("/api-keys") => json!({"name": "x"}),
        ("POST", path) if path.ends_with("/start") => {
            json!({"client_id": "app", "client_secret": "x", "name": "another"})
        }
        ("POST", "/v1/namespaces") => json!({"namespace_name": "another"}),
        ("POST", "/v1/buckets") => {
            json!({"bucket_name": "another", "bucket_schema": {"properties": {}}})
        }
        ("POST", path) if path.ends_with("/syncs") || path.ends_with("/syncs/plan") => sync,
        ("POST", path) if path.ends_with("/bulk-mark-failed") => {
            json!({"error_types": ["PERM_DENIED"]})
        }
        _ => json!({}),
    }
}

#[tokio::test]
async fn a_key_for_one_bucket_gets_nothing_else_on_any_route() {
    let world = World::new().await;
    let mine = world.bucket("mine").await;
    let sync = world.sync().await;
    let job = text(&sync["bucket_id"]).to_owned();
    let jobs = format!(
        "/v1/buckets/{job}/syncs/{}/jobs",
        text(&sync["sync_config_id"])
    );
    let jobs = world.call("POST", &jobs, json!({})).await.ok();
    let webhooks = "/v1/organizations/webhooks";
    let webhook = world.call("POST", webhooks, new_webhook()).await.ok();
    let events = world.get("/v1/organizations/events").await.ok();
    let trail = world.get("/v1/organizations/audit/logs").await.ok();
    let connection = text(&sync["connection_id"]);
    let key = key(
        &world,
        "scoped",
        vec![scope("bucket", text(&mine["bucket_id"]), &[])],
    )
    .await;
    let audit = &world.repositories.audit;
    let rows = async || {
        let filter = AuditFilter::default();
        audit
            .list(&world.organization, &filter, 0, 1)
            .await
            .unwrap()
            .total
    };
    let before = rows().await;
    let document = json!(wharf_http::openapi());
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // The types of events are nobody's.
            if !operation["x-wharf-permission"].is_string() || path.ends_with("/events/types") {
                continue;
            }
            let method = method.to_uppercase();
            let mut filled = path
                .replace("{connection_identifier}", connection)
                .replace("/oauth/{provider_type}", "/oauth/google_drive")
                .replace("{provider_type}", "s3")
                .replace("{namespace_identifier}", "default")
                .replace("{bucket_identifier}", text(&sync["bucket_id"]))
                .replace("{bucket_id}", text(&sync["bucket_id"]))
                .replace("{object_identifier}", "obj_0123456789abcdef")
                .replace("{sync_config_id}", text(&sync["sync_config_id"]))
                .replace("{sync_job_id}", text(&jobs["results"][0]["sync_job_id"]))
                .replace("{identifier}", text(&webhook["webhook_id"]))
                .replace("{event_id}", text(&events["results"][0]["id"]))
                .replace("{user_email}", "admin@wharf.local")
                .replace("{key_name}", "admin-key")
                .replace("{audit_id}", text(&trail["results"][0]["audit_id"]));
            let body = body(&method, &filled, connection);
            if filled.ends_with("/explain") {
                filled.push_str("?source=a.txt");
            }
            let answer = world.call_as(&key, &method, &filled, body).await;
            denied(&answer, &format!("{method} {filled}"));
            asked += 1;
        }
    }
    assert!(asked > 60, "{asked} operations");
    assert_eq!(rows().await, before, "something was changed");
}

#[tokio::test]
async fn a_key_for_one_bucket_reaches_it_with_what_it_holds() {
    let world = World::new().await;
    let (bucket, object) = world.object("a.txt", b"hello").await;
    let id = bucket.rsplit('/').next().unwrap();
    let scoped = key(&world, "scoped", vec![scope("bucket", id, &[])]).await;
    let ask = async |method: &str, path: &str, body: Value| {
        world.call_as(&scoped, method, path, body).await
    };
    ask("GET", &bucket, Value::Null).await.ok();
    ask("GET", "/v1/buckets/files", Value::Null).await.ok();
    ask("GET", &format!("{bucket}/objects"), Value::Null)
        .await
        .ok();
    let content = ask("GET", &format!("{object}/content"), Value::Null).await;
    assert_eq!(&content.body[..], b"hello");
    let syncs = ask("POST", &format!("{bucket}/syncs/list"), json!({}))
        .await
        .ok();
    let sync = text(&syncs["results"][0]["sync_config_id"]).to_owned();
    ask("POST", &format!("{bucket}/syncs/{sync}/pause"), Value::Null)
        .await
        .ok();
    // A new sync would read through a connection that the key does not reach.
    let connection = text(&syncs["results"][0]["connection_id"]).to_owned();
    let body = json!({"connection_id": connection, "source_path": "other/"});
    let path = format!("{bucket}/syncs");
    let details = denied(&ask("POST", &path, body.clone()).await, "a new sync");
    assert_eq!(details, json!({"resource": "connection", "id": connection}));
    let both = vec![
        scope("bucket", "files", &[]),
        scope("storage_connection", "st*", &["read_data"]),
    ];
    let both = key(&world, "both", both).await;
    world.call_as(&both, "POST", &path, body).await.ok();
    let test = format!("/v1/organizations/connections/{connection}/test");
    denied(
        &world.call_as(&both, "POST", &test, json!({})).await,
        "a test",
    );
    let get = "/v1/organizations/connections/store";
    world.call_as(&both, "GET", get, Value::Null).await.ok();
}

#[tokio::test]
async fn a_key_for_webhooks_reaches_them_and_no_events() {
    let world = World::new().await;
    let webhooks = "/v1/organizations/webhooks";
    let webhook = world.call("POST", webhooks, new_webhook()).await.ok();
    let path = format!("{webhooks}/{}", text(&webhook["webhook_id"]));
    let scoped = key(&world, "scoped", vec![scope("webhook", "w", &[])]).await;
    let ask = async |method: &str, path: &str, body: Value| {
        world.call_as(&scoped, method, path, body).await
    };
    ask("GET", &path, Value::Null).await.ok();
    ask("PUT", &path, new_webhook()).await.ok();
    denied(&ask("POST", webhooks, new_webhook()).await, "another one");
    let deliveries = format!("{path}/deliveries");
    denied(&ask("GET", &deliveries, Value::Null).await, "bodies");
    let all = format!("{webhooks}/list");
    denied(&ask("POST", &all, json!({})).await, "all");
    let events = "/v1/organizations/events";
    denied(&ask("GET", events, Value::Null).await, "events");
    assert_eq!(ask("DELETE", &path, Value::Null).await.status, 204);
}

#[tokio::test]
async fn scopes_lower_permissions_and_name_what_they_refuse() {
    let world = World::new().await;
    world.bucket("files").await;
    let reads = vec![scope("namespace", "def*", &["read_data"])];
    let reads = key(&world, "reads", reads).await;
    let ask = async |method: &str, path: &str, body: Value| {
        world.call_as(&reads, method, path, body).await
    };
    ask("GET", "/v1/namespaces/default", Value::Null).await.ok();
    ask("GET", "/v1/buckets", Value::Null).await.ok();
    let details = denied(
        &ask("DELETE", "/v1/buckets/files", Value::Null).await,
        "a delete",
    );
    assert_eq!(details, json!({"resource": "bucket", "id": "files"}));
    // What is covered and not there is missing; what is not covered is refused, there or not.
    ask("GET", "/v1/buckets/nothing", Value::Null)
        .await
        .error(404);
    for id in ["team-b", "ns_0123456789abcdef"] {
        let path = format!("/v1/namespaces/{id}");
        let details = denied(&ask("GET", &path, Value::Null).await, id);
        assert_eq!(details, json!({"resource": "namespace", "id": id}));
    }
    denied(
        &ask("GET", "/v1/namespaces", Value::Null).await,
        "all namespaces",
    );
    let lists = key(&world, "lists", vec![scope("namespace", "*", &[])]).await;
    world
        .call_as(&lists, "GET", "/v1/namespaces", Value::Null)
        .await
        .ok();
    let whole = key(
        &world,
        "whole",
        vec![scope("organization", "*", &["read_data"])],
    )
    .await;
    world
        .call_as(&whole, "GET", "/v1/organizations", Value::Null)
        .await
        .ok();
    let audit = "/v1/organizations/audit/logs";
    denied(
        &world.call_as(&whole, "GET", audit, Value::Null).await,
        "the audit trail",
    );
    let people = key(&world, "people", vec![scope("user", "admin@*", &[])]).await;
    let user = "/v1/organizations/users/admin@wharf.local";
    world.call_as(&people, "GET", user, Value::Null).await.ok();
    let users = "/v1/organizations/users";
    denied(
        &world.call_as(&people, "GET", users, Value::Null).await,
        "all users",
    );
}
