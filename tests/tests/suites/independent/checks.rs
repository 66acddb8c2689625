//! What a test of a connection with a source path reports of servers that nobody here wrote.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wharf_tests::{Bucket, Installation, Store, text};

/// Every check with its outcome where the store knows all of the protocol. The endpoint is an address without TLS, and
/// no account of AWS'.
const ALL: [(&str, &str); 11] = [
    ("configuration", "passed"),
    ("name_resolution", "skipped"),
    ("connection", "passed"),
    ("tls", "skipped"),
    ("clock", "passed"),
    ("sign_in", "passed"),
    ("identity", "skipped"),
    ("list", "passed"),
    ("read", "passed"),
    ("tags", "passed"),
    ("decrypt", "passed"),
];

/// The report of a test of a path in which there is a file with tags, and of one where nothing lies.
async fn reports(server: &str) -> Result<Option<[Value; 2]>> {
    let (Some(wharf), Some(source)) = (
        Installation::on(Store::Sqlite).await?,
        Bucket::create(server, "checked").await?,
    ) else {
        return Ok(None);
    };
    let said = [
        ("x-amz-meta-tide", "high"),
        ("x-amz-tagging", "berth=north"),
    ];
    source.put("pier/crate", b"oranges", &said).await?;
    let wharf = wharf.start().await?;
    let api = wharf.api()?;
    let id = api
        .connect("checked", source.provider_config(), true)
        .await?;
    let test = async |prefix: &str| -> Result<Value> {
        let path = format!("{}/{prefix}", source.name());
        let path = format!("/v1/organizations/connections/{id}/test?source_path={path}");
        api.post(&path, &json!({})).await?.ok()
    };
    Ok(Some([test("pier/").await?, test("nowhere/").await?]))
}

fn outcomes(report: &Value) -> Result<Vec<(&str, &str)>> {
    let checks = report["details"]["checks"].as_array();
    let checks = checks.with_context(|| format!("there are no checks in {report}"))?;
    let checks = checks
        .iter()
        .map(|check| Ok((text(check, "name")?, text(check, "outcome")?)));
    checks.collect()
}

/// Of the path where nothing lies: that is no failure, but nothing could be tried.
fn assert_nothing_there(report: &Value) -> Result<()> {
    let outcomes = outcomes(report)?;
    assert_eq!(outcomes[..8], ALL[..8], "{report}");
    let untried = ["read", "tags", "decrypt"].map(|name| (name, "inconclusive"));
    assert_eq!(outcomes[8..], untried, "{report}");
    Ok(())
}

#[tokio::test]
async fn seaweedfs_passes_list_read_tags_and_decrypt() -> Result<()> {
    let Some([report, nowhere]) = reports("SEAWEEDFS").await? else {
        return Ok(());
    };
    assert_eq!(outcomes(&report)?, ALL, "{report}");
    assert_eq!(report["success"], true, "{report}");
    assert_nothing_there(&nowhere)
}

#[tokio::test]
async fn moto_passes_list_read_tags_and_decrypt() -> Result<()> {
    let Some([report, nowhere]) = reports("MOTO").await? else {
        return Ok(());
    };
    assert_eq!(outcomes(&report)?, ALL, "{report}");
    assert_eq!(report["success"], true, "{report}");
    assert_nothing_there(&nowhere)
}

#[tokio::test]
async fn rclone_has_no_tags_and_passes_the_rest() -> Result<()> {
    let Some([report, nowhere]) = reports("RCLONE").await? else {
        return Ok(());
    };
    let expected = ALL.map(|(name, outcome)| match name {
        "tags" => (name, "skipped"),
        _ => (name, outcome),
    });
    assert_eq!(outcomes(&report)?, expected, "{report}");
    assert_eq!(report["success"], true, "{report}");
    assert_nothing_there(&nowhere)
}
