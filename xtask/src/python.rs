//! Python environments, made once per requirement: the published SDK in one, schemathesis in one, Google's own client in one,
//! each server of [`crate::servers`] in another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::machine;
use crate::process;
use crate::workspace::Workspace;

/// What the SDK suite runs against, by name and exact version.
const SDK: &str = "mixpeek==1.3.783";
/// What tests the API by its document, by name and exact version.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// Google's own client, which also brings the document that describes Drive, by name and exact version.
const GOOGLE_CLIENT: &str = "google-api-python-client==2.202.0";
const SUITABLE: &str = "import sys, venv, ensurepip; assert sys.version_info >= (3, 9)";
const MISSING: &str = "Python 3.9 or newer with its venv module is missing. Install it (Debian: \
    `apt-get install python3 python3-venv`; macOS: `brew install python`)";

/// The interpreter of an environment that has the SDK.
pub(crate) fn with_sdk(workspace: &Workspace) -> Result<PathBuf> {
    program_of(workspace, &[SDK], "python", &["-c", "import mixpeek"])
}

/// The program that tests an API by its document.
pub(crate) fn with_schemathesis(workspace: &Workspace) -> Result<PathBuf> {
    program_of(workspace, &[SCHEMATHESIS], "schemathesis", &["--version"])
}

/// The interpreter of an environment that has Google's own client.
pub(crate) fn with_google_client(workspace: &Workspace) -> Result<PathBuf> {
    let proof = [
        "-c",
        "import google.oauth2.service_account, googleapiclient.discovery",
    ];
    program_of(workspace, &[GOOGLE_CLIENT], "python", &proof)
}

/// A program of the environment that is made for these requirements and named after the first. It is made anew unless the
/// program does what proves it.
pub(crate) fn program_of(
    workspace: &Workspace,
    requirements: &[&str],
    program: &str,
    proof: &[&str],
) -> Result<PathBuf> {
    let requirement = requirements.join(", ");
    let name = requirements[0].replace("==", "-");
    let name = name.replace(|character: char| "[,]".contains(character), "-");
    let environment = workspace.target.join("python").join(name);
    let program = environment.join("bin").join(program);
    let works = || process::output(Command::new(&program).args(proof));
    if works().is_ok() {
        return Ok(program);
    }
    let python = find()?;
    println!("making a Python environment with {requirement}");
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    process::output(Command::new(python).args(["-m", "venv"]).arg(&environment))
        .context(MISSING)?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let interpreter = environment.join("bin/python");
    process::run(Command::new(interpreter).args(pip).args(requirements)).with_context(|| {
        format!(
            "{requirement} could not be installed from the package index (PIP_INDEX_URL names \
                 another one, HTTPS_PROXY a way to it)"
        )
    })?;
    works().with_context(|| format!("{requirement} does not work on this machine"))?;
    Ok(program)
}

fn find() -> Result<PathBuf> {
    let look = || {
        let on_path = machine::find_program("python3");
        let candidates = on_path
            .into_iter()
            .chain([PathBuf::from("/usr/bin/python3")]);
        candidates.into_iter().find(|python| is_suitable(python))
    };
    if let Some(python) = look() {
        return Ok(python);
    }
    machine::apt_install(&["python3", "python3-venv"]).context(MISSING)?;
    look().context(MISSING)
}

fn is_suitable(python: &Path) -> bool {
    process::output(Command::new(python).args(["-c", SUITABLE])).is_ok()
}
