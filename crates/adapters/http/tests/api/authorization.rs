use axum::body::Body;
use serde_json::{Value, json};
use wharf_domain::access::Permission;
use wharf_domain::audit::{Actor, AuditFilter};

use wharf_engine::Operator;

use crate::world::{ADMIN, World, new_connection, request, text};

/// Method, path and permission of every operation, from the document that the server gives out.
fn operations() -> Vec<(String, String, Option<Permission>)> {
    let document = json!(wharf_http::openapi());
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let permission = operation["x-wharf-permission"]
                .as_str()
                .map(|word| word.parse().unwrap());
            let filled = path
                .replace("{connection_identifier}", "conn_abcdefghijklmno")
                .replace("{provider_type}", "s3")
                .replace("{channel}", "nothing")
                .replace("{namespace_identifier}", "ns_0123456789abcdef")
                .replace("{bucket_identifier}", "bkt_0123456789abcdef")
                .replace("{bucket_id}", "bkt_0123456789abcdef")
                .replace("{object_identifier}", "obj_0123456789abcdef")
                .replace("{sync_config_id}", "sync_0123456789abcdef")
                .replace("{sync_job_id}", "job_0123456789abcdef")
                .replace("{user_email}", "nobody@example.com")
                .replace("{key_name}", "nothing")
                .replace("{audit_id}", "aud_0123456789abcdef");
            operations.push((method.to_uppercase(), filled, permission));
        }
    }
    operations
}

#[tokio::test]
async fn every_operation_asks_for_its_permission_before_anything_else() {
    let world = World::new().await;
    let mut keys = Vec::new();
    for permission in Permission::ALL {
        keys.push((permission, world.key(permission).await));
    }
    for (method, path, required) in operations() {
        // A body that could not be read: permission comes first.
        let nobody = world
            .send_freely(request(&method, &path).body(Body::from("{")).unwrap())
            .await;
        let Some(required) = required else {
            // What stands for the caller here is in the request, and this one has none of it.
            let expected = match path.as_str() {
                "/v1/oauth/s3/callback" => 422,
                "/v1/hooks/nothing" => 404,
                _ => 200,
            };
            assert_eq!(nobody.status, expected, "{method} {path}");
            continue;
        };
        assert_eq!(
            nobody.error(401)["type"],
            "UnauthorizedError",
            "{method} {path}"
        );
        assert_eq!(nobody.header("www-authenticate"), "Bearer");
        for (granted, key) in &keys {
            let request = request(&method, &path).header("authorization", format!("Bearer {key}"));
            let answer = world.send(request.body(Body::from("{")).unwrap()).await;
            if *granted < required {
                let error = answer.error(403);
                assert_eq!(
                    error["type"], "ForbiddenError",
                    "{method} {path} with {granted}"
                );
                assert_eq!(
                    error["details"],
                    json!({"required": required.as_str(), "granted": granted.as_str()})
                );
            } else {
                assert!(
                    ![401, 403].contains(&answer.status.as_u16()),
                    "{method} {path} with {granted}"
                );
            }
        }
    }
}

