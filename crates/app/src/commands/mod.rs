//! One file per command.

pub(crate) mod admin;
pub(crate) mod check_config;
pub(crate) mod healthcheck;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod serve;

/// Prints a line on stdout.
#[expect(clippy::print_stdout, reason = "commands answer on stdout")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
