//! Stores to test against.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use wharf_blobs::{AccessKey, S3Blobs, S3Place};
use wharf_domain::Timestamp;
use wharf_domain::object::BlobKey;
use wharf_domain::provider::EndpointUrl;
use wharf_domain::provider::s3::Region;
use wharf_domain::secret::SecretString;
use wharf_lab::{Lab, LabConfig};
use wharf_ports::{BlobStore, ByteStream, Clock};
use wharf_testkit::FakeClock;

pub(crate) const MIB: usize = 1024 * 1024;
pub(crate) const BUCKET: &str = "wharf-blobs";

/// This machine's clock, which the stores' objects are dated by.
#[derive(Debug)]
struct MachineClock;

impl Clock for MachineClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the store under test has a clock of its own, too"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

/// A store at this endpoint.
pub(crate) fn at(endpoint: &str, url: &str, id: &str, secret: &str) -> S3Blobs {
    dated(endpoint, url, id, secret, Arc::new(MachineClock))
}

fn dated(endpoint: &str, url: &str, id: &str, secret: &str, clock: Arc<dyn Clock>) -> S3Blobs {
    let place = S3Place::new(
        url,
        Region::parse("us-east-1").unwrap(),
        Some(EndpointUrl::parse(endpoint).unwrap()),
        None,
    );
    let key = AccessKey {
        id: id.to_owned(),
        secret: SecretString::new(secret.to_owned()),
        session_token: None,
    };
    S3Blobs::new(place.unwrap(), &key, clock)
}

/// A lab with an empty bucket, and the store in it.
pub(crate) async fn on_a_lab() -> (Arc<Lab>, S3Blobs) {
    let lab = Lab::start(LabConfig::default()).await.unwrap();
    lab.create_bucket(BUCKET);
    let url = format!("s3://{BUCKET}/some/prefix");
    let store = at(
        &lab.endpoint(),
        &url,
        lab.access_key_id(),
        lab.secret_access_key(),
    );
    (Arc::new(lab), store)
}

/// The store in a lab's bucket, as it is seen so much later.
pub(crate) fn later(lab: &Lab, by: Duration) -> S3Blobs {
    let clock = Arc::new(FakeClock::new());
    clock.set(MachineClock.now() + by);
    let url = format!("s3://{BUCKET}/some/prefix");
    let (id, secret) = (lab.access_key_id(), lab.secret_access_key());
    dated(&lab.endpoint(), &url, id, secret, clock)
}

pub(crate) fn key(number: u128) -> BlobKey {
    let organization = format!("int_{}", "a".repeat(24)).parse().unwrap();
    let bucket = "bkt_0123456789abcdef".parse().unwrap();
    BlobKey::new(&organization, &bucket, &format!("{number:032x}"))
}

/// Bytes in which no two places look alike.
pub(crate) fn pattern(at: usize, length: usize) -> Bytes {
    (at..at + length)
        .map(|at| u32::try_from(at % 0xffff_fffb).unwrap())
        .map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

/// The pattern from its beginning, piece by piece.
pub(crate) fn stream_of(length: usize) -> ByteStream {
    const PIECE: usize = 100_003;
    stream::iter((0..length).step_by(PIECE))
        .map(move |at| Ok(pattern(at, PIECE.min(length - at))))
        .boxed()
}

pub(crate) async fn read(store: &S3Blobs, key: &BlobKey, offset: u64, length: u64) -> Vec<u8> {
    let stream = store.open(key, offset, length).await.unwrap();
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
    pieces.concat()
}

/// Everything that an error says, down to its first cause.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
