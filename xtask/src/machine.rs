//! What a machine has, and what can be installed on it with nobody asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The full path of a program that `PATH` leads to.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Installs Debian packages where that works unasked: as root, with apt-get at hand.
/// Answers whether it was tried.
pub(crate) fn apt_install(packages: &[&str]) -> Result<bool> {
    if !is_root() || find_program("apt-get").is_none() {
        return Ok(false);
    }
    println!("installing Debian's {}", packages.join(", "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command
            .arg("-qq")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    };
    process::run(apt().arg("update"))?;
    process::run(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )?;
    Ok(true)
}

/// Installs a cargo subcommand from the registry unless it is there.
pub(crate) fn cargo_tool(workspace: &Workspace, name: &str, version: &str) -> Result<()> {
    let subcommand = name.trim_start_matches("cargo-");
    if process::output(&mut workspace.cargo([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    println!("{name} is missing: building version {version}, which takes some minutes, once");
    process::run(&mut workspace.cargo(["install", name, "--locked", "--version", version]))
        .with_context(|| format!("{name} is missing: cargo install {name} --locked"))
}

/// User and group ids of an account of this machine.
pub(crate) fn account(name: &str) -> Option<(u32, u32)> {
    let accounts = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let user = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        found.then_some((user, group))
    })
}
