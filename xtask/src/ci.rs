//! `ci`: everything a change has to pass, in the order in which it fails fastest.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::arch;
use crate::machine;
use crate::openapi;
use crate::process;
use crate::test;
use crate::workspace::Workspace;

const DENY: &str = "0.20.2";

type Step = (&'static str, fn(&Workspace) -> Result<()>);

const STEPS: &[Step] = &[
    ("format", |workspace| {
        process::run(&mut workspace.cargo(["fmt", "--all", "--check"]))
    }),
    ("arrows", arch::run),
    ("lints", |workspace| {
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        process::run(&mut workspace.cargo(clippy))
    }),
    ("documentation", |workspace| {
        let mut doc = workspace.cargo(["doc", "--no-deps", "--workspace"]);
        process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("openapi", |workspace| {
        openapi::run(workspace, &openapi::Options { check: true })
    }),
    // Advisories are left out: their database is no package of a registry, and a change has to pass
    // without reaching anything else.
    ("licences, bans, sources", |workspace| {
        machine::cargo_tool(workspace, "cargo-deny", DENY)?;
        let what = ["bans", "licenses", "sources"];
        let mut deny = workspace.cargo(["deny", "check", "--hide-inclusion-graph"]);
        process::run(deny.args(what))
    }),
    ("tests", |workspace| {
        test::run(workspace, &test::Options::default())
    }),
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    for (name, step) in STEPS {
        println!("\n== {name}");
        let begin = Instant::now();
        step(workspace).with_context(|| format!("ci stopped at: {name}"))?;
        println!("== {name}: ok, {:.1} s", begin.elapsed().as_secs_f64());
    }
    Ok(())
}
