//! The blobs of an installation in a bucket of the lab.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_tests::{Api, Installation, Lab, Store, text};

const SOURCE: &str = "quay";
const BLOBS: &str = "warehouse";
const OBJECTS: usize = 200;
/// More than one request carries.
const LARGE: usize = 9 * 1024 * 1024 + 1;

/// An installation on the lab's bucket, which holds a foreign object.
async fn on_a_bucket() -> Result<Option<(Installation, Lab)>> {
    let (Some(mut wharf), Some(lab)) =
        (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(None);
    };
    lab.put(BLOBS, &[json!({"key": "README", "text": "not a blob"})])
        .await?;
    let key = &lab.provider_config()["credentials"];
    wharf.set("WHARF_BLOB_STORE", &format!("s3://{BLOBS}/wharf"));
    wharf.set("WHARF_BLOB_STORE_S3__ENDPOINT_URL", lab.url());
    wharf.set(
        "WHARF_BLOB_STORE_S3__ACCESS_KEY_ID",
        text(key, "access_key_id")?,
    );
    wharf.set(
        "WHARF_BLOB_STORE_S3__SECRET_ACCESS_KEY",
        text(key, "secret_access_key")?,
    );
    // The store is the operator's own: what tenants may reach has no part in it.
    wharf.set("WHARF_SYNC__LEASE_TTL", "1s");
    Ok(Some((wharf, lab)))
}

async fn deep_health(api: &Api) -> Result<Value> {
    api.get("/v1/health/deep").await?.ok()
}

async fn hashes(lab: &Lab, bucket: &str) -> Result<BTreeSet<String>> {
    let objects = lab.objects(bucket).await?;
    objects
        .iter()
        .map(|object| Ok(text(object, "sha256")?.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_into_a_bucket_is_killed_once_and_every_object_is_exact() -> Result<()> {
    let Some((wharf, lab)) = on_a_bucket().await? else {
        return Ok(());
    };
    let mut source: Vec<Value> = (1..OBJECTS)
        .map(|number| json!({"key": format!("berth/{number:03}"), "size": number * 97}))
        .collect();
    source.push(json!({"key": "crane", "size": LARGE}));
    lab.put(SOURCE, &source).await?;
    lab.slow_down(40).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect_to(&lab, "quay").await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, SOURCE).await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while lab.fetched().await?.len() < OBJECTS / 3 {
        ensure!(Instant::now() < deadline, "nothing is copied");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill()?;
    lab.speed_up().await?;

    let server = wharf.start().await?;
    let api = server.api()?;
    api.synced(&bucket, &sync).await?;
    let objects = api.objects(&bucket).await?;
    assert_eq!(objects.len(), OBJECTS);
    let stored = hashes(&lab, BLOBS).await?;
    for object in &objects {
        let bytes = api.content(&bucket, text(object, "object_id")?).await?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        assert_eq!(object["content_sha256"], sha256.as_str(), "{object}");
        ensure!(stored.contains(&sha256), "not in the bucket: {object}");
    }
    let told: BTreeSet<String> = objects
        .iter()
        .map(|object| Ok(text(object, "content_sha256")?.to_owned()))
        .collect::<Result<_>>()?;
    assert_eq!(told, hashes(&lab, SOURCE).await?);
    check_range(&api, &bucket, &objects).await?;
    let blobs = lab.objects(BLOBS).await?;
    let ours = |blob: &&Value| {
        blob["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("wharf/int_"))
    };
    assert_eq!(blobs.iter().filter(ours).count(), blobs.len() - 1);
    ensure!(
        !wharf.data_dir().join("blobs").exists(),
        "blobs lie in a folder, too"
    );
    assert_eq!(deep_health(&api).await?["data"]["object_storage"], true);
    ensure!(server.terminate().await?.success(), "no good end");
    Ok(())
}

async fn check_range(api: &Api, bucket: &str, objects: &[Value]) -> Result<()> {
    let large = objects
        .iter()
        .find(|object| object["size_bytes"] == LARGE)
        .context("the large object")?;
    let path = format!(
        "/v1/buckets/{bucket}/objects/{}/content",
        text(large, "object_id")?
    );
    let whole = api.get(&path).await?.bytes;
    let part = api
        .ask_with(
            reqwest::Method::GET,
            &path,
            &[("range", "bytes=8388600-8388619")],
            None,
        )
        .await?;
    assert_eq!(part.status, 206);
    assert_eq!(part.bytes, whole[8_388_600..8_388_620]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_shows_in_the_health_and_stops_no_start() -> Result<()> {
    let Some((wharf, lab)) = on_a_bucket().await? else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let api = server.api()?;
    assert_eq!(deep_health(&api).await?["data"]["object_storage"], true);
    drop(lab);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let health = deep_health(&api).await?;
        if health["data"]["object_storage"] == false {
            assert_eq!(health["status"], "DEGRADED");
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "the store counts as well: {health}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.terminate().await?;
    let server = wharf.start().await?;
    let health = deep_health(&server.api()?).await?;
    assert_eq!(health["data"]["object_storage"], false);
    let logs = String::from_utf8(wharf.logs()?)?;
    ensure!(
        logs.contains("the blob store cannot be used")
            && logs.contains("the connection was refused"),
        "the log says why"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_cannot_be_used_is_refused_with_what_to_do() -> Result<()> {
    let Some((mut wharf, lab)) = on_a_bucket().await? else {
        return Ok(());
    };
    let secret = "the-wrong-secret-of-the-suites";
    wharf.set("WHARF_BLOB_STORE_S3__SECRET_ACCESS_KEY", secret);
    let refused = wharf.run(&["serve"])?;
    let says = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(1), "{says}");
    ensure!(
        says.contains("correct blob_store_s3.secret_access_key"),
        "{says}"
    );
    ensure!(!says.contains(secret), "{says}");

    wharf.unset("WHARF_BLOB_STORE_S3__SECRET_ACCESS_KEY");
    let refused = wharf.run(&["check-config"])?;
    let says = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(2), "{says}");
    ensure!(
        says.contains("blob_store_s3.secret_access_key must be set"),
        "{says}"
    );
    drop(lab);
    Ok(())
}
