//! A connection that stops working, is set aside, comes back, and is archived with its credentials gone.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use wharf_tests::{Answer, Api, Canary, Installation, Lab, Store, text};

/// The secret that the connection is stored with first, which the lab does not accept.
const WRONG_SECRET: &str = "canary-wrong-secret-5b1f0c7e92";
/// The secret that works.
const RIGHT_SECRET: &str = "canary-right-secret-a83d6e41c7";

#[tokio::test]
async fn five_failed_tests_suspend_a_connection_and_archiving_it_shreds_its_credentials_on_sqlite()
-> Result<()> {
    from_failing_to_archived(Store::Sqlite).await
}

#[tokio::test]
async fn five_failed_tests_suspend_a_connection_and_archiving_it_shreds_its_credentials_on_postgres()
-> Result<()> {
    from_failing_to_archived(Store::Postgres).await
}

#[tokio::test]
async fn once_a_suspend_is_answered_nothing_more_is_published_on_sqlite() -> Result<()> {
    suspended_in_the_middle_of_a_run(Store::Sqlite).await
}

#[tokio::test]
async fn once_a_suspend_is_answered_nothing_more_is_published_on_postgres() -> Result<()> {
    suspended_in_the_middle_of_a_run(Store::Postgres).await
}

async fn suspended_in_the_middle_of_a_run(store: Store) -> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    let object = |number: usize| json!({"key": format!("{number:04}"), "size": number});
    lab.put("harbour", &(0..400).map(object).collect::<Vec<_>>())
        .await?;
    lab.slow_down(40).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let id = api.connect_to(&lab, "harbour").await?;
    let bucket = api.create_bucket("harbour").await?;
    let sync = api.create_sync(&bucket, &id, "harbour").await?;
    while api.objects(&bucket).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let path = format!("/v1/organizations/connections/{id}");
    api.patch(&path, &json!({"status": "SUSPENDED"}))
        .await?
        .ok()?;
    let published = api.objects(&bucket).await?;
    ensure!(
        published.len() < 400,
        "the run had ended before the suspend"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        api.objects(&bucket).await?,
        published,
        "objects after the suspend was answered"
    );
    let jobs = api.jobs(&bucket, &sync).await?;
    ensure!(jobs[0]["status"] != "completed", "{}", jobs[0]);

    lab.speed_up().await?;
    api.patch(&path, &json!({"status": "ACTIVE"})).await?.ok()?;
    api.run_again(&bucket, &sync).await?;
    assert_eq!(
        api.objects(&bucket).await?.len(),
        400,
        "objects after the connection came back"
    );
    Ok(())
}

async fn from_failing_to_archived(store: Store) -> Result<()> {
    let lab = Lab::start_with("LABKEYOFTHELIFECYCLE", RIGHT_SECRET, None).await?;
    let (Some(wharf), Some(lab)) = (Installation::on(store).await?, lab) else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let api = server.api()?;
    let wrong = lab.wrong_provider_config(WRONG_SECRET);
    let id = api.connect("harbour", wrong, false).await?;
    let path = format!("/v1/organizations/connections/{id}");
    let connection = Connection {
        wharf,
        api,
        id,
        path,
    };
    connection.stands("ACTIVE", Value::Null, 0).await?;

    five_failed_tests_suspend(&connection).await?;
    working_credentials_bring_it_back(&connection, &lab, store).await?;
    archiving_shreds(&connection, &lab, store).await?;
    everything_is_audited(&connection).await
}

async fn five_failed_tests_suspend(connection: &Connection) -> Result<()> {
    for count in 1..=4 {
        connection.fails_its_test().await?;
        let reason = json!("health_check_failed");
        connection.stands("FAILED", reason, count).await?;
    }
    connection.fails_its_test().await?;
    let reason = json!("consecutive_failures");
    let suspended = connection.stands("SUSPENDED", reason.clone(), 5).await?;
    let told = text(&suspended, "last_error")?;
    ensure!(told.contains("auth.invalid_credentials"), "{told}");

    // A sixth test still reports, and changes nothing.
    connection.fails_its_test().await?;
    connection.stands("SUSPENDED", reason.clone(), 5).await?;

    let refusal = connection.change(&json!({"status": "ACTIVE"})).await?;
    let refusal = refusal.refused(422)?;
    assert_eq!(refusal["code"], "connection_test_failed");
    ensure!(refusal["details"]["checks"].is_array(), "{refusal}");
    connection.stands("SUSPENDED", reason, 5).await?;
    Ok(())
}

