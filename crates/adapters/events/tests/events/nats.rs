//! Against a real server, `WHARF_TEST_NATS_SERVER` being its program.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use wharf_domain::Timestamp;
use wharf_domain::audit::{AuditHash, ChainHead, ResourceType};
use wharf_domain::event::{Announcement, Event, EventType, OutboxEntry};
use wharf_domain::secret::SecretString;
use wharf_events::{NatsError, NatsSettings, NatsStream};
use wharf_ports::EventStream;

const ORGANIZATION: &str = "int_aaaaaaaaaaaaaaaaaaaaaaaa";

/// A server of this test alone, so that it can be ended and started again. Its folder goes last.
struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
    program: String,
}

impl Server {
    /// `None` where the tests may do without one.
    fn start() -> Option<Self> {
        let Ok(program) = std::env::var("WHARF_TEST_NATS_SERVER") else {
            let may_be_missing = std::env::var_os("WHARF_TEST_ALLOW_MISSING").is_some();
            assert!(
                may_be_missing,
                "WHARF_TEST_NATS_SERVER must name the NATS server; `cargo xtask test` installs one"
            );
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let process = run(&program, folder.path(), port);
        Some(Self {
            process,
            folder,
            port,
            program,
        })
    }

    fn end(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.process = run(&self.program, self.folder.path(), self.port);
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn settings(&self) -> NatsSettings {
        NatsSettings {
            url: SecretString::new(self.url()),
            credentials_file: None,
            subject_prefix: "wharf".to_owned(),
            stream: "WHARF".to_owned(),
            max_age: Duration::from_hours(1),
        }
    }

    /// Everything that the stream holds: subject, `Nats-Msg-Id` and body, in its order.
    async fn stored(&self) -> Vec<(String, String, Value)> {
        let client = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .connect(self.url())
            .await
            .unwrap();
        let stream = jetstream::new(client).get_stream("WHARF").await.unwrap();
        let consumer = stream
            .create_consumer(pull::Config {
                // What waits for an acknowledgement would stop at a thousand.
                ack_policy: AckPolicy::None,
                ..pull::Config::default()
            })
            .await
            .unwrap();
        let count = stream.get_info().await.unwrap().state.messages;
        let batch = consumer
            .fetch()
            .max_messages(usize::try_from(count).unwrap());
        let mut messages = batch.messages().await.unwrap();
        let mut stored = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.unwrap();
            let id = message
                .headers
                .as_ref()
                .unwrap()
                .get("Nats-Msg-Id")
                .unwrap();
            let body = serde_json::from_slice(&message.payload).unwrap();
            stored.push((message.subject.to_string(), id.to_string(), body));
        }
        stored
    }
}

fn run(program: &str, folder: &Path, port: u16) -> Child {
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An event of a sync, one of three.
fn event(position: u64, facts: Value) -> Event {
    let entry = OutboxEntry {
        organization: ORGANIZATION.parse().unwrap(),
        audit: format!("aud_{position:016x}").parse().unwrap(),
        head: ChainHead {
            position,
            hash: AuditHash::START,
        },
        at: Timestamp::from_timestamp(1_700_000_000, 0).unwrap(),
        resource_type: ResourceType::Sync,
        resource_id: format!("sync_{:016x}", position % 3),
        announcement: Announcement::One {
            event_type: EventType::SyncUpdated,
            facts,
        },
    };
    entry.events().remove(0)
}

fn events(positions: impl Iterator<Item = u64>) -> Vec<Event> {
    positions
        .map(|position| event(position, json!({"n": position})))
        .collect()
}

/// Publishes until it works, as the publisher does.
async fn publish(stream: &NatsStream, events: &[Event]) {
    for _ in 0..100 {
        if stream.publish(events).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the stream never took the events");
}

/// The numbers of one thing's events, in the order in which they stand.
fn of_thing(stored: &[(String, String, Value)], thing: u64) -> Vec<u64> {
    let numbers = stored
        .iter()
        .map(|(_, _, body)| body["data"]["n"].as_u64().unwrap());
    numbers.filter(|number| number % 3 == thing).collect()
}

#[tokio::test]
async fn the_stream_is_made_and_holds_every_event_once_on_its_subject() {
    let Some(server) = Server::start() else {
        return;
    };
    let stream = NatsStream::connect(server.settings()).await.unwrap();
    let events = events(1..=20);
    publish(&stream, &events).await;
    publish(&stream, &events[5..]).await;
    let stored = server.stored().await;
    assert_eq!(
        stored.len(),
        20,
        "repetitions are told by their identifiers"
    );
    for (event, (subject, id, body)) in events.iter().zip(&stored) {
        assert_eq!(*subject, format!("wharf.{ORGANIZATION}.sync.updated"));
        assert_eq!(id, event.id.as_str());
        assert_eq!(*body, event.body());
    }
}

#[tokio::test]
async fn a_server_that_ends_in_the_middle_costs_neither_an_event_nor_the_order_of_any_thing() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let stream = NatsStream::connect(server.settings()).await.unwrap();
    publish(&stream, &events(1..=30)).await;
    let many = events(31..=2000);
    let publishing = async {
        for together in many.chunks(100) {
            publish(&stream, together).await;
        }
    };
    let restarting = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.end();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.start_again();
    };
    tokio::join!(publishing, restarting);
    let stored = server.stored().await;
    for thing in 0..3 {
        let mut firsts = Vec::new();
        for number in of_thing(&stored, thing) {
            if !firsts.contains(&number) {
                firsts.push(number);
            }
        }
        let expected: Vec<u64> = (1..=2000).filter(|number| number % 3 == thing).collect();
        assert_eq!(firsts, expected);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_fails_soon_and_works_once_it_is() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.end();
    let stream = NatsStream::connect(server.settings()).await.unwrap();
    let began = std::time::Instant::now();
    assert!(stream.publish(&events(1..=1)).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    server.start_again();
    publish(&stream, &events(1..=1)).await;
    assert_eq!(server.stored().await.len(), 1);
}

#[tokio::test]
async fn an_event_larger_than_the_server_takes_goes_without_its_particulars() {
    let Some(server) = Server::start() else {
        return;
    };
    let stream = NatsStream::connect(server.settings()).await.unwrap();
    let large = event(1, json!({"n": 1, "much": "x".repeat(2 << 20)}));
    publish(&stream, std::slice::from_ref(&large)).await;
    let stored = server.stored().await;
    assert_eq!(stored[0].1, large.id.as_str());
    assert_eq!(stored[0].2["data"], json!({"too_large": true}));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused() {
    let settings = |url: &str, file: Option<&str>| NatsSettings {
        url: SecretString::new(url.to_owned()),
        credentials_file: file.map(Into::into),
        subject_prefix: "wharf".to_owned(),
        stream: "WHARF".to_owned(),
        max_age: Duration::from_hours(1),
    };
    let refused = NatsStream::connect(settings("http://x y", None)).await;
    assert!(matches!(refused, Err(NatsError::Address)), "{refused:?}");
    let refused = NatsStream::connect(settings("nats://127.0.0.1:1", Some("/no/such/file"))).await;
    assert!(
        matches!(refused, Err(NatsError::Credentials(_))),
        "{refused:?}"
    );
}
