//! Watch channels, and the messages that are sent to their addresses.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::tree::feed::Whose;
use crate::world::lock;

const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A channel that watches a feed of changes.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) whose: Whose,
    /// Who opened it, and may stop it.
    pub(crate) email: String,
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) resource_id: String,
    pub(crate) resource_uri: String,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) messages: u64,
}

impl Channel {
    /// The next message of this state, `sync` or `change`.
    pub(crate) fn message(&mut self, state: &'static str) -> Message {
        self.messages += 1;
        let mut headers = vec![
            ("x-goog-channel-id", self.id.clone()),
            (
                "x-goog-channel-expiration",
                self.expires.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            ),
            ("x-goog-resource-state", state.to_owned()),
            ("x-goog-message-number", self.messages.to_string()),
            ("x-goog-resource-id", self.resource_id.clone()),
            ("x-goog-resource-uri", self.resource_uri.clone()),
        ];
        if let Some(token) = &self.token {
            headers.push(("x-goog-channel-token", token.clone()));
        }
        Message {
            address: self.address.clone(),
            headers,
            delivery: Delivery {
                channel: self.id.clone(),
                state: state.to_owned(),
                number: self.messages,
                status: None,
            },
        }
    }
}

/// A message on its way to a channel's address.
#[derive(Debug)]
pub(crate) struct Message {
    address: String,
    headers: Vec<(&'static str, String)>,
    delivery: Delivery,
}

/// A message that was sent to a channel, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The channel.
    pub channel: String,
    /// `sync` or `change`.
    pub state: String,
    /// Counts the messages of the channel from 1.
    pub number: u64,
    /// The status that was answered; none when nothing was.
    pub status: Option<u16>,
}

pub(crate) type Deliveries = Vec<Delivery>;

/// Where messages leave.
#[derive(Debug)]
pub(crate) struct Push {
    queue: UnboundedSender<Message>,
    deliveries: Arc<Mutex<Deliveries>>,
}

impl Push {
    /// The way out, and the work that has to be done at its other end.
    pub(crate) fn new() -> (Self, impl Future<Output = ()> + Send) {
        let (queue, messages) = unbounded_channel();
        let deliveries = Arc::new(Mutex::default());
        let work = deliver(messages, Arc::clone(&deliveries));
        (Self { queue, deliveries }, work)
    }

    pub(crate) fn send(&self, message: Message) {
        // A lab that is going down delivers nothing more.
        let _ = self.queue.send(message);
    }

    pub(crate) fn deliveries(&self) -> MutexGuard<'_, Deliveries> {
        lock(&self.deliveries)
    }
}

/// Whether the lab sends anything to this address: in the clear, and to this machine.
pub(crate) fn is_near(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else {
        return false;
    };
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .to_owned();
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("http") && loopback
}

async fn deliver(mut messages: UnboundedReceiver<Message>, deliveries: Arc<Mutex<Deliveries>>) {
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    while let Some(message) = messages.recv().await {
        let Message {
            address,
            headers,
            mut delivery,
        } = message;
        let mut request = Request::post(&address).header("content-length", "0");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if is_near(&address)
            && let Ok(request) = request.body(Empty::new())
            && let Ok(Ok(answer)) =
                tokio::time::timeout(LONGEST_WAIT, client.request(request)).await
        {
            delivery.status = Some(answer.status().as_u16());
        }
        lock(&deliveries).push(delivery);
    }
}
