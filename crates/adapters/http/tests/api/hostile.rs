//! Nothing that a caller sends makes the server fail.

use axum::body::Body;
use futures::StreamExt;
use serde_json::{Value, json};

use crate::world::{ADMIN, World, request, text};

/// Values of every kind and size.
fn values() -> Vec<Value> {
    let mut deep = json!("x");
    for _ in 0..60 {
        deep = json!({"a": [deep]});
    }
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\0"),
        json!("a\0b"),
        json!("\u{202e}\u{feff}\u{1f4a9}e\u{301}"),
        json!("'; DROP TABLE connections; --"),
        json!("../../etc/passwd"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([null, 1, "x", [], {}]),
        json!({}),
        json!({"type": "access_key"}),
        json!({"\0": 1}),
        json!({"properties": {"": {}}}),
        deep,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_not_waited_for() {
    let world = World::new().await;
    let pieces = futures::stream::iter([Ok::<_, std::io::Error>("{")]);
    let body = Body::from_stream(pieces.chain(futures::stream::pending()));
    let request = request("POST", "/v1/buckets").header("authorization", format!("Bearer {ADMIN}"));
    world.send(request.body(body).unwrap()).await.error(408);
}

#[tokio::test]
async fn no_field_with_any_value_makes_the_server_fail() {
    let world = World::new().await;
    let sync = world.sync().await;
    let connection = text(&sync["connection_id"]);
    let document = json!(wharf_http::openapi());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let reference = schema["$ref"].as_str().or_else(|| {
                schema["oneOf"]
                    .as_array()?
                    .iter()
                    .find_map(|alternative| alternative["$ref"].as_str())
            });
            let Some(reference) = reference else { continue };
            let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
            let path = path
                .replace("{connection_identifier}", connection)
                .replace("{bucket_identifier}", "files")
                .replace("{bucket_id}", "files")
                .replace("{sync_config_id}", text(&sync["sync_config_id"]));
            for field in schema["properties"].as_object().unwrap().keys() {
                for value in values() {
                    let mut body = json!({
                        "name": "n", "provider_type": "s3", "namespace_name": "abc", "bucket_name": "b",
                        "bucket_schema": {"properties": {}}, "connection_id": connection, "source_path": "media/",
                        "provider_config": {"credentials": {
                            "type": "access_key", "access_key_id": "AKIAEXAMPLE", "secret_access_key": "x",
                        }},
                    });
                    let known = schema["properties"].as_object().unwrap();
                    body.as_object_mut()
                        .unwrap()
                        .retain(|key, _| known.contains_key(key));
                    body[field] = value;
                    let answer = world
                        .call(&method.to_uppercase(), &path, body.clone())
                        .await;
                    let shown: String = body.to_string().chars().take(200).collect();
                    assert!(answer.status.as_u16() < 500, "{method} {path} {shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn no_part_of_a_path_makes_the_server_fail() {
    let world = World::new().await;
    let sync = world.sync().await;
    let bucket = text(&sync["bucket_id"]);
    let long = "x".repeat(10_000);
    for part in [
        "%00",
        "a%00b",
        "%ff",
        "%C3%28",
        "%F0%9F%92%A9",
        "..",
        "%2e%2e%2f",
        "%0d%0aX: y".replace(' ', "%20").as_str(),
        "conn_%27%20OR%201=1",
        "conn_",
        "bkt_",
        "*",
        "list",
        "null",
        "-1",
        &long,
        "%E2%80%AE",
    ] {
        for path in [
            format!("/v1/organizations/connections/{part}"),
            format!("/v1/organizations/connections/{part}/folders"),
            format!("/v1/namespaces/{part}"),
            format!("/v1/buckets/{part}"),
            format!("/v1/buckets/{part}/objects"),
            format!("/v1/buckets/{bucket}/objects/{part}"),
            format!("/v1/buckets/{bucket}/objects/{part}/content"),
            format!("/v1/buckets/{bucket}/syncs/{part}"),
            format!("/v1/buckets/{bucket}/syncs/{part}/jobs/{part}"),
            format!("/v1/buckets/{bucket}/syncs/{part}/metrics"),
        ] {
            let answer = world.get(&path).await;
            let status = answer.status.as_u16();
            assert!(
                [400, 404, 405, 414, 422].contains(&status),
                "{path} answers {status}"
            );
        }
    }
    assert_eq!(
        world.get("/v1/buckets/%00").await.error(404)["type"],
        "NotFoundError"
    );
    assert_eq!(
        world.get("/v1/buckets/%ff").await.error(400)["type"],
        "BadRequestError"
    );
}

#[tokio::test]
async fn no_query_and_no_header_makes_the_server_fail() {
    let world = World::new().await;
    let (bucket, object) = world.object("a", b"1").await;
    for value in [
        "%00",
        "%ff",
        "-1",
        "9999999999999999999999",
        "1e5",
        "true",
        "",
        "%F0%9F%92%A9",
        "1-a",
        "0-obj_0123456789abcdef",
        "9223372036854775807-x",
    ] {
        for name in [
            "limit",
            "page_size",
            "offset",
            "page",
            "cursor",
            "next_cursor",
            "after",
            "include_total",
            "include_deleted",
        ] {
            let status = world
                .get(&format!("{bucket}/objects?{name}={value}"))
                .await
                .status
                .as_u16();
            assert!(
                [200, 422].contains(&status),
                "{name}={value} answers {status}"
            );
        }
    }
    let values: [&[u8]; 6] = [
        b"\xff\xfe",
        b"bytes=",
        b"bytes=--1",
        b"W/\"x\"",
        b"\t",
        b"x,y;z=\"\\\"",
    ];
    for value in values {
        for name in [
            "range",
            "if-none-match",
            "if-range",
            "x-namespace",
            "x-change-reason",
            "user-agent",
            "accept",
            "content-type",
        ] {
            let request = axum::http::Request::builder()
                .uri(format!("{object}/content"))
                .header("authorization", format!("Bearer {ADMIN}"))
                .header(name, axum::http::HeaderValue::from_bytes(value).unwrap());
            let answer = world.send(request.body(Body::empty()).unwrap()).await;
            assert!(answer.status.as_u16() < 500, "{name}: {value:?}");
        }
    }
    let odd = request("BREW", "/v1/namespaces").header("authorization", format!("Bearer {ADMIN}"));
    world
        .send(odd.body(Body::empty()).unwrap())
        .await
        .error(405);
}
