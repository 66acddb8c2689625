//! Every promise of the port, and a large blob, on `SeaweedFS`, which `WHARF_TEST_SEAWEEDFS_URL` and the variables beside
//! it name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use sha2::{Digest, Sha256};
use wharf_blobs::S3Blobs;
use wharf_egress::{Guard, Policy, TlsMode};
use wharf_ports::BlobStore;
use wharf_testkit::BlobHarness;

use crate::stores::{BUCKET, MIB, at, key, pattern, read, stream_of};

const ALLOW_MISSING: &str = "WHARF_TEST_ALLOW_MISSING";

/// Without the variables there is nothing to test, which is a failure unless it was said to be none.
fn variable(name: &str) -> String {
    if let Ok(value) = std::env::var(name) {
        return value;
    }
    let may_be_missing = std::env::var(ALLOW_MISSING).is_ok_and(|value| value == "1");
    assert!(
        may_be_missing,
        "{name} is not set: run `cargo xtask test`, which starts a server for the tests"
    );
    eprintln!("not tested: {name} is not set, and {ALLOW_MISSING} says that it may be missing");
    std::process::exit(0);
}

#[expect(
    clippy::disallowed_methods,
    reason = "what earlier runs left on the server stays apart"
)]
fn fresh_prefix() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", now.unwrap().as_nanos(), std::process::id())
}

async fn store() -> S3Blobs {
    let url = variable("WHARF_TEST_SEAWEEDFS_URL");
    let url = url.trim_end_matches('/');
    let id = variable("WHARF_TEST_SEAWEEDFS_ACCESS_KEY_ID");
    let secret = variable("WHARF_TEST_SEAWEEDFS_SECRET_ACCESS_KEY");
    let policy = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    let guarded = wharf_egress::Client::new(Arc::new(Guard::new(policy)), TlsMode::Verified);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(&id, &secret, None, None, "test"))
        .endpoint_url(url)
        .force_path_style(true)
        .http_client(wharf_aws::http_client(guarded, false));
    let created = Client::from_conf(config.build())
        .create_bucket()
        .bucket(BUCKET)
        .send()
        .await;
    if let Err(error) = created {
        let there = error.as_service_error().is_some_and(|error| {
            error.is_bucket_already_owned_by_you() || error.is_bucket_already_exists()
        });
        assert!(there, "the bucket cannot be made: {error:?}");
    }
    at(
        url,
        &format!("s3://{BUCKET}/{}", fresh_prefix()),
        &id,
        &secret,
    )
}

wharf_testkit::blob_store_suite!(async || {
    BlobHarness::in_real_time(Arc::new(store().await)).with_grain(Duration::from_secs(1))
});

#[tokio::test]
async fn fifty_megabytes_go_there_in_parts_and_come_back() {
    let store = store().await;
    let size = 50 * MIB + 12_345;
    let stored = store.put(&key(1), stream_of(size)).await.unwrap();
    assert_eq!(stored.size_bytes, size as u64);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(pattern(0, size))));
    assert!(read(&store, &key(1), 0, u64::MAX).await == pattern(0, size));
    let at = 8 * MIB - 5;
    assert!(read(&store, &key(1), at as u64, 20).await == pattern(at, 20));
    assert_eq!(store.list(None, 10).await.unwrap().len(), 1);
    let again = store.put(&key(1), stream_of(9 * MIB)).await;
    assert!(
        matches!(again, Err(wharf_ports::BlobError::Exists)),
        "{again:?}"
    );
    store.check().await.unwrap();
}
