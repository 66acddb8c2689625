use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_domain::access::Permission;
use wharf_domain::event::EventType;
use wharf_engine::Dispatcher;
use wharf_ports::{SendError, WebhookRequest, WebhookSender};

use crate::world::{CANARY, World, text};

const WEBHOOKS: &str = "/v1/organizations/webhooks";
const EVENTS: &str = "/v1/organizations/events";

fn new_webhook(event_types: &[&str]) -> Value {
    json!({
        "webhook_name": "a webhook",
        "event_types": event_types,
        "channels": [{"channel": "webhook", "configs": {
            "url": "https://hooks.example/wharf",
            "headers": {"Authorization": format!("Bearer {CANARY}")},
            "signing_secret": format!("{CANARY}-signing"),
        }}],
    })
}

/// Accepts everything and keeps the bodies and whether they were signed.
#[derive(Default)]
struct Receiver(Mutex<Vec<(Value, bool)>>);

#[async_trait]
impl WebhookSender for Receiver {
    async fn send(&self, request: WebhookRequest) -> Result<u16, SendError> {
        let body = serde_json::from_slice(&request.body).unwrap();
        let signed = request
            .signing_secret
            .is_some_and(|secret| secret.expose().starts_with(CANARY));
        self.0.lock().unwrap().push((body, signed));
        Ok(200)
    }
}

async fn deliver(world: &World) -> Vec<(Value, bool)> {
    let receiver = Arc::new(Receiver::default());
    let dispatcher = Dispatcher::new(world.engine.clone(), receiver.clone());
    while dispatcher
        .deliver_once(&CancellationToken::new())
        .await
        .unwrap()
    {}
    let got = receiver.0.lock().unwrap();
    got.clone()
}

#[tokio::test]
async fn a_webhook_is_created_read_changed_and_deleted_without_showing_a_secret() {
    let world = World::new().await;
    let created = world
        .call(
            "POST",
            WEBHOOKS,
            new_webhook(&["object.created", "sync.created"]),
        )
        .await
        .ok();
    assert_eq!(created["event_types"], json!(["object.created"]));
    assert_eq!(created["extension_event_types"], json!(["sync.created"]));
    let configs = &created["channels"][0]["configs"];
    assert_eq!(configs["signing_secret"], "redacted");
    assert_eq!(configs["headers"], json!({"authorization": "redacted"}));
    assert_eq!(configs["timeout"], 10.0);
    assert_eq!(created["delivery_health"]["consecutive_failures"], 0);
    let path = format!("{WEBHOOKS}/{}", text(&created["webhook_id"]));
    assert_eq!(world.get(&path).await.ok(), created);

    let same = world.call("PUT", &path, created.clone()).await.ok();
    assert_eq!(
        same["channels"], created["channels"],
        "what is read can be sent back"
    );
    let mut elsewhere = created.clone();
    elsewhere["channels"][0]["configs"]["url"] = json!("https://other.example/");
    let refused = world.call("PUT", &path, elsewhere).await.error(422);
    assert_eq!(refused["code"], "credentials_reentry_required");

    assert_eq!(
        world
            .call("DELETE", &path, Value::Null)
            .await
            .status
            .as_u16(),
        204
    );
    assert_eq!(
        world
            .call("DELETE", &path, Value::Null)
            .await
            .status
            .as_u16(),
        204
    );
    world.get(&path).await.error(404);
    world
        .call("PUT", &path, new_webhook(&["*"]))
        .await
        .error(404);
}

#[tokio::test]
async fn kept_secrets_still_sign_after_a_change() {
    let world = World::new().await;
    let created = world.call("POST", WEBHOOKS, new_webhook(&["*"])).await.ok();
    let path = format!("{WEBHOOKS}/{}", text(&created["webhook_id"]));
    let mut renamed = created.clone();
    renamed["webhook_name"] = json!("renamed");
    renamed["channels"][0]["configs"]["payload_template"] =
        json!({"what": "{{ event_type }}: {{ data.name }}"});
    world.call("PUT", &path, renamed).await.ok();
    world.connection("store").await;
    let got = deliver(&world).await;
    assert_eq!(
        got,
        [(json!({"what": "storage_connection.created: store"}), true)]
    );
}

