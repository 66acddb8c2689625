use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use serde_json::{Value, json};
use wharf_domain::access::{Grant, Permission};
use wharf_domain::audit::Action;
use wharf_http::{ApiState, Limits};
use wharf_testkit::{SeededIds, build};

use crate::world::{ADMIN, Answer, World, new_connection, request, text};

const LIST: &str = "/v1/namespaces";

async fn limited(limits: Limits) -> World {
    let mut world = World::new().await;
    let ids = Arc::new(SeededIds::new(11));
    let state = ApiState::new(world.engine.clone(), ids, Duration::from_secs(30));
    world.router = wharf_http::router(state.with_limits(limits));
    world
}

async fn key_with(world: &World, name: &str, rate_limit_override: u32) -> String {
    let grant = Grant {
        rate_limit_override: Some(rate_limit_override),
        ..Grant::of(Permission::Admin)
    };
    world.key_with(name, grant).await
}

fn standing(answer: &Answer) -> [&str; 4] {
    [
        answer.header("x-ratelimit-limit"),
        answer.header("x-ratelimit-remaining"),
        answer.header("x-ratelimit-reset"),
        answer.header("x-ratelimit-window"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_key_gets_its_minutes_worth_and_then_waits() {
    let world = World::new().await;
    let key = key_with(&world, "slow", 5).await;
    for left in ["4", "3", "2", "1", "0"] {
        let answer = world.call_as(&key, "GET", LIST, Value::Null).await;
        answer.ok();
        assert_eq!(standing(&answer)[..2], ["5", left]);
    }
    let refused = world.call_as(&key, "GET", LIST, Value::Null).await;
    let error = refused.error(429);
    assert_eq!(error["type"], "TooManyRequestsError");
    assert_eq!(error["details"], json!({"retry_after_seconds": 12}));
    assert_eq!(refused.header("retry-after"), "12");
    assert_eq!(standing(&refused), ["5", "0", "60", "60"]);
    // Whatever the route, and whether or not the key would be good enough for it.
    let elsewhere = "/v1/organizations/connections/list";
    world
        .call_as(&key, "POST", elsewhere, Value::Null)
        .await
        .error(429);
    world.get(LIST).await.ok();
    tokio::time::advance(Duration::from_secs(12)).await;
    world.call_as(&key, "GET", LIST, Value::Null).await.ok();
    world
        .call_as(&key, "GET", LIST, Value::Null)
        .await
        .error(429);
}

#[tokio::test(start_paused = true)]
async fn every_authenticated_answer_tells_where_the_caller_stands() {
    let world = World::new().await;
    let reader = world.key(Permission::Read).await;
    let forbidden = world
        .call_as(&reader, "POST", LIST, json!({"namespace_name": "abc"}))
        .await;
    forbidden.error(403);
    assert_eq!(standing(&forbidden), ["60000", "59999", "1", "60"]);
    let missing = world.get("/v1/namespaces/ns_0123456789abcdef").await;
    missing.error(404);
    assert_eq!(standing(&missing)[0], "60000");
    let health = world.get("/v1/health/liveness").await;
    assert_eq!(standing(&health), [""; 4]);
    let nobody = world.call_as("sk_nobody", "GET", LIST, Value::Null).await;
    assert_eq!(standing(&nobody), [""; 4]);
}

#[tokio::test(start_paused = true)]
async fn an_organizations_keys_share_its_limit_in_each_category() {
    let world = limited(Limits {
        requests_per_minute_per_organization: 3,
        ..Limits::default()
    })
    .await;
    let other = world.key(Permission::Admin).await;
    for key in [ADMIN, &other, ADMIN] {
        world.call_as(key, "GET", LIST, Value::Null).await.ok();
    }
    let refused = world.call_as(&other, "GET", LIST, Value::Null).await;
    refused.error(429);
    assert_eq!(standing(&refused)[0], "3");
    // What counts as another kind of request has its own.
    let data = "/v1/buckets/none/objects";
    world.get(data).await.error(404);
    let stranger = world.stranger().await;
    world
        .call_as(&stranger, "GET", LIST, Value::Null)
        .await
        .ok();
}

#[tokio::test(start_paused = true)]
async fn an_organizations_own_limits_lower_the_operators_and_never_raise_them() {
    let world = World::new().await;
    let access = &world.repositories.access;
    let found = access.organization(&world.organization).await.unwrap();
    let read = found.unwrap().profile;
    let mut profile = read.clone();
    profile.rate_limits.data = Some(2);
    profile.rate_limits.metadata = Some(u32::MAX);
    let audit = build::audit(&SeededIds::new(98), Action::OrganizationUpdated);
    access
        .update_organization(&world.organization, &read, profile, audit)
        .await
        .unwrap();
    let objects = "/v1/buckets/none/objects";
    let first = world.get(objects).await;
    first.error(404);
    assert_eq!(standing(&first)[..2], ["2", "1"]);
    world.get(objects).await.error(404);
    world.get(objects).await.error(429);
    let metadata = world.get(LIST).await;
    metadata.ok();
    assert_eq!(standing(&metadata)[0], "60000");
}

#[tokio::test(start_paused = true)]
async fn tests_of_connections_are_scarce() {
    let world = limited(Limits {
        tests_per_minute_per_connection: 2,
        tests_per_minute_per_organization: 4,
        ..Limits::default()
    })
    .await;
    let connection = world.connection("store").await;
    let path = format!(
        "/v1/organizations/connections/{}",
        text(&connection["connection_id"])
    );
    let test = format!("{path}/test");
    world.call("POST", &test, Value::Null).await.ok();
    // By its name it is the same connection.
    let by_name = "/v1/organizations/connections/store/test";
    world.call("POST", by_name, Value::Null).await.ok();
    let refused = world.call("POST", &test, Value::Null).await;
    assert_eq!(refused.error(429)["details"]["retry_after_seconds"], 30);
    let config = json!({"provider_config": new_connection("x")["provider_config"]});
    world.call("PATCH", &path, config).await.error(429);
    // What tests nothing is not counted.
    for _ in 0..3 {
        let plain = json!({"description": "x", "is_active": true});
        world.call("PATCH", &path, plain).await.ok();
    }
    let made = world.source.calls().checks;
    world.connection("another").await;
    let create = "/v1/organizations/connections";
    let third = world.call("POST", create, new_connection("third")).await;
    third.error(429);
    assert_eq!(world.source.calls().checks, made + 1);
    let mut untested = new_connection("untested");
    untested["test_before_save"] = json!(false);
    world.call("POST", create, untested).await.ok();
}

#[tokio::test(start_paused = true)]
async fn what_a_sync_has_tested_counts_for_its_connection() {
    let world = limited(Limits {
        tests_per_minute_per_connection: 2,
        ..Limits::default()
    })
    .await;
    let connection = world.connection("store").await;
    world.bucket("files").await;
    let syncs = "/v1/buckets/files/syncs";
    let body = json!({"connection_id": connection["connection_id"], "source_path": "media/"});
    let sync = world.call("POST", syncs, body.clone()).await.ok();
    let path = format!("{syncs}/{}", text(&sync["sync_config_id"]));
    let narrower = json!({"provider_filters": {"prefix": "a/"}});
    world.call("PATCH", &path, narrower.clone()).await.ok();
    let made = world.source.calls().checks;
    world.call("POST", syncs, body).await.error(429);
    world.call("PATCH", &path, narrower).await.error(429);
    assert_eq!(world.source.calls().checks, made);
    let plain = json!({"description": "x"});
    world.call("PATCH", &path, plain).await.ok();
}

#[tokio::test(start_paused = true)]
async fn who_guesses_keys_is_told_to_wait_and_the_others_are_not() {
    let world = limited(Limits {
        failed_authentications_per_minute: 3,
        ..Limits::default()
    })
    .await;
    let from = async |address: &str, key: &str| {
        let peer: SocketAddr = address.parse().unwrap();
        let request = request("GET", LIST)
            .header("authorization", format!("Bearer {key}"))
            .extension(ConnectInfo(peer));
        world.send(request.body(Body::empty()).unwrap()).await
    };
    for n in 0..3 {
        from("192.0.2.1:1", &format!("sk_{n}")).await.error(401);
    }
    let refused = from("192.0.2.1:2", "sk_3").await;
    assert_eq!(refused.error(429)["code"], "rate_limited");
    assert_eq!(refused.header("retry-after"), "20");
    from("192.0.2.2:1", "sk_3").await.error(401);
    from("192.0.2.1:3", ADMIN).await.ok();
    for n in 0..3 {
        from(&format!("[2001:db8::{n}]:1"), "sk_x").await.error(401);
    }
    from("[2001:db8::ffff]:1", "sk_x").await.error(429);
    tokio::time::advance(Duration::from_secs(20)).await;
    from("192.0.2.1:1", "sk_4").await.error(401);
}
