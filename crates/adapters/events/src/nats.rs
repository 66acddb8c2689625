//! Events to NATS `JetStream`: every event of every organization, on the subject `<prefix>.<organization>.<event type>`.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::{self, Context, ContextBuilder, PublishAckFuture};
use async_nats::jetstream::stream;
use async_nats::{Client, ConnectOptions, HeaderMap};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;
use wharf_domain::event::Event;
use wharf_domain::secret::SecretString;
use wharf_ports::{EventStream, PublishError, Source};

/// How long one call may take, whatever the server does.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// Most events on their way at a time.
const WAVE: usize = 256;
/// For how long a stream that is created here tells repetitions by their identifiers.
const REPETITIONS: Duration = Duration::from_mins(10);
/// What headers and subject take of the largest message that a server accepts.
const ROOM_FOR_HEADERS: usize = 1024;

/// Where the stream is.
#[derive(Debug)]
pub struct NatsSettings {
    /// `nats://` or `tls://`, host and port; may carry a user and a password.
    pub url: SecretString,
    /// A file of NATS credentials.
    pub credentials_file: Option<PathBuf>,
    /// What every subject begins with.
    pub subject_prefix: String,
    /// The stream's name.
    pub stream: String,
    /// For how long a stream that is created here keeps events.
    pub max_age: Duration,
}

/// Why there is no stream to publish to.
#[derive(Debug, Error)]
pub enum NatsError {
    /// The address cannot be read.
    #[error("the address of the NATS server must be nats:// or tls://, a host and a port")]
    Address,
    /// The file of credentials cannot be read.
    #[error("the credentials file for NATS cannot be used")]
    Credentials(#[source] std::io::Error),
    /// The server cannot be spoken to in the way that was asked for.
    #[error("no connection to NATS can be made")]
    Connect(#[source] Source),
}

/// A `JetStream` stream.
pub struct NatsStream {
    client: Client,
    jetstream: Context,
    subject_prefix: String,
    config: stream::Config,
    /// Whether the stream was seen since the last failure.
    seen: AtomicBool,
}

impl fmt::Debug for NatsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStream")
            .field("stream", &self.config.name)
            .finish_non_exhaustive()
    }
}

impl NatsStream {
    /// A stream on this server, which may be away: connecting goes on by itself.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub async fn connect(settings: NatsSettings) -> Result<Self, NatsError> {
        let address: async_nats::ServerAddr = settings
            .url
            .expose()
            .parse()
            .map_err(|_| NatsError::Address)?;
        let mut options = ConnectOptions::new()
            .name("wharf")
            .connection_timeout(CONNECT)
            .retry_on_initial_connect();
        if let Some(file) = &settings.credentials_file {
            let with_file = options.credentials_file(file).await;
            options = with_file.map_err(NatsError::Credentials)?;
        }
        let client = options
            .connect(address)
            .await
            .map_err(|error| NatsError::Connect(error.into()))?;
        let jetstream = ContextBuilder::new()
            .timeout(CONNECT)
            .ack_timeout(PATIENCE)
            .build(client.clone());
        let config = stream::Config {
            name: settings.stream,
            description: Some("Events of Wharf".to_owned()),
            subjects: vec![format!("{}.>", settings.subject_prefix)],
            max_age: settings.max_age,
            duplicate_window: REPETITIONS.min(settings.max_age),
            ..stream::Config::default()
        };
        Ok(Self {
            client,
            jetstream,
            subject_prefix: settings.subject_prefix,
            config,
            seen: AtomicBool::new(false),
        })
    }

    async fn publish_all(&self, events: &[Event]) -> Result<(), Source> {
        // Else the client would keep what it is given until the server is back, when somebody else may have published it.
        if self.client.connection_state() != State::Connected {
            return Err("the NATS server is not connected".into());
        }
        if !self.seen.load(Ordering::Relaxed) {
            let config = self.config.clone();
            self.jetstream.get_or_create_stream(config).await?;
            self.seen.store(true, Ordering::Relaxed);
        }
        for wave in waves(events) {
            let mut stored = Vec::with_capacity(wave.len());
            for event in wave {
                stored.push(self.send(event).await?.into_future());
            }
            try_join_all(stored).await?;
        }
        Ok(())
    }

    async fn send(&self, event: &Event) -> Result<PublishAckFuture, context::PublishError> {
        let (prefix, organization) = (&self.subject_prefix, &event.organization);
        let subject = format!("{prefix}.{organization}.{}", event.event_type);
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, event.id.as_str());
        let largest = self.client.server_info().max_payload;
        let body = fitting(event.body(), largest.saturating_sub(ROOM_FOR_HEADERS));
        self.jetstream
            .publish_with_headers(subject, headers, body)
            .await
    }
}