#[tokio::test]
async fn the_list_leaves_out_what_the_sdk_cannot_read_and_the_subscriptions_do_not() {
    let world = World::new().await;
    world
        .call("POST", WEBHOOKS, new_webhook(&["object.created"]))
        .await
        .ok();
    world
        .call("POST", WEBHOOKS, new_webhook(&["sync.created"]))
        .await
        .ok();
    let all = world.call("POST", WEBHOOKS, new_webhook(&["*"])).await.ok();
    assert_eq!(all["event_types"].as_array().unwrap().len(), 4);
    let list = world
        .call("POST", &format!("{WEBHOOKS}/list"), json!({}))
        .await
        .ok();
    assert_eq!(list["results"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&list["total"], &list["extension_only"]),
        (&json!(3), &json!(1))
    );
    let of_type = json!({"event_type": "sync.created"});
    let of_type = world
        .call("POST", &format!("{WEBHOOKS}/list"), of_type)
        .await
        .ok();
    assert_eq!(of_type["total"], 2);
    let subscriptions = world.get(&format!("{EVENTS}/subscriptions")).await.ok();
    assert_eq!(subscriptions["results"].as_array().unwrap().len(), 3);
    let types = world.get(&format!("{EVENTS}/types")).await.ok();
    assert_eq!(
        types["results"].as_array().unwrap().len(),
        EventType::ALL.len()
    );
}

#[tokio::test]
async fn mistakes_are_told_by_their_place() {
    let world = World::new().await;
    let with = |key: &str, value: Value| {
        let mut body = new_webhook(&["*"]);
        body[key] = value;
        body
    };
    for (body, place) in [
        (json!({}), "body.webhook_name"),
        (with("webhook_name", json!("")), "body.webhook_name"),
        (with("event_types", json!([])), "body.event_types"),
        (
            with("event_types", json!(["document.created"])),
            "body.event_types",
        ),
        (
            with("resource_types", json!(["retriever"])),
            "body.resource_types",
        ),
        (with("channels", json!([])), "body.channels"),
        (
            with(
                "channels",
                json!([{"channel": "email", "configs": {"to": CANARY}}]),
            ),
            "body.channels.0.channel",
        ),
        (with("surprise", json!(1)), "body.surprise"),
    ] {
        let told = body.to_string();
        let mistakes = world.call("POST", WEBHOOKS, body).await.mistakes();
        assert!(
            mistakes.iter().any(|(at, _)| at == place),
            "{told}: {mistakes:?}"
        );
    }
}

#[tokio::test]
async fn deliveries_are_logged_and_repeated_when_asked_for() {
    let world = World::new().await;
    let created = world.call("POST", WEBHOOKS, new_webhook(&["*"])).await.ok();
    let path = format!("{WEBHOOKS}/{}", text(&created["webhook_id"]));
    world.connection("store").await;
    assert_eq!(deliver(&world).await.len(), 1);
    let log = world.get(&format!("{path}/deliveries")).await.ok();
    let row = &log["results"][0];
    assert_eq!(
        (&row["accepted"], &row["http_status"], &row["attempt"]),
        (&json!(true), &json!(200), &json!(1))
    );
    let event = text(&row["event_id"]).to_owned();
    let again = json!({"event_ids": [event, event]});
    let asked = world
        .call("POST", &format!("{path}/redeliver"), again)
        .await
        .ok();
    assert_eq!(asked["requested"], 1);
    assert_eq!(deliver(&world).await.len(), 1);
    let log = world.get(&format!("{path}/deliveries")).await.ok();
    assert_eq!(
        (&log["total"], &log["results"].as_array().unwrap().len()),
        (&json!(2), &2)
    );
    for (body, place) in [
        (json!({}), "body.event_ids"),
        (json!({"event_ids": []}), "body.event_ids"),
        (json!({"event_ids": ["x"]}), "body.event_ids.0"),
        (
            json!({"event_ids": ["evt_ffffffffffffffff"]}),
            "body.event_ids.0",
        ),
    ] {
        let mistakes = world
            .call("POST", &format!("{path}/redeliver"), body)
            .await
            .mistakes();
        assert_eq!(mistakes[0].0, place);
    }
}

