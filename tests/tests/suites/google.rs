//! The lab's Google is what Google's own client and Google's own description expect.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Lab, variable};

/// What the client's script must have done, in its order.
const STEPS: [&str; 20] = [
    "a service account signs in",
    "about demands fields",
    "a service account acts for a user",
    "a scope that was not delegated is refused",
    "a grant is refreshed",
    "a shared drive is listed page by page",
    "without includeItemsFromAllDrives a shared drive is not seen",
    "an unknown term of a query is refused",
    "two files of one name in one folder",
    "quotes and backslashes in a query",
    "shared drives are listed",
    "a file's metadata",
    "a file's bytes",
    "a file's bytes, range by range",
    "a native document is exported",
    "changes are told, each file's last state once",
    "an unknown place in the feed is refused",
    "changes are watched",
    "a channel is stopped",
    "a drive that was left is not found",
];

#[tokio::test]
async fn googles_own_client_lists_reads_and_watches_the_lab() -> Result<()> {
    let Some(lab) = Lab::start().await? else {
        return Ok(());
    };
    let wish = json!({"google": lab.google().url()});
    let Some(done) = told("client.py", &wish)? else {
        return Ok(());
    };
    assert_eq!(done, json!(STEPS));
    Ok(())
}

#[tokio::test]
async fn what_the_lab_serves_of_drive_is_as_google_describes_it() -> Result<()> {
    let Some(lab) = Lab::start().await? else {
        return Ok(());
    };
    let wish = json!({"surface": format!("{}/__admin/surface", lab.google().url())});
    let Some(compared) = told("discovery.py", &wish)? else {
        return Ok(());
    };
    eprintln!("{compared}");
    assert_eq!(compared["differences"], json!([]));
    let at_least = [("methods", 12), ("parameters", 50), ("fields", 200)];
    for (what, least) in at_least {
        ensure!(
            compared[what].as_u64() >= Some(least),
            "too little is compared: {compared}"
        );
    }
    Ok(())
}

/// What a script says about its wish. `None` when this run has left the client out.
fn told(script: &str, wish: &Value) -> Result<Option<Value>> {
    let Some(python) = variable("WHARF_TEST_GOOGLE_CLIENT")? else {
        return Ok(None);
    };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("google")
        .join(script);
    let mut child = Command::new(python)
        .arg(script)
        .env_remove("HTTP_PROXY")
        .env_remove("HTTPS_PROXY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin.write_all(wish.to_string().as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the script failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}
