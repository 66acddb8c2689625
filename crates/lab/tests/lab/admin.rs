//! The admin surface, as another process uses it.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use wharf_lab::{Lab, generated_content};

use crate::client::{client, client_with, refusal, refused, start};

async fn call(base: &str, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("{base}/__admin/{path}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let http = Client::builder(TokioExecutor::new()).build_http();
    let response = http.request(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::String(text)),
    )
}

async fn get(lab: &Lab, path: &str) -> Value {
    call(&lab.endpoint(), Method::GET, path, &Value::Null)
        .await
        .1
}

async fn post(lab: &Lab, path: &str, body: &Value) -> (StatusCode, Value) {
    call(&lab.endpoint(), Method::POST, path, body).await
}

#[tokio::test]
async fn a_seed_can_be_read_back_with_its_hashes() {
    let lab = start().await;
    let seed = json!({
        "bucket": "bkt",
        "objects": [
            {"key": "a/text", "text": "hello", "content_type": "text/plain"},
            {"key": "b/generated", "size": 10},
        ],
        "count": 3, "prefix": "bulk/", "size": 4,
    });
    assert_eq!(
        post(&lab, "seed", &seed).await,
        (StatusCode::OK, json!({"objects": 5}))
    );
    let objects = get(&lab, "objects?bucket=bkt").await;
    let keys: Vec<_> = objects
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "a/text",
            "b/generated",
            "bulk/000000.bin",
            "bulk/000001.bin",
            "bulk/000002.bin"
        ]
    );
    assert_eq!(
        objects[0],
        json!({
            "key": "a/text",
            "size": 5,
            "etag": "5d41402abc4b2a76b9719d911017c592",
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        })
    );
    assert_eq!(
        lab.object_bytes("bkt", "b/generated").unwrap(),
        generated_content("b/generated", 10)
    );
    let delete = "objects?bucket=bkt&key=a%2Ftext";
    let deleted = call(&lab.endpoint(), Method::DELETE, delete, &Value::Null)
        .await
        .0;
    assert_eq!(deleted, StatusCode::NO_CONTENT);
    assert_eq!(lab.objects("bkt").len(), 4);
}

