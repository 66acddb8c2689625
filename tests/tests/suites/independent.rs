//! The whole program with S3 servers that nobody here wrote.

mod checks;
mod identities;
mod tags_and_versions;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wharf_tests::{Bucket, Installation, Random, Store, text};

const FILES: usize = 300;
const LARGEST: u64 = 60_000;

#[tokio::test]
async fn a_sync_from_seaweedfs_brings_every_byte_and_what_is_said_of_it() -> Result<()> {
    let (Some(wharf), Some(source)) = (
        Installation::on(Store::Sqlite).await?,
        Bucket::create("SEAWEEDFS", "whole-program").await?,
    ) else {
        return Ok(());
    };
    let mut random = Random::new(11);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for number in 0..FILES {
        let key = format!("pier {}/crate+{number:03} ü%.bin", number % 7);
        let size = usize::try_from(random.from_to(0, LARGEST))?;
        let bytes = key.bytes().cycle().take(size).collect();
        files.insert(key, bytes);
    }
    for (key, bytes) in &files {
        let said = [
            ("content-type", "application/x-crate"),
            ("x-amz-meta-tide", "high"),
            ("x-amz-tagging", "berth=north"),
        ];
        source.put(key, bytes, &said).await?;
    }

    let server = wharf.start().await?;
    let api = server.api()?;
    let connection = api
        .connect("seaweedfs", source.provider_config(), true)
        .await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, source.name()).await?;
    let jobs = api.synced(&bucket, &sync).await?;
    assert_eq!(jobs[0]["progress"]["synced"], FILES, "{}", jobs[0]);

    let objects = api.objects(&bucket).await?;
    assert_eq!(objects.len(), FILES);
    for object in &objects {
        let path = text(object, "source_path")?;
        let key = path
            .strip_prefix(source.name())
            .and_then(|rest| rest.strip_prefix('/'));
        let expected = key
            .and_then(|key| files.get(key))
            .context("an object of no file")?;
        let bytes = api.content(&bucket, text(object, "object_id")?).await?;
        assert!(bytes == *expected, "{path} came changed");
        assert_eq!(object["content_type"], "application/x-crate");
        assert_eq!(object["metadata"]["x-amz-meta-tide"], "high", "{object}");
    }

    let gone = files.keys().next().context("a file")?;
    source.remove(gone).await?;
    let job = api.run_again(&bucket, &sync).await?;
    assert_eq!(job["progress"]["deleted"], 1, "{job}");
    assert_eq!(job["progress"]["verified"], FILES - 1, "{job}");
    assert_eq!(job["progress"]["synced"], 0, "{job}");
    let changed = files.keys().next_back().context("a file")?;
    source.put(changed, b"a new one", &[]).await?;
    let job = api.run_again(&bucket, &sync).await?;
    assert_eq!(job["progress"]["synced"], 1, "{job}");
    Ok(())
}

#[tokio::test]
async fn a_connection_with_a_wrong_secret_is_refused_by_seaweedfs() -> Result<()> {
    let (Some(wharf), Some(source)) = (
        Installation::on(Store::Sqlite).await?,
        Bucket::create("SEAWEEDFS", "wrong-secret").await?,
    ) else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let mut config: Value = source.provider_config();
    config["credentials"]["secret_access_key"] = json!("not-the-secret-of-anything");
    let connection = json!({
        "name": "seaweedfs",
        "provider_type": "s3",
        "provider_config": config,
        "test_before_save": true,
    });
    let answer = server
        .api()?
        .post("/v1/organizations/connections", &connection)
        .await?;
    let refusal = answer.refused(422)?;
    assert_eq!(refusal["code"], "connection_test_failed", "{refusal}");
    assert_eq!(
        refusal["details"]["error_code"], "auth.invalid_credentials",
        "{refusal}"
    );
    Ok(())
}
