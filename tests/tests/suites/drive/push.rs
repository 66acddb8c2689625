//! Where Google can reach the server, a change arrives within seconds, however far away the next run is.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use wharf_tests::Store;

use super::beside_google;
use super::consent::serve_at_a_known_address;

/// The next run by itself is a day away.
const AT_MOST: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_pushed_arrives_within_seconds() -> Result<()> {
    let Some((mut wharf, lab)) = beside_google(Store::Sqlite).await? else {
        return Ok(());
    };
    let google = lab.google();
    let quay = google.quay("reader", 20, 2).await?;
    let public_url = serve_at_a_known_address(&mut wharf)?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect("quay", quay.config, true).await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, "/").await?;
    api.synced(&bucket, &sync).await?;
    let told = api
        .get(&format!("/v1/buckets/{bucket}/syncs/{sync}"))
        .await?
        .ok()?;
    ensure!(told["push"]["expires_at"].is_string(), "no channel: {told}");

    let begin = Instant::now();
    let item = json!({"name": "pushed.txt", "text": "pushed", "inside": quay.drive});
    google
        .mutate(&[json!({"op": "create", "item": item})])
        .await?;
    loop {
        let objects = api.objects(&bucket).await?;
        if objects
            .iter()
            .any(|object| object["source_path"] == "pushed.txt")
        {
            break;
        }
        ensure!(begin.elapsed() < AT_MOST, "what was pushed does not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!(
        "arrived {:.2} s after the change",
        begin.elapsed().as_secs_f64()
    );

    // Nobody else can ring.
    let jobs = api.synced(&bucket, &sync).await?.len();
    let journal = google.journal().await?;
    let watched = journal
        .iter()
        .filter(|entry| entry["operation"] == "drive_changes_watch");
    assert_eq!(watched.count(), 1);
    let stranger = reqwest::Client::builder().no_proxy().build()?;
    for (channel, word) in [
        ("unknown", "x"),
        ("00000000-0000-0000-0000-000000000000", ""),
    ] {
        let answer = stranger
            .post(format!("{public_url}/v1/hooks/{channel}"))
            .header("X-Goog-Channel-Token", word)
            .header("X-Goog-Resource-State", "change")
            .send()
            .await?;
        assert_eq!(answer.status(), 404);
    }
    assert_eq!(api.synced(&bucket, &sync).await?.len(), jobs);
    Ok(())
}
