//! A program in the background: its output goes to files, and it never outlives the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

const BEAT: Duration = Duration::from_millis(5);
/// How many of the last lines of a log are told, and how much of each.
const TAIL: usize = 12;
const WIDTH: usize = 400;
const STARTUP: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    /// Starts it; its output goes to `<name>.stdout` and `<name>.stderr` in `logs`.
    pub(crate) fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let stdout = logs.join(format!("{name}.stdout"));
        let stderr = logs.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            stdout,
            stderr,
        })
    }

    /// Waits for a line on standard output and gives what follows `prefix` in it.
    pub(crate) async fn announced(&mut self, prefix: &str) -> Result<String> {
        let deadline = Instant::now() + STARTUP;
        loop {
            let told = fs::read_to_string(&self.stdout)?;
            let whole_lines = told
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            if let Some(rest) = whole_lines
                .into_iter()
                .find_map(|line| line.strip_prefix(prefix))
            {
                return Ok(rest.trim().to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended early: {status}", self.name);
            }
            let name = &self.name;
            ensure!(Instant::now() < deadline, "{name} never said `{prefix}…`");
            tokio::time::sleep(BEAT).await;
        }
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // Not yet waited for, so the id is still its own.
        kill_process(Pid::from_child(&self.child), signal)?;
        Ok(())
    }

    /// The most memory that it has held so far, in KiB, as the kernel tells.
    pub(crate) fn peak_memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
        peak.context("the kernel tells no peak of memory")
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            let (name, seconds) = (&self.name, patience.as_secs());
            ensure!(
                Instant::now() < deadline,
                "{name} still runs after {seconds} s"
            );
            tokio::time::sleep(BEAT).await;
        }
    }
}

impl Drop for Program {
    /// Tells the end of its log, which the runner shows when the test has failed.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = fs::read_to_string(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        if !lines.is_empty() {
            eprintln!("--- the end of what {} said:", self.name);
        }
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            eprintln!("{}", line.chars().take(WIDTH).collect::<String>());
        }
    }
}
