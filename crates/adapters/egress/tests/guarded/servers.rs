//! Servers on this machine: polite ones, ones that answer what they are told, and ones behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::LazyConfigAcceptor;

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

pub(crate) async fn serve(router: Router) -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// A server that reads a request, answers these bytes, and then does as told.
pub(crate) async fn serve_raw(answer: &'static [u8], hangs_up: bool) -> SocketAddr {
    let (listener, addr) = listen().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
            if !hangs_up {
                open.push(stream);
            }
        }
    });
    addr
}

/// A TLS server with a certificate of its own making; tells the name each client asked for.
pub(crate) async fn serve_tls(
    router: Router,
) -> (SocketAddr, mpsc::UnboundedReceiver<Option<String>>) {
    let config = tls_config();
    let (listener, addr) = listen().await;
    let (names, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, names, router) = (Arc::clone(&config), names.clone(), router.clone());
            tokio::spawn(async move {
                let handshake =
                    LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream)
                        .await
                        .unwrap();
                let name = handshake.client_hello().server_name().map(str::to_owned);
                let _ = names.send(name);
                if let Ok(stream) = handshake.into_stream(config).await {
                    let service = TowerToHyperService::new(router);
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    (addr, asked)
}

/// TLS with a certificate of our own making for `localhost`.
pub(crate) fn tls_config() -> Arc<rustls::ServerConfig> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let cert = CertificateDer::from(own.cert.der().to_vec());
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

pub(crate) async fn text(answer: http::Response<wharf_egress::Body>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