#[async_trait]
impl EventStream for NatsStream {
    async fn publish(&self, events: &[Event]) -> Result<(), PublishError> {
        let published = timeout(PATIENCE, self.publish_all(events))
            .await
            .unwrap_or_else(|_| Err("the stream did not store the events in time".into()));
        published.map_err(|error| {
            self.seen.store(false, Ordering::Relaxed);
            PublishError(error)
        })
    }
}

/// Runs of events without two of one thing in any: a run goes out at once, the next one when all of it is stored. So what failed in
/// the middle is never overtaken by a later event of the same thing.
fn waves(events: &[Event]) -> Vec<&[Event]> {
    let (mut waves, mut start) = (Vec::new(), 0);
    let mut things = HashSet::new();
    for (i, event) in events.iter().enumerate() {
        let thing = (event.resource_type, &event.resource_id);
        if things.contains(&thing) || i - start == WAVE {
            waves.push(&events[start..i]);
            start = i;
            things.clear();
        }
        things.insert(thing);
    }
    if start < events.len() {
        waves.push(&events[start..]);
    }
    waves
}

/// The body as bytes; one that the server would refuse goes without its particulars, which can be asked for by the event's identifier.
fn fitting(mut body: Value, largest: usize) -> Bytes {
    let whole = body.to_string();
    if whole.len() <= largest {
        return whole.into();
    }
    body["data"] = json!({"too_large": true});
    body.to_string().into()
}

#[cfg(test)]
mod tests {
    use wharf_domain::Timestamp;
    use wharf_domain::audit::{AuditHash, ChainHead, ResourceType};
    use wharf_domain::event::{Announcement, EventType, OutboxEntry};

    use super::*;

    fn event_of(thing: &str) -> Event {
        let entry = OutboxEntry {
            organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse().expect("an id"),
            audit: "aud_0000000000000001".parse().expect("an id"),
            head: ChainHead {
                position: 1,
                hash: AuditHash::START,
            },
            at: Timestamp::UNIX_EPOCH,
            resource_type: ResourceType::Sync,
            resource_id: thing.to_owned(),
            announcement: Announcement::One {
                event_type: EventType::SyncUpdated,
                facts: json!({}),
            },
        };
        entry.events().remove(0)
    }

    #[test]
    fn no_two_events_of_one_thing_are_on_their_way_together() {
        let events: Vec<Event> = ["a", "b", "c", "b", "a", "a"].map(event_of).into();
        let sizes: Vec<usize> = waves(&events).iter().map(|wave| wave.len()).collect();
        assert_eq!(sizes, [3, 2, 1]);
        assert!(waves(&[]).is_empty());
        let many: Vec<Event> = (0..600).map(|n| event_of(&n.to_string())).collect();
        let sizes: Vec<usize> = waves(&many).iter().map(|wave| wave.len()).collect();
        assert_eq!(sizes, [WAVE, WAVE, 600 - 2 * WAVE]);
    }

    #[test]
    fn a_body_that_is_too_large_goes_without_its_particulars() {
        let body = json!({"id": "evt_1", "data": {"x": "y".repeat(100)}});
        assert_eq!(fitting(body.clone(), 1000), body.to_string());
        let short: Value = serde_json::from_slice(&fitting(body, 100)).expect("JSON");
        assert_eq!(short, json!({"id": "evt_1", "data": {"too_large": true}}));
    }
}
