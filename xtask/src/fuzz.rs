//! `fuzz`: every fuzz target for a while, from its committed seeds.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::machine;
use crate::process;
use crate::workspace::Workspace;

const CARGO_FUZZ: &str = "0.13.2";
/// How long one input may take, in seconds.
const PATIENCE: u64 = 10;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run this target alone
    target: Option<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let folder = workspace.root.join("fuzz");
    let mut targets = targets(&folder)?;
    if let Some(wanted) = &options.target {
        ensure!(
            targets.contains(wanted),
            "there is no target {wanted}; there are: {}",
            targets.join(", ")
        );
        targets = vec![wanted.clone()];
    }
    // The fuzzer's coverage needs switches of the compiler that only nightly ones have.
    process::output(&mut workspace.cargo_of("nightly", ["--version"])).context(
        "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal",
    )?;
    machine::cargo_tool(workspace, "cargo-fuzz", CARGO_FUZZ)?;
    let mut crashed = Vec::new();
    for target in &targets {
        println!("\n== {target}, {} s", options.seconds);
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        let mut fuzz = workspace.cargo_of("nightly", ["fuzz", "run"]);
        fuzz.arg(target)
            .arg(&corpus)
            .arg(folder.join("seeds").join(target))
            .arg("--")
            .arg(format!("-max_total_time={}", options.seconds))
            .arg(format!("-timeout={PATIENCE}"))
            .arg("-print_final_stats=1");
        if let Err(error) = process::run(&mut fuzz) {
            if process::interrupted() {
                return Err(error);
            }
            println!("{target}: {error:#}");
            crashed.push(target.as_str());
        }
    }
    if !crashed.is_empty() {
        bail!(
            "crashed: {}; what did it is in fuzz/artifacts",
            crashed.join(", ")
        );
    }
    println!("\nno crash in {}", targets.join(", "));
    Ok(())
}

/// The names of the targets. Each has a folder of seeds.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    let sources = folder.join("fuzz_targets");
    for entry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().context("a target has no name")?;
        let name = name.to_string_lossy().into_owned();
        let seeds = folder.join("seeds").join(&name);
        ensure!(seeds.is_dir(), "{name} has no seeds: {}", seeds.display());
        targets.push(name);
    }
    targets.sort();
    Ok(targets)
}
