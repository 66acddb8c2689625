//! The workspace as cargo sees it, and cargo commands that run in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// What `cargo metadata --no-deps` says: the members and the dependencies they declare.
    pub(crate) metadata: Value,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let metadata = process::output(Command::new(cargo_program()).args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
        ]))?;
        let metadata: Value =
            serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
        let folder = |key: &str| {
            let path = metadata[key].as_str();
            path.map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {key}"))
        };
        Ok(Self {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            metadata,
        })
    }

    /// A cargo command in the workspace's root.
    ///
    /// `cargo run` hands this program variables about the package `xtask`; build scripts that watch
    /// them would run again for nothing, so cargo starts without them.
    pub(crate) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(cargo_program());
        command.current_dir(&self.root).args(arguments);
        without_own_package(&mut command);
        command
    }

    /// The same with another toolchain of rustup's.
    pub(crate) fn cargo_of<const N: usize>(
        &self,
        toolchain: &str,
        arguments: [&str; N],
    ) -> Command {
        // Rustup's own cargo, and none of what it has told this program about the toolchain at hand.
        let mut command = Command::new("cargo");
        command
            .current_dir(&self.root)
            .arg(format!("+{toolchain}"))
            .args(arguments);
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        without_own_package(&mut command);
        command
    }

    /// Builds the server and the lab.
    pub(crate) fn build_programs(&self) -> Result<()> {
        process::run(&mut self.cargo(["build", "-p", "wharf", "-p", "wharf-lab", "--bins"]))
    }

    /// Where [`Self::build_programs`] leaves a program.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }
}

fn without_own_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if ours {
            command.env_remove(name);
        }
    }
}

fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
