//! Deletes at the source and what only looks like them, through the whole program: nothing goes on a doubtful word, and
//! what goes can be had back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Api, Installation, Lab, Server, Store, text};

const SOURCE: &str = "quay";
const FILES: usize = 200;
/// Three of five.
const LOST: usize = 120;

/// A server that has synced `FILES` files.
struct Harbour {
    lab: Lab,
    _server: Server,
    _wharf: Installation,
    api: Api,
    bucket: String,
    sync: String,
}

fn key(number: usize) -> String {
    format!("pier-{}/{number:04}.txt", number % 4)
}

impl Harbour {
    async fn new(store: Store, provider: &str) -> Result<Option<Self>> {
        let (Some(wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
            return Ok(None);
        };
        let server = wharf.start().await?;
        let api = server.api()?;
        lab.put(SOURCE, &files(0..FILES)).await?;
        let connection = api
            .connect("quay", lab.provider_config_of(provider), true)
            .await?;
        let bucket = api.create_bucket("quay").await?;
        let sync = api.create_sync(&bucket, &connection, SOURCE).await?;
        api.synced(&bucket, &sync).await?;
        Ok(Some(Self {
            lab,
            _server: server,
            _wharf: wharf,
            api,
            bucket,
            sync,
        }))
    }

    async fn lose(&self, files: std::ops::Range<usize>) -> Result<()> {
        for number in files {
            self.lab.delete(SOURCE, &key(number)).await?;
        }
        Ok(())
    }

    async fn run(&self) -> Result<Value> {
        self.api.run_again(&self.bucket, &self.sync).await
    }

    /// A run that ends badly; its job.
    async fn bad_run(&self) -> Result<Value> {
        let path = format!("/v1/buckets/{}/syncs/{}/trigger", self.bucket, self.sync);
        let triggered = self.api.ask(Method::POST, &path, None).await?.ok()?;
        let job = text(&triggered, "sync_job_id")?.to_owned();
        let path = format!("/v1/buckets/{}/syncs/{}/jobs/{job}", self.bucket, self.sync);
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let job = self.api.get(&path).await?.ok()?;
            if job["status"] != "running" {
                return Ok(job);
            }
            ensure!(Instant::now() < deadline, "the run does not end: {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn stored(&self) -> Result<Value> {
        let path = format!("/v1/buckets/{}/syncs/{}", self.bucket, self.sync);
        self.api.get(&path).await?.ok()
    }

    async fn live(&self) -> Result<usize> {
        Ok(self.api.objects(&self.bucket).await?.len())
    }

    async fn held(&self, action: &str) -> Result<Value> {
        let path = format!(
            "/v1/buckets/{}/syncs/{}/deletes/{action}",
            self.bucket, self.sync
        );
        self.api.ask(Method::POST, &path, None).await?.ok()
    }
}

fn files(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers
        .map(|number| json!({"key": key(number), "text": format!("crate {number}")}))
        .collect()
}

macro_rules! on_each_store {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(wharf_tests::Store::Sqlite).await
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(wharf_tests::Store::Postgres).await
                }
            )*
        }
    };
}

on_each_store! {
    a_source_that_loses_most_of_its_objects_keeps_them_here_until_a_second_pass_agrees,
    held_deletes_can_be_approved_or_discarded_by_a_person,
    what_comes_back_before_the_second_pass_is_not_deleted,
}

async fn a_source_that_loses_most_of_its_objects_keeps_them_here_until_a_second_pass_agrees(
    store: Store,
) -> Result<()> {
    let Some(harbour) = Harbour::new(store, "s3").await? else {
        return Ok(());
    };
    harbour.lose(0..LOST).await?;
    let first = harbour.run().await?;
    assert_eq!(
        (&first["progress"]["held"], &first["progress"]["deleted"]),
        (&json!(LOST), &json!(0)),
        "{first}"
    );
    assert_eq!(harbour.live().await?, FILES);
    let held = harbour.stored().await?["held_deletes"].clone();
    assert_eq!(held["count"], LOST, "{held}");
    eprintln!("held: {held}");
    ensure!(
        text(&held, "reason")?.contains("120 of 200"),
        "the reason: {held}"
    );

    let second = harbour.run().await?;
    assert_eq!(second["progress"]["deleted"], LOST, "{second}");
    assert_eq!(harbour.live().await?, FILES - LOST);
    assert_eq!(harbour.stored().await?["held_deletes"], Value::Null);
    Ok(())
}

