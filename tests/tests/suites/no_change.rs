//! A pass over a source where nothing has changed: what it holds in memory, writes and asks, however many objects there are.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wharf_tests::{Installation, Lab, Store, text, variable_or};

const SOURCE: &str = "warehouse";
/// How many objects, and ten times as many. `cargo xtask prove` asks for more.
const FEW: u64 = 20_000;
/// What ten times the objects may take more.
const MORE_KIB: u64 = 10 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_change_pass_takes_no_more_memory_for_ten_times_the_objects_on_sqlite() -> Result<()> {
    takes_no_more_memory(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_change_pass_takes_no_more_memory_for_ten_times_the_objects_on_postgres() -> Result<()>
{
    takes_no_more_memory(Store::Postgres).await
}

async fn takes_no_more_memory(store: Store) -> Result<()> {
    let few: u64 = variable_or("WHARF_PROVE_OBJECTS", FEW)?;
    let (Some(small), Some(large)) = (
        no_change(store, few).await?,
        no_change(store, few * 10).await?,
    ) else {
        return Ok(());
    };
    ensure!(
        large.peak_kib <= small.peak_kib + MORE_KIB,
        "{} KiB for {} objects, {} KiB for {few}",
        large.peak_kib,
        few * 10,
        small.peak_kib,
    );
    Ok(())
}

struct Seen {
    peak_kib: u64,
}

async fn no_change(store: Store, objects: u64) -> Result<Option<Seen>> {
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(None);
    };
    wharf.set("WHARF_SYNC__WORKERS", "1");
    let server = wharf.start().await?;
    let api = server.api()?;
    // Empty objects have one version, so that the catalogue can be filled without copying each.
    lab.put(SOURCE, &[json!({"key": "pile/000000.bin", "text": ""})])
        .await?;
    let connection = api.connect_to(&lab, "warehouse").await?;
    let bucket = api.create_bucket("warehouse").await?;
    let sync = json!({
        "connection_id": connection,
        "source_path": SOURCE,
        "polling_interval_seconds": 86_400,
        "max_objects_per_run": 100_000_000,
    });
    let sync = api
        .post(&format!("/v1/buckets/{bucket}/syncs"), &sync)
        .await?
        .ok()?;
    let sync = text(&sync, "sync_config_id")?.to_owned();
    api.synced(&bucket, &sync).await?;
    drop(server);
    lab.fill(SOURCE, "pile/", objects).await?;
    let database = wharf.database_to_change().await?;
    database.multiply_first_object(objects).await?;
    database.count_writes().await?;

    let server = wharf.start().await?;
    let api = server.api()?;
    lab.clear_journal().await?;
    let idle = server.peak_memory_kib()?;
    let job = api.run_again(&bucket, &sync).await?;
    let peak_kib = server.peak_memory_kib()?;
    ensure!(
        job["progress"]["verified"] == objects && job["metadata"]["complete"] == true,
        "the pass: {job}"
    );
    let mut asked = BTreeMap::new();
    for entry in lab.journal().await? {
        let operation = entry["operation"]
            .as_str()
            .context("an operation")?
            .to_owned();
        *asked.entry(operation).or_insert(0u64) += 1;
    }
    let writes = database.writes().await?;
    eprintln!(
        "{store:?}, {objects} objects: peak {peak_kib} KiB ({idle} KiB before), {writes} rows of catalogue, objects and dead \
         letters written, asked {asked:?}, {}",
        job["throughput_files_per_min"],
    );
    ensure!(writes == 0, "{writes} rows were written");
    let pages = objects.div_ceil(1000);
    ensure!(
        asked.keys().eq(["list_objects"]) && asked["list_objects"] <= pages + 1,
        "asked for {asked:?} in {pages} pages"
    );
    Ok(Some(Seen { peak_kib }))
}
