//! Temporary sessions through the whole program: those that it begins under a role, and those that a person enters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Installation, Keys, Lab, Server, Store, text};

const READER: &str = "arn:aws:iam::123456789012:role/harbour/reader";
const SOURCE: &str = "harbour";
const CONNECTIONS: &str = "/v1/organizations/connections";

/// A server whose AWS is a lab, with the organization's issued id.
struct Harbour {
    lab: Lab,
    _wharf: Installation,
    _server: Server,
    api: Api,
    issued: String,
}

impl Harbour {
    async fn new(files: usize) -> Result<Option<Self>> {
        let (Some(mut wharf), Some(lab)) =
            (Installation::on(Store::Sqlite).await?, Lab::start().await?)
        else {
            return Ok(None);
        };
        wharf.be(&lab.keys());
        wharf.set("WHARF_PROVIDERS__AWS__STS_URL", lab.url());
        wharf.set("WHARF_PROVIDERS__AWS__S3_URL", lab.url());
        let file =
            |number| json!({"key": format!("{number:03}"), "text": format!("crate {number}")});
        lab.put(SOURCE, &(0..files).map(file).collect::<Vec<_>>())
            .await?;
        let server = wharf.start().await?;
        let api = server.api()?;
        let issued = api.issued_external_id().await?;
        lab.clear_journal().await?;
        Ok(Some(Self {
            lab,
            _wharf: wharf,
            _server: server,
            api,
            issued,
        }))
    }

    async fn connect(&self, external_id: &str) -> Result<Answer> {
        let credentials =
            json!({"type": "iam_role", "role_arn": READER, "external_id": external_id});
        let connection = json!({
            "name": "quay",
            "provider_type": "s3",
            "provider_config": {"provider_type": "s3", "credentials": credentials},
            "test_before_save": true,
        });
        self.api.post(CONNECTIONS, &connection).await
    }

    async fn trusts(&self, external_id: &str) -> Result<()> {
        let role = json!({"arn": READER, "external_id": external_id});
        self.lab.add_role(role).await
    }

    /// With which external ids the role was tried, and how that was answered. Tells them.
    async fn tries(&self) -> Result<Vec<(Option<String>, u64)>> {
        let journal = self.lab.journal().await?;
        let tries = journal
            .iter()
            .filter(|entry| entry["operation"] == "assume_role");
        let tries = tries.map(|entry| {
            assert_eq!(entry["role_arn"], READER, "{entry}");
            let id = entry["external_id"].as_str().map(str::to_owned);
            (id, entry["status"].as_u64().unwrap_or_default())
        });
        let tries: Vec<_> = tries.collect();
        for (id, status) in &tries {
            let id = match id {
                Some(id) if *id == self.issued => "the issued id",
                Some(_) => "another id",
                None => "no id",
            };
            eprintln!("AssumeRole with {id}: {status}");
        }
        Ok(tries)
    }

    fn issued(&self, status: u64) -> (Option<String>, u64) {
        (Some(self.issued.clone()), status)
    }

    /// The live objects by source path, with their bytes.
    async fn holds(&self, bucket: &str, files: usize) -> Result<()> {
        let mut content = BTreeMap::new();
        for object in self.api.objects(bucket).await? {
            let bytes = self
                .api
                .content(bucket, text(&object, "object_id")?)
                .await?;
            let path = text(&object, "source_path")?.to_owned();
            ensure!(
                content.insert(path, bytes).is_none(),
                "two objects of one file: {object}"
            );
        }
        let file = |number| {
            let bytes = format!("crate {number}").into_bytes();
            (format!("{SOURCE}/{number:03}"), bytes)
        };
        assert_eq!(content, (0..files).map(file).collect());
        Ok(())
    }
}

