//! What can go wrong while a run is under way, through the whole program: nothing is lost, nothing is made up, and the job
//! says what happened.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Installation, Lab, Server, Store, text};

const SOURCE: &str = "quay";

/// Every test once with a connection of each kind.
macro_rules! with_each_provider {
    ($($test:ident,)*) => {
        mod with_s3 {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::in_harbour("s3", super::$test).await
                }
            )*
        }

        mod with_tigris {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::in_harbour("tigris", super::$test).await
                }
            )*
        }
    };
}

with_each_provider! {
    a_crash_after_each_page_costs_no_page,
    credentials_that_expire_in_the_middle_stop_the_run_and_lose_nothing,
    an_expired_cursor_starts_the_listing_over,
    what_is_gone_at_the_source_becomes_a_tombstone,
    a_file_that_the_rules_no_longer_let_through_becomes_a_tombstone,
    a_listing_that_is_denied_deletes_nothing,
    a_listing_that_is_cut_short_deletes_nothing,
    throttling_is_waited_out_and_held_against_nobody,
    downloads_that_are_cut_short_arrive_whole_in_the_end,
    a_file_whose_bytes_are_wrong_is_not_published_and_stops_no_other,
    a_file_that_grows_while_it_is_read_is_published_as_one_version,
    overlapping_syncs_share_their_objects,
    hostile_names_and_empty_files_arrive_as_they_are,
    one_file_that_cannot_be_read_stops_no_other,
    files_that_are_not_to_be_had_are_skipped_with_the_reason,
    a_path_of_files_that_may_not_be_decrypted_is_refused_with_the_missing_action,
    a_bucket_at_the_requester_s_expense_is_refused_with_that_as_a_possible_reason,
}

/// A server with a connection to a lab, and a bucket.
struct Harbour {
    provider: &'static str,
    wharf: Installation,
    lab: Lab,
    server: Server,
    api: Api,
    connection: String,
    bucket: String,
}

