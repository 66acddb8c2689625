//! Fakes at the two seams: a name service with scripted answers, and a dialer that writes down every dial
//! and only ever connects to a listener on this machine.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tokio::net::TcpStream;
use wharf_egress::{Dialer, EgressError, Policy, Reason, Resolver, Timeouts};

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

/// A name service that answers after a pause.
#[derive(Debug)]
pub(crate) struct LateResolver(pub(crate) Duration);

#[async_trait]
impl Resolver for LateResolver {
    async fn lookup(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        tokio::time::sleep(self.0).await;
        Ok(vec![([93, 184, 216, 34], port).into()])
    }
}

/// Writes down what is dialled, and panics at what must never be: it knows the addresses that are closed from a list of
/// its own. `dead` addresses never answer; the others lead to `listener`, or to nobody.
#[derive(Debug, Default)]
pub(crate) struct RecordingDialer {
    listener: Option<SocketAddr>,
    dead: Vec<SocketAddr>,
    opened: Vec<IpAddr>,
    dialled: Mutex<Vec<SocketAddr>>,
}

impl RecordingDialer {
    pub(crate) fn to_nobody() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn to(listener: SocketAddr) -> Arc<Self> {
        Self::opened(&[], Some(listener))
    }

    /// The test's policy opens these addresses.
    pub(crate) fn opened(opened: &[&str], listener: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            listener,
            opened: opened.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..Self::default()
        })
    }

    pub(crate) fn with_dead(dead: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self {
            dead,
            ..Self::default()
        })
    }

    /// Two opened addresses: the first never answers, the second leads to the listener.
    pub(crate) fn dead_then(opened: [&str; 2], port: u16, listener: SocketAddr) -> Arc<Self> {
        let opened = opened.map(|ip| ip.parse().unwrap());
        Arc::new(Self {
            listener: Some(listener),
            dead: vec![(opened[0], port).into()],
            opened: opened.to_vec(),
            dialled: Mutex::default(),
        })
    }

    pub(crate) fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }

    /// How many of the dials should not have been.
    pub(crate) fn wrongly_dialled(&self) -> usize {
        let dialled = self.dialled();
        dialled.iter().filter(|addr| self.is_wrong(addr)).count()
    }

    fn is_wrong(&self, addr: &SocketAddr) -> bool {
        is_closed(addr.ip()) && !self.opened.contains(&addr.ip())
    }
}

#[async_trait]
impl Dialer for RecordingDialer {
    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        // Before the panic, which might end a task that nobody waits for.
        self.dialled.lock().unwrap().push(addr);
        assert!(!self.is_wrong(&addr), "a dial to {addr} left the guard");
        if self.dead.contains(&addr) {
            return std::future::pending().await;
        }
        match self.listener {
            Some(listener) => TcpStream::connect(listener).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// Whether an address is closed by default: the standard library's opinion, and by hand what it has none on. On purpose
/// it shares nothing with the tables of the guard.
pub(crate) fn is_closed(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xc0 == 64)
                || (a == 198 && b & 0xfe == 18)
                || (a == 192 && b == 0 && c == 0)
                || matches!(
                    (a, b, c),
                    (192, 31, 196) | (192, 52, 193) | (192, 88, 99) | (192, 175, 48)
                )
                || v4 == Ipv4Addr::new(168, 63, 129, 16)
        }
        IpAddr::V6(v6) => {
            let s = v6.segments();
            s[0] & 0xe000 != 0x2000
                || s[0] == 0x2002
                || (s[0] == 0x2001 && s[1] < 0x200)
                || (s[0] == 0x2001 && s[1] == 0xdb8)
                || (s[0] == 0x3fff && s[1] < 0x1000)
                || (s[0] == 0x2620 && s[1] == 0x4f && s[2] == 0x8000)
                || (s[4] & 0xfdff == 0 && s[5] == 0x5efe)
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

/// A policy that opens this one address on this port.
pub(crate) fn opening(entry: &str) -> Policy {
    Policy {
        allow: vec![entry.parse().unwrap()],
        ..Policy::default()
    }
}

pub(crate) fn reason(error: &EgressError) -> &Reason {
    match error {
        EgressError::Refused(refusal) => refusal.reason(),
        other => panic!("not a refusal: {other:?}"),
    }
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
