//! A lab and an account at it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use wharf_domain::ids::ConnectionId;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{NewProviderConfig, Provider, parse_new};
use wharf_domain::sync::Cursor;
use wharf_egress::{Guard, Policy, Resolver, TcpDialer};
use wharf_lab::{Lab, LabConfig};
use wharf_ports::{
    CheckRequest, FetchWish, LoneSession, OpenProvider, ProviderError, ProviderFactory,
};
use wharf_s3::S3;
use wharf_testkit::FakeClock;

/// How an account is reached: by the path, or with the bucket in the host's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    S3,
    TigrisByHost,
    TigrisByPath,
}

pub(crate) const PROFILES: [Profile; 3] =
    [Profile::S3, Profile::TigrisByHost, Profile::TigrisByPath];

/// Finds every name on this machine.
#[derive(Debug)]
pub(crate) struct Here;

#[async_trait]
impl Resolver for Here {
    async fn lookup(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![([127, 0, 0, 1], port).into()])
    }
}

/// Finds no name anywhere.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Resolver for Nowhere {
    async fn lookup(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }
}

/// What an account of S3 has no use for.
pub(crate) fn alone() -> Arc<LoneSession> {
    Arc::new(LoneSession::new(Arc::new(FakeClock::new())))
}

/// An account whose names lead nowhere.
pub(crate) fn open_in_the_void(parts: NewProviderConfig) -> OpenProvider {
    let guard = Guard::with(policy(), Arc::new(Nowhere), Arc::new(TcpDialer));
    S3::new(Arc::new(guard))
        .open(&connection(), &parts.config, parts.credentials, alone())
        .unwrap()
}

pub(crate) async fn lab() -> Lab {
    let config = LabConfig {
        bucket_domains: vec!["t3.localhost".into()],
        ..LabConfig::default()
    };
    Lab::start(config).await.unwrap()
}

pub(crate) fn policy() -> Policy {
    Policy {
        allow_loopback: true,
        ..Policy::default()
    }
}

pub(crate) fn factory(policy: Policy) -> S3 {
    S3::new(Arc::new(Guard::with(
        policy,
        Arc::new(Here),
        Arc::new(TcpDialer),
    )))
}

/// A check of the connection alone.
pub(crate) const WHOLE: CheckRequest<'static> = CheckRequest {
    source_path: None,
    budget: Duration::from_secs(10),
};

pub(crate) fn connection() -> ConnectionId {
    "conn_testtesttesttes".parse().unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else {
        panic!("an object")
    };
    fields
}

pub(crate) fn config(provider: Provider, settings: Value, credentials: Value) -> NewProviderConfig {
    let mut fields = object(settings);
    fields.insert("credentials".into(), credentials);
    parse_new(provider, fields, "provider_config").unwrap()
}

pub(crate) fn s3_at(endpoint: &str, id: &str, secret: &str) -> NewProviderConfig {
    let credentials =
        json!({"type": "access_key", "access_key_id": id, "secret_access_key": secret});
    config(Provider::S3, json!({"endpoint_url": endpoint}), credentials)
}

pub(crate) fn open_with(policy: Policy, parts: NewProviderConfig) -> OpenProvider {
    factory(policy)
        .open(&connection(), &parts.config, parts.credentials, alone())
        .unwrap()
}

pub(crate) fn open_as(lab: &Lab, profile: Profile) -> OpenProvider {
    open_with_secret(lab, profile, lab.secret_access_key())
}

pub(crate) fn open_with_secret(lab: &Lab, profile: Profile, secret: &str) -> OpenProvider {
    let id = lab.access_key_id();
    let parts = match profile {
        Profile::S3 => s3_at(&lab.endpoint(), id, secret),
        Profile::TigrisByHost | Profile::TigrisByPath => {
            let host = if profile == Profile::TigrisByHost {
                "t3.localhost"
            } else {
                "127.0.0.1"
            };
            let endpoint = format!("http://{host}:{}", lab.address().port());
            let credentials = json!({"access_key_id": id, "secret_access_key": secret});
            config(
                Provider::Tigris,
                json!({"endpoint_url": endpoint}),
                credentials,
            )
        }
    };
    open_with(policy(), parts)
}

pub(crate) fn open(lab: &Lab) -> OpenProvider {
    open_as(lab, Profile::S3)
}

/// Every entry of all pages, and how many pages there were.
pub(crate) async fn list_all(
    provider: &OpenProvider,
    path: &str,
    limit: u32,
) -> Result<(Vec<Entry>, usize), ProviderError> {
    let mut entries = Vec::new();
    let mut pages = 0;
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = provider.list(path, cursor.as_ref(), limit).await?;
        assert!(page.entries.len() <= limit as usize);
        entries.extend(page.entries);
        pages += 1;
        assert!(pages < 1000, "the listing does not end");
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok((entries, pages)),
        }
    }
}

pub(crate) async fn only_entry(provider: &OpenProvider, path: &str) -> Entry {
    let (mut entries, _) = list_all(provider, path, 1000).await.unwrap();
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

pub(crate) async fn read(provider: &OpenProvider, entry: &Entry) -> Result<Bytes, ProviderError> {
    let fetched = provider.fetch(entry, FetchWish::default()).await?;
    let chunks: Vec<Bytes> = fetched.bytes.try_collect().await?;
    Ok(chunks.concat().into())
}
