//! The program: two lines when ready, sample buckets, an end on request.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::admin::objects_over_http;
use crate::google_client::send;

#[tokio::test]
async fn the_program_says_where_it_listens_and_ends_when_told() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wharf-lab"))
        .args(["--listen", "127.0.0.1:0", "--sample"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    let endpoint = line.trim_end().strip_prefix("lab listening on ").unwrap();
    assert_eq!(
        objects_over_http(endpoint, "demo-media")
            .await
            .as_array()
            .unwrap()
            .len(),
        12
    );
    assert_eq!(
        objects_over_http(endpoint, "demo-tigris")
            .await
            .as_array()
            .unwrap()
            .len(),
        6
    );

    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    let google = line
        .trim_end()
        .strip_prefix("google listening on ")
        .unwrap();
    let files = format!("{google}/__admin/files");
    let files = send(http::Method::GET, &files, &[], "")
        .await
        .unwrap()
        .json();
    assert_eq!(files.as_array().unwrap().len(), 14);

    let id = program.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    let ended = tokio::time::timeout(Duration::from_secs(5), program.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(ended.success(), "{ended}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}
