use std::time::Duration;

use serde_json::{Value, json};
use wharf_domain::access::Permission;

use crate::world::{World, text};

const USERS: &str = "/v1/organizations/users";
const ADMIN_USER: &str = "/v1/organizations/users/admin@wharf.local";

async fn user(world: &World, email: &str, role: &str) -> Value {
    let body = json!({"email": email, "user_name": "Somebody", "role": role});
    world.call("POST", USERS, body).await.ok()
}

#[tokio::test]
async fn users_are_added_listed_changed_and_deleted() {
    let world = World::new().await;
    let body = json!({
        "email": " Ann@Example.COM ", "user_name": "Ann", "avatar_url": "https://x.example/ann.png",
        "metadata": {"team": "a"},
    });
    world.clock.advance(Duration::from_secs(1));
    let ann = world.call("POST", USERS, body.clone()).await.ok();
    assert!(text(&ann["user_id"]).starts_with("usr_"));
    assert_eq!(
        (&ann["email"], &ann["role"], &ann["status"]),
        (
            &json!("ann@example.com"),
            &json!("member"),
            &json!("active")
        )
    );
    let path = format!("{USERS}/ANN@example.com");
    assert_eq!(world.get(&path).await.ok(), ann);
    let error = world.call("POST", USERS, body).await.error(409);
    assert_eq!(error["code"], "user_exists");

    world.clock.advance(Duration::from_secs(1));
    user(&world, "bob@example.com", "viewer").await;
    let list = async |query: &str| {
        let list = world.get(&format!("{USERS}{query}")).await.ok();
        let emails = list["results"].as_array().unwrap().iter();
        let emails: Vec<String> = emails.map(|user| text(&user["email"]).to_owned()).collect();
        (emails, list["total"].clone())
    };
    let (all, total) = list("").await;
    assert_eq!(
        all,
        ["admin@wharf.local", "ann@example.com", "bob@example.com"]
    );
    assert_eq!(total, 3);
    assert_eq!(
        list("?skip=1&limit=1").await,
        (vec!["ann@example.com".to_owned()], json!(3))
    );
    assert_eq!(list("?role=viewer").await.0, ["bob@example.com"]);
    assert_eq!(list("?status=suspended").await.1, 0);

    let change = json!({"role": "admin", "status": "pending", "avatar_url": "", "metadata": {}});
    let changed = world.call("PATCH", &path, change).await.ok();
    assert_eq!(
        (&changed["role"], &changed["status"]),
        (&json!("admin"), &json!("pending"))
    );
    assert_eq!(
        (&changed["avatar_url"], &changed["metadata"]),
        (&Value::Null, &json!({}))
    );
    assert_eq!(changed["user_name"], "Ann");

    let gone = world.call("DELETE", &path, Value::Null).await.ok();
    assert_eq!(gone["success"], true);
    assert_eq!(
        world.get(&path).await.error(404)["details"]["resource"],
        "user"
    );
}

#[tokio::test]
async fn mistakes_in_users_are_told_by_name() {
    let world = World::new().await;
    let body = json!({"email": "nobody", "user_name": "x", "role": "king", "status": "", "age": 3});
    let mut places: Vec<String> = world
        .call("POST", USERS, body)
        .await
        .mistakes()
        .into_iter()
        .map(|(place, _)| place)
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "body.age",
            "body.email",
            "body.role",
            "body.status",
            "body.user_name"
        ]
    );
    for path in ["nobody@example.com", "nobody", "%20"] {
        world.get(&format!("{USERS}/{path}")).await.error(404);
    }
    world
        .get(&format!("{USERS}?role=king&limit=0"))
        .await
        .error(422);
}