#[tokio::test]
async fn faults_come_by_wire_and_the_journal_tells_of_them() {
    let lab = start().await;
    lab.put_object("bkt", "k", "x");
    let rules = json!([{
        "match": {"method": "GET", "operation": "get_object", "path_contains": "k", "nth": 1, "times": 1},
        "action": {"status": 503, "code": "SlowDown", "headers": {"Retry-After": "3"}, "delay_ms": 1},
    }, {
        "match": {"operation": "list_objects"},
        "action": {"listing": {"short_pages": 1}},
    }]);
    assert_eq!(post(&lab, "faults", &rules).await.0, StatusCode::NO_CONTENT);
    let sdk = client(&lab);
    assert_eq!(
        refusal(sdk.get_object().bucket("bkt").key("k").send().await),
        refused(503, "SlowDown")
    );
    assert!(sdk.get_object().bucket("bkt").key("k").send().await.is_ok());

    let journal = get(&lab, "journal").await;
    let seen: Vec<_> = journal
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["operation"].as_str().unwrap(),
                entry["status"].as_u64().unwrap(),
                &entry["fault"],
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("get_object", 503, &json!(0)),
            ("get_object", 200, &Value::Null)
        ]
    );
    assert_eq!(journal[0]["bucket"], "bkt");
    assert_eq!(journal[0]["key"], "k");
    assert_eq!(journal[0]["method"], "GET");

    assert_eq!(
        post(&lab, "reset", &Value::Null).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(get(&lab, "journal").await, json!([]));
    assert_eq!(
        refusal(sdk.get_object().bucket("bkt").key("k").send().await),
        refused(404, "NoSuchBucket")
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let lab = start().await;
    let refused = async |path: &str, body: Value| post(&lab, path, &body).await.0.is_client_error();
    assert!(refused("seed", json!({"bucket": "NOT A BUCKET", "count": 1})).await);
    assert!(
        refused(
            "seed",
            json!({"bucket": "bkt", "objects": [{"key": "", "text": ""}]})
        )
        .await
    );
    assert!(
        refused(
            "seed",
            json!({"bucket": "bkt", "objects": [{"key": "k", "base64": "*"}]})
        )
        .await
    );
    assert!(refused("seed", json!({"bucket": "bkt", "objects": [{"key": "k"}]})).await);
    assert!(refused("faults", json!([{"action": {"status": 99_999}}])).await);
    assert!(
        refused(
            "faults",
            json!([{"action": {"headers": {"bad name": "x"}}}])
        )
        .await
    );
    assert!(refused("faults", json!([{"action": {"explode": true}}])).await);
    let nowhere = call(
        &lab.endpoint(),
        Method::GET,
        "objects?bucket=bkt",
        &Value::Null,
    )
    .await
    .0;
    assert_eq!(nowhere, StatusCode::NOT_FOUND);
    assert!(lab.journal().is_empty());
}

#[tokio::test]
async fn keys_and_roles_come_by_wire() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let key = json!({"access_key_id": "SECOND", "secret_access_key": "secret"});
    let role = json!({
        "arn": "arn:aws:iam::111122223333:role/reader",
        "external_id": "ext-1", "session_seconds": 60, "only_buckets": ["bkt"],
    });
    assert_eq!(post(&lab, "keys", &key).await.0, StatusCode::NO_CONTENT);
    assert_eq!(post(&lab, "roles", &role).await.0, StatusCode::NO_CONTENT);
    let second = client_with(&lab, "SECOND", "secret", None);
    assert!(second.list_buckets().send().await.is_ok());
    let session = crate::sts::session(&lab).await;
    let endpoint = lab.endpoint();
    let end = call(&endpoint, Method::DELETE, "sessions", &Value::Null);
    assert_eq!(end.await.0, StatusCode::NO_CONTENT);
    let list = crate::sts::s3_of(&lab, &session).list_objects_v2();
    assert_eq!(
        refusal(list.bucket("bkt").send().await),
        refused(400, "ExpiredToken")
    );
}

#[tokio::test]
async fn buckets_and_the_clock_are_set_by_wire() {
    let lab = start().await;
    let bucket = json!({"bucket": "far", "settings": {"region": "eu-central-1", "wrong_region": "malformed"}});
    assert_eq!(
        post(&lab, "buckets", &bucket).await.0,
        StatusCode::NO_CONTENT
    );
    let list = async || client(&lab).list_objects_v2().bucket("far").send().await;
    assert_eq!(
        refusal(list().await),
        refused(400, "AuthorizationHeaderMalformed")
    );
    let ahead = json!({"offset_s": 3600});
    assert_eq!(post(&lab, "clock", &ahead).await.0, StatusCode::NO_CONTENT);
    assert_eq!(refusal(list().await), refused(403, "RequestTimeTooSkewed"));
    post(&lab, "reset", &Value::Null).await;
    assert_eq!(refusal(list().await), refused(404, "NoSuchBucket"));
}

#[tokio::test]
async fn a_lab_that_was_shut_down_frees_its_port() {
    let lab = start().await;
    let address = lab.address();
    let sdk = client(&lab);
    assert!(sdk.list_buckets().send().await.is_ok());
    lab.shutdown().await;
    assert!(sdk.list_buckets().send().await.is_err());
    assert!(tokio::net::TcpListener::bind(address).await.is_ok());
}

pub(crate) async fn objects_over_http(endpoint: &str, bucket: &str) -> Value {
    call(
        endpoint,
        Method::GET,
        &format!("objects?bucket={bucket}"),
        &Value::Null,
    )
    .await
    .1
}
