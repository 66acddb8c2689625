use serde_json::{Value, json};
use wharf_domain::access::{Grant, Permission, ResourceScope};

use crate::world::{World, text};

const KEYS: &str = "/v1/organizations/users/admin@wharf.local/api-keys";

async fn status(world: &World, key: &str) -> u16 {
    let answer = world
        .call_as(key, "GET", "/v1/organizations", Value::Null)
        .await;
    answer.status.as_u16()
}

fn scope(kind: &str, id: &str) -> ResourceScope {
    ResourceScope {
        resource_type: kind.to_owned(),
        resource_id: id.to_owned(),
        operations: None,
    }
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut keys = list["results"].as_array().unwrap().iter();
    keys.find(|key| key["name"] == name).unwrap()
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let world = World::new().await;
    let body = json!({
        "name": "ci", "description": "Builds.", "rate_limit_override": 100, "principal_id": "u-1",
        "expires_at": "2999-01-01T00:00:00Z", "allowed_origins": ["https://*.Example.com"],
        "scopes": [{"resource_type": "organization", "resource_id": "*", "operations": ["read_data"]}],
    });
    let issued = world.call("POST", KEYS, body.clone()).await.ok();
    let key = text(&issued["key"]).to_owned();
    assert_eq!(key.len(), 46);
    assert_eq!(issued["key_prefix"], key[..10]);
    assert_eq!(issued["permissions"], json!(["read", "write", "delete"]));
    assert_eq!(issued["allowed_origins"], json!(["https://*.example.com"]));
    assert_eq!(
        (&issued["status"], &issued["last_used_at"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(text(&issued["key_hash"]).len(), 64);
    let error = world.call("POST", KEYS, body).await.error(409);
    assert_eq!(error["code"], "api_key_name_taken");
    assert_eq!(status(&world, &key).await, 200);

    let list = world.get(KEYS).await.ok();
    assert_eq!(list["total"], 2);
    assert!(!list.to_string().contains(&key));
    // That a key was used is noted beside the request.
    let mut list = list;
    for _ in 0..100 {
        if named(&list, "ci")["last_used_at"].is_string() {
            break;
        }
        tokio::task::yield_now().await;
        list = world.get(KEYS).await.ok();
    }
    let shown = named(&list, "ci");
    assert!(shown["last_used_at"].is_string(), "{shown}");

    let path = format!("{KEYS}/ci");
    let rotated = world
        .call("POST", &format!("{path}/rotate"), Value::Null)
        .await
        .ok();
    let fresh = text(&rotated["key"]).to_owned();
    assert_eq!(rotated["key_id"], issued["key_id"]);
    assert_ne!(rotated["key_hash"], issued["key_hash"]);
    assert_eq!(
        (status(&world, &key).await, status(&world, &fresh).await),
        (401, 200)
    );

    world.call("DELETE", &path, Value::Null).await.ok();
    assert_eq!(status(&world, &fresh).await, 401);
    world.call("DELETE", &path, Value::Null).await.error(404);
    assert_eq!(world.get(KEYS).await.ok()["total"], 1);
    let all = world
        .get(&format!("{KEYS}?include_revoked=true"))
        .await
        .ok();
    let shown = named(&all, "ci");
    assert_eq!(shown["status"], "revoked");
    assert!(text(&shown["revoked_by"]).starts_with("usr_"));
}

#[tokio::test]
async fn keys_are_changed_by_name_or_identifier() {
    let world = World::new().await;
    let issued = world.call("POST", KEYS, json!({"name": "a"})).await.ok();
    world.call("POST", KEYS, json!({"name": "b"})).await.ok();
    let path = format!("{KEYS}/{}", text(&issued["key_id"]));
    let change = json!({
        "name": "c", "description": "Another.", "permissions": ["admin", "read", "read"],
        "scopes": [{"resource_type": "bucket", "resource_id": "team-*"}], "rate_limit_override": 5,
        "expires_at": "2999-01-01", "allowed_origins": ["http://localhost:3000"],
    });
    let changed = world.call("PATCH", &path, change).await.ok();
    assert_eq!(changed["name"], "c");
    assert_eq!(changed["permissions"], json!(["read", "admin"]));
    assert_eq!(changed["scopes"][0]["resource_id"], "team-*");
    let back = json!({
        "scopes": [], "rate_limit_override": null, "expires_at": null, "allowed_origins": [], "status": "active",
    });
    let changed = world.call("PATCH", &format!("{KEYS}/c"), back).await.ok();
    for field in ["rate_limit_override", "expires_at", "allowed_origins"] {
        assert_eq!(changed[field], Value::Null, "{field}");
    }
    let taken = world
        .call("PATCH", &path, json!({"name": "b"}))
        .await
        .error(409);
    assert_eq!(taken["code"], "api_key_name_taken");
    let revoked = world
        .call("PATCH", &path, json!({"status": "revoked"}))
        .await
        .ok();
    assert_eq!(revoked["status"], "revoked");
    world
        .call("PATCH", &path, json!({"name": "d"}))
        .await
        .error(404);
}

#[tokio::test]
async fn mistakes_in_keys_are_told_by_name() {
    let world = World::new().await;
    for (body, place) in [
        (json!({}), "body.name"),
        (json!({"name": ""}), "body.name"),
        (json!({"name": "key_x"}), "body.name"),
        (json!({"name": "x", "permissions": []}), "body.permissions"),
        (
            json!({"name": "x", "permissions": ["all"]}),
            "body.permissions",
        ),
        (json!({"name": "x", "scopes": {}}), "body.scopes"),
        (json!({"name": "x", "scopes": [1]}), "body.scopes.0"),
        (
            json!({"name": "x", "scopes": [{"resource_type": "planet", "resource_id": "*"}]}),
            "body.scopes.0.resource_type",
        ),
        (
            json!({"name": "x", "scopes": [{"resource_type": "user", "resource_id": "*", "operations": []}]}),
            "body.scopes.0.operations",
        ),
        (
            json!({"name": "x", "scopes": [{"resource_type": "user", "resource_id": "*", "more": 1}]}),
            "body.scopes.0.more",
        ),
        (
            json!({"name": "x", "rate_limit_override": 0}),
            "body.rate_limit_override",
        ),
        (
            json!({"name": "x", "expires_at": "2001-01-01"}),
            "body.expires_at",
        ),
        (
            json!({"name": "x", "allowed_origins": ["example.com"]}),
            "body.allowed_origins.0",
        ),
    ] {
        let mistakes = world.call("POST", KEYS, body.clone()).await.mistakes();
        assert_eq!(mistakes[0].0, place, "{body}");
    }
    world.call("POST", KEYS, json!({"name": "a"})).await.ok();
    for body in [
        json!({"status": "expired"}),
        json!({"status": "revoked", "name": "b"}),
    ] {
        let mistakes = world
            .call("PATCH", &format!("{KEYS}/a"), body)
            .await
            .mistakes();
        assert_eq!(mistakes[0].0, "body.status");
    }
    world
        .call("POST", &format!("{KEYS}/nothing/rotate"), Value::Null)
        .await
        .error(404);
    let nobody = "/v1/organizations/users/nobody@example.com/api-keys";
    world.get(nobody).await.error(404);
}

#[tokio::test]
async fn the_first_key_is_rotated_but_never_revoked_or_changed() {
    let world = World::new().await;
    let path = format!("{KEYS}/admin-key");
    world.call("DELETE", &path, Value::Null).await.error(409);
    for change in [
        json!({"status": "revoked"}),
        json!({"name": "x"}),
        json!({"permissions": ["read"]}),
    ] {
        let error = world.call("PATCH", &path, change).await.error(409);
        assert_eq!(error["code"], "api_key_protected");
    }
    world
        .call("PATCH", &path, json!({"description": "The first."}))
        .await
        .ok();
    let rotated = world
        .call("POST", &format!("{path}/rotate"), Value::Null)
        .await
        .ok();
    assert_eq!(status(&world, text(&rotated["key"])).await, 200);
    world.get(KEYS).await.error(401);
}

#[tokio::test]
async fn no_caller_names_a_key_like_the_first_one() {
    let world = World::new().await;
    world.call("POST", KEYS, json!({"name": "a"})).await.ok();
    let named = json!({"name": "admin-key"});
    let users = "/v1/organizations/users";
    let ann = json!({"email": "ann@example.com", "user_name": "Ann"});
    world.call("POST", users, ann).await.ok();
    let of_ann = format!("{users}/ann@example.com/api-keys");
    for (method, path) in [("POST", of_ann), ("PATCH", format!("{KEYS}/a"))] {
        let mistakes = world.call(method, &path, named.clone()).await.mistakes();
        assert_eq!(mistakes, [("body.name".to_owned(), "reserved".to_owned())]);
    }
}

#[tokio::test]
async fn a_key_allows_no_more_than_its_users_role_and_the_key_it_comes_from() {
    let world = World::new().await;
    let users = "/v1/organizations/users";
    let viewer = json!({"email": "v@example.com", "user_name": "Viewer", "role": "viewer"});
    world.call("POST", users, viewer).await.ok();
    let of_viewer = format!("{users}/v@example.com/api-keys");
    let issued = world
        .call("POST", &of_viewer, json!({"name": "a"}))
        .await
        .ok();
    assert_eq!(issued["permissions"], json!(["read"]));
    let body = json!({"name": "b", "permissions": ["write"]});
    let mistakes = world.call("POST", &of_viewer, body).await.mistakes();
    assert_eq!(
        mistakes,
        [("body.permissions".to_owned(), "role_ceiling".to_owned())]
    );

    let scopes = vec![scope("user", "*"), scope("bucket", "team-*")];
    let confined = Grant {
        scopes,
        ..Grant::of(Permission::Admin)
    };
    let confined = world.key_with("confined", confined).await;
    let ask = async |method: &str, path: &str, body: Value| {
        world.call_as(&confined, method, path, body).await
    };
    let bucket = |id: &str| json!([{"resource_type": "bucket", "resource_id": id}]);
    let within = json!({"name": "within", "scopes": bucket("team-a*")});
    ask("POST", KEYS, within).await.ok();
    for beyond in [
        json!({"name": "x"}),
        json!({"name": "x", "scopes": bucket("*")}),
    ] {
        let error = ask("POST", KEYS, beyond).await.error(403);
        assert_eq!(error["code"], "grant_exceeds_key");
    }
    let error = ask("PATCH", &format!("{KEYS}/within"), json!({"scopes": []}))
        .await
        .error(403);
    assert_eq!(error["code"], "grant_exceeds_key");
    // Rotating a stronger key would show it.
    let error = ask("POST", &format!("{KEYS}/admin-key/rotate"), Value::Null)
        .await
        .error(403);
    assert_eq!(error["code"], "grant_exceeds_key");
}
