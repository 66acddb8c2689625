//! One file per command.

use std::io::Write;

pub(crate) mod admin;
pub(crate) mod check_config;
pub(crate) mod healthcheck;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod serve;

/// Prints a line on stdout. Nobody listening any more, as behind `| head`, is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
