//! Several servers on one database.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Api, Installation, Lab, Store};

const FILES: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_work_and_no_run_happens_twice() -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (
        Installation::on(Store::Postgres).await?,
        Lab::start().await?,
    ) else {
        return Ok(());
    };
    wharf.set("WHARF_SYNC__WORKERS", "1");
    lab.put("fleet", &files("ship", 6)).await?;
    lab.slow_down(60).await?;
    let (one, two) = (wharf.start().await?, wharf.start().await?);
    let api = one.api()?;
    let connection = api.connect_to(&lab, "fleet").await?;
    let mut syncs = Vec::new();
    for number in 0..6 {
        let bucket = api.create_bucket(&format!("ship-{number}")).await?;
        let sync = api
            .create_sync(&bucket, &connection, &format!("fleet/ship-{number}/"))
            .await?;
        syncs.push((bucket, sync));
    }
    for (bucket, sync) in &syncs {
        // Either replica answers for the work of both.
        let jobs = two.api()?.synced(bucket, sync).await?;
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        assert_eq!(jobs[0]["progress"]["synced"], FILES, "{}", jobs[0]);
        assert_eq!(api.objects(bucket).await?.len(), FILES);
    }
    let mut fetches = BTreeMap::new();
    for key in lab.fetched().await? {
        *fetches.entry(key).or_insert(0) += 1;
    }
    assert_eq!(fetches.len(), 6 * FILES);
    ensure!(
        fetches.values().all(|count| *count == 1),
        "files were fetched more than once: {fetches:?}"
    );
    let (first, second) = (jobs_run(&api).await?, jobs_run(&two.api()?).await?);
    assert_eq!(first + second, 6, "jobs that the replicas ran");
    ensure!(
        first > 0 && second > 0,
        "one replica did all the work: {first} and {second} jobs"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_slept_through_its_lease_publishes_nothing_when_it_wakes() -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (
        Installation::on(Store::Postgres).await?,
        Lab::start().await?,
    ) else {
        return Ok(());
    };
    wharf.set("WHARF_SYNC__WORKERS", "1");
    wharf.set("WHARF_SYNC__LEASE_TTL", "2s");
    lab.put("fleet", &files("ship", 8)).await?;
    lab.slow_down(60).await?;
    let sleeper = wharf.start().await?;
    let api = sleeper.api()?;
    let connection = api.connect_to(&lab, "fleet").await?;
    let bucket = api.create_bucket("ships").await?;
    let sync = api.create_sync(&bucket, &connection, "fleet").await?;
    while lab.fetched().await?.len() < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sleeper.pause()?;

    let other = wharf.start().await?;
    let jobs = other.api()?.synced(&bucket, &sync).await?;
    let before = state(&other.api()?, &bucket).await?;
    sleeper.wake()?;
    // Long enough for everything that it still had at hand.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        state(&other.api()?, &bucket).await?,
        before,
        "what a sleeper changed after it woke up"
    );
    let after = other.api()?.jobs(&bucket, &sync).await?;
    assert_eq!(after, jobs, "jobs that a sleeper changed after it woke up");
    let synced: u64 = jobs
        .iter()
        .filter_map(|job| job["progress"]["synced"].as_u64())
        .sum();
    assert_eq!(synced, 8 * FILES as u64);
    assert_eq!(before.len(), 8 * FILES);

    // It is not broken, only late: the next run may be its own.
    drop(other);
    let job = sleeper.api()?.run_again(&bucket, &sync).await?;
    assert_eq!(job["progress"]["verified"], 8 * FILES);
    Ok(())
}

/// `FILES` small files below each of some folders.
fn files(folder: &str, folders: usize) -> Vec<Value> {
    let path = |number: usize| format!("{folder}-{}/{:03}.txt", number / FILES, number % FILES);
    (0..folders * FILES)
        .map(|number| json!({"key": path(number), "text": format!("cargo {number}")}))
        .collect()
}

async fn state(api: &Api, bucket: &str) -> Result<Vec<Value>> {
    api.objects(bucket).await
}

/// How many jobs a replica has ended, by its own metrics.
async fn jobs_run(api: &Api) -> Result<u64> {
    let metrics = api.get("/metrics").await?.text();
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("wharf_jobs_total"));
    counts
        .map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok())
                .context("a count")
        })
        .sum()
}