#[tokio::test]
async fn events_are_listed_got_and_filtered() {
    let world = World::new().await;
    world.sync().await;
    let list = world.get(EVENTS).await.ok();
    let types: Vec<&str> = list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| text(&event["event_type"]))
        .collect();
    assert_eq!(types, ["sync.created", "storage_connection.created"]);
    assert_eq!(list["next_cursor"], Value::Null);
    let event = &list["results"][0];
    assert_eq!(
        world
            .get(&format!("{EVENTS}/{}", text(&event["id"])))
            .await
            .ok(),
        *event
    );
    let oldest = world
        .get(&format!("{EVENTS}?order=oldest&limit=1"))
        .await
        .ok();
    assert_eq!(
        text(&oldest["results"][0]["event_type"]),
        "storage_connection.created"
    );
    let next = text(&oldest["next_cursor"]).to_owned();
    let rest = world
        .get(&format!("{EVENTS}?order=oldest&after={next}"))
        .await
        .ok();
    assert_eq!(rest["results"].as_array().unwrap().len(), 1);
    let at_end = text(&rest["next_cursor"]).to_owned();
    let end = world
        .get(&format!("{EVENTS}?order=oldest&after={at_end}"))
        .await
        .ok();
    assert_eq!(
        (&end["results"], text(&end["next_cursor"])),
        (&json!([]), at_end.as_str())
    );
    let of_kind = world
        .get(&format!("{EVENTS}?resource_type=sync"))
        .await
        .ok();
    assert_eq!(of_kind["results"].as_array().unwrap().len(), 1);
    for query in [
        "event_type=x",
        "order=up",
        "after=1",
        "after=9223372036854775807-1",
        "limit=0",
        "misspelt=1",
    ] {
        world.get(&format!("{EVENTS}?{query}")).await.error(422);
    }
    world
        .get(&format!("{EVENTS}/evt_ffffffffffffffff"))
        .await
        .error(404);
}

#[tokio::test]
async fn webhooks_and_events_are_the_admins_and_no_other_organizations() {
    let world = World::new().await;
    let created = world.call("POST", WEBHOOKS, new_webhook(&["*"])).await.ok();
    let path = format!("{WEBHOOKS}/{}", text(&created["webhook_id"]));
    world.connection("store").await;
    let events = world.get(EVENTS).await.ok();
    let event = text(&events["results"][0]["id"]).to_owned();
    let viewer = world.key(Permission::Delete).await;
    let stranger = world.stranger().await;
    let again = json!({"event_ids": [event]});
    for (method, path, body) in [
        ("GET", path.clone(), Value::Null),
        ("PUT", path.clone(), new_webhook(&["*"])),
        ("GET", format!("{path}/deliveries"), Value::Null),
        ("POST", format!("{path}/redeliver"), again),
        ("GET", format!("{EVENTS}/{event}"), Value::Null),
    ] {
        world
            .call_as(&viewer, method, &path, body.clone())
            .await
            .error(403);
        world
            .call_as(&stranger, method, &path, body)
            .await
            .error(404);
    }
    world.call_as(&stranger, "DELETE", &path, Value::Null).await;
    world.get(&path).await.ok();
    let theirs = world
        .call_as(&stranger, "GET", EVENTS, Value::Null)
        .await
        .ok();
    assert!(!theirs.to_string().contains(&event));
}
