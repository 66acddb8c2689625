//! A connection breaks, trips, is repaired and comes back; and everybody who watches is told the same, in the same order: over HTTP,
//! by a signed webhook, on NATS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use wharf_tests::{Api, Installation, Lab, Nats, Store, text};

const SECRET: &str = "between-the-harbour-and-us";
const PATIENCE: Duration = Duration::from_mins(1);
/// What happens, in order.
const STORY: [&str; 8] = [
    "storage_connection.created",
    "storage_connection.failed",
    "storage_connection.tripped",
    "storage_connection.reactivated",
    "storage_connection.failed",
    "storage_connection.recovered",
    "storage_connection.suspended",
    "storage_connection.archived",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_webhook_and_nats_tell_the_same_story_on_sqlite() -> Result<()> {
    told_the_same(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_webhook_and_nats_tell_the_same_story_on_postgres() -> Result<()> {
    told_the_same(Store::Postgres).await
}

async fn told_the_same(store: Store) -> Result<()> {
    let Some(nats) = Nats::start().await? else {
        return Ok(());
    };
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    wharf.set("WHARF_HEALTH__INTERVAL", "1s");
    wharf.set("WHARF_HEALTH__PROBE_BACKOFF", "1s");
    wharf.set("WHARF_EVENTS__NATS__URL", nats.url());
    let server = wharf.start().await?;
    let api = server.api()?;
    let receiver = Receiver::start().await?;
    let webhook = json!({
        "webhook_name": "the harbour master",
        "event_types": ["*"],
        "channels": [{
            "channel": "webhook",
            "configs": {"url": receiver.url, "signing_secret": SECRET},
        }],
    });
    api.post("/v1/organizations/webhooks", &webhook)
        .await?
        .ok()?;

    let id = live_through_it(&api, &lab).await?;

    let told = over_http(&api, &id).await?;
    let types: Vec<&str> = told
        .iter()
        .filter_map(|it| it["event_type"].as_str())
        .collect();
    ensure!(types == STORY, "over HTTP: {types:#?}");
    let ids = event_ids(&told);
    let by_webhook = receiver.about(&id, told.len()).await?;
    assert_eq!(event_ids(&by_webhook), ids, "by webhook");
    assert_eq!(by_webhook, told, "bodies by webhook");
    let on_nats = on_nats(nats.url(), &id, told.len()).await?;
    assert_eq!(event_ids(&on_nats), ids, "on NATS");
    assert_eq!(on_nats, told, "bodies on NATS");
    for event in &told {
        eprintln!(
            "{} {} {}",
            text(event, "timestamp")?,
            text(event, "event_type")?,
            event["data"]
        );
    }
    history_tells(&api, &id).await?;

    // The heads that left with the events are those of the chain.
    let organization = text(&told[0], "internal_id")?;
    let head = text(told.last().context("events")?, "audit_head")?;
    let verify = ["admin", "audit", "verify", "--organization", organization];
    let said = wharf.answer(&[&verify[..], &["--head", head]].concat())?;
    eprintln!("{said}");
    Ok(())
}

async fn live_through_it(api: &Api, lab: &Lab) -> Result<String> {
    let id = api.connect_to(lab, "harbour").await?;
    let path = format!("/v1/organizations/connections/{id}");
    until(api, &path, |it| it["status"] == "ACTIVE").await?;

    let refused = json!({"match": {}, "action": {"code": "InvalidAccessKeyId"}});
    lab.misbehave(std::slice::from_ref(&refused)).await?;
    let failed = until(api, &path, |it| it["status"] == "FAILED").await?;
    assert_eq!(failed["status_reason"], "health_check_failed");
    eprintln!("last_error: {}", failed["last_error"]);
    let tripped = until(api, &path, |it| it["status"] == "SUSPENDED").await?;
    assert_eq!(tripped["status_reason"], "consecutive_failures");
    assert_eq!(tripped["consecutive_failures"], 5);
    assert_eq!(tripped["next_health_check_at"], Value::Null);
    // Nothing tries any more, and nothing brings it back but a person, whose wish is tested first.
    let active = json!({"status": "ACTIVE"});
    let error = api.patch(&path, &active).await?.refused(422)?;
    eprintln!("reactivation refused: {}", error["message"]);
    lab.speed_up().await?;
    api.patch(&path, &active).await?.ok()?;

    lab.misbehave(&[refused]).await?;
    until(api, &path, |it| it["status"] == "FAILED").await?;
    lab.speed_up().await?;
    let back = until(api, &path, |it| it["status"] == "ACTIVE").await?;
    assert_eq!(back["consecutive_failures"], 0);
    assert_eq!(back["last_error"], Value::Null);

    api.patch(&path, &json!({"status": "SUSPENDED"}))
        .await?
        .ok()?;
    api.delete(&path).await?.ok()?;
    Ok(id)
}

async fn until(api: &Api, path: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let connection = api.get(path).await?.ok()?;
        if holds(&connection) {
            return Ok(connection);
        }
        ensure!(Instant::now() < deadline, "it stays {connection}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The events of one connection, oldest first.
async fn over_http(api: &Api, id: &str) -> Result<Vec<Value>> {
    let path = format!("/v1/organizations/events?resource_id={id}&limit=100");
    let mut events = api.get(&path).await?.ok()?;
    let mut events = events["results"]
        .as_array_mut()
        .map(std::mem::take)
        .context("events")?;
    events.sort_by_key(|event| event["timestamp"].to_string());
    Ok(events)
}

async fn history_tells(api: &Api, id: &str) -> Result<()> {
    let path = format!("/v1/organizations/connections/{id}/checks?limit=100");
    let history = api.get(&path).await?.ok()?;
    let checks = history["results"].as_array().context("checks")?;
    let failed = checks
        .iter()
        .filter(|check| check["success"] == false)
        .count();
    ensure!(failed >= 6, "{failed} failed checks in the history");
    let day = &history["availability"]["last_24h"];
    ensure!(
        day["passed"].as_u64() > Some(0) && day["failed"].as_u64() >= Some(6),
        "{day}"
    );
    eprintln!("availability: {}", history["availability"]);
    Ok(())
}

fn event_ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["id"].to_string()).collect()
}

/// A server that webhooks are sent to.
struct Receiver {
    url: String,
    received: Received,
}

type Received = Arc<Mutex<Vec<Value>>>;

impl Receiver {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/events", listener.local_addr()?);
        let received = Received::default();
        let routes = Router::new()
            .route("/events", post(take))
            .with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, received })
    }

    /// The events of one thing, as they came, repetitions left out.
    async fn about(&self, id: &str, count: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut about: Vec<Value> = Vec::new();
            for event in self
                .received
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                let known = about.iter().any(|other| other["id"] == event["id"]);
                if event["resource_id"] == id && !known {
                    about.push(event.clone());
                }
            }
            if about.len() >= count {
                return Ok(about);
            }
            ensure!(
                Instant::now() < deadline,
                "the webhook was sent {} of {count} events",
                about.len()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !signed(&headers, &body) {
        return StatusCode::FORBIDDEN;
    }
    let Ok(event) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    received.push(event);
    StatusCode::NO_CONTENT
}

/// Whether `X-Mixpeek-Signature: t=…,v1=…` is the one of this body.
fn signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let header = headers.get("x-mixpeek-signature");
    let Some((time, signature)) = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("t=")?.split_once(",v1="))
    else {
        return false;
    };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("keys of any length are taken");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::decode(signature).is_ok_and(|signature| mac.verify_slice(&signature).is_ok())
}

/// What lies in the stream about one thing, repetitions left out.
async fn on_nats(url: &str, id: &str, count: usize) -> Result<Vec<Value>> {
    let client = async_nats::connect(url).await?;
    let jetstream = async_nats::jetstream::new(client);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stream = jetstream.get_stream("WHARF").await?;
        let consumer = stream
            .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
            .await?;
        let mut messages = consumer.fetch().max_messages(10_000).messages().await?;
        let mut about: Vec<Value> = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            let event: Value = serde_json::from_slice(&message.payload)?;
            let told_by = message
                .headers
                .as_ref()
                .and_then(|it| it.get("Nats-Msg-Id"));
            ensure!(
                told_by.map(async_nats::HeaderValue::as_str) == event["id"].as_str(),
                "a message without its event's identifier"
            );
            let known = about.iter().any(|other| other["id"] == event["id"]);
            if event["resource_id"] == id && !known {
                about.push(event);
            }
        }
        if about.len() >= count {
            return Ok(about);
        }
        ensure!(
            Instant::now() < deadline,
            "NATS has {} of {count} events",
            about.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
