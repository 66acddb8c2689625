//! The handle of a running lab.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::config::LabConfig;
use crate::fault::FaultRule;
use crate::front::{Closed, Front};
use crate::google::{self, GoogleLab};
use crate::identity::key::KeyPair;
use crate::identity::role::Role;
use crate::journal::JournalEntry;
use crate::s3::bucket::BucketSettings;
use crate::s3::sample;
use crate::s3::seed::{Seed, SeedError};
use crate::s3::store::{NewObject, ObjectSummary};
use crate::world::World;

/// A running lab. It stops, with every connection to it, when dropped.
#[derive(Debug)]
pub struct Lab {
    address: SocketAddr,
    key: KeyPair,
    world: Arc<World>,
    server: JoinHandle<()>,
    google: GoogleLab,
    google_server: JoinHandle<()>,
}

impl Lab {
    /// Starts a lab on the current Tokio runtime; it is ready when this returns.
    pub async fn start(config: LabConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let key = config.keys.first().cloned().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a lab needs at least one key pair",
            )
        })?;
        let world = Arc::new(World::new(config.keys, config.bucket_domains));
        let front = Front::new(Arc::clone(&world));
        let google_listener = TcpListener::bind(config.google_listen).await?;
        let (google, google_front, push) = google::open(google_listener.local_addr()?);
        let server = tokio::spawn(serve(listener, move |request| {
            front.clone().answer(request)
        }));
        let google_server = tokio::spawn(async move {
            tokio::join!(
                serve(google_listener, move |request| google_front
                    .clone()
                    .answer(request)),
                push
            );
        });
        Ok(Self {
            address,
            key,
            world,
            server,
            google,
            google_server,
        })
    }

    /// The base URL, for path-style addressing.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The access key id of the first configured key pair.
    pub fn access_key_id(&self) -> &str {
        &self.key.access_key_id
    }

    /// The secret access key of the first configured key pair.
    pub fn secret_access_key(&self) -> &str {
        &self.key.secret_access_key
    }

    /// Its Google.
    pub fn google(&self) -> &GoogleLab {
        &self.google
    }

    /// Makes an empty bucket, unless it exists.
    pub fn create_bucket(&self, bucket: &str) {
        self.world.store.create_bucket(bucket);
    }

    /// Makes a bucket peculiar, and makes it if need be.
    pub fn set_bucket(&self, bucket: &str, settings: BucketSettings) {
        self.world.store.set_bucket(bucket, settings);
    }

    /// Puts the clock requests are judged by, and answers dated with, this many seconds ahead; behind
    /// when negative.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.world.clock.set_offset(seconds);
    }

    /// Puts an object, making its bucket if need be.
    pub fn put_object(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.world
            .store
            .put(bucket, key, NewObject::of(bytes.into()));
    }

    /// Deletes an object, behind a delete marker if its bucket keeps versions; whether it was there.
    pub fn delete_object(&self, bucket: &str, key: &str) -> bool {
        self.world.store.delete(bucket, key, None).existed
    }

    /// The objects of a bucket in order of their keys; none when there is no such bucket.
    pub fn objects(&self, bucket: &str) -> Vec<ObjectSummary> {
        self.world.store.summaries(bucket).unwrap_or_default()
    }

    /// The bytes of an object.
    pub fn object_bytes(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.world
            .store
            .object(bucket, key)
            .map(|object| object.bytes.clone())
    }

    /// Puts many objects; how many.
    pub fn seed(&self, seed: Seed) -> Result<usize, SeedError> {
        self.world.store.seed(seed)
    }

    /// Puts the small sample buckets `demo-media` and `demo-tigris`, and into its Google the shared drive
    /// `demo-drive` and a person with files of their own.
    pub fn seed_samples(&self) {
        sample::put_into(&self.world.store);
        self.google.seed_samples();
    }

    /// Accepts another key pair, in place of one with the same id.
    pub fn add_key(&self, key: KeyPair) {
        self.world.identities.add_key(key);
    }

    /// Adds a role to assume, in place of one with the same ARN.
    pub fn add_role(&self, role: Role) {
        self.world.identities.add_role(role);
    }

    /// Ends every session of every role now, earlier than its `Expiration` said.
    pub fn end_sessions(&self) {
        self.world.identities.end_sessions();
    }

    /// Back to an empty lab: no buckets, roles, fault rules or journal, an empty Google, and the right time.
    pub fn reset(&self) {
        self.world.reset();
        self.google.reset();
    }

    /// Puts these rules in force in place of the earlier ones.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        self.world.faults().replace(rules.into_iter().collect());
    }

    /// Adds a rule after those in force.
    pub fn add_fault(&self, rule: FaultRule) {
        self.world.faults().add(rule);
    }

    /// Behaves well again.
    pub fn clear_faults(&self) {
        self.set_faults([]);
    }

    /// Every request so far, in order of arrival.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.world.journal().entries()
    }

    /// Starts the journal anew.
    pub fn clear_journal(&self) {
        self.world.journal().clear();
    }

    /// Stops, and returns when the ports are free.
    pub async fn shutdown(mut self) {
        self.server.abort();
        self.google_server.abort();
        // They end as cancelled, which is what was asked.
        let _ = (&mut self.server).await;
        let _ = (&mut self.google_server).await;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.server.abort();
        self.google_server.abort();
    }
}

/// Owns the connections, so that ending this task ends them.
async fn serve<A, F>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Closed>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, answer.clone()));
                }
                // Out of descriptors, most likely: give them time to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Body>, Closed>>,
{
    // Answers are written in parts; waiting to fill packets would cost 40 ms a request.
    let _ = stream.set_nodelay(true);
    // A connection ends in error when its client leaves or a rule breaks it: both are the client's story.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}
