//! HTTP through the guard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::{Body, BoxError, Outgoing, Progress};
use crate::certificate::CertificateEnd;
use crate::connector::{Door, check_uri, target_of};
use crate::error::{EgressError, Waiting};
use crate::guard::Guard;
use crate::tls::TlsMode;

/// How long an idle connection stays in a pool: shorter than servers commonly keep theirs.
const POOLED_IDLE: Duration = Duration::from_secs(50);

/// An HTTP/2 connection is asked for a sign of life this often, because a dead one would otherwise serve
/// (and fail) request after request.
const PING_EVERY: Duration = Duration::from_secs(15);

/// How long each step may take. None of them limits a whole exchange: downloads take what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name service, TCP and TLS together.
    pub connect: Duration,
    /// From the last piece of the request that was taken for sending to the head of the answer.
    pub headers: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}

/// An HTTP client whose every connection passes the guard. Clones share one pool of connections.
///
/// A pooled connection is not judged again, and may carry what an earlier request proved of itself. So make
/// one client per connection and audience, never one for several tenants, and a new one when the policy or
/// the TLS mode changes; dropping the last clone closes the idle connections.
///
/// HTTP/2 where the other side offers it over TLS, else HTTP/1.1. Redirects come back as they are. No
/// proxy, no environment, no cookie, no decompression.
#[derive(Debug, Clone)]
pub struct Client {
    guard: Arc<Guard>,
    http: legacy::Client<Door, Outgoing>,
    certificates: CertificateEnd,
    timeouts: Timeouts,
}

impl Client {
    /// A client with the usual timeouts.
    pub fn new(guard: Arc<Guard>, tls: TlsMode) -> Self {
        Self::with_timeouts(guard, tls, Timeouts::default())
    }

    /// A client with timeouts of the caller's choice.
    pub fn with_timeouts(guard: Arc<Guard>, tls: TlsMode, timeouts: Timeouts) -> Self {
        let certificates = CertificateEnd::default();
        let door = Door::new(
            Arc::clone(&guard),
            tls,
            timeouts.connect,
            certificates.clone(),
        );
        let http = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOLED_IDLE)
            .http2_keep_alive_interval(PING_EVERY)
            .build(door);
        Self {
            guard,
            http,
            certificates,
            timeouts,
        }
    }

    /// When the first of the certificates that the other side has shown to this client and its clones runs out, in seconds since
    /// 1970. `None` before the first handshake, without TLS, and where certificates live for a few days only.
    pub fn certificate_expires_at(&self) -> Option<i64> {
        self.certificates.get()
    }

    /// Sends one request, whose URI is absolute, and returns with the head of the answer. Every status is an
    /// answer. Nothing is sent twice: only a request of which no byte had left when its pooled connection
    /// turned out closed goes out on a fresh one.
    ///
    /// The URI alone says whom the request is for: one whose `Host` names another is not sent.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Body>, EgressError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let target = target_of(request.uri());
        let incomplete = request.uri().scheme().is_none() || request.uri().host().is_none();
        if incomplete || names_another_host(&request) {
            return Err(EgressError::Request { target });
        }
        // The door checks this again for each connection, but a pooled one does not come through it.
        check_uri(self.guard.policy(), request.uri())?;
        let progress = Progress::begin();
        let request = request.map(|body| Outgoing::new(body, progress.clone()));
        let answer = tokio::select! {
            biased;
            answer = self.http.request(request) => answer,
            () = progress.stalled(self.timeouts.headers) => {
                let waiting = Waiting::Headers;
                return Err(EgressError::Timeout { target, waiting });
            }
        };
        match answer {
            Ok(answer) => Ok(answer.map(|body| Body::new(body, target, self.timeouts.idle))),
            Err(error) => Err(EgressError::exchange(&target, &error)),
        }
    }
}

fn names_another_host<B>(request: &Request<B>) -> bool {
    let authority = request.uri().authority().map_or("", |name| name.as_str());
    let mut hosts = request.headers().get_all(HOST).iter();
    hosts.any(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_bodies_can_be_handed_to_any_task() {
        fn shareable<T: Send + Sync + 'static>() {}
        shareable::<Client>();
        shareable::<Body>();
        shareable::<EgressError>();
    }
}
