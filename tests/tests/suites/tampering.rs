//! A writer in the database changes what stands beside or inside sealed credentials: using the connection is refused with
//! `integrity_error`, and nothing is dialled, neither the store nor the host that was written in.

use std::fs;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wharf_tests::{Api, Database, Echo, Installation, Lab, Store, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampered_rows_are_refused_and_dial_nothing_on_sqlite() -> Result<()> {
    tampered(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tampered_rows_are_refused_and_dial_nothing_on_postgres() -> Result<()> {
    tampered(Store::Postgres).await
}

/// A connection with a sync, and what its row holds while nobody touches it.
struct Victim {
    api: Api,
    id: String,
    bucket: String,
    sync: String,
    sealed: Vec<u8>,
    older: Vec<u8>,
    config: String,
}

struct Ground {
    database: Database,
    lab: Lab,
    /// Where an edited row would send the credentials.
    elsewhere: Echo,
    /// How the last run ended.
    said: String,
    /// States that were refused in a test, and those of them that were refused in a run as well.
    tested: usize,
    run: usize,
}

async fn tampered(store: Store) -> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(store).await?, Lab::start().await?) else {
        return Ok(());
    };
    lab.put(
        "quay",
        &[json!({"key": "map.txt", "text": "X marks the spot."})],
    )
    .await?;
    let elsewhere = Echo::start(Vec::new(), Vec::new()).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let stranger = server.api_as(&another_organization(&wharf)?)?;
    let mut ground = Ground {
        database: wharf.database_to_change().await?,
        lab,
        elsewhere,
        said: String::new(),
        tested: 0,
        run: 0,
    };
    let neighbour = ground.connect(&api, "neighbour").await?;
    let foreign = ground.connect(&stranger, "foreign").await?;
    let victim = ground.victim(&api).await?;

    ground.other_bytes(&victim, &neighbour, &foreign).await?;
    ground.other_settings(&victim).await?;
    ground.another_row(&victim, &stranger).await?;
    ground.still_works(&victim).await?;

    // Opened organization keys stay in memory for a while: what changes them shows after a start.
    ensure!(server.terminate().await?.success(), "no clean shutdown");
    let ring = wharf.data_dir().join("keyring.json");
    let own = fs::read(&ring)?;
    let mut other: Value = serde_json::from_slice(&own)?;
    for key in other["keys"].as_array_mut().context("keys")? {
        key["key"] = json!(STANDARD.encode([0x5a; 32]));
    }
    fs::write(&ring, other.to_string())?;
    let server = wharf.start().await?;
    let after = Victim {
        api: server.api()?,
        ..victim
    };
    ground
        .refused_by_the_key_ring(&after, "another key ring")
        .await?;
    ensure!(server.terminate().await?.success(), "no clean shutdown");
    fs::write(&ring, &own)?;

    let wrapped = ground.database.organization_keys().await?;
    for row in &wrapped {
        let mut bytes = row.wrapped.clone();
        bytes[20] ^= 1;
        ground.set_wrapped(&row.organization, &bytes).await?;
    }
    let server = wharf.start().await?;
    let after = Victim {
        api: server.api()?,
        ..after
    };
    ground
        .refused_by_the_key_ring(&after, "a changed organization key")
        .await?;
    for row in &wrapped {
        ground.set_wrapped(&row.organization, &row.wrapped).await?;
    }
    ground.still_works(&after).await?;
    eprintln!(
        "{store:?}: {} tampered states, all refused in a test and {} of them in a run with integrity_error; dialled: 0",
        ground.tested, ground.run
    );
    Ok(())
}

/// A second organization's admin key.
fn another_organization(wharf: &Installation) -> Result<String> {
    let admin = |arguments: &[&str]| -> Result<Value> {
        let text = wharf.answer(&[&["admin"], arguments].concat())?;
        Ok(serde_json::from_str(&text)?)
    };
    let email = "keeper@example.com";
    let name = "Lighthouse";
    let created = admin(&[
        "organizations",
        "create",
        "--name",
        name,
        "--admin-email",
        email,
    ])?;
    let organization = text(&created["organization"], "internal_id")?;
    let key = admin(&[
        "keys",
        "create",
        "--name",
        "lamp",
        "--permission",
        "admin",
        "--organization",
        organization,
        "--email",
        email,
    ])?;
    Ok(text(&key, "key")?.to_owned())
}

impl Ground {
    /// A connection to the lab, and its sealed credentials.
    async fn connect(&self, api: &Api, name: &str) -> Result<(String, Vec<u8>)> {
        let id = api.connect_to(&self.lab, name).await?;
        let sealed = self.database.sealed(&id).await?.context("sealed")?;
        Ok((id, sealed))
    }

    async fn victim(&self, api: &Api) -> Result<Victim> {
        let (id, older) = self.connect(api, "victim").await?;
        let path = format!("/v1/organizations/connections/{id}");
        let again = json!({"provider_config": self.lab.provider_config()});
        api.patch(&path, &again).await?.ok()?;
        let sealed = self.database.sealed(&id).await?.context("sealed")?;
        ensure!(sealed != older, "new credentials were not sealed anew");
        let bucket = api.create_bucket("quay").await?;
        let sync = api.create_sync(&bucket, &id, "quay").await?;
        api.synced(&bucket, &sync).await?;
        let config = self.database.config(&id).await?;
        Ok(Victim {
            api: api.clone(),
            id,
            bucket,
            sync,
            sealed,
            older,
            config,
        })
    }

    async fn other_bytes(
        &mut self,
        victim: &Victim,
        neighbour: &(String, Vec<u8>),
        foreign: &(String, Vec<u8>),
    ) -> Result<()> {
        let own = &victim.sealed;
        let mut attempts = vec![
            ("a neighbour's sealed bytes".to_owned(), neighbour.1.clone()),
            ("a foreign organization's".to_owned(), foreign.1.clone()),
            ("an older version's".to_owned(), victim.older.clone()),
            ("one byte less".to_owned(), own[..own.len() - 1].to_vec()),
            ("one block less".to_owned(), own[..own.len() - 256].to_vec()),
            ("the head alone".to_owned(), own[..145].to_vec()),
            ("nothing".to_owned(), Vec::new()),
            ("one byte more".to_owned(), [own.as_slice(), &[0]].concat()),
            (
                "one block more".to_owned(),
                [own.as_slice(), &[0; 256]].concat(),
            ),
            (
                "credentials in the clear".to_owned(),
                credentials_in_the_clear(&self.lab),
            ),
        ];
        // One in every part of the form: magic, suite, key version, nonces, wrapped key, salt, commitment, body, tag.
        for at in [0, 4, 8, 10, 30, 68, 75, 105, 140, 150, own.len() - 1] {
            let mut flipped = own.clone();
            flipped[at] ^= 0x10;
            attempts.push((format!("a flipped bit at {at}"), flipped));
        }
        for (what, bytes) in attempts {
            self.set_sealed(&victim.id, &bytes).await?;
            self.refused(victim, &what).await?;
        }
        self.set_sealed(&victim.id, own).await?;

        // A swap proper: both rows are broken.
        self.set_sealed(&neighbour.0, own).await?;
        self.set_sealed(&victim.id, &neighbour.1).await?;
        self.refused(victim, "a swap of two connections").await?;
        self.test_is_refused(&victim.api, &neighbour.0, "the other side of a swap")
            .await?;
        self.set_sealed(&neighbour.0, &neighbour.1).await?;
        self.set_sealed(&victim.id, own).await
    }

    async fn other_settings(&mut self, victim: &Victim) -> Result<()> {
        let edit = |from: &str, to: &str| {
            let edited = victim.config.replace(from, to);
            ensure!(
                edited != victim.config,
                "there is no {from} in {}",
                victim.config
            );
            Ok(edited)
        };
        let (here, there) = (self.lab.url().to_owned(), self.elsewhere.url());
        for (what, config) in [
            ("another host beside the secret", edit(&here, &there)?),
            (
                "another scheme",
                edit("http://", "https://")
                    .map(|text| text.replace("\"use_ssl\":false", "\"use_ssl\":true"))?,
            ),
            (
                "localhost instead of its address",
                edit("127.0.0.1", "localhost")?,
            ),
            (
                "no more verification",
                edit("\"verify_ssl\":true", "\"verify_ssl\":false")?,
            ),
            (
                "AWS instead of the store",
                json!({"region": "us-east-1", "use_ssl": true, "verify_ssl": true}).to_string(),
            ),
        ] {
            self.set_config(victim, "s3", &config).await?;
            self.refused(victim, what).await?;
            ensure!(
                self.said.contains("credentials again"),
                "{what}: {}",
                self.said
            );
        }
        let tigris = json!({"region": "us-east-1", "endpoint_url": here}).to_string();
        self.set_config(victim, "tigris", &tigris).await?;
        self.refused(victim, "another provider").await?;
        let tigris = json!({"region": "us-east-1", "endpoint_url": there}).to_string();
        self.set_config(victim, "tigris", &tigris).await?;
        self.refused(victim, "another provider elsewhere").await?;
        self.set_config(victim, "s3", &victim.config).await?;
        for (what, column, value) in [
            (
                "another kind of credentials",
                "credential_type",
                "'iam_role'",
            ),
            (
                "a later version",
                "credential_version",
                "credential_version + 1",
            ),
            (
                "an earlier version",
                "credential_version",
                "credential_version - 2",
            ),
            ("version zero", "credential_version", "0"),
        ] {
            self.set(&victim.id, column, value).await?;
            self.refused(victim, what).await?;
        }
        self.set(&victim.id, "credential_version", "2").await?;
        self.set(&victim.id, "credential_type", "'access_key'")
            .await
    }

    /// Rows that were given to another organization, or another identifier.
    async fn another_row(&mut self, victim: &Victim, stranger: &Api) -> Result<()> {
        let (moved, _) = self.connect(&victim.api, "moved").await?;
        let (foreign, _) = self.connect(stranger, "a foreign place").await?;
        let owner = format!("(SELECT organization FROM connections WHERE id = '{foreign}')");
        self.set(&moved, "organization", &owner).await?;
        self.test_is_refused(stranger, &moved, "a row of another organization")
            .await?;
        let (renamed, _) = self.connect(&victim.api, "renamed").await?;
        let other = "conn_000000000000000";
        self.set(&renamed, "id", &format!("'{other}'")).await?;
        self.test_is_refused(&victim.api, other, "a row of another identifier")
            .await
    }

    /// A test and a run say `integrity_error`; nobody was asked.
    async fn refused(&mut self, victim: &Victim, what: &str) -> Result<()> {
        self.test_is_refused(&victim.api, &victim.id, what).await?;
        let (api, bucket, sync) = (&victim.api, &victim.bucket, &victim.sync);
        let path = format!("/v1/buckets/{bucket}/syncs/{sync}/trigger");
        let triggered = api.post(&path, &json!({})).await?;
        let job = text(
            &triggered.ok().with_context(|| what.to_owned())?,
            "sync_job_id",
        )?
        .to_owned();
        let path = format!("/v1/buckets/{bucket}/syncs/{sync}/jobs/{job}");
        let ended = loop {
            let job = api.get(&path).await?.ok()?;
            if job["completed_at"].is_string() || job["status"] == "failed" {
                break job;
            }
            ensure!(job["status"] != "completed", "{what}: {job}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        ensure!(
            ended["status"] == "failed" && ended.to_string().contains("integrity_error"),
            "{what}: the run ended otherwise: {ended}"
        );
        self.run += 1;
        self.said = ended.to_string();
        self.nobody_was_asked(what).await
    }

    /// The key ring is to blame, and says so: entering credentials again would not help.
    async fn refused_by_the_key_ring(&mut self, victim: &Victim, what: &str) -> Result<()> {
        self.refused(victim, what).await?;
        ensure!(self.said.contains("(key_ring)"), "{what}: {}", self.said);
        let path = format!("/v1/organizations/connections/{}", victim.id);
        let again = json!({"provider_config": self.lab.provider_config()});
        let answer = victim.api.patch(&path, &again).await?;
        ensure!(
            answer.status == 500,
            "{what}: credentials were taken: {}",
            answer.text()
        );
        Ok(())
    }

    async fn test_is_refused(&mut self, api: &Api, connection: &str, what: &str) -> Result<()> {
        self.tested += 1;
        self.lab.clear_journal().await?;
        let path = format!("/v1/organizations/connections/{connection}/test");
        let outcome = api
            .post(&path, &json!({}))
            .await?
            .ok()
            .with_context(|| what.to_owned())?;
        ensure!(
            outcome["success"] == false && outcome.to_string().contains("integrity_error"),
            "{what}: the test ended otherwise: {outcome}"
        );
        self.nobody_was_asked(what).await
    }

    async fn nobody_was_asked(&self, what: &str) -> Result<()> {
        let journal = self.lab.journal().await?;
        ensure!(
            journal.is_empty(),
            "{what}: the store was asked: {journal:?}"
        );
        let dialled = self.elsewhere.asked();
        ensure!(
            dialled == 0,
            "{what}: the host written in was dialled {dialled} times"
        );
        Ok(())
    }

    /// Everything was put back: it works as before.
    async fn still_works(&self, victim: &Victim) -> Result<()> {
        let path = format!("/v1/organizations/connections/{}/test", victim.id);
        let outcome = victim.api.post(&path, &json!({})).await?.ok()?;
        ensure!(outcome["success"] == true, "{outcome}");
        let job = victim.api.run_again(&victim.bucket, &victim.sync).await?;
        ensure!(job["status"] == "completed", "{job}");
        ensure!(!self.lab.journal().await?.is_empty(), "nothing was asked");
        Ok(())
    }

    async fn set_sealed(&self, connection: &str, bytes: &[u8]) -> Result<()> {
        let sql = format!("UPDATE connections SET sealed = $1 WHERE id = '{connection}'");
        self.one_row(&sql, Some(bytes)).await
    }

    async fn set_wrapped(&self, organization: &str, bytes: &[u8]) -> Result<()> {
        let sql = format!(
            "UPDATE organization_keys SET wrapped = $1 WHERE organization = '{organization}'"
        );
        self.one_row(&sql, Some(bytes)).await
    }

    async fn set_config(&self, victim: &Victim, provider: &str, config: &str) -> Result<()> {
        let id = &victim.id;
        let sql = format!(
            "UPDATE connections SET provider = '{provider}', config = '{config}' WHERE id = '{id}'"
        );
        self.one_row(&sql, None).await
    }

    async fn set(&self, connection: &str, column: &str, value: &str) -> Result<()> {
        let sql = format!("UPDATE connections SET {column} = {value} WHERE id = '{connection}'");
        self.one_row(&sql, None).await
    }

    async fn one_row(&self, sql: &str, bytes: Option<&[u8]>) -> Result<()> {
        let changed = self.database.change(sql, bytes).await?;
        ensure!(changed == 1, "{changed} rows were changed by: {sql}");
        Ok(())
    }
}

fn credentials_in_the_clear(lab: &Lab) -> Vec<u8> {
    lab.provider_config()["credentials"]
        .to_string()
        .into_bytes()
}
