//! `kill -9` at twenty moments of a sync, and what is there at the end: every object, exactly once, with its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_tests::{Api, Installation, Lab, Random, Store, text};

const SOURCE: &str = "quay";
const OBJECTS: usize = 2_400;
const KILLS: usize = 20;
/// What a fetch takes at the lab while servers are killed: eight at a time make some 200 objects a second.
const FETCH_MS: u64 = 40;
const LARGEST: u64 = 200 * 1024;
const SAMPLE: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_killed_at_twenty_moments_ends_complete_on_sqlite() -> Result<()> {
    killed_at_twenty_moments(Store::Sqlite, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_killed_at_twenty_moments_ends_complete_on_postgres() -> Result<()> {
    killed_at_twenty_moments(Store::Postgres, 2).await
}

async fn killed_at_twenty_moments(store: Store, seed: u64) -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    // What a dead server held is free again soon.
    wharf.set("WHARF_SYNC__LEASE_TTL", "1s");
    lab.put(SOURCE, &source(&mut Random::new(7))).await?;
    lab.slow_down(FETCH_MS).await?;
    let mut server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect_to(&lab, "quay").await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, SOURCE).await?;

    let begin = Instant::now();
    for (number, moment) in (1..).zip(moments(&mut Random::new(seed))) {
        let api = server.api()?;
        let committed = moment.come(&api, &lab, &bucket).await?;
        let ended = api
            .jobs(&bucket, &sync)
            .await?
            .iter()
            .any(|job| job["status"] == "completed");
        ensure!(
            !ended,
            "the run ended before kill {number}: slow the lab down more"
        );
        server.kill()?;
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!(
            "kill {number:>2} after {seconds:>4.1} s, {moment:?}: {committed} objects committed"
        );
        lab.clear_journal().await?;
        server = wharf.start().await?;
    }
    lab.speed_up().await?;

    let api = server.api()?;
    let jobs = api.synced(&bucket, &sync).await?;
    eprintln!(
        "complete after {:.1} s, in {} jobs",
        begin.elapsed().as_secs_f64(),
        jobs.len()
    );
    check_jobs(&api, &bucket, &sync, &jobs).await?;
    let objects = api.objects(&bucket).await?;
    check_equal(&lab, &objects).await?;
    check_bytes(&api, &bucket, &objects).await?;

    server.kill()?;
    wharf.unset("WHARF_SYNC__LEASE_TTL");
    let server = wharf.start().await?;
    let api = server.api()?;
    check_unchanged(&api, &lab, &bucket, &sync).await?;
    check_changed(&api, &lab, &bucket, &sync).await?;
    ensure!(
        server.terminate().await?.success(),
        "the server did not end in good order"
    );
    Ok(())
}

/// When a server is killed, counted from its start.
#[derive(Debug)]
enum Moment {
    /// After this time, whatever it is doing: starting, waiting for the lease, listing or copying.
    Time(Duration),
    /// When it has asked the source for this many objects.
    Fetches(usize),
    /// This long after it has committed so many objects.
    Commits(u64, Duration),
}

/// Twenty different moments. A server that commits makes progress, so that they spread over the whole run.
fn moments(random: &mut Random) -> Vec<Moment> {
    let mut moments = Vec::new();
    for number in 0..KILLS {
        let few = Duration::from_millis(random.from_to(0, 300));
        moments.push(match number % 5 {
            0 => Moment::Time(Duration::from_millis(random.from_to(0, 2_500))),
            1 | 2 => Moment::Fetches(usize::try_from(random.from_to(1, 110)).unwrap_or(1)),
            _ => Moment::Commits(random.from_to(1, 200), few),
        });
    }
    random.shuffle(&mut moments);
    moments
}