#[test]
fn permissions_are_what_the_product_promises() {
    let all = operations();
    let asks = |method: &str, end: &str| {
        let found = all
            .iter()
            .find(|(m, path, _)| m == method && path.ends_with(end));
        found.unwrap_or_else(|| panic!("{method} {end}")).2
    };
    for (method, end, permission) in [
        ("POST", "/organizations/connections", Permission::Admin),
        ("PATCH", "/conn_abcdefghijklmno", Permission::Admin),
        ("DELETE", "/conn_abcdefghijklmno", Permission::Admin),
        ("GET", "/v1/organizations", Permission::Read),
        ("PATCH", "/v1/organizations", Permission::Admin),
        ("GET", "/organizations/users", Permission::Admin),
        ("GET", "/api-keys", Permission::Admin),
        ("POST", "/rotate", Permission::Admin),
        ("GET", "/audit/logs", Permission::Admin),
        ("GET", "/audit/settings", Permission::Admin),
        ("PATCH", "/ns_0123456789abcdef", Permission::Write),
        ("DELETE", "/ns_0123456789abcdef", Permission::Delete),
        ("PUT", "/bkt_0123456789abcdef", Permission::Write),
        ("POST", "/test", Permission::Write),
        ("GET", "/conn_abcdefghijklmno", Permission::Read),
        ("POST", "/connections/list", Permission::Read),
        ("GET", "/setup/s3", Permission::Read),
        ("GET", "/folders", Permission::Read),
        ("GET", "/files", Permission::Read),
        ("POST", "/oauth/s3/start", Permission::Admin),
        ("POST", "/v1/buckets", Permission::Write),
        ("DELETE", "/bkt_0123456789abcdef", Permission::Delete),
        ("DELETE", "/obj_0123456789abcdef", Permission::Delete),
        ("GET", "/content", Permission::Read),
        ("POST", "/syncs", Permission::Write),
        ("POST", "/trigger", Permission::Write),
        ("DELETE", "/sync_0123456789abcdef", Permission::Delete),
        ("PATCH", "/sync_0123456789abcdef", Permission::Write),
        ("POST", "/pause", Permission::Write),
        ("POST", "/resume", Permission::Write),
        ("POST", "/unlock", Permission::Write),
        ("GET", "/sync_0123456789abcdef/metrics", Permission::Read),
        ("POST", "/deletes/approve", Permission::Delete),
        ("POST", "/deletes/discard", Permission::Write),
        ("POST", "/restore", Permission::Write),
        ("POST", "/dlq", Permission::Read),
        ("POST", "/dlq/requeue", Permission::Write),
        ("POST", "/dlq/bulk-mark-failed", Permission::Write),
        ("POST", "/jobs", Permission::Read),
        ("GET", "/events", Permission::Read),
        ("GET", "/explain", Permission::Read),
        ("POST", "/syncs/plan", Permission::Write),
        ("POST", "/sync_0123456789abcdef/plan", Permission::Write),
    ] {
        assert_eq!(asks(method, end), Some(permission), "{method} {end}");
    }
    let operator = all.iter().find(|(_, path, _)| path == "/metrics");
    assert_eq!(operator.unwrap().2, Some(Permission::Admin));
    let public: Vec<&str> = all
        .iter()
        .filter(|op| op.2.is_none())
        .map(|op| op.1.as_str())
        .collect();
    assert!(
        public.iter().all(|path| path.starts_with("/v1/health")
            || [
                "/openapi.json",
                "/v1/oauth/s3/callback",
                "/v1/hooks/nothing"
            ]
            .contains(path)),
        "{public:?}"
    );
}

