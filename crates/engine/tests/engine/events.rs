//! Events on their way to webhooks and to the stream.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::Action;
use wharf_domain::event::{Event, EventId, EventType};
use wharf_domain::page::PageRequest;
use wharf_domain::sync::SyncMode;
use wharf_domain::webhook::{
    Delivery, DraftChannels, MOST_ATTEMPTS, PAUSE_AFTER, Webhook, pause_after,
};
use wharf_engine::{Dispatcher, EngineError, EventFilter, EventOrder, Publisher, WebhookWish};
use wharf_ports::{EventStream, PublishError, SendError, WebhookRequest, WebhookSender};

use crate::world::World;

/// Longer than any lease of a round.
const EXPIRY: Duration = Duration::from_secs(121);

type Answer = Result<u16, SendError>;
type Answering = Box<dyn FnMut(&Value) -> Answer + Send>;

/// Where deliveries arrive.
struct Receiver {
    answer: Mutex<Answering>,
    got: Mutex<Vec<Value>>,
    requests: Mutex<Vec<HashMap<String, String>>>,
    /// How many are on their way now, by thing, and the most there were at all.
    on_their_way: Mutex<(HashMap<String, u32>, u32)>,
}

impl Receiver {
    fn answering(answer: impl FnMut(&Value) -> Answer + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(Box::new(answer)),
            got: Mutex::default(),
            requests: Mutex::default(),
            on_their_way: Mutex::default(),
        })
    }

    fn fine() -> Arc<Self> {
        Self::answering(|_| Ok(204))
    }

    fn answers(&self, answer: impl FnMut(&Value) -> Answer + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    /// What arrived and was accepted, in order.
    fn accepted(&self) -> Vec<Value> {
        self.got.lock().unwrap().clone()
    }

    fn types(&self) -> Vec<String> {
        let text = |body: Value| body["event_type"].as_str().unwrap().to_owned();
        self.accepted().into_iter().map(text).collect()
    }
}

#[async_trait]
impl WebhookSender for Receiver {
    async fn send(&self, request: WebhookRequest) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let thing = body["resource_id"].to_string();
        {
            let mut way = self.on_their_way.lock().unwrap();
            let same = way.0.entry(thing.clone()).or_default();
            *same += 1;
            assert_eq!(*same, 1, "two events of one thing are on their way");
            let all = way.0.values().sum();
            way.1 = way.1.max(all);
        }
        let arrived = Arrival(self, thing);
        tokio::task::yield_now().await;
        let answer = (self.answer.lock().unwrap())(&body);
        if answer
            .as_ref()
            .is_ok_and(|status| (200..300).contains(status))
        {
            self.got.lock().unwrap().push(body);
            let shown = |(name, value): &(String, wharf_domain::secret::SecretString)| {
                (name.clone(), value.expose().to_owned())
            };
            let headers = request.headers.iter().map(shown).collect();
            self.requests.lock().unwrap().push(headers);
        }
        tokio::task::yield_now().await;
        drop(arrived);
        answer
    }
}

/// On its way until it is dropped, answered or not.
struct Arrival<'a>(&'a Receiver, String);

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut way = self.0.on_their_way.lock().unwrap();
        *way.0.get_mut(&self.1).unwrap() -= 1;
    }
}

fn wish(event_types: &[EventType]) -> WebhookWish {
    let channels = json!([{"channel": "webhook", "configs": {"url": "https://hooks.example/", "signing_secret": "s"}}]);
    WebhookWish {
        name: "a webhook".to_owned(),
        event_types: event_types.to_vec(),
        all: event_types.is_empty(),
        resource_types: Vec::new(),
        channels: DraftChannels::parse("channels", channels).unwrap(),
        is_active: true,
    }
}

impl World {
    async fn webhook(&self, event_types: &[EventType]) -> Webhook {
        let created = self
            .engine
            .create_webhook(&self.caller, wish(event_types))
            .await;
        created.unwrap()
    }

