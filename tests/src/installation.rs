//! One installation of Wharf: its settings, its data, and the servers that run on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::database::{Database, fresh_database};
use crate::program::Program;
use crate::{Api, Keys, variable};

/// The first admin API key of every installation.
pub const ADMIN_KEY: &str = "sk_whole_program_suites_admin_key";

/// Which database an installation keeps its rows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file in the data directory.
    Sqlite,
    /// A database of its own on the run's Postgres.
    Postgres,
}

/// A data directory with the settings that belong to it. Everything is deleted when it is dropped.
#[derive(Debug)]
pub struct Installation {
    program: PathBuf,
    store: Store,
    folder: TempDir,
    settings: BTreeMap<String, String>,
    starts: AtomicU32,
}

impl Installation {
    /// A new installation with an empty database. `None` when this run has left out what it needs.
    pub async fn on(store: Store) -> Result<Option<Self>> {
        let Some(program) = variable("WHARF_TEST_BIN")? else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("wharf-suite-").tempdir()?;
        fs::create_dir(folder.path().join("logs"))?;
        fs::create_dir(folder.path().join("tmp"))?;
        let data = folder.path().join("data");
        let settings = [
            ("WHARF_LISTEN", "127.0.0.1:0"),
            ("WHARF_DATA_DIR", &data.to_string_lossy()),
            ("WHARF_BOOTSTRAP__ADMIN_KEY", ADMIN_KEY),
            ("WHARF_EGRESS__ALLOW_LOOPBACK", "true"),
            ("WHARF_SYNC__MIN_POLLING_INTERVAL", "1s"),
            ("WHARF_SYNC__WORKERS", "2"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut installation = Self {
            program: program.into(),
            store,
            folder,
            settings: settings.into(),
            starts: AtomicU32::new(0),
        };
        if store == Store::Postgres {
            let Some(database) = fresh_database().await? else {
                return Ok(None);
            };
            installation.move_to(&database)?;
            installation.answer(&["migrate"])?;
        }
        Ok(Some(installation))
    }

    /// Changes over to a Postgres database, which must be brought to the schema yet. Its key ring is the one that an
    /// embedded installation makes on its first start: with Postgres none is ever created.
    pub fn move_to(&mut self, postgres: &str) -> Result<()> {
        self.answer(&["admin", "organizations", "list"])?;
        let key_ring = format!("file://{}", self.data_dir().join("keyring.json").display());
        self.set("WHARF_KEY_RING", &key_ring);
        self.set("WHARF_DATABASE_URL", postgres);
        for file in self.data_files()? {
            if file
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("wharf.db"))
            {
                fs::remove_file(file)?;
            }
        }
        Ok(())
    }

    /// Changes a setting for the programs that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Makes this key pair its own identity at AWS.
    pub fn be(&mut self, keys: &Keys) {
        let identity = "WHARF_PROVIDERS__AWS__IDENTITY";
        self.set(&format!("{identity}__ACCESS_KEY_ID"), &keys.id);
        self.set(&format!("{identity}__SECRET_ACCESS_KEY"), &keys.secret);
    }

    /// Leaves a setting to its default.
    pub fn unset(&mut self, name: &str) {
        self.settings.remove(name);
    }

    /// The URL of its Postgres database.
    pub fn database_url(&self) -> Result<&str> {
        let url = self.settings.get("WHARF_DATABASE_URL");
        url.map(String::as_str)
            .context("it has no Postgres database")
    }

    /// Where it keeps its rows.
    pub fn store(&self) -> Store {
        self.store
    }

    /// Where database, key ring and blobs are.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What all servers of this installation have written to standard output and standard error so far.
    pub fn logs(&self) -> Result<Vec<u8>> {
        let mut logs = Vec::new();
        for file in files_below(&self.folder.path().join("logs"))? {
            logs.extend(fs::read(file)?);
        }
        Ok(logs)
    }

    /// Every file in the data directory.
    pub fn data_files(&self) -> Result<Vec<PathBuf>> {
        files_below(&self.data_dir())
    }

    /// Its database, to look at directly.
    pub async fn database(&self) -> Result<Database> {
        match self.store {
            Store::Sqlite => Database::sqlite(&self.data_dir().join("wharf.db")).await,
            Store::Postgres => Database::postgres(&self.settings["WHARF_DATABASE_URL"]).await,
        }
    }

    /// The same, to change things behind the servers' back.
    pub async fn database_to_change(&self) -> Result<Database> {
        match self.store {
            Store::Sqlite => Database::sqlite_to_change(&self.data_dir().join("wharf.db")).await,
            Store::Postgres => self.database().await,
        }
    }

    /// A folder of its own for temporary files, which the programs are told of.
    pub fn temporary_dir(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// Where the servers' output is.
    pub fn logs_dir(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// The program in a clean environment with this installation's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.temporary_dir())
            .current_dir(self.folder.path())
            .envs(&self.settings);
        command
    }

    /// Runs a short command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)
            .output()
            .context("wharf does not start")
    }

    /// Runs a short command that must succeed; what it printed.
    pub fn answer(&self, arguments: &[&str]) -> Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.run(arguments)?;
        let stderr = String::from_utf8_lossy(&stderr);
        ensure!(
            status.success(),
            "`wharf {}` failed, {status}: {stderr}",
            arguments.join(" ")
        );
        Ok(String::from_utf8(stdout)?)
    }

    /// Starts a server and waits until it listens. More than one may run at a time, as replicas.
    pub async fn start(&self) -> Result<Server> {
        self.start_with(&[]).await
    }

    /// The same with options for `wharf serve`.
    pub async fn start_with(&self, options: &[&str]) -> Result<Server> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed) + 1;
        let mut command = self.command(&[&["serve"], options].concat());
        let logs = self.folder.path().join("logs");
        let mut program = Program::start(&format!("server-{number}"), &mut command, &logs)?;
        let url = program.announced("listening on ").await?;
        Ok(Server { program, url })
    }
}

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Server {
    program: Program,
    url: String,
}

impl Server {
    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client with the admin key.
    pub fn api(&self) -> Result<Api> {
        self.api_as(ADMIN_KEY)
    }

    /// A client with this API key.
    pub fn api_as(&self, key: &str) -> Result<Api> {
        Api::new(&self.url, key)
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> Result<()> {
        self.program.kill()
    }

    /// Stops it in the middle of whatever it does, until [`Server::wake`].
    pub fn pause(&self) -> Result<()> {
        self.program.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn wake(&self) -> Result<()> {
        self.program.signal(Signal::CONT)
    }

    /// The most memory that it has held so far, in KiB.
    pub fn peak_memory_kib(&self) -> Result<u64> {
        self.program.peak_memory_kib()
    }

    /// Asks it to end and waits for that, as long as a shutdown may take.
    pub async fn terminate(mut self) -> Result<ExitStatus> {
        self.program.signal(Signal::TERM)?;
        self.program.ended(Duration::from_secs(25)).await
    }
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