async fn held_deletes_can_be_approved_or_discarded_by_a_person(store: Store) -> Result<()> {
    let Some(harbour) = Harbour::new(store, "s3").await? else {
        return Ok(());
    };
    harbour.lose(0..60).await?;
    harbour.run().await?;
    let approved = harbour.held("approve").await?;
    eprintln!("approved: {approved}");
    assert_eq!(harbour.live().await?, FILES - 60);
    assert_eq!(harbour.stored().await?["held_deletes"], Value::Null);

    // Tombstones can be had back, with their bytes.
    let path = format!(
        "/v1/buckets/{}/objects/list?include_deleted=true",
        harbour.bucket
    );
    let all = harbour.api.list(&path).await?;
    let tombstone = all
        .iter()
        .find(|object| object["deleted_at"].is_string())
        .context("a tombstone")?;
    let id = text(tombstone, "object_id")?;
    let restore = format!("/v1/buckets/{}/objects/{id}/restore", harbour.bucket);
    let restored = harbour.api.ask(Method::POST, &restore, None).await?.ok()?;
    assert_eq!(restored["deleted_at"], Value::Null, "{restored}");
    ensure!(
        !harbour.api.content(&harbour.bucket, id).await?.is_empty(),
        "a restored object has no bytes"
    );
    let job = harbour.run().await?;
    assert_eq!(job["progress"]["deleted"], 0, "{job}");
    assert_eq!(harbour.live().await?, FILES - 60 + 1);

    harbour.lose(60..130).await?;
    let job = harbour.run().await?;
    assert_eq!(job["progress"]["held"], 70, "{job}");
    let discarded = harbour.held("discard").await?;
    eprintln!("discarded: {discarded}");
    for _ in 0..2 {
        let job = harbour.run().await?;
        assert_eq!(
            (&job["progress"]["held"], &job["progress"]["deleted"]),
            (&json!(0), &json!(0)),
            "{job}"
        );
    }
    assert_eq!(harbour.live().await?, FILES - 60 + 1);
    Ok(())
}

async fn what_comes_back_before_the_second_pass_is_not_deleted(store: Store) -> Result<()> {
    let Some(harbour) = Harbour::new(store, "s3").await? else {
        return Ok(());
    };
    harbour.lose(0..LOST).await?;
    harbour.run().await?;
    harbour.lab.put(SOURCE, &files(0..LOST)).await?;
    let job = harbour.run().await?;
    assert_eq!(
        (
            &job["progress"]["verified"],
            &job["progress"]["deleted"],
            &job["progress"]["held"]
        ),
        (&json!(FILES), &json!(0), &json!(0)),
        "{job}"
    );
    assert_eq!(harbour.stored().await?["held_deletes"], Value::Null);
    // Lost again, they are counted anew.
    harbour.lose(0..LOST).await?;
    let job = harbour.run().await?;
    assert_eq!(job["progress"]["held"], LOST, "{job}");
    Ok(())
}

#[tokio::test]
async fn tigris_deletes_nothing_on_the_word_of_one_pass() -> Result<()> {
    let Some(harbour) = Harbour::new(Store::Sqlite, "tigris").await? else {
        return Ok(());
    };
    harbour.lose(0..3).await?;
    let first = harbour.run().await?;
    assert_eq!(
        (&first["progress"]["held"], &first["progress"]["deleted"]),
        (&json!(3), &json!(0)),
        "{first}"
    );
    eprintln!("held: {}", harbour.stored().await?["held_deletes"]);
    assert_eq!(harbour.live().await?, FILES);
    let second = harbour.run().await?;
    assert_eq!(second["progress"]["deleted"], 3, "{second}");
    Ok(())
}

