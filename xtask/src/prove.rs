//! `prove`: the suites whose strength is a number, with larger numbers than every change can wait for.

use anyhow::Result;
use clap::Args;

use crate::test;
use crate::workspace::Workspace;

/// The suites that read the variables below.
const FILTER: &str =
    "(package(wharf-domain) & binary(run)) | test(no_change::) | test(schemathesis::)";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Simulated schedules of the run protocol
    #[arg(long, default_value_t = 100_000)]
    schedules: u64,
    /// Objects of a no-change pass, which is made again over ten times as many
    #[arg(long, default_value_t = 100_000)]
    objects: u64,
    /// Requests per operation of the document, of each kind
    #[arg(long, default_value_t = 200)]
    examples: u32,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let variables = [
        ("WHARF_PROVE_SCHEDULES", options.schedules.to_string()),
        ("WHARF_PROVE_OBJECTS", options.objects.to_string()),
        ("WHARF_PROVE_EXAMPLES", options.examples.to_string()),
    ];
    test::run_with(workspace, &test::Options::only(FILTER), &variables)
}
