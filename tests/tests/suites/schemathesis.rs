//! Schemathesis, unmodified, calls every operation of the served document with requests that fit it and requests that do not,
//! and finds every answer to be as documented.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use wharf_tests::{ADMIN_KEY, Installation, Lab, Server, Store, text, variable, variable_or};

/// Requests per operation in a run of all suites; `xtask prove` asks for more.
const FEW: u32 = 5;

#[tokio::test]
async fn schemathesis_finds_no_answer_of_an_admin_that_the_document_does_not_hold() -> Result<()> {
    every_operation(Caller::Admin).await
}

#[tokio::test]
async fn schemathesis_finds_no_answer_of_a_viewer_that_the_document_does_not_hold() -> Result<()> {
    every_operation(Caller::Viewer).await
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Caller {
    Admin,
    Viewer,
}

async fn every_operation(caller: Caller) -> Result<()> {
    let Some(schemathesis) = variable("WHARF_TEST_SCHEMATHESIS")? else {
        return Ok(());
    };
    let examples: u32 = variable_or("WHARF_PROVE_EXAMPLES", FEW)?;
    let (Some(mut wharf), Some(lab)) =
        (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    // Limits would answer for what lies behind them.
    for limit in ["KEY", "ORGANIZATION"] {
        wharf.set(
            &format!("WHARF_LIMITS__REQUESTS_PER_MINUTE_PER_{limit}"),
            "100000000",
        );
    }
    let server = wharf.start().await?;
    let viewer = belongings(&server, &lab).await?;
    let key = match caller {
        Caller::Admin => ADMIN_KEY,
        Caller::Viewer => &viewer,
    };

    let folder = tempfile::tempdir()?;
    // The configuration's hooks are looked for where the program runs.
    let hooks = "schemathesis_hooks.py";
    fs::copy(crate_folder()?.join(hooks), folder.path().join(hooks))?;
    let output = Command::new(schemathesis)
        .arg("--config-file")
        .arg(crate_folder()?.join("schemathesis.toml"))
        .arg("--no-color")
        .arg("run")
        .arg(format!("{}/openapi.json", server.url()))
        .args(["--workers", "1", "--continue-on-failure"])
        .args(["--max-examples", &examples.to_string()])
        .args(["--header", &format!("Authorization: Bearer {key}")])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("PYTHONUTF8", "1")
        .output()
        .context("schemathesis does not start")?;

    let said = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{caller:?}: {}\n{stderr}",
        tail(&said, 20_000)
    );
    let summary = said
        .split_once(" SUMMARY ")
        .context("it gives no summary")?
        .1;
    eprintln!("{caller:?}, {examples} examples: {summary}");
    Ok(())
}

/// Makes something of every kind, so that requests meet more than absence; the key of somebody who may only read.
async fn belongings(server: &Server, lab: &Lab) -> Result<String> {
    let api = server.api()?;
    lab.put("charts", &[json!({"key": "pier.txt", "text": "A pier."})])
        .await?;
    let connection = api.connect_to(lab, "lab").await?;
    let bucket = api.create_bucket("harbour").await?;
    let sync = api.create_sync(&bucket, &connection, "charts/").await?;
    api.synced(&bucket, &sync).await?;
    let viewer = json!({"email": "viewer@example.com", "user_name": "Viewer", "role": "viewer"});
    let users = "/v1/organizations/users";
    api.post(users, &viewer).await?.ok()?;
    let key = json!({"name": "viewer", "permissions": ["read"]});
    let keys = "/v1/organizations/users/viewer@example.com/api-keys";
    let key = api.post(keys, &key).await?.ok()?;
    Ok(text(&key, "key")?.to_owned())
}

/// The last characters of a text, at most so many.
fn tail(text: &str, most: usize) -> &str {
    let from = text.char_indices().rev().nth(most).map_or(0, |(at, _)| at);
    &text[from..]
}

/// Where this crate lies now. A path from the time of compiling would lead into another clone that shares the target
/// folder.
fn crate_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    folder
        .map(PathBuf::from)
        .context("CARGO_MANIFEST_DIR is not set: run this through cargo")
}
