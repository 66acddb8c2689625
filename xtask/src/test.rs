//! `test`: sets up what the suites need, then runs every one of them.
//!
//! Nothing is left out silently: a part that cannot be had ends the run with what is missing and
//! how to install it, unless the caller allowed it to be missing.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::machine;
use crate::postgres::{Cluster, Programs};
use crate::process;
use crate::python;
use crate::servers::{self, Server};
use crate::workspace::Workspace;

pub(crate) const NEXTEST: &str = "0.9.143";
const INDEPENDENT: &str = "the suites on independent storage servers";

#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Leave out, and name, the suites whose Postgres, Python or storage servers cannot be had
    #[arg(long)]
    allow_missing: bool,
    /// Arguments for cargo nextest; with any, documentation tests and examples are left out
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    nextest: Vec<OsString>,
}

impl Options {
    /// Only the tests that this filter of nextest lets through, with what they print.
    pub(crate) fn only(filter: &str) -> Self {
        let nextest = ["--success-output", "immediate", "-E", filter];
        Self {
            allow_missing: false,
            nextest: nextest.map(OsString::from).into(),
        }
    }

    /// `--workspace` would win over the packages that the caller names.
    fn names_packages(&self) -> bool {
        self.nextest.iter().any(|argument| {
            let argument = argument.to_string_lossy();
            argument.starts_with("-p") || argument.starts_with("--package")
        })
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    run_with(workspace, options, &[])
}

/// The same with environment variables that make some suites do more.
pub(crate) fn run_with(
    workspace: &Workspace,
    options: &Options,
    variables: &[(&str, String)],
) -> Result<()> {
    let mut parts = Parts {
        allow_missing: options.allow_missing,
        missing: Vec::new(),
    };
    machine::cargo_tool(workspace, "cargo-nextest", NEXTEST)?;
    let programs = parts.take("the suites on Postgres", Programs::find())?;
    let python = parts.take(
        "the suite of the published SDK",
        python::with_sdk(workspace),
    )?;
    let schemathesis = parts.take(
        "the suite of the document",
        python::with_schemathesis(workspace),
    )?;
    let google_client = parts.take(
        "the suite of Google's own client",
        python::with_google_client(workspace),
    )?;
    let nats = parts.take("the suite on NATS", servers::nats(workspace))?;
    let mut servers = Vec::new();
    for start in [Server::seaweedfs, Server::rclone, Server::moto] {
        servers.extend(parts.take(INDEPENDENT, start(workspace))?);
    }
    workspace.build_programs()?;
    let start = |programs: &Programs| parts.take("the suites on Postgres", programs.start());
    let postgres = programs.as_ref().map(start).transpose()?.flatten();

    let mut nextest = workspace.cargo(["nextest", "run"]);
    if !options.names_packages() {
        nextest.arg("--workspace");
    }
    nextest
        .args(&options.nextest)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("WHARF_TEST_BIN", workspace.program("wharf"))
        .env("WHARF_TEST_LAB_BIN", workspace.program("wharf-lab"));
    if let Some(python) = &python {
        nextest.env("WHARF_TEST_PYTHON", python);
    }
    if let Some(schemathesis) = &schemathesis {
        nextest.env("WHARF_TEST_SCHEMATHESIS", schemathesis);
    }
    if let Some(google_client) = &google_client {
        nextest.env("WHARF_TEST_GOOGLE_CLIENT", google_client);
    }
    if let Some(nats) = &nats {
        nextest.env("WHARF_TEST_NATS_SERVER", nats);
    }
    if let Some(postgres) = &postgres {
        let folder = postgres.folder().display();
        println!("Postgres for the tests: {} ({folder})", postgres.url());
        nextest.env("WHARF_TEST_POSTGRES_URL", postgres.url()).env(
            "WHARF_TEST_POSTGRES_SUPERUSER_URL",
            postgres.superuser_url(),
        );
    }
    for server in &mut servers {
        let variables = parts.take(INDEPENDENT, server.ready())?;
        nextest.envs(variables.into_iter().flatten());
    }
    if !parts.missing.is_empty() {
        nextest.env("WHARF_TEST_ALLOW_MISSING", "1");
    }
    // Where nextest keeps its reports whatever folder cargo builds in.
    let report = workspace.root.join("target/nextest/default/junit.xml");
    let _ = fs::remove_file(&report);
    process::run(&mut nextest)?;

    let mut ran = Ran::read(&fs::read_to_string(&report).context("nextest left no report")?)?;
    drop::<Option<Cluster>>(postgres);
    drop::<Vec<Server>>(servers);
    if options.nextest.is_empty() {
        process::run(&mut workspace.cargo(["test", "--quiet", "--workspace", "--doc"]))?;
        ran.others.push("documentation tests".to_owned());
        for example in domain_examples(workspace)? {
            println!("example {example}");
            process::run(&mut workspace.cargo([
                "run",
                "--quiet",
                "-p",
                "wharf-domain",
                "--example",
                &example,
            ]))?;
            ran.others.push(format!("example {example}"));
        }
    } else {
        parts
            .missing
            .push("documentation tests and examples: arguments were given".to_owned());
    }
    ran.print(&parts.missing);
    Ok(())
}

/// What the suites need beside the code.
struct Parts {
    allow_missing: bool,
    /// Which suites do not run, and why.
    missing: Vec<String>,
}

impl Parts {
    fn take<T>(&mut self, suites: &str, part: Result<T>) -> Result<Option<T>> {
        match part {
            Ok(part) => Ok(Some(part)),
            Err(error) if self.allow_missing && !process::interrupted() => {
                println!("{suites} will not run: {error:#}");
                self.missing.push(format!("{suites}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error.context(format!(
                "{suites} cannot run (--allow-missing leaves out what cannot run)"
            ))),
        }
    }
}

fn domain_examples(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("crates/domain/examples");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut examples = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().context("an example has no name")?;
            examples.push(name.to_string_lossy().into_owned());
        }
    }
    examples.sort();
    Ok(examples)
}

