use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use wharf_domain::access::{Grant, Permission};

use crate::world::{ADMIN, Answer, World, request};

const PATH: &str = "/v1/namespaces";

async fn from(world: &World, key: &str, origin: &str) -> Answer {
    let request = request("GET", PATH)
        .header("authorization", format!("Bearer {key}"))
        .header("origin", origin);
    world.send(request.body(Body::empty()).unwrap()).await
}

async fn key_for(world: &World, origins: &[&str]) -> String {
    let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let name = format!("{origins:?}");
    let grant = Grant {
        allowed_origins: Some(origins),
        ..Grant::of(Permission::Read)
    };
    world.key_with(&name, grant).await
}

#[tokio::test]
async fn a_page_may_read_what_its_key_may_be_used_for() {
    let world = World::new().await;
    let anywhere = from(&world, ADMIN, "https://app.example.com").await;
    anywhere.ok();
    assert_eq!(
        anywhere.header("access-control-allow-origin"),
        "https://app.example.com"
    );
    let shown = anywhere.header("access-control-expose-headers");
    for name in [
        "etag",
        "retry-after",
        "x-ratelimit-remaining",
        "x-request-id",
    ] {
        assert!(shown.contains(name), "{name}");
    }
    assert_eq!(anywhere.header("access-control-allow-credentials"), "");
    let key = key_for(&world, &["https://*.example.com", "http://localhost:3000"]).await;
    for origin in ["https://app.example.com", "http://localhost:3000"] {
        let answer = from(&world, &key, origin).await;
        answer.ok();
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
    for origin in ["https://example.com", "https://evil.test", "null", ""] {
        let refused = from(&world, &key, origin).await;
        assert_eq!(refused.error(403)["code"], "origin_not_allowed");
        assert_eq!(refused.header("access-control-allow-origin"), "");
    }
    // What is no page does not tell where it comes from.
    let plain = world.call_as(&key, "GET", PATH, Value::Null).await;
    plain.ok();
    assert_eq!(plain.header("access-control-allow-origin"), "");
    assert!(
        vary(&plain).contains("origin"),
        "a cache must tell pages apart"
    );
    let nowhere = key_for(&world, &[]).await;
    from(&world, &nowhere, "https://app.example.com")
        .await
        .error(403);
}

fn vary(answer: &Answer) -> String {
    let values = answer.headers.get_all("vary").iter();
    values
        .map(|value| value.to_str().unwrap())
        .collect::<Vec<_>>()
        .join(", ")
}

fn preflight(path: &str) -> Request<Body> {
    Request::builder()
        .method("OPTIONS")
        .uri(path)
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization, idempotency-key",
        )
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_browser_that_asks_beforehand_needs_no_key() {
    let world = World::new().await;
    let answer = world
        .send(preflight("/v1/buckets/files/syncs/sync_1"))
        .await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://app.example.com"
    );
    assert_eq!(
        answer.header("access-control-allow-methods"),
        "GET, PATCH, DELETE"
    );
    let taken = answer.header("access-control-allow-headers");
    for name in [
        "authorization",
        "idempotency-key",
        "if-match",
        "x-namespace",
    ] {
        assert!(taken.contains(name), "{name}");
    }
    assert_eq!(answer.header("access-control-max-age"), "600");
    world.send(preflight("/v1/nothing")).await.error(404);
    for method in ["OPTIONS", "TRACE", "CONNECT"] {
        let plain = request(method, PATH).body(Body::empty()).unwrap();
        world.send(plain).await.error(405);
    }
}

async fn accepting(world: &World, accept: &str, path: &str) -> Answer {
    let request = request("POST", path)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-request-id", "r-1")
        .header("accept", accept)
        .body(Body::from("{}"));
    world.send_freely(request.unwrap()).await
}

#[tokio::test]
async fn who_asks_for_problems_gets_them_as_rfc_9457_tells() {
    let world = World::new().await;
    for accept in [
        "application/problem+json",
        "Application/Problem+JSON; q=0.9, text/html;q=0.8",
        "application/json;q=0.5, application/problem+json",
    ] {
        let answer = accepting(&world, accept, PATH).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:wharf:error:ValidationError");
        assert_eq!(problem["title"], "Unprocessable Entity");
        assert_eq!(problem["status"], 422);
        assert_eq!(problem["instance"], "urn:wharf:request:r-1");
        assert_eq!(problem["code"], Value::Null);
        assert_eq!(
            problem["errors"][0]["location"],
            json!(["body", "namespace_name"])
        );
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("namespace_name")
        );
    }
    let missing = accepting(&world, "application/problem+json", "/v1/none")
        .await
        .json();
    assert_eq!(missing["details"]["resource"], "route");
    for accept in [
        "*/*",
        "application/json",
        "application/json, application/problem+json;q=0.5",
        "application/problem+json;q=0",
        "text/html",
    ] {
        let answer = accepting(&world, accept, PATH).await;
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{accept}"
        );
        assert_eq!(answer.json()["success"], false);
        assert!(vary(&answer).contains("accept"));
    }
}