impl Moment {
    /// Waits for it; how many objects are in the bucket then.
    async fn come(&self, api: &Api, lab: &Lab, bucket: &str) -> Result<u64> {
        let before = committed(api, bucket).await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        match self {
            Self::Time(time) => tokio::time::sleep(*time).await,
            Self::Fetches(count) => {
                while lab.fetched().await?.len() < *count {
                    ensure!(Instant::now() < deadline, "no {count} fetches in 30 s");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Self::Commits(count, after) => {
                while committed(api, bucket).await? < before + count {
                    ensure!(Instant::now() < deadline, "no {count} objects in 30 s");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(*after).await;
            }
        }
        committed(api, bucket).await
    }
}

async fn committed(api: &Api, bucket: &str) -> Result<u64> {
    let bucket = api.get(&format!("/v1/buckets/{bucket}")).await?.ok()?;
    bucket["object_count"]
        .as_u64()
        .context("a bucket has no object_count")
}

/// Objects of mixed sizes, from nothing to 200 KiB, and some keys that are easily got wrong.
fn source(random: &mut Random) -> Vec<Value> {
    let odd = [
        "odd/with space and +plus.txt",
        "odd/percent%2Fslash%25.txt",
        "odd/quote\"<&>'.txt",
        "odd/日誌/港.md",
        "odd/emoji 🚢.bin",
        "odd//two slashes.txt",
        "odd/../up.txt",
        "odd/./here.txt",
        "odd/tab\there.txt",
        "odd/?query=1#fragment;v=2",
        "odd/back\\slash:colon|pipe*.txt",
        "odd/trailing space ",
    ];
    let odd = odd.iter().map(|key| json!({"key": key, "size": 1_000}));
    let even = (odd.len()..OBJECTS).map(|number| {
        let size = match number % 20 {
            0 => 0,
            1 => 1,
            2 => LARGEST - random.from_to(0, 1),
            3 => random.from_to(20_000, LARGEST),
            _ => random.from_to(1, 6_000),
        };
        json!({"key": format!("berth-{:02}/{number:05}.bin", number % 37), "size": size})
    });
    odd.clone().chain(even).collect()
}

/// Every job accounts for every file it discovered, and all of them together copied every object exactly once.
async fn check_jobs(api: &Api, bucket: &str, sync: &str, jobs: &[Value]) -> Result<()> {
    for job in jobs {
        check_conserved(job)?;
        ensure!(job["files_failed"] == 0, "files failed: {job}");
    }
    let first = jobs.last().context("a job")?;
    ensure!(
        first["trigger"] == "scheduled" && first["status"] == "interrupted",
        "the first job: {first}"
    );
    let newest = &jobs[0];
    ensure!(
        newest["trigger"] == "resume" && newest["metadata"]["complete"] == true,
        "the last job: {newest}"
    );
    let synced: u64 = jobs
        .iter()
        .filter_map(|job| job["progress"]["synced"].as_u64())
        .sum();
    assert_eq!(
        synced, OBJECTS as u64,
        "objects that the jobs say they copied"
    );
    let sync = api
        .get(&format!("/v1/buckets/{bucket}/syncs/{sync}"))
        .await?
        .ok()?;
    assert_eq!(
        sync["total_files_synced"], OBJECTS,
        "objects that the sync says it copied"
    );
    Ok(())
}

fn check_conserved(job: &Value) -> Result<()> {
    let count = |field: &str| {
        job["progress"][field]
            .as_u64()
            .with_context(|| format!("no {field} in {job}"))
    };
    let parts = [
        "synced",
        "verified",
        "filtered",
        "skipped",
        "failed",
        "not_reached",
    ];
    let sum = parts.iter().map(|part| count(part)).sum::<Result<u64>>()?;
    ensure!(
        count("discovered")? == sum,
        "a job's counters do not add up: {job}"
    );
    Ok(())
}

/// The bucket holds what the source holds: each object once, with its size and hash.
async fn check_equal(lab: &Lab, objects: &[Value]) -> Result<()> {
    let mut at_source = BTreeMap::new();
    for object in lab.objects(SOURCE).await? {
        let path = format!("{SOURCE}/{}", text(&object, "key")?);
        at_source.insert(path, (object["size"].clone(), object["sha256"].clone()));
    }
    assert_eq!(objects.len(), at_source.len(), "number of objects");
    let mut here = BTreeMap::new();
    let mut sources = BTreeSet::new();
    for object in objects {
        let path = text(object, "source_path")?.to_owned();
        let source = text(object, "source_object_id")?;
        ensure!(sources.insert(source.to_owned()), "{source} is there twice");
        here.insert(
            path,
            (
                object["size_bytes"].clone(),
                object["content_sha256"].clone(),
            ),
        );
    }
    for (path, content) in &at_source {
        assert_eq!(here.get(path), Some(content), "{path}");
    }
    Ok(())
}

/// The bytes that are served have the hashes that are told, for a sample over all sizes.
async fn check_bytes(api: &Api, bucket: &str, objects: &[Value]) -> Result<()> {
    let mut by_size: Vec<&Value> = objects.iter().collect();
    by_size.sort_by_key(|object| object["size_bytes"].as_u64());
    for number in 0..SAMPLE {
        let object = by_size[number * (by_size.len() - 1) / (SAMPLE - 1)];
        let bytes = api.content(bucket, text(object, "object_id")?).await?;
        assert_eq!(object["size_bytes"], bytes.len(), "{object}");
        assert_eq!(
            object["content_sha256"],
            hex::encode(Sha256::digest(&bytes)),
            "{object}"
        );
    }
    Ok(())
}

async fn check_unchanged(api: &Api, lab: &Lab, bucket: &str, sync: &str) -> Result<()> {
    lab.clear_journal().await?;
    let job = api.run_again(bucket, sync).await?;
    check_conserved(&job)?;
    assert_eq!(job["progress"]["verified"], OBJECTS);
    let operations: BTreeSet<String> = lab
        .journal()
        .await?
        .iter()
        .filter_map(|entry| entry["operation"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        operations,
        ["list_objects".to_owned()].into(),
        "what a pass over an unchanged source asks for"
    );
    Ok(())
}

async fn check_changed(api: &Api, lab: &Lab, bucket: &str, sync: &str) -> Result<()> {
    let (changed, vanished) = ("berth-20/00020.bin", "berth-21/00021.bin");
    let find = async |key: &str| -> Result<Option<Value>> {
        let path = format!("{SOURCE}/{key}");
        let all = api
            .list(&format!(
                "/v1/buckets/{bucket}/objects/list?include_deleted=true"
            ))
            .await?;
        Ok(all
            .into_iter()
            .find(|object| object["source_path"] == path.as_str()))
    };
    let before = find(changed)
        .await?
        .context("the object that will change")?;
    lab.put(
        SOURCE,
        &[json!({"key": changed, "text": "A new lamp for the pier."})],
    )
    .await?;
    lab.delete(SOURCE, vanished).await?;
    lab.clear_journal().await?;

    let job = api.run_again(bucket, sync).await?;
    check_conserved(&job)?;
    assert_eq!(
        (&job["progress"]["synced"], &job["progress"]["deleted"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(lab.fetched().await?, [changed]);
    let after = find(changed).await?.context("the object that changed")?;
    assert_eq!(after["object_id"], before["object_id"]);
    assert_ne!(after["content_sha256"], before["content_sha256"]);
    assert_eq!(
        api.content(bucket, text(&after, "object_id")?).await?,
        b"A new lamp for the pier."
    );

    let tombstone = find(vanished).await?.context("the tombstone")?;
    ensure!(
        tombstone["deleted_at"].is_string(),
        "no tombstone: {tombstone}"
    );
    let content = format!(
        "/v1/buckets/{bucket}/objects/{}/content",
        text(&tombstone, "object_id")?
    );
    api.get(&content).await?.refused(404)?;
    check_equal(lab, &api.objects(bucket).await?).await
}