/// What ran, by nextest's own report.
#[derive(Debug, PartialEq)]
struct Ran {
    suites: Vec<(String, u64)>,
    others: Vec<String>,
}

impl Ran {
    fn read(report: &str) -> Result<Self> {
        let suites: Option<Vec<_>> = report
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("<testsuite "))
            .map(|line| {
                Some((
                    attribute(line, "name")?,
                    attribute(line, "tests")?.parse().ok()?,
                ))
            })
            .collect();
        let mut suites = suites.context("nextest's report has another shape than expected")?;
        ensure!(!suites.is_empty(), "no test ran");
        suites.sort();
        Ok(Self {
            suites,
            others: Vec::new(),
        })
    }

    fn print(&self, missing: &[String]) {
        println!("\nwhat ran");
        for (suite, tests) in &self.suites {
            println!("  {tests:>5}  {suite}");
        }
        for other in &self.others {
            println!("     ok  {other}");
        }
        for suites in missing {
            println!("NOT RUN  {suites}");
        }
        let total: u64 = self.suites.iter().map(|(_, tests)| tests).sum();
        println!("{total} passed, 0 failed");
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_counted_by_suite() {
        let report = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="12" failures="0" errors="0">
    <testsuite name="wharf-s3::contract" tests="9" disabled="0" errors="0" failures="0">
        <testcase name="a listing ends" classname="wharf-s3::contract" time="0.1">
    </testsuite>
    <testsuite name="wharf-domain" tests="3" disabled="0" errors="0" failures="0">
</testsuites>"#;
        let suites = vec![
            ("wharf-domain".to_owned(), 3),
            ("wharf-s3::contract".to_owned(), 9),
        ];
        assert_eq!(
            Ran::read(report).unwrap(),
            Ran {
                suites,
                others: Vec::new()
            }
        );
    }

    #[test]
    fn a_report_without_a_test_is_refused() {
        Ran::read("<testsuites name=\"nextest-run\" tests=\"0\">").unwrap_err();
    }

    #[test]
    fn a_missing_part_is_an_error_unless_it_may_be_missing() {
        let gone = || Err::<(), _>(anyhow::anyhow!("Postgres is missing"));
        let mut strict = Parts {
            allow_missing: false,
            missing: Vec::new(),
        };
        let error = strict.take("the suites on Postgres", gone()).unwrap_err();
        assert!(format!("{error:#}").contains("Postgres is missing"));

        let mut lenient = Parts {
            allow_missing: true,
            missing: Vec::new(),
        };
        assert_eq!(
            lenient.take("the suites on Postgres", gone()).unwrap(),
            None
        );
        assert_eq!(
            lenient.missing,
            ["the suites on Postgres: Postgres is missing"]
        );
    }
}
