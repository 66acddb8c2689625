//! `kill -9` at fifty moments of syncs whose source changes and shrinks meanwhile, and what is there at the end: every
//! object, exactly once, in its last version, and nothing that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wharf_tests::{Api, Installation, Lab, Random, Server, Store, text};

const SOURCE: &str = "quay";
const OBJECTS: usize = 5_000;
const BERTHS: usize = 3;
const KILLS: usize = 50;
/// What a fetch takes at the lab while servers are killed: eight at a time make some 200 objects a second and sync.
const FETCH_MS: u64 = 40;
const LARGEST: u64 = 200 * 1024;
const SAMPLE: usize = 50;
/// What happens to the source before each kill.
const CHANGED: usize = 12;
const REMOVED: usize = 5;
const ADDED: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_killed_at_fifty_moments_end_exact_on_sqlite() -> Result<()> {
    killed_at_fifty_moments(Store::Sqlite, 1, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_killed_at_fifty_moments_end_exact_on_postgres_with_three_workers() -> Result<()> {
    killed_at_fifty_moments(Store::Postgres, 3, 2).await
}

/// Three syncs into one bucket on a fleet of servers, one of which is killed and started again each time.
async fn killed_at_fifty_moments(store: Store, fleet: usize, seed: u64) -> Result<()> {
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    // What a dead server held is free again soon.
    wharf.set("WHARF_SYNC__LEASE_TTL", "2s");
    if fleet > 1 {
        wharf.set("WHARF_SYNC__WORKERS", "1");
    }
    let mut random = Random::new(seed);
    let mut source = Source::fill(&lab, &mut random).await?;
    lab.slow_down(FETCH_MS).await?;
    let mut servers = Vec::new();
    for _ in 0..fleet {
        servers.push(wharf.start().await?);
    }
    let api = servers[0].api()?;
    let connection = api.connect_to(&lab, "quay").await?;
    let bucket = api.create_bucket("quay").await?;
    let mut syncs = Vec::new();
    for berth in 0..BERTHS {
        let path = format!("{SOURCE}/berth-{berth}/");
        syncs.push(api.create_sync(&bucket, &connection, &path).await?);
    }

    let begin = Instant::now();
    for number in 1..=KILLS {
        source.change(&lab, &mut random).await?;
        let victim = usize::try_from(random.from_to(0, fleet as u64 - 1))?;
        let api = servers[victim].api()?;
        for sync in &syncs {
            ask_for_a_run(&api, &bucket, sync).await?;
        }
        let moment = Duration::from_millis(random.from_to(0, 1_200));
        tokio::time::sleep(moment).await;
        let committed = committed(&api, &bucket).await?;
        servers.swap_remove(victim).kill()?;
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("kill {number:>2} after {seconds:>4.1} s: {committed} objects in the bucket");
        servers.push(wharf.start().await?);
    }
    lab.speed_up().await?;
    settle(&servers, &bucket, &syncs).await?;
    let api = servers[0].api()?;
    let mut jobs = 0;
    for sync in &syncs {
        jobs += check_jobs(&api, &bucket, sync).await?;
    }
    let objects = api.objects(&bucket).await?;
    let difference = Difference::between(&lab.objects(SOURCE).await?, &objects)?;
    eprintln!(
        "settled after {:.1} s, {jobs} jobs; {} changed, {} removed, {} added meanwhile; {} objects, {difference:?}",
        begin.elapsed().as_secs_f64(),
        source.changed,
        source.removed,
        source.added,
        objects.len(),
    );
    ensure!(
        difference == Difference::default(),
        "the bucket is not what the source is: {difference:?}"
    );
    check_bytes(&api, &bucket, &objects).await?;
    check_unchanged(&api, &lab, &bucket, &syncs).await?;
    let last = servers.pop().context("a server")?;
    drop(servers);
    ensure!(
        last.terminate().await?.success(),
        "the server did not end in good order"
    );
    Ok(())
}

/// What lies at the source, and what has happened to it.
struct Source {
    keys: Vec<String>,
    changed: usize,
    removed: usize,
    added: usize,
}

impl Source {
    async fn fill(lab: &Lab, random: &mut Random) -> Result<Self> {
        let objects = objects(random);
        lab.put(SOURCE, &objects).await?;
        let keys = objects
            .iter()
            .map(|object| Ok(text(object, "key")?.to_owned()));
        Ok(Self {
            keys: keys.collect::<Result<_>>()?,
            changed: 0,
            removed: 0,
            added: 0,
        })
    }

    async fn change(&mut self, lab: &Lab, random: &mut Random) -> Result<()> {
        let mut some = |keys: &[String]| {
            usize::try_from(random.from_to(0, keys.len() as u64 - 1)).unwrap_or(0)
        };
        for _ in 0..REMOVED {
            let key = self.keys.swap_remove(some(&self.keys));
            lab.delete(SOURCE, &key).await?;
            self.removed += 1;
        }
        let mut puts = Vec::new();
        for _ in 0..CHANGED {
            self.changed += 1;
            let key = &self.keys[some(&self.keys)];
            puts.push(json!({"key": key, "text": format!("{key} in version {}", self.changed)}));
        }
        for _ in 0..ADDED {
            self.added += 1;
            let key = format!("berth-{}/new {:04}.txt", self.added % BERTHS, self.added);
            puts.push(json!({"key": key, "text": key}));
            self.keys.push(key);
        }
        lab.put(SOURCE, &puts).await
    }
}

/// How the bucket differs from the source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// At the source, and not here.
    lost: usize,
    /// Here more than once.
    doubled: usize,
    /// Here with other bytes than at the source.
    stale: usize,
    /// Here, and gone from the source.
    left_behind: usize,
}

impl Difference {
    fn between(at_source: &[Value], here: &[Value]) -> Result<Self> {
        let mut difference = Self::default();
        let mut by_path: BTreeMap<String, &Value> = BTreeMap::new();
        for object in here {
            let path = text(object, "source_path")?.to_owned();
            difference.doubled += usize::from(by_path.insert(path, object).is_some());
        }
        for object in at_source {
            let path = format!("{SOURCE}/{}", text(object, "key")?);
            match by_path.remove(&path) {
                None => difference.lost += 1,
                Some(copy) => {
                    let same = copy["size_bytes"] == object["size"]
                        && copy["content_sha256"] == object["sha256"];
                    difference.stale += usize::from(!same);
                }
            }
        }
        difference.left_behind = by_path.len();
        Ok(difference)
    }
}

async fn ask_for_a_run(api: &Api, bucket: &str, sync: &str) -> Result<()> {
    let path = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger");
    api.ask(Method::POST, &path, None).await?.ok().map(drop)
}

/// Runs the syncs until each has had a complete run that found nothing to do.
async fn settle(servers: &[Server], bucket: &str, syncs: &[String]) -> Result<()> {
    let api = servers[0].api()?;
    for sync in syncs {
        let mut settled = false;
        for _ in 0..10 {
            api.synced(bucket, sync).await?;
            let job = api.run_again(bucket, sync).await?;
            let progress = &job["progress"];
            settled = job["metadata"]["complete"] == true
                && ["synced", "deleted", "failed", "held"]
                    .iter()
                    .all(|count| progress[count] == 0);
            if settled {
                break;
            }
        }
        ensure!(settled, "{sync} does not settle");
    }
    Ok(())
}

async fn committed(api: &Api, bucket: &str) -> Result<u64> {
    let bucket = api.get(&format!("/v1/buckets/{bucket}")).await?.ok()?;
    bucket["object_count"]
        .as_u64()
        .context("a bucket has no object_count")
}

/// Objects of mixed sizes, from nothing to 200 KiB, and some keys that are easily got wrong.
fn objects(random: &mut Random) -> Vec<Value> {
    let odd = [
        "berth-0/odd/with space and +plus.txt",
        "berth-0/odd/percent%2Fslash%25.txt",
        "berth-0/odd/quote\"<&>'.txt",
        "berth-0/odd/日誌/港.md",
        "berth-0/odd/emoji 🚢.bin",
        "berth-0/odd//two slashes.txt",
        "berth-0/odd/../up.txt",
        "berth-0/odd/./here.txt",
        "berth-0/odd/tab\there.txt",
        "berth-0/odd/?query=1#fragment;v=2",
        "berth-0/odd/back\\slash:colon|pipe*.txt",
        "berth-0/odd/trailing space ",
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
        let (berth, pile) = (number % BERTHS, number % 37);
        json!({"key": format!("berth-{berth}/{pile:02}/{number:05}.bin"), "size": size})
    });
    odd.clone().chain(even).collect()
}

