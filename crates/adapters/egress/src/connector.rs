//! The guard as a connector for the HTTP stack: each new connection of a pool comes through here.

mod limited;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;
use url::Url;

use crate::certificate::CertificateEnd;
use crate::endpoint::Endpoint;
use crate::error::EgressError;
use crate::guard::Guard;
use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::tls::TlsMode;

pub use self::limited::{Connector, Limited};

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, EgressError>> + Send>>;

/// TCP through the guard, then TLS, all within one limit.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    https: HttpsConnector<Tcp>,
    certificates: CertificateEnd,
    limit: Duration,
}

impl Door {
    pub(crate) fn new(
        guard: Arc<Guard>,
        tls: TlsMode,
        limit: Duration,
        certificates: CertificateEnd,
    ) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config())
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Tcp { guard, tls, limit });
        Self {
            https,
            certificates,
            limit,
        }
    }

    /// One that does not offer HTTP/2.
    pub(crate) fn of_http1(guard: Arc<Guard>, tls: TlsMode, limit: Duration) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config())
            .https_or_http()
            .enable_http1()
            .wrap_connector(Tcp { guard, tls, limit });
        Self {
            https,
            certificates: CertificateEnd::default(),
            limit,
        }
    }
}

impl Service<Uri> for Door {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = EgressError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let target = target_of(&uri);
        let connecting = self.https.call(uri);
        let certificates = self.certificates.clone();
        let limit = self.limit;
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(connected) => connected
                    .inspect(|connected| certificates.note(connected))
                    .map_err(|error| EgressError::handshake(&target, error.as_ref())),
                Err(_) => Err(EgressError::ConnectTimeout { target }),
            }
        })
    }
}

/// The TCP part: the guard's own.
#[derive(Debug, Clone)]
pub(crate) struct Tcp {
    guard: Arc<Guard>,
    tls: TlsMode,
    limit: Duration,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { guard, tls, limit } = self.clone();
        Box::pin(async move {
            let endpoint = check_uri(guard.policy(), &uri)?;
            guard.connect(&endpoint, tls, limit).await.map(TokioIo::new)
        })
    }
}

/// Judges where a request goes, reading its URI with the policy's parser: what the policy saw is dialled.
pub(crate) fn check_uri(policy: &Policy, uri: &Uri) -> Result<Endpoint, Refusal> {
    let url = Url::parse(&uri.to_string()).map_err(|_| Refusal::of_url(Reason::NotAUrl))?;
    policy.check_origin(&url)
}

/// Host and port of a request, for messages.
pub(crate) fn target_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or("an unnamed host");
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    });
    format!("{host}:{port}")
}