    async fn stored_webhook(&self, webhook: &Webhook) -> Webhook {
        let found = self.engine.webhook(&self.caller, webhook.id.as_str()).await;
        found.unwrap()
    }

    async fn deliver(&self, receiver: &Arc<Receiver>) -> u32 {
        let dispatcher = Dispatcher::new(self.engine.clone(), receiver.clone());
        let mut rounds = 0;
        while dispatcher
            .deliver_once(&CancellationToken::new())
            .await
            .unwrap()
        {
            rounds += 1;
            assert!(rounds < 100, "deliveries have no end");
        }
        rounds
    }

    async fn log(&self, webhook: &Webhook) -> Vec<Delivery> {
        let page = PageRequest::first(1000);
        let log = self
            .engine
            .webhook_deliveries(&self.caller, webhook, &page)
            .await;
        let mut log = log.unwrap().items;
        log.reverse();
        log
    }

    /// Every event that is kept, oldest first.
    async fn all_events(&self) -> Vec<Event> {
        let filter = EventFilter::default();
        let events = &self.engine;
        let page = events.list_events(&self.caller, &filter, EventOrder::Oldest, None, 10_000);
        page.await.unwrap().events
    }
}

/// First deliveries of each thing's events come in the order of the events, and all of them come.
fn assert_told(events: &[Event], bodies: &[Value]) {
    let mut firsts: Vec<&str> = Vec::new();
    for body in bodies {
        let id = body["id"].as_str().unwrap();
        if !firsts.contains(&id) {
            firsts.push(id);
        }
    }
    let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut happened: HashMap<&str, Vec<&str>> = HashMap::new();
    for id in firsts {
        let event = events.iter().find(|event| event.id.as_str() == id).unwrap();
        told.entry(&event.resource_id).or_default().push(id);
    }
    for event in events {
        happened
            .entry(&event.resource_id)
            .or_default()
            .push(event.id.as_str());
    }
    assert_eq!(told, happened);
}

/// A world in which some things happened several times after a webhook came to be; which is in the order that it is told of.
async fn eventful() -> (World, Webhook, Vec<Event>) {
    let world = World::new().await;
    let connection = world.connect("before").await;
    let webhook = world.webhook(&[]).await;
    let known = world.all_events().await.len();
    for n in 0..3 {
        world
            .source
            .put(&format!("media/{n}"), format!("content {n}"));
    }
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    assert!(world.run().await);
    let id = sync.id.as_str();
    let engine = &world.engine;
    engine
        .pause_sync(&world.caller, &world.bucket, id)
        .await
        .unwrap();
    engine
        .resume_sync(&world.caller, &world.bucket, id)
        .await
        .unwrap();
    world.connect("after").await;
    let events = world.all_events().await.split_off(known);
    assert!(events.len() >= 8, "{events:?}");
    (world, webhook, events)
}

#[tokio::test]
async fn a_webhook_is_told_of_what_happens_after_it_in_order_and_once_when_all_is_well() {
    let (world, webhook, events) = eventful().await;
    let receiver = Receiver::fine();
    world.deliver(&receiver).await;
    let bodies = receiver.accepted();
    assert_eq!(bodies.len(), events.len());
    assert_told(&events, &bodies);
    assert!(
        receiver.on_their_way.lock().unwrap().1 > 1,
        "nothing went side by side"
    );
    for (body, event) in bodies.iter().map(|body| {
        (
            body,
            events
                .iter()
                .find(|event| body["id"] == event.id.as_str())
                .unwrap(),
        )
    }) {
        assert_eq!(*body, event.body());
    }
    let log = world.log(&webhook).await;
    assert_eq!(log.len(), events.len());
    assert!(log.iter().all(|delivery| delivery.accepted()
        && delivery.attempt == 1
        && delivery.http_status == Some(204)));
    let headers = receiver.requests.lock().unwrap()[0].clone();
    assert_eq!(
        headers["x-wharf-event-id"],
        bodies[0]["id"].as_str().unwrap()
    );
    assert_eq!(
        headers["x-wharf-event-type"],
        bodies[0]["event_type"].as_str().unwrap()
    );
    assert!(headers["x-wharf-delivery"].starts_with("dlv_"));
    assert_eq!(world.deliver(&receiver).await, 0, "everything is told");
}