/// Every job accounts for every file it discovered, none failed, and the sync's sums are those of its jobs. How many jobs.
async fn check_jobs(api: &Api, bucket: &str, sync: &str) -> Result<usize> {
    let jobs = api.jobs(bucket, sync).await?;
    let mut synced = 0;
    for job in &jobs {
        check_conserved(job)?;
        ensure!(job["files_failed"] == 0, "files failed: {job}");
        synced += job["progress"]["synced"].as_u64().context("a number")?;
    }
    ensure!(
        jobs.iter().any(|job| job["status"] == "interrupted")
            && jobs.iter().any(|job| job["trigger"] == "resume"),
        "no run was interrupted and went on"
    );
    let sync = api
        .get(&format!("/v1/buckets/{bucket}/syncs/{sync}"))
        .await?
        .ok()?;
    assert_eq!(
        sync["total_files_synced"], synced,
        "objects that the sync says it copied"
    );
    Ok(jobs.len())
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

async fn check_unchanged(api: &Api, lab: &Lab, bucket: &str, syncs: &[String]) -> Result<()> {
    for sync in syncs {
        lab.clear_journal().await?;
        let job = api.run_again(bucket, sync).await?;
        check_conserved(&job)?;
        assert_eq!(job["progress"]["verified"], job["progress"]["discovered"]);
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
    }
    Ok(())
}
