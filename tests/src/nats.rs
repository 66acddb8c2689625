//! A NATS server with `JetStream`, in a process of its own.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::program::Program;
use crate::variable;

/// A running server, stopped when dropped.
#[derive(Debug)]
pub struct Nats {
    _program: Program,
    _folder: TempDir,
    url: String,
}

impl Nats {
    /// Starts one. `None` when this run has left it out.
    pub async fn start() -> Result<Option<Self>> {
        let Some(program) = variable("WHARF_TEST_NATS_SERVER")? else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new()
            .prefix("wharf-suite-nats-")
            .tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string(), "-js"])
            .arg("-sd")
            .arg(folder.path().join("store"));
        let program = Program::start("nats", &mut command, folder.path())?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            ensure!(Instant::now() < deadline, "NATS does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(Self {
            _program: program,
            _folder: folder,
            url: format!("nats://{address}"),
        }))
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}