async fn in_harbour<F: Future<Output = Result<()>>>(
    provider: &'static str,
    test: impl FnOnce(Harbour) -> F,
) -> Result<()> {
    let (Some(mut wharf), Some(lab)) =
        (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    // What a dead server held is free again soon.
    wharf.set("WHARF_SYNC__LEASE_TTL", "1s");
    let server = wharf.start().await?;
    let api = server.api()?;
    let config = lab.provider_config_of(provider);
    let connection = api.connect("quay", config, true).await?;
    let bucket = api.create_bucket("quay").await?;
    let harbour = Harbour {
        provider,
        wharf,
        lab,
        server,
        api,
        connection,
        bucket,
    };
    test(harbour).await
}

impl Harbour {
    /// So many small files.
    async fn fill(&self, files: usize) -> Result<()> {
        let file =
            |number| json!({"key": format!("{number:03}"), "text": format!("crate {number}")});
        let files: Vec<Value> = (0..files).map(file).collect();
        self.lab.put(SOURCE, &files).await
    }

    async fn sync(&self) -> Result<String> {
        self.api
            .create_sync(&self.bucket, &self.connection, SOURCE)
            .await
    }

    /// A listing of Tigris may lag behind its writes: what it does not name goes when a second pass agrees.
    async fn looks_twice(&self, sync: &str) -> Result<()> {
        if self.provider == "tigris" {
            let job = self.api.run_again(&self.bucket, sync).await?;
            assert_eq!(
                (&job["progress"]["deleted"], &job["progress"]["held"]),
                (&json!(0), &json!(1)),
                "{job}"
            );
        }
        Ok(())
    }

    /// How the sync is refused when it is created, because of what the test of its path found.
    async fn refused_sync(&self) -> Result<Value> {
        let sync = json!({"connection_id": self.connection, "source_path": SOURCE, "sync_mode": "initial_only"});
        let path = format!("/v1/buckets/{}/syncs", self.bucket);
        let refusal = self.api.post(&path, &sync).await?.refused(422)?;
        assert_eq!(refusal["code"], "connection_test_failed", "{refusal}");
        Ok(refusal)
    }

    async fn synced(&self, sync: &str) -> Result<Value> {
        let mut jobs = self.api.synced(&self.bucket, sync).await?;
        Ok(jobs.swap_remove(0))
    }

    /// Waits until the newest job has ended, however.
    async fn ended(&self, sync: &str) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let jobs = self.api.jobs(&self.bucket, sync).await?;
            let running = jobs.iter().any(|job| job["status"] == "running");
            if let (Some(job), false) = (jobs.first(), running) {
                return Ok(job.clone());
            }
            ensure!(Instant::now() < deadline, "no job has ended: {jobs:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn triggered(&self, sync: &str) -> Result<Value> {
        let path = format!("/v1/buckets/{}/syncs/{sync}/trigger", self.bucket);
        self.api.ask(Method::POST, &path, None).await?.ok()?;
        self.ended(sync).await
    }

    async fn connection(&self) -> Result<Value> {
        let path = format!("/v1/organizations/connections/{}", self.connection);
        self.api.get(&path).await?.ok()
    }

    async fn change(&self, change: &Value) -> Result<Answer> {
        let path = format!("/v1/organizations/connections/{}", self.connection);
        self.api.patch(&path, change).await
    }

    /// The connection works, and nothing was held against it.
    async fn stands_well(&self) -> Result<()> {
        let connection = self.connection().await?;
        assert_eq!(connection["status"], "ACTIVE", "{connection}");
        assert_eq!(connection["consecutive_failures"], 0, "{connection}");
        Ok(())
    }

    /// The live objects by source path, with their bytes.
    async fn content(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut content = BTreeMap::new();
        for object in self.api.objects(&self.bucket).await? {
            let bytes = self.api.content(&self.bucket, text(&object, "object_id")?);
            let twice = content.insert(text(&object, "source_path")?.to_owned(), bytes.await?);
            ensure!(twice.is_none(), "two objects of one file: {object}");
        }
        Ok(content)
    }

    /// What [`Harbour::fill`] put there is all there, and nothing else is.
    async fn holds(&self, files: usize) -> Result<()> {
        let file = |number| {
            (
                format!("{SOURCE}/{number:03}"),
                format!("crate {number}").into_bytes(),
            )
        };
        let expected: BTreeMap<_, _> = (0..files).map(file).collect();
        assert_eq!(self.content().await?, expected);
        Ok(())
    }

    async fn tombstones(&self) -> Result<usize> {
        let all = format!(
            "/v1/buckets/{}/objects/list?include_deleted=true",
            self.bucket
        );
        let all = self.api.list(&all).await?;
        Ok(all
            .iter()
            .filter(|object| object["deleted_at"].is_string())
            .count())
    }

    /// The queries of the runs' listings since the journal was last cleared. A test of a source path asks for less.
    async fn listings(&self) -> Result<Vec<String>> {
        let journal = self.lab.journal().await?;
        let listings = journal
            .iter()
            .filter(|entry| entry["operation"] == "list_objects")
            .filter(|entry| {
                entry["query"]
                    .as_str()
                    .is_some_and(|query| query.contains("max-keys=1000"))
            });
        Ok(listings
            .map(|entry| entry["query"].as_str().unwrap_or_default().to_owned())
            .collect())
    }
}

fn short_pages(files: usize) -> Value {
    json!({"match": {"operation": "list_objects"}, "action": {"listing": {"short_pages": files}}})
}

async fn a_crash_after_each_page_costs_no_page(mut harbour: Harbour) -> Result<()> {
    const PAGES: usize = 4;
    harbour.fill(PAGES * 5).await?;
    // The next page is asked for when the one before it is committed, and that takes a while: time for the crash.
    let mut pages = short_pages(5);
    pages["action"]["delay_ms"] = json!(500);
    harbour.lab.misbehave(&[pages]).await?;
    harbour.lab.clear_journal().await?;
    let sync = harbour.sync().await?;
    let mut fetched = Vec::new();
    for page in 1..PAGES {
        let deadline = Instant::now() + Duration::from_mins(1);
        while harbour.listings().await?.len() < 2 {
            ensure!(Instant::now() < deadline, "page {page} was not passed");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let begun_anew = !harbour.listings().await?[0].contains("continuation-token");
        harbour.server.kill()?;
        assert_eq!(begun_anew, page == 1, "where the listing went on");
        fetched.extend(harbour.lab.fetched().await?);
        harbour.lab.clear_journal().await?;
        harbour.server = harbour.wharf.start().await?;
        harbour.api = harbour.server.api()?;
        let committed = harbour.api.objects(&harbour.bucket).await?.len();
        assert_eq!(committed, page * 5, "after a crash behind page {page}");
    }
    harbour.synced(&sync).await?;
    fetched.extend(harbour.lab.fetched().await?);
    fetched.sort();
    let once: Vec<String> = (0..PAGES * 5)
        .map(|number| format!("{number:03}"))
        .collect();
    assert_eq!(fetched, once, "what was fetched in all");
    harbour.holds(PAGES * 5).await?;
    harbour.stands_well().await
}

async fn credentials_that_expire_in_the_middle_stop_the_run_and_lose_nothing(
    harbour: Harbour,
) -> Result<()> {
    harbour.fill(30).await?;
    let expired = json!({"match": {"nth": 12}, "action": {"code": "ExpiredToken"}});
    // The first rule that is due acts: pages are short until the credentials expire.
    harbour.lab.misbehave(&[expired, short_pages(5)]).await?;
    let sync = harbour.sync().await?;
    let job = harbour.ended(&sync).await?;
    assert_eq!(job["status"], "failed", "{job}");
    ensure!(text(&job, "error")?.contains("auth.expired"), "{job}");
    let connection = harbour.connection().await?;
    assert_eq!(connection["status"], "FAILED", "{connection}");
    assert_eq!(connection["status_reason"], "health_check_failed");
    assert_eq!(connection["consecutive_failures"], 1, "{connection}");
    ensure!(text(&connection, "last_error")?.contains("auth.expired"));
    let before = harbour.content().await?;
    ensure!(!before.is_empty() && before.len() < 30, "{}", before.len());

    harbour.lab.misbehave(&[]).await?;
    let renewed = harbour.lab.provider_config_of(harbour.provider);
    let renewed = json!({"provider_config": renewed});
    harbour.change(&renewed).await?.ok()?;
    harbour.lab.clear_journal().await?;
    harbour.triggered(&sync).await?;
    harbour.synced(&sync).await?;
    harbour.holds(30).await?;
    assert_eq!(harbour.tombstones().await?, 0);
    let again = harbour.lab.fetched().await?.len();
    assert_eq!(
        again,
        30 - before.len(),
        "what was published is not fetched again"
    );
    harbour.stands_well().await
}

async fn an_expired_cursor_starts_the_listing_over(harbour: Harbour) -> Result<()> {
    harbour.fill(12).await?;
    let later = json!({"operation": "list_objects", "query_contains": "continuation-token", "nth": 2, "times": 1});
    let expired = json!({"match": later, "action": {"code": "InvalidArgument"}});
    harbour.lab.misbehave(&[expired, short_pages(5)]).await?;
    harbour.lab.clear_journal().await?;
    let sync = harbour.sync().await?;
    let job = harbour.synced(&sync).await?;
    assert_eq!(job["metadata"]["complete"], true, "{job}");
    let listings = harbour.listings().await?;
    let begun = listings
        .iter()
        .filter(|query| !query.contains("continuation-token"));
    assert_eq!(begun.count(), 2, "{listings:?}");
    assert_eq!(harbour.lab.fetched().await?.len(), 12, "each file once");
    harbour.holds(12).await?;
    harbour.stands_well().await
}

async fn what_is_gone_at_the_source_becomes_a_tombstone(harbour: Harbour) -> Result<()> {
    harbour.fill(6).await?;
    let sync = harbour.sync().await?;
    harbour.synced(&sync).await?;
    harbour.lab.delete(SOURCE, "005").await?;
    harbour.looks_twice(&sync).await?;
    let job = harbour.api.run_again(&harbour.bucket, &sync).await?;
    assert_eq!(job["progress"]["deleted"], 1, "{job}");
    assert_eq!(harbour.tombstones().await?, 1);
    harbour.holds(5).await
}

async fn a_file_that_the_rules_no_longer_let_through_becomes_a_tombstone(
    harbour: Harbour,
) -> Result<()> {
    harbour.fill(6).await?;
    let sync = harbour.sync().await?;
    harbour.synced(&sync).await?;
    let path = format!("/v1/buckets/{}/syncs/{sync}", harbour.bucket);
    let rules = json!({"file_filters": {"exclude_patterns": ["005"]}});
    harbour.api.patch(&path, &rules).await?.ok()?;
    // New rules are due at once.
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let jobs = harbour.api.synced(&harbour.bucket, &sync).await?;
        if jobs.len() > 1 {
            assert_eq!(
                jobs[0]["metadata"]["filtered_by"]["exclude_patterns"], 1,
                "{}",
                jobs[0]
            );
            break;
        }
        ensure!(Instant::now() < deadline, "no run under the new rules");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if harbour.provider == "tigris" {
        assert_eq!(harbour.tombstones().await?, 0);
        harbour.api.run_again(&harbour.bucket, &sync).await?;
    }
    assert_eq!(harbour.tombstones().await?, 1);
    harbour.holds(5).await
}

async fn a_listing_that_is_denied_deletes_nothing(harbour: Harbour) -> Result<()> {
    harbour.fill(12).await?;
    let sync = harbour.sync().await?;
    harbour.synced(&sync).await?;
    harbour.lab.delete(SOURCE, "011").await?;
    // Once from the start, and once in the middle.
    for page in [1, 2] {
        let listings = json!({"operation": "list_objects", "nth": page});
        let denied = json!({"match": listings, "action": {"code": "AccessDenied"}});
        harbour.lab.misbehave(&[denied, short_pages(5)]).await?;
        let job = harbour.triggered(&sync).await?;
        assert_eq!(job["status"], "failed", "{job}");
        ensure!(text(&job, "error")?.contains("perm.denied"), "{job}");
        assert_eq!(job["progress"]["deleted"], 0, "{job}");
        harbour.holds(12).await?;
        assert_eq!(harbour.tombstones().await?, 0);
        // What may not be listed is this sync's path: others of the connection go on.
        harbour.stands_well().await?;
        harbour.lab.misbehave(&[]).await?;
    }
    harbour.looks_twice(&sync).await?;
    harbour.triggered(&sync).await?;
    harbour.holds(11).await
}

async fn a_listing_that_is_cut_short_deletes_nothing(harbour: Harbour) -> Result<()> {
    harbour.fill(1001).await?;
    let sync = harbour.sync().await?;
    harbour.synced(&sync).await?;
    let listings = json!({"operation": "list_objects"});
    for fault in ["truncated_without_token", "repeated_token"] {
        let cut = json!({"match": listings, "action": {"listing": fault}});
        harbour.lab.misbehave(&[cut]).await?;
        let job = harbour.triggered(&sync).await?;
        assert_eq!(job["status"], "failed", "{fault}: {job}");
        ensure!(
            text(&job, "error")?.contains("protocol.unexpected_response"),
            "{job}"
        );
        assert_eq!(harbour.tombstones().await?, 0, "{fault}");
        harbour.lab.misbehave(&[]).await?;
        let path = format!("/v1/organizations/connections/{}/test", harbour.connection);
        harbour.api.ask(Method::POST, &path, None).await?.ok()?;
    }
    let live = harbour.api.objects(&harbour.bucket).await?;
    assert_eq!(live.len(), 1001);
    Ok(())
}

async fn throttling_is_waited_out_and_held_against_nobody(harbour: Harbour) -> Result<()> {
    harbour.fill(6).await?;
    let third = json!({"operation": "get_object", "path_contains": "003", "times": 1});
    let throttled = json!({
        "match": third,
        "action": {"code": "SlowDown", "headers": {"retry-after": "3"}},
    });
    harbour.lab.misbehave(&[throttled]).await?;
    harbour.lab.clear_journal().await?;
    let sync = harbour.sync().await?;
    let asked = async |times: usize| -> Result<Instant> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let fetched = harbour.lab.fetched().await?;
            if fetched.iter().filter(|key| *key == "003").count() >= times {
                return Ok(Instant::now());
            }
            ensure!(Instant::now() < deadline, "not asked for {times} times");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (first, second) = (asked(1).await?, asked(2).await?);
    let silence = second - first;
    ensure!(
        silence > Duration::from_millis(2_800),
        "asked again after {silence:?}"
    );
    let job = harbour.synced(&sync).await?;
    assert_eq!(job["files_failed"], 0, "{job}");
    harbour.holds(6).await?;
    harbour.stands_well().await
}

async fn downloads_that_are_cut_short_arrive_whole_in_the_end(harbour: Harbour) -> Result<()> {
    harbour.fill(3).await?;
    let film = json!({"key": "film", "size": 900_000});
    harbour.lab.put(SOURCE, &[film]).await?;
    let film = json!({"operation": "get_object", "path_contains": "film", "times": 2});
    let cut = json!({"match": film, "action": {"truncate_at": 100_000}});
    harbour.lab.misbehave(&[cut]).await?;
    let sync = harbour.sync().await?;
    let job = harbour.synced(&sync).await?;
    assert_eq!(job["files_failed"], 0, "{job}");
    let source = harbour.lab.objects(SOURCE).await?;
    let of_film = |object: &&Value| object["key"] == "film" || object["source_path"] == "quay/film";
    let expected = source
        .iter()
        .find(of_film)
        .context("the film at the source")?;
    let objects = harbour.api.objects(&harbour.bucket).await?;
    let object = objects.iter().find(of_film).context("the film")?;
    assert_eq!(object["content_sha256"], expected["sha256"]);
    assert_eq!(object["size_bytes"], 900_000);
    harbour.stands_well().await
}

async fn a_file_whose_bytes_are_wrong_is_not_published_and_stops_no_other(
    harbour: Harbour,
) -> Result<()> {
    let spoilt = json!({"corrupt_byte_at": 3});
    one_bad_file(harbour, spoilt, "integrity.mismatch").await
}

async fn one_file_that_cannot_be_read_stops_no_other(harbour: Harbour) -> Result<()> {
    one_bad_file(harbour, json!({"code": "AccessDenied"}), "perm.denied").await
}

/// The last of nine files fails so whenever it is fetched; later it is well again.
async fn one_bad_file(harbour: Harbour, action: Value, code: &str) -> Result<()> {
    harbour.fill(9).await?;
    let file = json!({"operation": "get_object", "path_contains": "008"});
    let fault = json!({"match": file, "action": action});
    harbour.lab.misbehave(&[fault]).await?;
    let sync = harbour.sync().await?;
    let job = harbour.synced(&sync).await?;
    assert_eq!(job["progress"]["synced"], 8, "{job}");
    assert_eq!(job["files_failed"], 1, "{job}");
    assert_eq!(job["metadata"]["failed_by"][code], 1, "{job}");
    harbour.holds(8).await?;
    harbour.stands_well().await?;

    harbour.lab.misbehave(&[]).await?;
    harbour.api.run_again(&harbour.bucket, &sync).await?;
    harbour.holds(9).await
}

async fn a_file_that_grows_while_it_is_read_is_published_as_one_version(
    harbour: Harbour,
) -> Result<()> {
    harbour
        .lab
        .put(SOURCE, &[json!({"key": "film", "size": 500_000})])
        .await?;
    let of_film = |more: Value| {
        let mut matching = json!({"operation": "get_object", "path_contains": "film", "times": 1});
        matching["nth"] = more;
        matching
    };
    // The first request for it is the test's of the source path.
    let cut = json!({"match": of_film(json!(2)), "action": {"truncate_at": 100_000}});
    let slow = json!({"match": of_film(json!(3)), "action": {"delay_ms": 1500}});
    harbour.lab.misbehave(&[cut, slow]).await?;
    harbour.lab.clear_journal().await?;
    let sync = harbour.sync().await?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while harbour.lab.fetched().await?.len() < 2 {
        ensure!(Instant::now() < deadline, "the film was not taken up again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let longer = "another cut of it, ".repeat(40_000);
    harbour
        .lab
        .put(SOURCE, &[json!({"key": "film", "text": longer})])
        .await?;
    harbour.ended(&sync).await?;
    for bytes in harbour.content().await?.values() {
        ensure!(
            bytes == longer.as_bytes(),
            "bytes of no version were published"
        );
    }
    harbour.triggered(&sync).await?;
    harbour.synced(&sync).await?;
    let content = harbour.content().await?;
    ensure!(
        content["quay/film"] == longer.as_bytes(),
        "the new version is missing"
    );
    harbour.stands_well().await
}

async fn overlapping_syncs_share_their_objects(harbour: Harbour) -> Result<()> {
    let file = |key: &str| json!({"key": key, "text": key});
    harbour
        .lab
        .put(SOURCE, &[file("north/a"), file("north/b"), file("south/c")])
        .await?;
    let whole = harbour.sync().await?;
    harbour.synced(&whole).await?;
    harbour.lab.clear_journal().await?;
    let north = harbour
        .api
        .create_sync(&harbour.bucket, &harbour.connection, "quay/north");
    let north = north.await?;
    let job = harbour.synced(&north).await?;
    assert_eq!(job["metadata"]["skipped_by"]["duplicate"], 2, "{job}");
    assert_eq!(
        harbour.lab.fetched().await?,
        [""; 0],
        "nothing is fetched twice"
    );
    let content = harbour.content().await?;
    let paths: Vec<&String> = content.keys().collect();
    assert_eq!(paths, ["quay/north/a", "quay/north/b", "quay/south/c"]);
    Ok(())
}

async fn hostile_names_and_empty_files_arrive_as_they_are(harbour: Harbour) -> Result<()> {
    let longest = "ü".repeat(512);
    let names = [
        "a b",
        "a+b",
        "100%",
        "a%2Fb",
        "a&b=c?d#e",
        "<a>\"b'",
        "a\\b",
        "a//b",
        "a/../b",
        "..",
        ".",
        "folder/",
        "e\u{301}",
        "\u{202e}gpj.exe",
        "😀",
        "a\nb",
        "a\u{1}b",
        "日本語/é",
        &longest,
    ];
    let mut files: Vec<Value> = names.map(|name| json!({"key": name, "text": name})).into();
    files.push(json!({"key": "empty", "text": ""}));
    harbour.lab.put(SOURCE, &files).await?;
    let sync = harbour.sync().await?;
    let job = harbour.synced(&sync).await?;
    assert_eq!(job["files_failed"], 0, "{job}");
    let file = |name: &str| (format!("{SOURCE}/{name}"), name.as_bytes().to_vec());
    let mut expected: BTreeMap<_, _> = names.map(file).into();
    expected.insert(format!("{SOURCE}/empty"), Vec::new());
    assert_eq!(harbour.content().await?, expected);
    Ok(())
}

async fn files_that_are_not_to_be_had_are_skipped_with_the_reason(harbour: Harbour) -> Result<()> {
    harbour.fill(3).await?;
    let file = |key: &str, peculiarity: &str, value: &str| {
        let mut file = json!({"key": key, "text": key});
        file[peculiarity] = json!(value);
        file
    };
    let files = [
        file("cold", "storage_class", "GLACIER"),
        file("coldest", "storage_class", "DEEP_ARCHIVE"),
        file("locked", "encryption", "customer_key"),
        file("locked with a key of AWS'", "encryption", "kms_denied"),
        file("paid", "storage_class", "STANDARD"),
    ];
    harbour.lab.put(SOURCE, &files).await?;
    // AWS says it of a whole bucket; other stores say it of one object.
    let paid = json!({"operation": "get_object", "path_contains": "paid"});
    let payer = "Bucket is a requester pays bucket but no user project provided.";
    let payer = json!({"code": "AccessDenied", "message": payer});
    let paid = json!({"match": paid, "action": payer});
    harbour.lab.misbehave(&[paid]).await?;
    let sync = harbour.sync().await?;
    let job = harbour.synced(&sync).await?;
    eprintln!("skipped: {}", job["metadata"]["skipped_by"]);
    eprintln!("failed: {}", job["metadata"]["failed_by"]);
    assert_eq!(job["progress"]["skipped"], 4, "{job}");
    let reasons = json!({
        "resource.archived": 2,
        "object.customer_key": 1,
        "object.requester_pays": 1,
    });
    assert_eq!(job["metadata"]["skipped_by"], reasons, "{job}");
    // What may be granted is no reason to pass over a file for good.
    assert_eq!(job["files_failed"], 1, "{job}");
    let failures = json!({"perm.denied": 1});
    assert_eq!(job["metadata"]["failed_by"], failures, "{job}");
    harbour.holds(3).await?;
    harbour.stands_well().await
}

async fn a_path_of_files_that_may_not_be_decrypted_is_refused_with_the_missing_action(
    harbour: Harbour,
) -> Result<()> {
    let locked = json!({"key": "locked", "text": "oranges", "encryption": "kms_denied"});
    harbour.lab.put(SOURCE, &[locked]).await?;
    let refusal = harbour.refused_sync().await?;
    assert_eq!(refusal["details"]["error_code"], "perm.denied", "{refusal}");
    let check = check_of(&refusal, "decrypt");
    assert_eq!(check["outcome"], "failed", "{refusal}");
    let action = text(check, "action")?;
    ensure!(action.contains("kms:Decrypt"), "{check}");
    ensure!(text(check, "remedy")?.contains("kms:Decrypt"), "{check}");
    harbour.stands_well().await
}

async fn a_bucket_at_the_requester_s_expense_is_refused_with_that_as_a_possible_reason(
    harbour: Harbour,
) -> Result<()> {
    harbour.fill(3).await?;
    let paid = json!({"requester_pays": true});
    harbour.lab.set_bucket(SOURCE, paid.clone()).await?;
    let refusal = harbour.refused_sync().await?;
    assert_eq!(refusal["details"]["error_code"], "perm.denied", "{refusal}");
    let check = check_of(&refusal, "list");
    assert_eq!(check["outcome"], "failed", "{refusal}");
    ensure!(text(check, "remedy")?.contains("requester pays"), "{check}");
    harbour.stands_well().await?;

    // Turned on later, it stops the next run and nothing is lost.
    harbour.lab.set_bucket(SOURCE, json!({})).await?;
    let sync = harbour.sync().await?;
    harbour.synced(&sync).await?;
    harbour.lab.set_bucket(SOURCE, paid).await?;
    let job = harbour.triggered(&sync).await?;
    assert_eq!(job["status"], "failed", "{job}");
    ensure!(text(&job, "error")?.contains("requester pays"), "{job}");
    harbour.holds(3).await?;
    assert_eq!(harbour.tombstones().await?, 0);
    Ok(())
}

/// The check of this name in what a refusal tells of a test.
fn check_of<'a>(refusal: &'a Value, name: &str) -> &'a Value {
    let checks = refusal["details"]["checks"].as_array();
    let check = checks.and_then(|checks| checks.iter().find(|check| check["name"] == name));
    check.unwrap_or(&Value::Null)
}
