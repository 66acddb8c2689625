//! Fakes at the two seams: a name service with scripted answers, and a dialer that writes down every dial
//! and only ever connects to a listener on this machine.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::net::TcpStream;
use wharf_egress::{Class, Dialer, Policy, Resolver, Timeouts, classify};

/// What the name service says, look-up after look-up; the last line repeats.
#[derive(Debug, Default)]
pub(crate) struct ScriptedResolver {
    script: Mutex<VecDeque<Vec<SocketAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl ScriptedResolver {
    pub(crate) fn saying(script: &[&[&str]]) -> Arc<Self> {
        let parsed = script
            .iter()
            .map(|answers| answers.iter().map(|a| addr(a)).collect());
        Arc::new(Self {
            script: Mutex::new(parsed.collect()),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn answering(answers: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new([answers].into()),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for ScriptedResolver {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut script = self.script.lock().unwrap();
        let answers = if script.len() > 1 {
            script.pop_front().unwrap()
        } else {
            script.front().cloned().unwrap_or_default()
        };
        Ok(answers
            .into_iter()
            .map(|addr| SocketAddr::new(addr.ip(), port))
            .collect())
    }
}

/// A name service that never answers.
#[derive(Debug)]
pub(crate) struct SilentResolver;

#[async_trait]
impl Resolver for SilentResolver {
    async fn lookup(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }
}

/// Writes down what is dialled. `dead` addresses never answer; the others lead to `listener`, or to nobody.
#[derive(Debug, Default)]
pub(crate) struct RecordingDialer {
    listener: Option<SocketAddr>,
    dead: Vec<SocketAddr>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl RecordingDialer {
    pub(crate) fn to_nobody() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn to(listener: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            listener: Some(listener),
            ..Self::default()
        })
    }

    pub(crate) fn with_dead(listener: Option<SocketAddr>, dead: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            listener,
            dead,
            dialled: Mutex::default(),
        })
    }

    pub(crate) fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }
}

#[async_trait]
impl Dialer for RecordingDialer {
    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let class = classify(addr.ip());
        assert!(
            matches!(class, Class::Public | Class::Loopback | Class::Private),
            "a dial to {addr} left the guard"
        );
        self.dialled.lock().unwrap().push(addr);
        if self.dead.contains(&addr) {
            return std::future::pending().await;
        }
        match self.listener {
            Some(listener) => TcpStream::connect(listener).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse()
        .or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 0)))
        .unwrap()
}

pub(crate) fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

pub(crate) fn loopback_open() -> Policy {
    Policy {
        allow_loopback: true,
        ..Policy::default()
    }
}

/// Short enough for tests on real sockets.
pub(crate) fn impatient() -> Timeouts {
    let short = Duration::from_millis(500);
    Timeouts {
        connect: Duration::from_secs(5),
        headers: short,
        idle: short,
    }
}
