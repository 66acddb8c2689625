//! Secrets that went in come out nowhere: not in an answer, not in the most talkative log, not on the disk.

use std::fs;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Answer, Canary, Installation, Lab, Store, text};

const ADMIN_KEY: &str = "sk_canary-admin-key-77f2c9d0b41e";
const ACCESS_KEY_ID: &str = "CANARYKEYID4F8A2C6E1";
const SECRET: &str = "canary-secret-access-key-9d41b7";
const SESSION_TOKEN: &str = "canary-session-token-e5c08f3a";
const WRONG_SECRET: &str = "canary-wrong-secret-key-0b6d2f";
const MISPLACED: &str = "canary-misplaced-secret-c17ea4";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_an_answer_a_log_or_the_data_on_sqlite() -> Result<()> {
    nothing_leaks(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_an_answer_a_log_or_the_data_on_postgres() -> Result<()> {
    nothing_leaks(Store::Postgres).await
}

async fn nothing_leaks(store: Store) -> Result<()> {
    let canaries = [
        Canary::new("the admin key", ADMIN_KEY),
        Canary::new("the access key id", ACCESS_KEY_ID),
        Canary::new("the secret access key", SECRET),
        Canary::new("the session token", SESSION_TOKEN),
        Canary::new("a wrong secret", WRONG_SECRET),
        Canary::new("a secret in the wrong place", MISPLACED),
    ];
    let lab = Lab::start_with(ACCESS_KEY_ID, SECRET, Some(SESSION_TOKEN)).await?;
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, lab) else {
        return Ok(());
    };
    wharf.set("WHARF_BOOTSTRAP__ADMIN_KEY", ADMIN_KEY);
    wharf.set("WHARF_LOG__LEVEL", "trace");
    wharf.set("RUST_LOG", "trace");
    wharf.set("RUST_BACKTRACE", "1");
    lab.put(
        "vault",
        &[
            json!({"key": "map.txt", "text": "X marks the spot."}),
            json!({"key": "b", "size": 70_000}),
        ],
    )
    .await?;

    let server = wharf.start().await?;
    let answers = everything_with_secrets(&server, &lab).await?;
    let mut leaks = Vec::new();
    for canary in &canaries {
        for answer in &answers {
            let headers = format!("{:?}", answer.headers);
            leaks.extend(canary.leaked_to(&answer.bytes, "an answer"));
            leaks.extend(canary.leaked_to(headers.as_bytes(), "an answer's headers"));
        }
    }
    ensure!(server.terminate().await?.success(), "no clean shutdown");

    let logs = wharf.logs()?;
    let talkative = ["TRACE", "\"level\":\"TRACE\""]
        .iter()
        .any(|word| String::from_utf8_lossy(&logs).contains(word));
    ensure!(
        talkative,
        "the log was not at trace level, so that it shows nothing"
    );
    let dump = wharf.database().await?.text().await?;
    for canary in &canaries {
        leaks.extend(canary.leaked_to(&logs, "the log"));
        leaks.extend(canary.leaked_to(dump.as_bytes(), "the database's tables"));
        for file in wharf.data_files()? {
            leaks.extend(canary.leaked_to(&fs::read(&file)?, &file.display().to_string()));
        }
    }
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
    Ok(())
}

/// Every use of credentials there is, the failing ones included; all that was answered.
async fn everything_with_secrets(server: &wharf_tests::Server, lab: &Lab) -> Result<Vec<Answer>> {
    let api = server.api_as(ADMIN_KEY)?;
    let connections = "/v1/organizations/connections";
    let mut answers = Vec::new();
    let create = |name: &str, config: Value, tested: bool| json!({"name": name, "provider_type": "s3", "provider_config": config, "test_before_save": tested});

    let created = api
        .post(connections, &create("vault", lab.provider_config(), true))
        .await?;
    let path = format!("{connections}/{}", text(&created.ok()?, "connection_id")?);
    answers.push(created);
    let wrong = lab.wrong_provider_config(WRONG_SECRET);
    let failed = api
        .post(connections, &create("wrong", wrong.clone(), true))
        .await?;
    failed.refused(422)?;
    answers.push(failed);
    answers.push(
        api.post(connections, &create("stored wrong", wrong, false))
            .await?,
    );
    answers.push(
        api.post(&format!("{connections}/stored%20wrong/test"), &json!({}))
            .await?,
    );

    let mut misplaced = lab.provider_config();
    misplaced["credentials"]["secret_acces_key"] = json!(MISPLACED);
    misplaced["password"] = json!(MISPLACED);
    misplaced["region"] = json!({"secret": MISPLACED});
    answers.push(
        api.post(connections, &create("misplaced", misplaced, true))
            .await?,
    );
    let config_as_text =
        json!({"name": "text", "provider_type": "s3", "provider_config": MISPLACED});
    answers.push(api.post(connections, &config_as_text).await?);
    answers.push(api.patch(&path, &json!({"provider_config": {"credentials": {"type": "access_key", "secret_access_key": [MISPLACED]}}})).await?);
    answers.push(server.api_as(WRONG_SECRET)?.get(&path).await?);

    answers.push(api.get(&path).await?);
    answers.push(api.post(&format!("{connections}/list"), &json!({})).await?);
    answers.push(api.ask(Method::POST, &format!("{path}/test"), None).await?);
    answers.push(
        api.patch(&path, &json!({"provider_config": lab.provider_config()}))
            .await?,
    );
    let elsewhere = json!({"provider_config": {"credentials": {"type": "access_key"}, "endpoint_url": "https://s3.example.com"}});
    let reentry = api.patch(&path, &elsewhere).await?;
    assert_eq!(
        reentry.refused(422)?["code"],
        "credentials_reentry_required"
    );
    answers.push(reentry);

    let connection = text(&api.get(&path).await?.ok()?, "connection_id")?.to_owned();
    let bucket = api.create_bucket("vault").await?;
    let sync = api.create_sync(&bucket, &connection, "vault").await?;
    let jobs = api.synced(&bucket, &sync).await?;
    assert_eq!(jobs[0]["progress"]["synced"], 2);
    for path in [
        format!("/v1/buckets/{bucket}/syncs/{sync}/jobs"),
        format!("/v1/buckets/{bucket}/objects/list"),
    ] {
        answers.push(api.post(&path, &json!({})).await?);
    }
    answers.push(api.get("/metrics").await?);
    answers.push(api.get("/v1/health/deep").await?);
    answers.push(api.delete(&path).await?);
    answers.push(api.get(&path).await?);
    Ok(answers)
}