async fn working_credentials_bring_it_back(
    connection: &Connection,
    lab: &Lab,
    store: Store,
) -> Result<()> {
    let wrong = connection.sealed().await?.context("sealed credentials")?;
    let change = json!({"provider_config": lab.provider_config()});
    connection.change(&change).await?.ok()?;
    let active = connection.stands("ACTIVE", Value::Null, 0).await?;
    assert_eq!(active["last_error"], Value::Null);
    let right = connection.sealed().await?.context("sealed credentials")?;
    ensure!(
        right != wrong,
        "the new credentials are sealed like the old"
    );
    if store == Store::Sqlite {
        ensure!(
            connection.stores(&right)?,
            "the search for sealed bytes finds none"
        );
        ensure!(
            !connection.stores(&wrong)?,
            "the replaced sealed credentials are still in a file"
        );
    }
    connection.never_in_the_clear().await
}

async fn archiving_shreds(connection: &Connection, lab: &Lab, store: Store) -> Result<()> {
    let sealed = connection.sealed().await?.context("sealed credentials")?;
    let archived = connection.archive().await?.ok()?;
    assert_eq!(archived["connection_id"], connection.id.as_str());
    let reason = json!("archived");
    connection.stands("ARCHIVED", reason.clone(), 0).await?;
    assert_eq!(
        connection.sealed().await?,
        None,
        "the sealed credentials after archiving"
    );
    if store == Store::Sqlite {
        ensure!(
            !connection.stores(&sealed)?,
            "the shredded credentials are still in a file"
        );
    }
    connection.never_in_the_clear().await?;

    for change in [
        json!({"status": "ACTIVE"}),
        json!({"is_active": true}),
        json!({"provider_config": lab.provider_config()}),
    ] {
        connection.change(&change).await?.refused(409)?;
    }
    connection.test().await?.refused(409)?;
    connection.archive().await?.ok()?;
    connection.stands("ARCHIVED", reason, 0).await?;
    Ok(())
}

async fn everything_is_audited(connection: &Connection) -> Result<()> {
    let audited = connection
        .wharf
        .database()
        .await?
        .audited(&connection.id)
        .await?;
    for (action, times) in [
        ("storage_connection_created", 1),
        // Six that a person asked for, and the one that refused to reactivate it.
        ("storage_connection_tested", 7),
        ("storage_connection_updated", 1),
        ("storage_connection_deleted", 1),
    ] {
        let found = audited.iter().filter(|audited| *audited == action).count();
        assert_eq!(found, times, "{action} in {audited:?}");
    }
    Ok(())
}

struct Connection {
    wharf: Installation,
    api: Api,
    id: String,
    path: String,
}

impl Connection {
    async fn read(&self) -> Result<Value> {
        self.api.get(&self.path).await?.ok()
    }

    async fn change(&self, change: &Value) -> Result<Answer> {
        self.api.patch(&self.path, change).await
    }

    async fn test(&self) -> Result<Answer> {
        self.api
            .ask(Method::POST, &format!("{}/test", self.path), None)
            .await
    }

    /// A test that the lab's answer to a wrong secret must fail, and that must say so.
    async fn fails_its_test(&self) -> Result<()> {
        let outcome = self.test().await?.ok()?;
        assert_eq!(outcome["success"], false, "{outcome}");
        assert_eq!(
            outcome["details"]["error_code"], "auth.invalid_credentials",
            "{outcome}"
        );
        Ok(())
    }

    async fn stands(&self, status: &str, reason: Value, failures: u64) -> Result<Value> {
        let connection = self.read().await?;
        let found = [
            &connection["status"],
            &connection["status_reason"],
            &connection["consecutive_failures"],
        ];
        assert_eq!(
            found,
            [&json!(status), &reason, &json!(failures)],
            "{connection}"
        );
        assert_eq!(connection["is_active"], status == "ACTIVE", "{connection}");
        Ok(connection)
    }

    async fn archive(&self) -> Result<Answer> {
        self.api.delete(&self.path).await
    }

    async fn sealed(&self) -> Result<Option<Vec<u8>>> {
        self.wharf.database().await?.sealed(&self.id).await
    }

    /// Neither the files of the data directory nor a dump of all tables hold a secret as it is.
    async fn never_in_the_clear(&self) -> Result<()> {
        let contents = self.wharf.database().await?.contents().await?;
        let mut leaks = Vec::new();
        for secret in [
            Canary::new("the wrong secret", WRONG_SECRET),
            Canary::new("the right secret", RIGHT_SECRET),
        ] {
            for (table, content) in &contents {
                leaks.extend(secret.leaked_to(content, table));
            }
            for file in self.wharf.data_files()? {
                let place = file.display().to_string();
                leaks.extend(secret.leaked_to(&fs::read(&file)?, &place));
            }
        }
        ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
        Ok(())
    }

    /// Whether a file holds these bytes. A part of them is looked for, since long values lie on several pages.
    fn stores(&self, sealed: &[u8]) -> Result<bool> {
        let middle = sealed.len() / 2;
        let part = &sealed[middle..middle + 24];
        for file in self.wharf.data_files()? {
            if fs::read(&file)?
                .windows(part.len())
                .any(|window| window == part)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