#[tokio::test]
async fn keys_that_are_malformed_unknown_or_revoked_are_refused_alike() {
    let world = World::new().await;
    let revoked = world.key(Permission::Read).await;
    let key = world.engine.authenticate(&revoked).await.unwrap().key;
    world
        .engine
        .revoke_api_key(
            &Operator::of(&world.organization),
            "admin@wharf.local",
            key.as_str(),
        )
        .await
        .unwrap();
    let mut bodies = std::collections::BTreeSet::new();
    for authorization in [
        format!("Bearer {revoked}"),
        "Bearer sk_unknown".into(),
        "Bearer".into(),
        format!("Basic {ADMIN}"),
        ADMIN.into(),
    ] {
        let request = request("GET", "/v1/namespaces").header("authorization", authorization);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        answer.error(401);
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn another_organizations_things_are_as_unknown_as_what_never_was() {
    let world = World::new().await;
    let (_, object) = world.object("a", b"1").await;
    let object = world.get(&object).await.ok();
    let syncs = format!("/v1/buckets/{}/syncs/list", text(&object["bucket_id"]));
    let sync = world.call("POST", &syncs, Value::Null).await.ok()["results"][0].clone();
    let jobs = format!(
        "/v1/buckets/{}/syncs/{}/jobs",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    );
    let job = world.call("POST", &jobs, Value::Null).await.ok()["results"][0].clone();
    let stranger = world.stranger().await;
    let own = json!({"bucket_name": "own", "bucket_schema": {"properties": {}}});
    world
        .call_as(&stranger, "POST", "/v1/buckets", own)
        .await
        .ok();
    let real = [
        text(&sync["connection_id"]),
        text(&sync["bucket_id"]),
        text(&object["object_id"]),
        text(&sync["sync_config_id"]),
        text(&job["sync_job_id"]),
        text(&sync["namespace_id"]),
    ];
    let random = [
        "conn_abcdefghijklmno",
        "bkt_0123456789abcdef",
        "obj_0123456789abcdef",
        "sync_0123456789abcdef",
        "job_0123456789abcdef",
        "ns_0123456789abcdef",
    ];
    for (method, path, permission) in operations() {
        if permission.is_none() || !random.iter().any(|id| path.contains(id)) {
            continue;
        }
        let new_sync = path.ends_with("/syncs") || path.ends_with("/syncs/plan");
        let path = match path.strip_suffix("/explain") {
            Some(sync) => format!("{sync}/explain?source=a"),
            None => path,
        };
        let body = match (method.as_str(), path.rsplit('/').next()) {
            ("POST", _) if new_sync => json!({"connection_id": random[0], "source_path": "media/"}),
            ("POST", Some("bulk-mark-failed")) => json!({"error_types": ["perm.denied"]}),
            ("PATCH", _) => json!({"description": "x"}),
            _ => Value::Null,
        };
        let swap = |text: String| {
            random
                .iter()
                .zip(real)
                .fold(text, |text, (from, to)| text.replace(from, to))
        };
        let unknown = world.call_as(&stranger, &method, &path, body.clone()).await;
        let foreign_body = serde_json::from_str(&swap(body.to_string())).unwrap();
        let foreign = world
            .call_as(&stranger, &method, &swap(path.clone()), foreign_body)
            .await;
        unknown.error(404);
        assert_eq!(foreign.status, 404, "{method} {path}");
        assert_eq!(
            foreign.body,
            swap(String::from_utf8(unknown.body.to_vec()).unwrap()),
            "{method} {path}"
        );
    }
    // Within a bucket of their own, too.
    for (path, body) in [
        (format!("/v1/buckets/own/objects/{}", real[2]), Value::Null),
        (format!("/v1/buckets/own/syncs/{}", real[3]), Value::Null),
    ] {
        world
            .call_as(&stranger, "GET", &path, body)
            .await
            .error(404);
    }
    let body = json!({"connection_id": real[0], "source_path": "media/"});
    world
        .call_as(&stranger, "POST", "/v1/buckets/own/syncs", body)
        .await
        .error(404);
    let all = world
        .call_as(
            &stranger,
            "POST",
            "/v1/organizations/connections/list",
            Value::Null,
        )
        .await
        .ok();
    assert_eq!(all["total"], 0);
    world.connection("still there").await;
}

#[tokio::test]
async fn the_audit_trail_tells_who_why_and_from_where() {
    let world = World::new().await;
    world.clock.advance(std::time::Duration::from_secs(1));
    let request = request("POST", "/v1/organizations/connections")
        .header("authorization", format!("Bearer {ADMIN}"))
        .header(
            "x-change-reason",
            "because\tof\u{1b}[31m ticket 7 ".replace('\u{1b}', "") + &"x".repeat(600),
        )
        .header("user-agent", "a".repeat(300))
        .extension(axum::extract::ConnectInfo(std::net::SocketAddr::from((
            [192, 0, 2, 7],
            4444,
        ))));
    world
        .send(
            request
                .body(Body::from(new_connection("store").to_string()))
                .unwrap(),
        )
        .await
        .ok();
    let trail = world
        .repositories
        .audit
        .list(&world.organization, &AuditFilter::default(), 0, 1)
        .await
        .unwrap();
    let origin = &trail.rows[0].row.origin;
    assert!(
        matches!(&origin.actor, Actor::User { user_id, key_id } if user_id.starts_with("usr_") && key_id.starts_with("key_"))
    );
    let reason = origin.reason.as_deref().unwrap();
    assert!(reason.starts_with("becauseof[31m ticket 7 xxx"), "{reason}");
    assert_eq!(reason.chars().count(), 500);
    assert_eq!(origin.user_agent.as_ref().unwrap().len(), 256);
    assert_eq!(origin.ip_address.as_deref(), Some("192.0.2.7"));
}
