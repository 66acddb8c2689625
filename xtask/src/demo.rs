//! `demo`: the newcomer's first command. A lab with sample files, a server on its embedded
//! defaults, one connection and one sync per provider, and a table of what arrived.
//!
//! Everything lives in a temporary folder and on loopback, and is gone when the demo ends.

mod api;

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{self, Background};
use crate::workspace::Workspace;

use self::api::Api;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// End after the table instead of staying up
    #[arg(long)]
    once: bool,
}

/// The lab's only account; it opens nothing but the lab.
const ACCESS_KEY_ID: &str = "demo-access-key";
const SECRET_ACCESS_KEY: &str = "demo-secret-access-key";

/// Who reads the lab's shared drive.
const GOOGLE_ACCOUNT: &str = "wharf-demo@demo-project.iam.gserviceaccount.com";

const USUAL_ADDRESS: &str = "127.0.0.1:8080";
const ANY_FREE_ADDRESS: &str = "127.0.0.1:0";
const STARTUP: Duration = Duration::from_mins(1);
/// A server drains for 25 s at most.
const GRACE: Duration = Duration::from_secs(28);
const SYNC: Duration = Duration::from_mins(1);

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    workspace.build_programs()?;
    let folder = tempfile::Builder::new().prefix("wharf-demo-").tempdir()?;
    let result = show(workspace, options, folder.path());
    if result.is_err() && !process::interrupted() {
        for name in ["lab", "server"] {
            print_tail(name, &folder.path().join(name));
        }
    }
    result
}

fn show(workspace: &Workspace, options: &Options, folder: &Path) -> Result<()> {
    let begin = Instant::now();
    let mut lab = lab(workspace, folder)?;
    let lab_url = lab.announced("lab listening on ", STARTUP)?;
    let google_url = lab.announced("google listening on ", STARTUP)?;
    let mut server = server(workspace, options, folder, &google_url)?;
    let url = server.announced("listening on ", STARTUP)?;

    let key_file = folder.join("data/admin.key");
    let key = fs::read_to_string(&key_file).context("the server wrote no admin key")?;
    let api = Api::new(&url, key.trim());

    let mut table = Table::new([
        "provider",
        "connection",
        "check",
        "files",
        "bytes",
        "verified",
    ]);
    for provider in providers(&lab_url, api::google_drive(&google_url, GOOGLE_ACCOUNT)?) {
        let row = provider
            .travel(&api)
            .with_context(|| format!("the demo of {} failed", provider.kind))?;
        table.rows.push(row);
    }
    println!("\n{}", table.text());
    println!(
        "from start to table in {:.1} s\n",
        begin.elapsed().as_secs_f64()
    );
    if options.once {
        return Ok(());
    }

    println!("API      {url}");
    println!("OpenAPI  {url}/openapi.json");
    println!("try      curl -s -X POST {url}/v1/organizations/connections/list \\");
    println!(
        "           -H \"Authorization: Bearer $(cat {})\"",
        key_file.display()
    );
    println!("Ctrl-C ends the demo and deletes its data.");
    while process::pause().is_ok() {
        lab.ensure_alive()?;
        server.ensure_alive()?;
    }
    println!();
    Ok(())
}

fn lab(workspace: &Workspace, folder: &Path) -> Result<Background> {
    let mut command = bare(workspace, "wharf-lab");
    command
        .args(["--listen", ANY_FREE_ADDRESS, "--sample"])
        .args([
            "--access-key-id",
            ACCESS_KEY_ID,
            "--secret-access-key",
            SECRET_ACCESS_KEY,
        ])
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("lab"))?);
    Background::start("wharf-lab", &mut command, Signal::TERM, GRACE)
}

fn server(
    workspace: &Workspace,
    options: &Options,
    folder: &Path,
    google_url: &str,
) -> Result<Background> {
    let usual = !options.once && TcpListener::bind(USUAL_ADDRESS).is_ok();
    let mut command = bare(workspace, "wharf");
    command
        .arg("serve")
        .env(
            "WHARF_LISTEN",
            if usual {
                USUAL_ADDRESS
            } else {
                ANY_FREE_ADDRESS
            },
        )
        .env("WHARF_DATA_DIR", folder.join("data"))
        .env("WHARF_EGRESS__ALLOW_LOOPBACK", "true")
        .env("WHARF_PROVIDERS__GOOGLE__API_URL", google_url)
        .env(
            "WHARF_PROVIDERS__GOOGLE__TOKEN_URL",
            format!("{google_url}/token"),
        )
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("server"))?);
    Background::start("wharf serve", &mut command, Signal::TERM, GRACE)
}

/// One of our programs, untouched by the caller's own configuration of Wharf.
fn bare(workspace: &Workspace, program: &str) -> Command {
    let mut command = Command::new(workspace.program(program));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("WHARF_")) {
            command.env_remove(name);
        }
    }
    command
}

/// What is shown of a provider: a connection, and a sync of a bucket of the lab.
struct Provider {
    kind: &'static str,
    source_path: &'static str,
    config: Value,
}

