//! What the run of the tests tells the suites.

use std::env;

use anyhow::{Result, bail};

/// An environment variable of the run. `None` when what it would name may be missing, which the run has said then.
pub fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Some(value)),
        _ if env::var("WHARF_TEST_ALLOW_MISSING").is_ok_and(|value| value == "1") => {
            eprintln!("{name} is not set: left out");
            Ok(None)
        }
        _ => bail!("{name} is not set: run `cargo xtask test`"),
    }
}
