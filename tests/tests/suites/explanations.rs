//! Why a file is, or is not, in the bucket; and what a sync would do, beside what it then does.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Api, Installation, Lab, Store, text};

const SOURCE: &str = "library";

/// A sync with filters over files of every kind.
fn sync(connection: &str) -> Value {
    json!({
        "connection_id": connection,
        "source_path": "library/shelf",
        "polling_interval_seconds": 86_400,
        "max_objects_per_run": 12,
        "file_filters": {
            "exclude_patterns": ["*.tmp", "drafts/**"],
            "max_size_bytes": 10_000,
            "mime_types": ["text/*"],
        },
    })
}

fn books() -> Vec<Value> {
    let mut books: Vec<Value> = (0..8)
        .map(|number| {
            json!({"key": format!("shelf/a/{number:02}.txt"), "text": format!("book {number}"), "content_type": "text/plain"})
        })
        .collect();
    books.extend([
        json!({"key": "shelf/b/notes.tmp", "text": "t", "content_type": "text/plain"}),
        json!({"key": "shelf/drafts/one/first.txt", "text": "t", "content_type": "text/plain"}),
        json!({"key": "shelf/e/large.txt", "size": 20_000, "content_type": "text/plain"}),
        json!({"key": "shelf/f/picture.png", "text": "p", "content_type": "image/png"}),
        json!({"key": "shelf/g/locked.txt", "text": "locked", "content_type": "text/plain"}),
        json!({"key": "shelf/h/frozen.txt", "text": "cold", "content_type": "text/plain", "storage_class": "GLACIER"}),
        json!({"key": "shelf/z/last.txt", "text": "last", "content_type": "text/plain"}),
        json!({"key": "elsewhere/b.txt", "text": "b", "content_type": "text/plain"}),
    ]);
    books
}

struct Library {
    api: Api,
    bucket: String,
}

impl Library {
    async fn explain(&self, sync: &str, source: &str) -> Result<Value> {
        let path = format!(
            "/v1/buckets/{}/syncs/{sync}/explain?source={}",
            self.bucket,
            source.replace('/', "%2F")
        );
        let explanation = self.api.get(&path).await?.ok()?;
        eprintln!("explain {source}: {explanation}");
        Ok(explanation)
    }

    async fn decided(&self, sync: &str, source: &str, decision: &str) -> Result<Value> {
        let explanation = self.explain(sync, source).await?;
        assert_eq!(explanation["decision"], decision, "{source}: {explanation}");
        ensure!(
            !text(&explanation, "message")?.is_empty(),
            "no message: {explanation}"
        );
        Ok(explanation)
    }
}

