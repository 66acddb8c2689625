//! Two replicas refresh the token of one OAuth connection under load.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use wharf_tests::{Store, text};

use super::beside_google;

const SYNCS: usize = 6;
/// A token that lives so long is replaced after three seconds: a quarter of its life ahead of its end.
const TOKEN_SECONDS: u64 = 4;
const LOAD: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_refresh_one_grant_one_at_a_time_and_lose_none() -> Result<()> {
    let Some((wharf, lab)) = beside_google(Store::Postgres).await? else {
        return Ok(());
    };
    let google = lab.google();
    let config = google.person(40).await?;
    // Each refresh puts another refresh token in the place of the one before, which is dead from then on.
    google
        .deal(&json!({"rotate_refresh_tokens": true, "token_seconds": TOKEN_SECONDS}))
        .await?;
    let slow = json!({"match": {"operation": "google_token"}, "action": {"delay_ms": 150}});
    google.misbehave(&[slow]).await?;
    let (one, two) = (wharf.start().await?, wharf.start().await?);
    let api = one.api()?;
    let connection = api.connect("ada", config, true).await?;
    let mut syncs = Vec::new();
    for number in 0..SYNCS {
        let bucket = api.create_bucket(&format!("letters-{number}")).await?;
        let sync = api.create_sync(&bucket, &connection, "/").await?;
        syncs.push((bucket, sync));
    }
    let begin = Instant::now();
    let (mut runs, mut checks) = (0, 0);
    while begin.elapsed() < LOAD {
        for (number, (bucket, sync)) in syncs.iter().enumerate() {
            let api = if number % 2 == 0 {
                one.api()?
            } else {
                two.api()?
            };
            let trigger = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger?full_sync=true");
            api.ask(Method::POST, &trigger, None).await?.ok()?;
            runs += 1;
        }
        for server in [&one, &two] {
            let path = format!("/v1/organizations/connections/{connection}/test");
            let report = server.api()?.ask(Method::POST, &path, None).await?;
            // Tests have a rate of their own.
            if report.status != 429 {
                let report = report.ok()?;
                ensure!(report["success"] == true, "{report}");
                checks += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for (bucket, sync) in &syncs {
        let jobs = api.synced(bucket, sync).await?;
        for job in &jobs {
            ensure!(job["status"] == "completed", "a run lost its grant: {job}");
        }
    }
    let grants = google.grants().await?;
    let grant = grants.first().context("a grant")?;
    eprintln!(
        "{runs} wishes for runs and {checks} tests on two replicas: {} refreshes, {} at the same time, {} refused",
        grant["refreshes"], grant["overlapping"], grant["refused"]
    );
    ensure!(grant["refreshes"].as_u64() > Some(3), "{grant}");
    assert_eq!(grant["overlapping"], 0, "{grant}");
    assert_eq!(grant["refused"], 0, "{grant}");
    let earlier = grant["earlier_tokens"].as_array().map_or(0, Vec::len);
    ensure!(earlier > 3, "the refresh token was not rotated: {grant}");

    // What is stored is the last one: a server that starts now goes on with it.
    drop((one, two));
    let third = wharf.start().await?;
    let path = format!("/v1/organizations/connections/{connection}");
    let stored = third.api()?.get(&path).await?.ok()?;
    assert_eq!(text(&stored, "status")?, "ACTIVE");
    let (bucket, sync) = &syncs[0];
    third.api()?.run_again(bucket, sync).await?;
    Ok(())
}