#[tokio::test]
async fn whoever_deletes_a_bucket_tells_what_goes_with_it() {
    let world = World::new().await;
    let connection = world.connect("source").await;
    world.source.put("media/a", "content");
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    assert!(world.run().await);
    let webhook = world.webhook(&[EventType::BucketDeleted]).await;
    let (engine, caller) = (&world.engine, &world.caller);
    let namespace = engine.namespace(caller, "default").await.unwrap();
    let deleted = engine.delete_bucket(caller, &namespace, world.bucket.id.as_str());
    let deleted = deleted.await.unwrap();
    let receiver = Receiver::fine();
    world.deliver(&receiver).await;
    let bodies = receiver.accepted();
    assert_eq!(receiver.types(), ["bucket.deleted"]);
    let data = &bodies[0]["data"];
    assert_eq!(bodies[0]["resource_id"], deleted.id.as_str());
    assert_eq!(data["bucket_name"], deleted.name.as_str());
    assert_eq!(data["objects"], 1);
    assert_eq!(data["sync_config_ids"], json!([sync.id]));
    assert_eq!(world.log(&webhook).await.len(), 1);
}

#[tokio::test]
async fn an_organization_has_a_hundred_webhooks_at_most() {
    let world = World::new().await;
    for _ in 0..100 {
        world.webhook(&[]).await;
    }
    let refused = world.engine.create_webhook(&world.caller, wish(&[])).await;
    assert!(
        matches!(&refused, Err(EngineError::Conflict { code, .. }) if *code == "too_many_webhooks"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_webhook_is_told_only_of_what_it_wants() {
    let world = World::new().await;
    world
        .webhook(&[EventType::SyncCreated, EventType::SyncPaused])
        .await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    world
        .engine
        .pause_sync(&world.caller, &world.bucket, sync.id.as_str())
        .await
        .unwrap();
    let receiver = Receiver::fine();
    assert_eq!(world.deliver(&receiver).await, 1);
    assert_eq!(receiver.types(), ["sync.created", "sync.paused"]);
}

#[tokio::test]
async fn what_fails_is_tried_again_after_growing_pauses_and_then_the_next_event_has_its_turn() {
    let world = World::new().await;
    let webhook = world.webhook(&[]).await;
    world.connect("first").await;
    world.connect("second").await;
    let receiver = Receiver::answering(|body| {
        if body["data"]["name"] == "first" {
            Ok(500)
        } else {
            Ok(200)
        }
    });
    let first = world.all_events().await[0].clone();
    for attempt in 1..=MOST_ATTEMPTS {
        assert_eq!(world.deliver(&receiver).await, 1);
        if attempt < MOST_ATTEMPTS {
            let stored = world.stored_webhook(&webhook).await;
            assert_eq!(
                (stored.attempts, stored.health.consecutive_failures),
                (attempt, attempt)
            );
            assert!(stored.cursor < first.cursor);
            world
                .clock
                .advance(pause_after(attempt).saturating_sub(Duration::from_secs(1)));
            assert_eq!(world.deliver(&receiver).await, 0, "its pause is not over");
            world.clock.advance(Duration::from_secs(1));
        }
    }
    let stored = world.stored_webhook(&webhook).await;
    assert!(stored.cursor > first.cursor, "the first event is given up");
    assert!(stored.settings.is_active);
    assert_eq!(
        stored.health.consecutive_failures, 0,
        "the second one was accepted"
    );
    let names: Vec<Value> = receiver
        .accepted()
        .iter()
        .map(|body| body["data"]["name"].clone())
        .collect();
    assert!(names.iter().all(|name| name == "second"));
    let log = world.log(&webhook).await;
    let attempts: Vec<u32> = log
        .iter()
        .filter(|row| row.event == first.id)
        .map(|row| row.attempt)
        .collect();
    assert_eq!(attempts, (1..=MOST_ATTEMPTS).collect::<Vec<_>>());
    let failed = log.iter().find(|row| row.event == first.id).unwrap();
    assert_eq!(failed.http_status, Some(500));
    assert_eq!(
        failed.error.as_deref(),
        Some("the address answered with the status 500")
    );
}

#[tokio::test]
async fn events_given_up_in_a_row_pause_the_webhook_which_is_told_and_comes_back_by_a_person() {
    let world = World::new().await;
    let webhook = world.webhook(&[EventType::ConnectionCreated]).await;
    for n in 0..=PAUSE_AFTER {
        world.connect(&format!("connection {n}")).await;
    }
    let away = Receiver::answering(|_| Err(SendError::Unreachable("nobody listens".to_owned())));
    for _ in 0..PAUSE_AFTER * MOST_ATTEMPTS {
        world.deliver(&away).await;
        world.clock.advance(Duration::from_hours(1));
    }
    let stored = world.stored_webhook(&webhook).await;
    assert!(!stored.settings.is_active);
    assert!(
        stored
            .health
            .paused_reason
            .as_ref()
            .unwrap()
            .contains("nobody listens")
    );
    let rows = world.audited(Action::WebhookPaused).await;
    assert_eq!(rows.len(), 1);
    let paused = world.all_events().await.pop().unwrap();
    assert_eq!(
        (paused.event_type, paused.resource_id.as_str()),
        (EventType::WebhookPaused, webhook.id.as_str())
    );
    assert_eq!(world.deliver(&away).await, 0, "it is not told any more");

    let receiver = Receiver::fine();
    let mut active = wish(&[EventType::ConnectionCreated]);
    active.channels = DraftChannels::parse("channels", stored.settings.channels).unwrap();
    let back = world
        .engine
        .replace_webhook(&world.caller, webhook.id.as_str(), active)
        .await
        .unwrap();
    assert_eq!(back.health.consecutive_failures, 0);
    world.deliver(&receiver).await;
    let names: Vec<Value> = receiver
        .accepted()
        .iter()
        .map(|body| body["data"]["name"].clone())
        .collect();
    assert_eq!(
        names.len(),
        1,
        "the rest of what happened is told: {names:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_gone_pauses_at_once_and_nothing_is_lost() {
    let world = World::new().await;
    let webhook = world.webhook(&[]).await;
    world.connect("store").await;
    world.deliver(&Receiver::answering(|_| Ok(410))).await;
    let stored = world.stored_webhook(&webhook).await;
    assert!(!stored.settings.is_active && stored.health.paused_at.is_some());
    let receiver = Receiver::fine();
    world
        .engine
        .replace_webhook(&world.caller, webhook.id.as_str(), wish(&[]))
        .await
        .unwrap();
    world.deliver(&receiver).await;
    let mut types = receiver.types();
    types.sort();
    assert_eq!(types, ["storage_connection.created", "webhook.paused"]);
}

#[tokio::test]
async fn events_are_delivered_once_more_when_asked_for_even_while_the_webhook_is_paused() {
    let (world, webhook, events) = eventful().await;
    world.deliver(&Receiver::fine()).await;
    let mut inactive = wish(&[]);
    inactive.is_active = false;
    world
        .engine
        .replace_webhook(&world.caller, webhook.id.as_str(), inactive)
        .await
        .unwrap();
    let wanted: Vec<EventId> = [3, 0].map(|i: usize| events[i].id.clone()).into();
    world
        .engine
        .redeliver(&world.caller, webhook.id.as_str(), &wanted)
        .await
        .unwrap();
    let receiver = Receiver::answering(|_| Ok(503));
    assert_eq!(world.deliver(&receiver).await, 1, "each is tried once");
    let log = world.log(&webhook).await;
    let again: Vec<&Delivery> = log.iter().filter(|row| row.redelivery).collect();
    let mut tried: Vec<&EventId> = again.iter().map(|row| &row.event).collect();
    tried.sort();
    let mut expected: Vec<&EventId> = wanted.iter().collect();
    expected.sort();
    assert_eq!(tried, expected);
    assert!(again.iter().all(|row| row.http_status == Some(503)));
    let unknown: EventId = "evt_ffffffffffffffff".parse().unwrap();
    let refused = world
        .engine
        .redeliver(&world.caller, webhook.id.as_str(), &[unknown])
        .await;
    assert!(
        matches!(refused, Err(EngineError::Invalid(_))),
        "{refused:?}"
    );
}

/// Polls a future that often and drops it then; whether it ended before.
async fn cut_off<F: Future>(future: F, polls: u32) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn a_process_that_ends_at_any_await_costs_repetitions_and_never_an_event_or_its_order() {
    let mut polls = 0;
    loop {
        let (world, _, events) = eventful().await;
        let receiver = Receiver::fine();
        let dispatcher = Dispatcher::new(world.engine.clone(), receiver.clone());
        let stop = CancellationToken::new();
        let ended = cut_off(dispatcher.deliver_once(&stop), polls).await;
        world.clock.advance(EXPIRY);
        world.deliver(&receiver).await;
        assert_told(&events, &receiver.accepted());
        if ended {
            assert!(polls > 4, "the round had awaits");
            return;
        }
        polls += 1;
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_settles_what_was_answered_and_the_rest_is_told_without_waiting() {
    let (world, webhook, events) = eventful().await;
    let stop = CancellationToken::new();
    let (first, ring) = (events[0].id.as_str().to_owned(), stop.clone());
    let receiver = Receiver::answering(move |body| {
        if body["id"] != first.as_str() {
            ring.cancel();
        }
        Ok(200)
    });
    let dispatcher = Dispatcher::new(world.engine.clone(), receiver.clone());
    assert!(dispatcher.deliver_once(&stop).await.unwrap());
    let stored = world.stored_webhook(&webhook).await;
    assert!(stored.cursor < events.last().unwrap().cursor);
    assert_eq!(
        stored.health.consecutive_failures, 0,
        "a stop is no failure"
    );
    receiver.answers(|_| Ok(200));
    world.deliver(&receiver).await;
    assert_told(&events, &receiver.accepted());
}

#[tokio::test]
async fn failures_here_and_there_cost_repetitions_and_never_an_event_or_its_order() {
    for most in 1..6 {
        let (world, _, events) = eventful().await;
        let ids = events.iter().map(|event| event.id.as_str().to_owned());
        let mut failures_left: HashMap<String, usize> = ids
            .enumerate()
            .map(|(i, id)| (id, i * 7 % (most + 1)))
            .collect();
        let receiver = Receiver::answering(move |body| {
            let left = failures_left.get_mut(body["id"].as_str().unwrap()).unwrap();
            if *left == 0 {
                return Ok(200);
            }
            *left -= 1;
            Ok(500)
        });
        for _ in 0..100 {
            world.deliver(&receiver).await;
            world.clock.advance(Duration::from_hours(1));
        }
        assert_told(&events, &receiver.accepted());
    }
}

#[tokio::test]
async fn two_dispatchers_never_deliver_to_one_webhook_at_the_same_time() {
    let (world, _, events) = eventful().await;
    let receiver = Receiver::fine();
    let stop = CancellationToken::new();
    let one = Dispatcher::new(world.engine.clone(), receiver.clone());
    let other = Dispatcher::new(world.engine.clone(), receiver.clone());
    let (one, other) = tokio::join!(one.deliver_once(&stop), other.deliver_once(&stop));
    assert_ne!(one.unwrap(), other.unwrap());
    assert_eq!(receiver.accepted().len(), events.len());
}

/// A stream that tells repetitions by their identifiers, and fails when asked to.
#[derive(Default)]
struct Stream {
    stored: Mutex<Vec<Event>>,
    away: Mutex<bool>,
}

#[async_trait]
impl EventStream for Stream {
    async fn publish(&self, events: &[Event]) -> Result<(), PublishError> {
        for event in events {
            tokio::task::yield_now().await;
            if *self.away.lock().unwrap() {
                return Err(PublishError("away".into()));
            }
            let mut stored = self.stored.lock().unwrap();
            if !stored.iter().any(|known| known.id == event.id) {
                stored.push(event.clone());
            }
        }
        Ok(())
    }
}

impl Stream {
    fn ids(&self) -> Vec<EventId> {
        let stored = self.stored.lock().unwrap();
        stored.iter().map(|event| event.id.clone()).collect()
    }
}

async fn publish(publisher: &Publisher) {
    let stop = CancellationToken::new();
    for _ in 0..100 {
        if !publisher.publish_once(&stop).await.unwrap() {
            return;
        }
    }
    panic!("publishing has no end");
}

#[tokio::test]
async fn the_stream_gets_every_event_in_order_whatever_is_cut_off() {
    let mut polls = 0;
    loop {
        let (world, _, _) = eventful().await;
        let ids: Vec<EventId> = world
            .all_events()
            .await
            .into_iter()
            .map(|event| event.id)
            .collect();
        let stream = Arc::new(Stream::default());
        let publisher = Publisher::new(world.engine.clone(), stream.clone());
        let stop = CancellationToken::new();
        let ended = cut_off(publisher.publish_once(&stop), polls).await;
        world.clock.advance(EXPIRY);
        publish(&publisher).await;
        assert_eq!(stream.ids(), ids);
        if ended {
            assert!(polls > 4, "the round had awaits");
            return;
        }
        polls += 1;
    }
}

#[tokio::test]
async fn a_stream_that_is_away_is_asked_again_later_and_misses_nothing() {
    let (world, _, _) = eventful().await;
    let stream = Arc::new(Stream::default());
    *stream.away.lock().unwrap() = true;
    let publisher = Publisher::new(world.engine.clone(), stream.clone());
    publish(&publisher).await;
    assert!(stream.ids().is_empty());
    *stream.away.lock().unwrap() = false;
    publish(&publisher).await;
    assert!(stream.ids().is_empty(), "its pause is not over");
    world.clock.advance(Duration::from_mins(1));
    publish(&publisher).await;
    assert_eq!(stream.ids().len(), world.all_events().await.len());
}

#[tokio::test]
async fn events_are_read_page_by_page_in_both_directions() {
    let (world, _, _) = eventful().await;
    let all: Vec<EventId> = world
        .all_events()
        .await
        .into_iter()
        .map(|event| event.id)
        .collect();
    let mut backwards = all.clone();
    backwards.reverse();
    for (order, expected) in [(EventOrder::Oldest, all), (EventOrder::Newest, backwards)] {
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let filter = EventFilter::default();
            let page = world
                .engine
                .list_events(&world.caller, &filter, order, after, 2)
                .await
                .unwrap();
            if page.events.is_empty() {
                break;
            }
            read.extend(page.events.into_iter().map(|event| event.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, expected, "{order:?}");
    }
    let filter = EventFilter {
        event_type: Some(EventType::SyncPaused),
        ..EventFilter::default()
    };
    let page = world
        .engine
        .list_events(&world.caller, &filter, EventOrder::Newest, None, 10)
        .await
        .unwrap();
    assert_eq!((page.events.len(), page.next), (1, None));
    let id = page.events[0].id.as_str();
    assert_eq!(
        world.engine.event(&world.caller, id).await.unwrap(),
        page.events[0]
    );
    assert!(world.engine.event(&world.caller, "evt_nope").await.is_err());
}