#[tokio::test]
async fn the_last_active_admin_stays() {
    let world = World::new().await;
    for change in [json!({"role": "member"}), json!({"status": "suspended"})] {
        let error = world.call("PATCH", ADMIN_USER, change).await.error(409);
        assert_eq!(error["code"], "last_admin");
    }
    let error = world
        .call("DELETE", ADMIN_USER, Value::Null)
        .await
        .error(409);
    assert_eq!(error["code"], "last_admin");
    user(&world, "second@example.com", "admin").await;
    let keys = format!("{USERS}/second@example.com/api-keys");
    for key in [
        json!({"name": "reads"}),
        json!({"name": "confined", "permissions": ["admin"], "scopes": [{"resource_type": "user", "resource_id": "*"}]}),
        json!({"name": "gone", "permissions": ["admin"]}),
    ] {
        world.call("POST", &keys, key).await.ok();
    }
    let gone = format!("{keys}/gone");
    world.call("DELETE", &gone, Value::Null).await.ok();
    for (method, body) in [
        ("PATCH", json!({"role": "viewer"})),
        ("DELETE", Value::Null),
    ] {
        let error = world.call(method, ADMIN_USER, body).await.error(409);
        assert_eq!(error["code"], "last_admin", "nobody could act");
    }
    let key = json!({"name": "works", "permissions": ["admin"]});
    world.call("POST", &keys, key).await.ok();
    world
        .call("PATCH", ADMIN_USER, json!({"role": "viewer"}))
        .await
        .ok();
    // The key's permission follows its user's role.
    world.get("/v1/namespaces").await.ok();
    let error = world.get(USERS).await.error(403);
    assert_eq!(
        error["details"],
        json!({"required": "admin", "granted": "read"})
    );
}

#[tokio::test]
async fn keys_of_suspended_and_deleted_users_are_refused() {
    let world = World::new().await;
    user(&world, "ann@example.com", "member").await;
    let path = format!("{USERS}/ann@example.com");
    let issued = world
        .call(
            "POST",
            &format!("{path}/api-keys"),
            json!({"name": "laptop"}),
        )
        .await
        .ok();
    let key = text(&issued["key"]).to_owned();
    let status = async || {
        let answer = world
            .call_as(&key, "GET", "/v1/namespaces", Value::Null)
            .await;
        answer.status.as_u16()
    };
    assert_eq!(status().await, 200);
    world
        .call("PATCH", &path, json!({"status": "suspended"}))
        .await
        .ok();
    assert_eq!(status().await, 401);
    world
        .call("PATCH", &path, json!({"status": "active"}))
        .await
        .ok();
    assert_eq!(status().await, 200);
    world.call("DELETE", &path, Value::Null).await.ok();
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn the_organization_shows_itself_and_changes() {
    let world = World::new().await;
    let path = "/v1/organizations";
    let reader = world.key(Permission::Read).await;
    let shown = world.call_as(&reader, "GET", path, Value::Null).await.ok();
    assert_eq!(shown["organization_name"], "default");
    assert_eq!(shown["credit_count"], 0);
    let body = json!({
        "organization_name": " Acme ", "billing_email": "bills@example.com", "metadata": {"a": 1},
        "rate_limit_overrides": {"data": 7}, "nsfw_check_enabled": false, "spend_limits": {},
    });
    let changed = world.call("PATCH", path, body).await.ok();
    assert_eq!(changed["organization_name"], "Acme");
    assert_eq!(changed["billing_email"], "bills@example.com");
    assert_eq!(changed["rate_limits"]["data"], 7);
    assert_eq!(
        changed["rate_limits"]["metadata"],
        shown["rate_limits"]["metadata"]
    );
    let cleared = world
        .call("PATCH", path, json!({"billing_email": ""}))
        .await
        .ok();
    assert_eq!(cleared["billing_email"], Value::Null);
    world.stranger().await;
    let taken = json!({"organization_name": "other"});
    let error = world.call("PATCH", path, taken).await.error(409);
    assert_eq!(error["code"], "organization_name_taken");
    let body = json!({
        "spend_limits": {"daily_usd": 1}, "nsfw_check_enabled": true, "nsfw_fail_closed": true,
        "default_llm_credentials": {"a": "b"}, "notifications_email": "x", "rate_limit_overrides": {"data": 0},
        "organization_name": "",
    });
    let mistakes = world.call("PATCH", path, body).await.mistakes();
    assert_eq!(mistakes.len(), 7, "{mistakes:?}");
    let unsupported = mistakes.iter().filter(|(_, kind)| kind == "not_supported");
    assert_eq!(unsupported.count(), 4);
}
