//! Other programs: started, waited for and always ended, also when this one is interrupted.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const PAUSE: Duration = Duration::from_millis(50);

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on an interrupt is noted instead of ending the program, so that clean-up runs.
pub(crate) fn catch_interrupts() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED))
            .context("cannot listen for signals")?;
    }
    Ok(())
}

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Sleeps for one beat of a waiting loop; an interrupt is an error.
pub(crate) fn pause() -> Result<()> {
    ensure!(!interrupted(), "interrupted");
    thread::sleep(PAUSE);
    Ok(())
}

/// Runs a command to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let mut child = spawn(command)?;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(!interrupted(), "interrupted");
            ensure!(status.success(), "`{}` failed: {status}", shown(command));
            return Ok(());
        }
        if interrupted() {
            // A terminal has told the whole group already: most programs end by themselves.
            if wait(&mut child, Duration::from_secs(2))?.is_none() {
                end(&mut child, Signal::TERM, Duration::from_secs(15));
            }
            bail!("interrupted");
        }
        thread::sleep(PAUSE);
    }
}

/// What a short command prints on its standard output; its errors become ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null());
    finished(command, "")
}

/// Runs a short command that reads a few lines from its standard input.
pub(crate) fn fed(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped());
    finished(command, input)
}

fn finished(command: &mut Command, input: &str) -> Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = command.spawn();
    let mut child = started.with_context(|| format!("cannot start `{}`", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "`{}` failed: {}\n{}{}",
        shown(command),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).context("output is not UTF-8")
}

/// A program in the background, ended when this value is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    name: &'static str,
    child: Child,
    /// What it says, as far as nobody has waited for it yet.
    lines: Option<mpsc::Receiver<String>>,
    ended_by: Signal,
    grace: Duration,
}

impl Background {
    /// Starts it in a process group of its own: a Ctrl-C is for this program, which then ends it.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        ended_by: Signal,
        grace: Duration,
    ) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let child = spawn(command.stdin(Stdio::null()).process_group(0))?;
        Ok(Self {
            name,
            child,
            lines: None,
            ended_by,
            grace,
        })
    }

    /// An error once it has ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended early: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Waits for a line on its (piped) standard output, past those that were waited for before, and gives what follows `prefix`.
    pub(crate) fn announced(&mut self, prefix: &str, patience: Duration) -> Result<String> {
        let lines = self
            .lines
            .take()
            .or_else(|| self.child.stdout.take().map(lines_of))
            .context("standard output is not piped")?;
        let deadline = Instant::now() + patience;
        loop {
            match lines.recv_timeout(PAUSE) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(prefix) {
                        let rest = rest.trim().to_owned();
                        self.lines = Some(lines);
                        return Ok(rest);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    wait(&mut self.child, Duration::from_secs(1))?;
                    self.ensure_alive()?;
                    bail!("{} closed its output and never said `{prefix}…`", self.name);
                }
            }
            ensure!(!interrupted(), "interrupted");
            let (name, seconds) = (self.name, patience.as_secs());
            ensure!(
                Instant::now() < deadline,
                "{name}: no line `{prefix}…` in {seconds} s"
            );
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        end(&mut self.child, self.ended_by, self.grace);
    }
}

/// The lines of a pipe, which is read to its end whether anybody listens or not.
fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))
}

fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + patience;
    loop {
        let status = child.try_wait()?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(PAUSE);
    }
}

/// Asks a child to end, insists when it does not, and collects it.
fn end(child: &mut Child, signal: Signal, grace: Duration) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    // Not yet collected, so its id is still its own.
    let _ = kill_process(Pid::from_child(child), signal);
    if !matches!(wait(child, grace), Ok(Some(_))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    command
        .get_args()
        .fold(program.into_owned(), |mut text, argument| {
            text.push(' ');
            text.push_str(&argument.to_string_lossy());
            text
        })
}