fn providers(lab_url: &str, google_drive: Value) -> [Provider; 3] {
    let credentials = json!({
        "type": "access_key",
        "access_key_id": ACCESS_KEY_ID,
        "secret_access_key": SECRET_ACCESS_KEY,
    });
    [
        Provider {
            kind: "s3",
            source_path: "demo-media",
            config: json!({
                "credentials": credentials, "endpoint_url": lab_url, "use_ssl": false,
            }),
        },
        Provider {
            kind: "tigris",
            source_path: "demo-tigris",
            config: json!({ "credentials": credentials, "endpoint_url": lab_url }),
        },
        Provider {
            kind: "google_drive",
            source_path: "/",
            config: google_drive,
        },
    ]
}

impl Provider {
    /// Connects, tests, syncs and compares; the row of the table.
    fn travel(&self, api: &Api) -> Result<[String; 6]> {
        let name = format!("demo {}", self.kind);
        let connection = api.post(
            "/v1/organizations/connections",
            &json!({
                "name": name, "provider_type": self.kind, "provider_config": self.config,
            }),
        )?;
        let connection = text(&connection, "connection_id")?;
        let path = self.source_path;
        let test = format!("/v1/organizations/connections/{connection}/test?source_path={path}");
        let check = passed_checks(&api.post(&test, &json!({}))?)?;

        let bucket = api.post(
            "/v1/buckets",
            &json!({
                "bucket_name": format!("demo-{}", self.kind), "bucket_schema": {"properties": {}},
            }),
        )?;
        let bucket = text(&bucket, "bucket_id")?;
        let syncs = format!("/v1/buckets/{bucket}/syncs");
        let sync = api.post(
            &syncs,
            &json!({
                "connection_id": connection, "source_path": self.source_path,
                "sync_mode": "initial_only",
            }),
        )?;
        let sync = text(&sync, "sync_config_id")?;
        wait_for_job(api, &format!("{syncs}/{sync}/jobs"))?;

        let objects = api.list(&format!("/v1/buckets/{bucket}/objects/list"))?;
        ensure!(!objects.is_empty(), "no object arrived");
        let mut bytes = 0;
        for object in &objects {
            bytes += verify(api, bucket, object)?;
        }
        let files = objects.len().to_string();
        let verified = format!("{files} of {files}");
        Ok([
            self.kind.to_owned(),
            name,
            check,
            files,
            bytes.to_string(),
            verified,
        ])
    }
}

/// A test's outcome in a few words, of the checks that were made; a failed one is an error.
fn passed_checks(report: &Value) -> Result<String> {
    ensure!(
        report["success"] == true,
        "the connection's test failed: {report}"
    );
    let checks = report["details"]["checks"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let count = |outcome: &str| {
        let with = checks.iter().filter(|check| check["outcome"] == outcome);
        with.count()
    };
    let made = checks.len() - count("skipped");
    Ok(format!("{} of {made} passed", count("passed")))
}

fn wait_for_job(api: &Api, jobs: &str) -> Result<()> {
    let deadline = Instant::now() + SYNC;
    loop {
        let listed = api.list(jobs)?;
        for job in &listed {
            match job["status"].as_str() {
                Some("completed") => {
                    ensure!(job["files_failed"] == 0, "files failed: {job}");
                    return Ok(());
                }
                Some("failed" | "interrupted") => bail!("the job failed: {job}"),
                _ => {}
            }
        }
        ensure!(
            Instant::now() < deadline,
            "no job completed in time: {}",
            Value::Array(listed)
        );
        process::pause()?;
    }
}

/// Downloads an object and compares it with what the server says of it; its size.
fn verify(api: &Api, bucket: &str, object: &Value) -> Result<u64> {
    let id = text(object, "object_id")?;
    let content = api.download(&format!("/v1/buckets/{bucket}/objects/{id}/content"))?;
    ensure!(
        object["size_bytes"] == content.bytes,
        "{id} has another size: {object}"
    );
    ensure!(
        object["content_sha256"] == content.sha256.as_str(),
        "{id} has other bytes: {object}"
    );
    Ok(content.bytes)
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str> {
    value[field]
        .as_str()
        .with_context(|| format!("the answer has no {field}: {value}"))
}

struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(head: [&str; N]) -> Self {
        Self {
            rows: vec![head.map(str::to_owned)],
        }
    }

    fn text(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        let line = |row: &[String; N]| {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join(" | ").trim_end().to_owned()
        };
        let mut lines: Vec<_> = self.rows.iter().map(line).collect();
        lines.insert(1, widths.map(|width| "-".repeat(width)).join("-+-"));
        lines.join("\n")
    }
}

fn print_tail(name: &str, log: &Path) {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    println!("\nthe end of the {name}'s log:");
    for line in lines.iter().skip(lines.len().saturating_sub(40)) {
        println!("  {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["provider", "files"]);
        table.rows.push(["s3".to_owned(), "1000000".to_owned()]);
        let expected = "provider | files\n---------+--------\ns3       | 1000000";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn a_failed_test_of_a_connection_is_an_error_that_shows_the_report() {
        let report = json!({"success": false, "message": "refused", "details": {"checks": []}});
        assert!(
            passed_checks(&report)
                .unwrap_err()
                .to_string()
                .contains("refused")
        );
        let report = json!({"success": true, "details": {"checks": [
            {"outcome": "passed"}, {"outcome": "skipped"}, {"outcome": "inconclusive"},
        ]}});
        assert_eq!(passed_checks(&report).unwrap(), "1 of 2 passed");
    }
}