#[tokio::test]
async fn a_file_of_every_kind_is_explained() -> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let api = server.api()?;
    lab.put(SOURCE, &books()).await?;
    let connection = api.connect_to(&lab, "library").await?;
    let bucket = api.create_bucket("library").await?;
    let created = api
        .post(&format!("/v1/buckets/{bucket}/syncs"), &sync(&connection))
        .await?
        .ok()?;
    let id = text(&created, "sync_config_id")?.to_owned();
    let keys = lab.keys();
    let denied = json!({
        "access_key_id": keys.id,
        "secret_access_key": keys.secret,
        "denials": [
            {"action": "s3:GetObject", "resource": "library/shelf/g/*"},
        ],
    });
    lab.accept(&denied).await?;
    let job = api.synced(&bucket, &id).await?.remove(0);
    eprintln!("the run: {} {}", job["progress"], job["metadata"]);
    assert_eq!(
        job["metadata"]["incomplete_reason"], "max_objects_per_run",
        "{job}"
    );

    let library = Library { api, bucket };
    let over = library
        .decided(&id, "library/shelf/z/last.txt", "over_cap")
        .await?;
    ensure!(over["evidence"].is_object(), "no evidence: {over}");
    // The cap is a run's: two more come to the end.
    library.api.run_again(&library.bucket, &id).await?;
    library.api.run_again(&library.bucket, &id).await?;
    for _ in 0..6 {
        library.api.run_again(&library.bucket, &id).await?;
    }

    let ingested = library
        .decided(&id, "library/shelf/a/00.txt", "ingested")
        .await?;
    text(&ingested, "object_id")?;
    text(&ingested, "sync_job_id")?;
    for (file, rule) in [
        ("library/shelf/b/notes.tmp", "exclude_patterns"),
        ("library/shelf/drafts/one/first.txt", "exclude_patterns"),
        ("library/shelf/e/large.txt", "max_size_bytes"),
        ("library/shelf/f/picture.png", "mime_types"),
    ] {
        let filtered = library.decided(&id, file, "filtered").await?;
        ensure!(
            filtered["evidence"].to_string().contains(rule),
            "{rule} is not named: {filtered}"
        );
    }
    let dead = library
        .decided(&id, "library/shelf/g/locked.txt", "dead_letter")
        .await?;
    text(&dead, "dlq_id")?;
    library
        .decided(&id, "library/shelf/h/frozen.txt", "skipped")
        .await?;
    library
        .decided(&id, "library/elsewhere/b.txt", "out_of_scope")
        .await?;
    library
        .decided(&id, "library/shelf/nowhere.txt", "not_visible")
        .await?;

    // Another sync shares what the first one brought.
    let second = json!({
        "connection_id": connection,
        "source_path": "library/shelf/a",
        "polling_interval_seconds": 86_400,
    });
    let second = library
        .api
        .post(&format!("/v1/buckets/{}/syncs", library.bucket), &second)
        .await?
        .ok()?;
    let second = text(&second, "sync_config_id")?.to_owned();
    let job = library
        .api
        .synced(&library.bucket, &second)
        .await?
        .remove(0);
    assert_eq!(job["metadata"]["skipped_by"]["duplicate"], 8, "{job}");
    let duplicate = library
        .decided(&second, "library/shelf/a/01.txt", "duplicate")
        .await?;
    ensure!(
        duplicate["evidence"].to_string().contains(&id),
        "the first sync is not named: {duplicate}"
    );

    // New, and no run has been there yet.
    lab.put(
        SOURCE,
        &[json!({"key": "shelf/a/new.txt", "text": "new", "content_type": "text/plain"})],
    )
    .await?;
    library
        .decided(&id, "library/shelf/a/new.txt", "not_reached")
        .await?;
    // A person's wish.
    let object = text(&ingested, "object_id")?;
    let path = format!("/v1/buckets/{}/objects/{object}", library.bucket);
    let deleted = library.api.delete(&path).await?;
    ensure!((200..300).contains(&deleted.status), "{}", deleted.text());
    library
        .decided(&id, "library/shelf/a/00.txt", "deleted")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_plan_tells_what_the_run_then_does() -> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let api = server.api()?;
    let mut books = books();
    // Whether an archived object can be read is told when it is opened, not by the listing.
    books.retain(|book| book["storage_class"].is_null());
    books.extend((0..300).map(|number| {
        json!({"key": format!("shelf/m/{number:03}.md"), "size": number * 40, "content_type": "text/markdown"})
    }));
    lab.put(SOURCE, &books).await?;
    let connection = api.connect_to(&lab, "library").await?;
    let bucket = api.create_bucket("library").await?;
    let mut order = sync(&connection);
    order["max_objects_per_run"] = json!(100_000);
    let planned = api
        .post(&format!("/v1/buckets/{bucket}/syncs/plan"), &order)
        .await?
        .ok()?;
    eprintln!("plan before the sync: {planned}");
    let syncs = api
        .list(&format!("/v1/buckets/{bucket}/syncs/list"))
        .await?;
    ensure!(syncs.is_empty(), "a plan left a sync");
    let created = api
        .post(&format!("/v1/buckets/{bucket}/syncs"), &order)
        .await?
        .ok()?;
    let id = text(&created, "sync_config_id")?.to_owned();
    let job = api.synced(&bucket, &id).await?.remove(0);
    eprintln!(
        "the run that followed: {} {}",
        job["progress"], job["metadata"]
    );
    assert_eq!(planned["complete"], true, "{planned}");
    assert_eq!(planned["entries"], job["progress"]["discovered"]);
    assert_eq!(planned["would_add"], job["progress"]["synced"]);
    for rule in ["exclude_patterns", "max_size_bytes"] {
        assert_eq!(
            planned["filtered_by"][rule], job["metadata"]["filtered_by"][rule],
            "{rule}"
        );
    }

    // Some are changed, some gone, one is new.
    for number in 0..5 {
        lab.delete(SOURCE, &format!("shelf/m/{number:03}.md"))
            .await?;
    }
    let text_of =
        |key: &str| json!({"key": key, "text": "changed", "content_type": "text/markdown"});
    lab.put(
        SOURCE,
        &[
            text_of("shelf/m/100.md"),
            text_of("shelf/m/101.md"),
            text_of("shelf/n.md"),
        ],
    )
    .await?;
    let before = api.objects(&bucket).await?;
    let path = format!("/v1/buckets/{bucket}/syncs/{id}/plan");
    let planned = api.ask(Method::POST, &path, None).await?.ok()?;
    eprintln!("plan of the sync: {planned}");
    assert_eq!(
        api.objects(&bucket).await?,
        before,
        "a plan changed the bucket"
    );
    assert_eq!(
        (
            &planned["would_add"],
            &planned["would_update"],
            &planned["would_delete"]
        ),
        (&json!(1), &json!(2), &json!(5)),
        "{planned}"
    );
    let job = api.run_again(&bucket, &id).await?;
    eprintln!(
        "the run that followed: {} {}",
        job["progress"], job["metadata"]
    );
    assert_eq!(job["progress"]["synced"], 3, "{job}");
    assert_eq!(job["progress"]["deleted"], 5, "{job}");
    assert_eq!(planned["unchanged"], job["progress"]["verified"]);
    let low = planned["estimated_seconds"]["low"]
        .as_f64()
        .context("low")?;
    let high = planned["estimated_seconds"]["high"]
        .as_f64()
        .context("high")?;
    ensure!(low <= high, "{planned}");
    Ok(())
}