#[tokio::test]
async fn a_denied_prefix_deletes_nothing() -> Result<()> {
    let Some(harbour) = Harbour::new(Store::Sqlite, "s3").await? else {
        return Ok(());
    };
    // The listing still names them, but their bytes may not be read, and some have changed.
    let keys = harbour.lab.keys();
    let denied = json!({
        "access_key_id": keys.id,
        "secret_access_key": keys.secret,
        "denials": [{"action": "s3:GetObject", "resource": "quay/pier-1/*"}],
    });
    harbour.lab.accept(&denied).await?;
    let changed: Vec<Value> = (0..FILES)
        .filter(|number| number % 20 == 1)
        .map(|number| json!({"key": key(number), "text": "changed"}))
        .collect();
    harbour.lab.put(SOURCE, &changed).await?;
    let job = harbour.run().await?;
    eprintln!("denied bytes: {}", job["metadata"]);
    assert_eq!(job["progress"]["failed"], changed.len(), "{job}");
    assert_eq!(job["progress"]["deleted"], 0, "{job}");
    assert_eq!(harbour.live().await?, FILES);

    // Neither may the listing be asked for.
    let denied = json!({
        "access_key_id": keys.id,
        "secret_access_key": keys.secret,
        "denials": [{"action": "s3:ListBucket", "resource": "quay"}],
    });
    harbour.lab.accept(&denied).await?;
    let job = harbour.bad_run().await?;
    eprintln!("denied listing: {} {}", job["error"], job["metadata"]);
    assert_eq!(job["status"], "failed", "{job}");
    assert_eq!(job["progress"]["deleted"], 0, "{job}");
    assert_eq!(harbour.live().await?, FILES);
    Ok(())
}

#[tokio::test]
async fn a_listing_that_is_cut_short_or_goes_in_circles_deletes_nothing() -> Result<()> {
    for fault in ["truncated_without_token", "repeated_token"] {
        let Some(harbour) = Harbour::new(Store::Sqlite, "s3").await? else {
            return Ok(());
        };
        // More than one page, so that there is a token to repeat.
        harbour.lab.fill(SOURCE, "pile/", 1_100).await?;
        harbour.run().await?;
        harbour.lose(100..FILES).await?;
        let rule = json!({"match": {"operation": "list_objects"}, "action": {"listing": fault}});
        harbour.lab.misbehave(&[rule]).await?;
        let job = harbour.bad_run().await?;
        eprintln!("{fault}: {} {}", job["error"], job["metadata"]);
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["metadata"]["complete"], false, "{job}");
        assert_eq!(job["progress"]["deleted"], 0, "{job}");
        assert_eq!(harbour.live().await?, FILES + 1_100);
    }
    Ok(())
}

#[tokio::test]
async fn a_listing_out_of_order_deletes_what_is_gone_and_nothing_else() -> Result<()> {
    let Some(harbour) = Harbour::new(Store::Sqlite, "s3").await? else {
        return Ok(());
    };
    harbour.lose(10..20).await?;
    let rule =
        json!({"match": {"operation": "list_objects"}, "action": {"listing": "out_of_order"}});
    harbour.lab.misbehave(&[rule]).await?;
    let job = harbour.run().await?;
    eprintln!("out of order: {} {}", job["progress"], job["metadata"]);
    assert_eq!(
        (&job["progress"]["verified"], &job["progress"]["deleted"]),
        (&json!(FILES - 10), &json!(10)),
        "{job}"
    );
    let left: Vec<String> = harbour
        .api
        .objects(&harbour.bucket)
        .await?
        .iter()
        .map(|object| Ok(text(object, "source_path")?.to_owned()))
        .collect::<Result<_>>()?;
    for number in (0..10).chain(20..FILES) {
        let path = format!("{SOURCE}/{}", key(number));
        ensure!(left.contains(&path), "{path} was deleted wrongly");
    }
    Ok(())
}
