//! The lab as a program, for tests and demonstrations in other processes.

use std::io;
use std::net::SocketAddr;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use wharf_lab::{KeyPair, Lab, LabConfig};

/// Simulated storage providers on a loopback port.
#[derive(Parser)]
#[command(name = "wharf-lab", version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where its Google listens; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    google_listen: SocketAddr,
    /// The access key id to accept
    #[arg(long, requires = "secret_access_key")]
    access_key_id: Option<String>,
    /// The secret access key that belongs to it
    #[arg(long, requires = "access_key_id")]
    secret_access_key: Option<String>,
    /// The session token requests must carry
    #[arg(long)]
    session_token: Option<String>,
    /// Start with the sample buckets `demo-media` and `demo-tigris` and the shared drive `demo-drive`
    #[arg(long)]
    sample: bool,
}

impl Arguments {
    fn config(self) -> LabConfig {
        let mut key = match (self.access_key_id, self.secret_access_key) {
            (Some(id), Some(secret)) => KeyPair::new(id, secret),
            _ => KeyPair::default(),
        };
        if let Some(token) = self.session_token {
            key = key.session_token(token);
        }
        LabConfig::default()
            .listen(self.listen)
            .google_listen(self.google_listen)
            .keys([key])
    }
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    reason = "the lines tell the parent process where the lab listens"
)]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sample = arguments.sample;
    let lab = Lab::start(arguments.config()).await?;
    if sample {
        lab.seed_samples();
    }
    println!("lab listening on {}", lab.endpoint());
    println!("google listening on {}", lab.google().url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    lab.shutdown().await;
    Ok(())
}
