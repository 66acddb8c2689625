//! What the run of the tests tells the suites.

use std::env;
use std::net::TcpListener;
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

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

/// A port of loopback that nothing listens on now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What a longer run asks for by an environment variable, or else what every run does.
pub fn variable_or<T: FromStr>(name: &str, otherwise: T) -> Result<T> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value
            .parse()
            .map_err(|_| anyhow!("{name} is not what it should be: {value}")),
        _ => Ok(otherwise),
    }
}
