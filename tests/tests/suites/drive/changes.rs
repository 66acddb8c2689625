//! What a second run of a large shared drive asks for, and what it makes of 300 changes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Google, Store, text};

use super::beside_google;

const FILES: usize = 5_000;
const FOLDERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_asks_for_what_changed_on_sqlite() -> Result<()> {
    a_second_run_asks_for_what_changed(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_asks_for_what_changed_on_postgres() -> Result<()> {
    a_second_run_asks_for_what_changed(Store::Postgres).await
}

async fn a_second_run_asks_for_what_changed(store: Store) -> Result<()> {
    let Some((wharf, lab)) = beside_google(store).await? else {
        return Ok(());
    };
    let google = lab.google();
    let quay = google.quay("reader", FILES, FOLDERS).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect("quay", quay.config, true).await?;
    let bucket = api.create_bucket("quay").await?;
    let sync = api.create_sync(&bucket, &connection, "/").await?;
    google.clear_journal().await?;
    let jobs = api.synced(&bucket, &sync).await?;
    assert_eq!(jobs[0]["progress"]["synced"], FILES, "{}", jobs[0]);
    eprintln!("first run: {:?}", google.asked().await?);

    google.clear_journal().await?;
    let idle = api.run_again(&bucket, &sync).await?;
    assert_eq!(idle["progress"]["discovered"], 0, "{idle}");
    let asked = google.asked().await?;
    eprintln!("nothing changed: {asked:?}");
    // Where the feed goes on, and whether drive and folder are there still.
    assert_eq!(asked.get("drive_changes_list"), Some(&1), "{asked:?}");
    ensure!(
        asked.values().sum::<usize>() <= 3,
        "what a run asks for when nothing has changed: {asked:?}"
    );

    let expected = change(google).await?;
    google.clear_journal().await?;
    let job = api.run_again(&bucket, &sync).await?;
    let asked = google.asked().await?;
    eprintln!("300 changes: {asked:?}; {}", job["progress"]);
    let progress = &job["progress"];
    assert_eq!(progress["synced"], expected.fetched, "{job}");
    assert_eq!(progress["deleted"], expected.trashed, "{job}");
    let listing: usize = asked
        .iter()
        .filter(|(operation, _)| !operation.contains("media"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(
        asked.get("drive_files_media").copied().unwrap_or_default(),
        expected.fetched,
        "only what has new bytes is fetched: {asked:?}"
    );
    ensure!(
        listing <= 20,
        "more than twenty questions beside the bytes: {asked:?}"
    );
    equal_to_the_source(google, &api.objects(&bucket).await?).await
}

/// What 300 changes must come to.
struct Expected {
    fetched: usize,
    trashed: usize,
}

/// 120 modified, 60 new, 60 trashed, 40 renamed, 19 moved, and one folder renamed.
async fn change(google: &Google) -> Result<Expected> {
    let files = google.files().await?;
    let is_folder = |file: &&Value| file["mime_type"] == "application/vnd.google-apps.folder";
    let id = |file: &Value| Ok::<_, anyhow::Error>(text(file, "id")?.to_owned());
    let folders: Vec<String> = files
        .iter()
        .filter(is_folder)
        .map(id)
        .collect::<Result<_>>()?;
    let blobs: Vec<String> = files
        .iter()
        .filter(|file| !is_folder(file))
        .map(id)
        .collect::<Result<_>>()?;
    let folder = |number: usize| &folders[number % folders.len()];
    let mut mutations = Vec::new();
    for (number, file) in blobs.iter().step_by(20).take(239).enumerate() {
        mutations.push(match number {
            0..120 => json!({"op": "modify", "file": file, "text": format!("new {number}")}),
            120..180 => json!({"op": "trash", "file": file}),
            180..220 => {
                json!({"op": "rename", "file": file, "name": format!("renamed-{number}.bin")})
            }
            _ => json!({"op": "move", "file": file, "to": folder(number)}),
        });
    }
    for number in 0..60 {
        let item =
            json!({"name": format!("new-{number}.txt"), "text": "new", "inside": folder(number)});
        mutations.push(json!({"op": "create", "item": item}));
    }
    mutations.push(json!({"op": "rename", "file": folder(7), "name": "another name"}));
    assert_eq!(mutations.len(), 300);
    google.mutate(&mutations).await?;
    Ok(Expected {
        fetched: 180,
        trashed: 60,
    })
}

/// Every live file is in the bucket once, with its path and bytes, and nothing else is.
pub(super) async fn equal_to_the_source(google: &Google, objects: &[Value]) -> Result<()> {
    let mut here: BTreeMap<&str, &Value> = BTreeMap::new();
    for object in objects {
        let twice = here.insert(text(object, "source_object_id")?, object);
        ensure!(twice.is_none(), "{object} is there twice");
    }
    for file in google.files().await? {
        if file["trashed"] == true || file["sha256"].is_null() {
            continue;
        }
        let copy = here
            .remove(text(&file, "id")?)
            .with_context(|| format!("{file} is lost"))?;
        ensure!(
            copy["content_sha256"] == file["sha256"] && copy["size_bytes"] == file["size"],
            "{copy} is not {file}"
        );
        let path = text(&file, "path")?;
        let (_, below) = path.split_once('/').context("a path in the drive")?;
        ensure!(
            copy["source_path"] == below,
            "{copy} does not lie at {path}"
        );
    }
    ensure!(here.is_empty(), "left behind: {here:?}");
    Ok(())
}
