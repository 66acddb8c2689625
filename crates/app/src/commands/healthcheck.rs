use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};

use super::say;
use crate::config::Config;

/// Asks the server that listens where the settings say whether it lives.
pub(crate) fn run(config: &Config) -> Result<()> {
    let address = reachable(config.listen);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .proxy(None)
        .build()
        .into();
    agent
        .get(format!("http://{address}/v1/health/liveness"))
        .call()
        .with_context(|| format!("no healthy server answers at {address}"))?;
    say("alive");
    Ok(())
}

/// A server that listens on every address is asked over loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
