//! Repository chores: what cargo alone cannot do for someone who works on Wharf.
//!
//! One file per command; the rest is what they share. No crate of Wharf is a dependency, so that
//! the chores compile in seconds and still run when Wharf does not build.

#![expect(
    clippy::print_stdout,
    reason = "chores talk to the person who runs them"
)]

mod arch;
mod ci;
mod demo;
mod fuzz;
mod machine;
mod openapi;
mod postgres;
mod process;
mod prove;
mod python;
mod servers;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of the Wharf repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Start Wharf beside the provider lab, sync sample files and show what arrived
    Demo(demo::Options),
    /// Set up what the tests need (Postgres, Python, storage servers) and run every suite
    Test(test::Options),
    /// Everything a change has to pass: lints, arrows, docs, licences, tests
    Ci,
    /// Check which crate may depend on which
    Arch,
    /// Run the fuzz targets, each for a while
    Fuzz(fuzz::Options),
    /// Run the suites that can do more for longer: simulations, memory
    Prove(prove::Options),
    /// Write docs/openapi.json from the code
    Openapi(openapi::Options),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    process::catch_interrupts()?;
    let workspace = Workspace::load()?;
    match &arguments.chore {
        Chore::Demo(options) => demo::run(&workspace, options),
        Chore::Test(options) => test::run(&workspace, options),
        Chore::Ci => ci::run(&workspace),
        Chore::Arch => arch::run(&workspace),
        Chore::Fuzz(options) => fuzz::run(&workspace, options),
        Chore::Prove(options) => prove::run(&workspace, options),
        Chore::Openapi(options) => openapi::run(&workspace, options),
    }
}