#[tokio::test]
async fn a_role_that_demands_the_issued_id_is_tried_without_it_and_then_synced_under() -> Result<()>
{
    let Some(harbour) = Harbour::new(5).await? else {
        return Ok(());
    };
    harbour.trusts(&harbour.issued).await?;
    let connection = harbour.connect(&harbour.issued).await?.ok()?;
    let tries = harbour.tries().await?;
    let statuses: Vec<u64> = tries.iter().map(|(_, status)| *status).collect();
    assert_eq!(statuses, [200, 403, 403]);
    assert_eq!(tries[..2], [harbour.issued(200), (None, 403)]);
    let random = tries[2].0.as_ref().context("a random id")?;
    assert!(random.starts_with("wharf-") && *random != harbour.issued);

    harbour.lab.clear_journal().await?;
    let bucket = harbour.api.create_bucket("quay").await?;
    let sync = harbour
        .api
        .create_sync(&bucket, text(&connection, "connection_id")?, SOURCE)
        .await?;
    harbour.api.synced(&bucket, &sync).await?;
    harbour.holds(&bucket, 5).await?;
    let own = harbour.lab.keys().id;
    for entry in harbour.lab.journal().await? {
        let to_store = entry["bucket"] == SOURCE;
        let signer = text(&entry, "access_key_id")?;
        assert!(!to_store || signer.starts_with("ASIA"), "{entry}");
        assert!(
            to_store || signer == own || signer.starts_with("ASIA"),
            "{entry}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_id_that_was_not_issued_is_refused_before_anything_is_asked() -> Result<()> {
    let Some(harbour) = Harbour::new(1).await? else {
        return Ok(());
    };
    harbour.trusts("of-another-organization").await?;
    let never_issued = format!("wharf-{}", "0".repeat(32));
    for id in ["of-another-organization", &never_issued] {
        let refusal = harbour.connect(id).await?.refused(422)?;
        let text = refusal.to_string();
        assert!(text.contains("not_issued"), "{text}");
        assert!(
            text.contains("provider_config.credentials.external_id"),
            "{text}"
        );
        assert!(!text.contains(id), "{text}");
    }
    assert_eq!(harbour.lab.journal().await?, [] as [Value; 0]);
    Ok(())
}

#[tokio::test]
async fn a_role_that_demands_another_id_is_refused_with_what_its_policy_must_say() -> Result<()> {
    let Some(harbour) = Harbour::new(1).await? else {
        return Ok(());
    };
    harbour.trusts("of-another-organization").await?;
    let refusal = harbour.connect(&harbour.issued).await?.refused(422)?;
    assert_eq!(refusal["code"], "connection_test_failed", "{refusal}");
    let details = &refusal["details"];
    assert_eq!(
        details["error_code"], "auth.assume_role_denied",
        "{refusal}"
    );
    assert!(refusal.to_string().contains("sts:ExternalId"), "{refusal}");
    assert_eq!(harbour.tries().await?, [harbour.issued(403)]);
    Ok(())
}

#[tokio::test]
async fn a_role_that_anyone_may_assume_is_refused_and_its_session_is_never_used() -> Result<()> {
    let Some(harbour) = Harbour::new(1).await? else {
        return Ok(());
    };
    let role = json!({"arn": READER, "trusting_anyone": true});
    harbour.lab.add_role(role).await?;
    let refusal = harbour.connect(&harbour.issued).await?.refused(422)?;
    assert_eq!(refusal["code"], "connection_test_failed", "{refusal}");
    assert_eq!(
        refusal["details"]["error_code"], "auth.role_trusts_without_external_id",
        "{refusal}"
    );
    assert!(refusal.to_string().contains("sts:ExternalId"), "{refusal}");
    assert_eq!(harbour.tries().await?, [harbour.issued(200), (None, 200)]);
    for entry in harbour.lab.journal().await? {
        assert_eq!(entry["operation"], "assume_role", "{entry}");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_of_a_run_is_replaced_and_nobody_notices() -> Result<()> {
    const FILES: usize = 160;
    let Some(harbour) = Harbour::new(FILES).await? else {
        return Ok(());
    };
    let role = json!({"arn": READER, "external_id": harbour.issued, "session_seconds": 3});
    harbour.lab.add_role(role).await?;
    let connection = harbour.connect(&harbour.issued).await?.ok()?;
    let bucket = harbour.api.create_bucket("quay").await?;
    harbour.lab.slow_down(500).await?;
    harbour.lab.clear_journal().await?;
    let started = Instant::now();
    let sync = harbour
        .api
        .create_sync(&bucket, text(&connection, "connection_id")?, SOURCE)
        .await?;
    let jobs = harbour.api.synced(&bucket, &sync).await?;
    let took = started.elapsed();
    ensure!(took > Duration::from_secs(7), "ended after {took:?}");
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["files_failed"], 0, "{}", jobs[0]);
    assert_eq!(jobs[0]["progress"]["synced"], FILES, "{}", jobs[0]);

    let journal = harbour.lab.journal().await?;
    let fetches = journal
        .iter()
        .filter(|entry| entry["operation"] == "get_object");
    let mut by_session: Vec<(String, usize)> = Vec::new();
    let mut sessions = BTreeSet::new();
    for fetch in fetches.clone() {
        ensure!(
            fetch["status"] == 200 || fetch["status"] == 206,
            "a fetch was refused: {fetch}"
        );
        let session = text(fetch, "access_key_id")?.to_owned();
        assert!(session.starts_with("ASIA"), "{fetch}");
        sessions.insert(session.clone());
        match by_session.iter_mut().find(|(known, _)| *known == session) {
            Some((_, fetches)) => *fetches += 1,
            None => by_session.push((session, 1)),
        }
    }
    for (number, (_, fetches)) in by_session.iter().enumerate() {
        eprintln!("session {number}: {fetches} files fetched");
    }
    let tries = harbour.tries().await?;
    let begun = tries
        .iter()
        .filter(|tried| **tried == harbour.issued(200))
        .count();
    ensure!(
        sessions.len() >= 3,
        "{} sessions in {took:?}",
        sessions.len()
    );
    ensure!(
        begun <= sessions.len() + 1,
        "{begun} sessions begun, {} used",
        sessions.len()
    );
    // The last byte of each is asked for once; the test of the path asks for one byte of one.
    let whole = fetches.filter(|entry| entry["range"] != "bytes=0-0");
    let mut times_each = BTreeMap::new();
    for entry in whole {
        *times_each
            .entry(text(entry, "key")?.to_owned())
            .or_insert(0) += 1;
    }
    assert_eq!(times_each.len(), FILES);
    assert!(
        times_each.values().all(|times| *times == 1),
        "{times_each:?}"
    );
    harbour.holds(&bucket, FILES).await
}

fn temporary(keys: &Keys) -> Value {
    json!({
        "type": "access_key",
        "access_key_id": keys.id,
        "secret_access_key": keys.secret,
        "session_token": keys.token,
    })
}

#[tokio::test]
async fn a_new_session_that_a_person_enters_ends_what_an_expired_one_broke_off() -> Result<()> {
    const FILES: usize = 40;
    let Some(harbour) = Harbour::new(FILES).await? else {
        return Ok(());
    };
    let role = json!({"arn": READER, "trusting_anyone": true});
    harbour.lab.add_role(role).await?;
    let first = harbour.lab.begin_session(READER).await?;
    let config = |keys: &Keys| {
        json!({
            "provider_type": "s3",
            "endpoint_url": harbour.lab.url(),
            "credentials": temporary(keys),
        })
    };
    let connection = harbour.api.connect("quay", config(&first), true).await?;
    let bucket = harbour.api.create_bucket("quay").await?;
    let pages =
        json!({"match": {"operation": "list_objects"}, "action": {"listing": {"short_pages": 5}}});
    let slow = json!({"match": {"operation": "get_object"}, "action": {"delay_ms": 200}});
    harbour.lab.misbehave(&[pages, slow]).await?;
    let sync = harbour
        .api
        .create_sync(&bucket, &connection, SOURCE)
        .await?;
    let deadline = Instant::now() + Duration::from_mins(1);
    while harbour.api.objects(&bucket).await?.is_empty() {
        ensure!(Instant::now() < deadline, "nothing was published");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    harbour.lab.end_sessions().await?;
    let job = loop {
        let jobs = harbour.api.jobs(&bucket, &sync).await?;
        if jobs[0]["status"] != "running" {
            break jobs[0].clone();
        }
        ensure!(Instant::now() < deadline, "no job has ended: {jobs:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(job["status"], "failed", "{job}");
    ensure!(text(&job, "error")?.contains("auth.expired"), "{job}");
    let published = harbour.api.objects(&bucket).await?.len();
    ensure!(0 < published && published < FILES, "{published} published");

    harbour.lab.speed_up().await?;
    let path = format!("{CONNECTIONS}/{connection}");
    let second = harbour.lab.begin_session(READER).await?;
    assert_ne!(first, second);
    let renewed = json!({"provider_config": config(&second)});
    harbour.api.patch(&path, &renewed).await?.ok()?;
    let test = format!("{path}/test");
    let tested = harbour.api.post(&test, &json!({})).await?.ok()?;
    assert_eq!(tested["success"], true, "{tested}");
    harbour.lab.clear_journal().await?;
    let job = harbour.api.run_again(&bucket, &sync).await?;
    assert_eq!(job["progress"]["synced"], FILES - published, "{job}");
    assert_eq!(job["progress"]["deleted"], 0, "{job}");
    let fetched = harbour.lab.fetched().await?;
    assert_eq!(fetched.len(), FILES - published, "{fetched:?}");
    for entry in harbour.lab.journal().await? {
        assert_eq!(entry["access_key_id"], second.id.as_str(), "{entry}");
    }
    harbour.holds(&bucket, FILES).await
}
