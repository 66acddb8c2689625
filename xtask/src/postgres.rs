//! A throw-away Postgres cluster: made, started, stopped and deleted by us.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::machine;
use crate::process::{self, Background};

/// Where Debian keeps its versions, outside `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Row-level security binds it, as it binds the role that the server runs as.
const PLAIN_ROLE: &str = "CREATE ROLE wharf LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB\n";
const MISSING: &str = "Postgres is missing: no initdb and postgres in PATH or \
    /usr/lib/postgresql/*/bin. Install it (Debian: `apt-get install postgresql`; macOS: `brew \
    install postgresql`)";

/// Postgres' programs on this machine.
#[derive(Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds them, installing them first where that works unasked.
    pub(crate) fn find() -> Result<Self> {
        if let Some(found) = Self::look() {
            return Ok(found);
        }
        machine::apt_install(&["postgresql"]).context(MISSING)?;
        Self::look().context(MISSING)
    }

    fn look() -> Option<Self> {
        let on_path = machine::find_program("initdb").and_then(|file| fs::canonicalize(file).ok());
        let on_path = on_path.and_then(|file| Some(file.parent()?.to_owned()));
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let version = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
            .collect();
        versions.sort();
        let debian = versions.into_iter().rev().map(|(_, folder)| folder);
        let complete = |folder: &PathBuf| {
            ["initdb", "postgres"]
                .iter()
                .all(|name| folder.join(name).is_file())
        };
        on_path
            .into_iter()
            .chain(debian)
            .find(complete)
            .map(|folder| Self { folder })
    }

    /// Makes a cluster in a new temporary folder and starts it on a free port.
    pub(crate) fn start(&self) -> Result<Cluster> {
        let folder = tempfile::Builder::new()
            .prefix("wharf-postgres-")
            .tempdir()?;
        // Postgres refuses to run as root: its own account does it then, or nobody's.
        let account = if machine::is_root() {
            let account = ["postgres", "nobody"]
                .into_iter()
                .find_map(machine::account);
            Some(account.context("neither the account postgres nor nobody is in /etc/passwd")?)
        } else {
            None
        };
        if let Some((user, group)) = account {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        }
        let program = |name: &str| {
            let mut command = Command::new(self.folder.join(name));
            command
                .current_dir(folder.path())
                .env("HOME", folder.path())
                .env("LC_ALL", "C");
            if let Some((user, group)) = account {
                command.uid(user).gid(group);
            }
            command
        };
        let cluster = folder.path().join("cluster");
        let how = [
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ];
        process::output(program("initdb").arg("-D").arg(&cluster).args(how))?;
        // Before the server runs, without a client: the server's own single-user mode.
        let mut single = program("postgres");
        single
            .args(["--single", "-D"])
            .arg(&cluster)
            .arg("postgres");
        process::fed(&mut single, PLAIN_ROLE)?;

        let log = folder.path().join("log");
        let port = free_port()?;
        let mut command = program("postgres");
        command
            .arg("-D")
            .arg(&cluster)
            .args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
            // The cluster dies with the run: nothing in it has to survive a crash.
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ] {
            command.args(["-c", setting]);
        }
        command
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?);
        let ended_by = Signal::INT; // Postgres' "fast shutdown"
        let grace = Duration::from_secs(20);
        let mut server = Background::start("Postgres", &mut command, ended_by, grace)?;
        wait_until_ready(&mut server, &cluster).with_context(|| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            format!("Postgres did not start:\n{log}")
        })?;
        Ok(Cluster {
            _server: server,
            folder,
            port,
        })
    }
}

/// A running cluster; dropping it stops the server, then deletes the folder (in that order, the
/// order of the fields).
#[derive(Debug)]
pub(crate) struct Cluster {
    _server: Background,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// Where a plain role without a password finds it; it can create databases.
    pub(crate) fn url(&self) -> String {
        format!("postgres://wharf@127.0.0.1:{}/postgres", self.port)
    }

    /// Where a superuser does.
    pub(crate) fn superuser_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where its files and its log are while it runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn wait_until_ready(server: &mut Background, cluster: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        server.ensure_alive()?;
        // The eighth line of this file is the server's own word on its state.
        let state = fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
        if state
            .lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready")
        {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not ready after 60 s");
        process::pause()?;
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_cluster_answers_and_is_gone_when_dropped() {
        let programs = match Programs::look().context(MISSING) {
            Err(_) if std::env::var_os("WHARF_TEST_ALLOW_MISSING").is_some() => return,
            programs => programs.unwrap(),
        };
        let cluster = programs.start().unwrap();
        let folder = cluster.folder().to_owned();
        let address = format!("127.0.0.1:{}", cluster.port);
        TcpStream::connect(&address).unwrap();
        assert!(folder.is_dir());

        drop(cluster);
        TcpStream::connect(&address).unwrap_err();
        assert!(!folder.exists());
    }
}
