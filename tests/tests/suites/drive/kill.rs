//! `kill -9` at thirty moments of a Drive sync whose source changes meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Api, Google, Random, Store, text};

use super::beside_google;
use super::changes::equal_to_the_source;

const FILES: usize = 1_500;
const FOLDERS: usize = 40;
const KILLS: usize = 30;
/// What a fetch takes at the lab while servers are killed.
const FETCH_MS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_sync_killed_at_thirty_moments_ends_exact_on_sqlite() -> Result<()> {
    killed_at_thirty_moments(Store::Sqlite, 3).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_sync_killed_at_thirty_moments_ends_exact_on_postgres() -> Result<()> {
    killed_at_thirty_moments(Store::Postgres, 4).await
}

async fn killed_at_thirty_moments(store: Store, seed: u64) -> Result<()> {
    let Some((mut wharf, lab)) = beside_google(store).await? else {
        return Ok(());
    };
    let google = lab.google();
    wharf.set("WHARF_SYNC__LEASE_TTL", "2s");
    let quay = google.quay("organizer", FILES, FOLDERS).await?;
    let slow =
        json!({"match": {"operation": "drive_files_media"}, "action": {"delay_ms": FETCH_MS}});
    google.misbehave(&[slow]).await?;
    let mut server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect("quay", quay.config, true).await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, "/").await?;
    let mut random = Random::new(seed);
    let begin = Instant::now();
    for number in 1..=KILLS {
        change(google, &mut random).await?;
        let trigger = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger");
        let api = server.api()?;
        api.ask(Method::POST, &trigger, None).await?.ok()?;
        tokio::time::sleep(Duration::from_millis(random.from_to(0, 1_200))).await;
        let bucket_now = api.get(&format!("/v1/buckets/{bucket}")).await?.ok()?;
        server.kill()?;
        let seconds = begin.elapsed().as_secs_f64();
        let objects = &bucket_now["object_count"];
        eprintln!("kill {number:>2} after {seconds:>4.1} s: {objects} objects in the bucket");
        server = wharf.start().await?;
    }
    google.misbehave(&[]).await?;
    let api = server.api()?;
    settle(&api, &bucket, &sync).await?;
    let jobs = api.jobs(&bucket, &sync).await?;
    for job in &jobs {
        let count = |name: &str| job["progress"][name].as_u64().unwrap_or(u64::MAX);
        let parts = [
            "synced",
            "verified",
            "filtered",
            "skipped",
            "failed",
            "not_reached",
        ];
        let sum: u64 = parts.iter().map(|part| count(part)).sum();
        ensure!(count("discovered") == sum, "{job} does not add up");
    }
    ensure!(
        jobs.iter().any(|job| job["trigger"] == "resume"),
        "no run was interrupted and went on"
    );
    let objects = api.objects(&bucket).await?;
    equal_to_the_source(google, &objects).await?;
    eprintln!(
        "settled after {:.1} s, {} jobs, {} objects: lost 0, doubled 0, stale 0, left behind 0",
        begin.elapsed().as_secs_f64(),
        jobs.len(),
        objects.len()
    );
    Ok(())
}

/// Runs until a run finds nothing to do; then lists the whole source once, which must find nothing either.
async fn settle(api: &Api, bucket: &str, sync: &str) -> Result<()> {
    for _ in 0..10 {
        api.synced(bucket, sync).await?;
        let job = api.run_again(bucket, sync).await?;
        if is_idle(&job) {
            let path = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger?full_sync=true");
            api.ask(Method::POST, &path, None).await?.ok()?;
            let jobs = api.synced(bucket, sync).await?;
            ensure!(
                is_idle(&jobs[0]),
                "a listing found what the feed missed: {}",
                jobs[0]
            );
            ensure!(
                jobs[0]["progress"]["discovered"] != 0,
                "it was no listing: {}",
                jobs[0]
            );
            return Ok(());
        }
    }
    anyhow::bail!("{sync} does not settle");
}

fn is_idle(job: &Value) -> bool {
    let counts = ["synced", "deleted", "failed", "held"];
    job["metadata"]["complete"] == true && counts.iter().all(|count| job["progress"][count] == 0)
}

/// A dozen things happen to the drive: files change, arrive, go, and whole folders get other names.
async fn change(google: &Google, random: &mut Random) -> Result<()> {
    let files = google.files().await?;
    let live: Vec<&Value> = files
        .iter()
        .filter(|file| file["trashed"] == false)
        .collect();
    let is_folder = |file: &&&Value| file["mime_type"] == "application/vnd.google-apps.folder";
    let folders: Vec<&&Value> = live.iter().filter(is_folder).collect();
    let blobs: Vec<&&Value> = live.iter().filter(|file| !is_folder(file)).collect();
    let mut one_of = |all: &[&&Value]| -> Result<String> {
        let number = usize::try_from(random.from_to(0, all.len() as u64 - 1))?;
        Ok(text(all[number], "id")?.to_owned())
    };
    let mut mutations = Vec::new();
    for number in 0..12 {
        let (file, folder) = (one_of(&blobs)?, one_of(&folders)?);
        mutations.push(match number {
            0..5 => json!({"op": "modify", "file": file, "text": format!("{file} anew")}),
            5..8 => json!({"op": "create", "item": {"name": "new.txt", "text": folder, "inside": folder}}),
            8 => json!({"op": "trash", "file": file}),
            9 => json!({"op": "move", "file": file, "to": folder}),
            10 => json!({"op": "rename", "file": file, "name": "renamed.bin"}),
            _ => json!({"op": "rename", "file": folder, "name": format!("renamed {file}")}),
        });
    }
    google.mutate(&mutations).await?;
    Ok(())
}
