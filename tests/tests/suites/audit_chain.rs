//! Somebody writes to the stopped server's database, and `wharf admin audit verify` names the first row that is not as it was
//! written, or says what it cannot see.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{Api, Database, Installation, Store, text};

const FORGED: &str = "aud_ffffffffffffffff";
const COLUMNS: &str = "id, at, action, resource_type, resource_id, actor, user_id, key_id, reason, ip_address, user_agent, changes";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_behind_the_servers_back_is_named_on_sqlite() -> Result<()> {
    tampered_with(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_behind_the_servers_back_is_named_on_postgres() -> Result<()> {
    tampered_with(Store::Postgres).await
}

/// What `verify` said.
struct Said {
    intact: bool,
    /// What kind of fault, and where.
    fault: (String, u64),
    unseen: Value,
}

/// An organization's trail that is written to, time after time, from how it was.
struct Trail {
    wharf: Installation,
    database: Database,
    organization: String,
    /// Of the newest event that was told.
    head: String,
    last: u64,
    kept: &'static str,
}

async fn tampered_with(store: Store) -> Result<()> {
    let Some(wharf) = Installation::on(store).await? else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let (organization, head) = live(&server.api()?).await?;
    server.terminate().await?;
    let trail = Trail::keep(wharf, organization, head).await?;

    let whole = trail.verify("nothing was changed", true)?;
    ensure!(whole.intact);
    rows_are_changed(&trail).await?;
    rows_are_slipped_in(&trail).await?;
    the_newest_are_taken_back(&trail).await?;
    all_are_gone(&trail).await?;
    nothing_is_signed_again(&trail).await?;
    trail.restore().await?;
    ensure!(trail.verify("all was put back", true)?.intact);
    let unknown = "int_zzzzzzzzzzzzzzzzzzzzzzzz";
    let verify = ["admin", "audit", "verify", "--organization", unknown];
    let Output { status, stderr, .. } = trail.wharf.run(&verify)?;
    eprintln!(
        "an organization that there is not: {}",
        String::from_utf8_lossy(&stderr)
    );
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}

/// Some history; whose it is, and the head that its newest event tells.
async fn live(api: &Api) -> Result<(String, String)> {
    for name in ["bow", "stern", "keel", "mast", "sail"] {
        api.create_bucket(name).await?;
    }
    let user = json!({"email": "mate@harbour.test", "user_name": "A Mate", "role": "member"});
    api.post("/v1/organizations/users", &user).await?.ok()?;
    // Nobody asks there: what counts is that it is told.
    let connection = json!({
        "name": "quay",
        "provider_type": "s3",
        "provider_config": {
            "provider_type": "s3",
            "endpoint_url": "http://127.0.0.1:9",
            "use_ssl": false,
            "credentials": {"type": "access_key", "access_key_id": "AKIAHARBOUR", "secret_access_key": "quay"},
        },
        "test_before_save": false,
    });
    api.post("/v1/organizations/connections", &connection)
        .await?
        .ok()?;
    let events = api.get("/v1/organizations/events").await?.ok()?;
    let events = events["results"].as_array().context("events")?;
    let newest = events
        .iter()
        .filter_map(|event| Some((place(event["audit_head"].as_str()?).ok()?, event)))
        .max_by_key(|(place, _)| *place);
    let (_, newest) = newest.context("an event")?;
    let head = text(newest, "audit_head")?.to_owned();
    eprintln!(
        "the newest event, {}, told the head {head}",
        newest["event_type"]
    );
    Ok((text(newest, "internal_id")?.to_owned(), head))
}

fn place(head: &str) -> Result<u64> {
    let (place, _) = head.split_once(':').context("position:link")?;
    Ok(place.parse()?)
}

/// Each of these is named with the row.
async fn rows_are_changed(trail: &Trail) -> Result<()> {
    for (what, set) in [
        ("a row's reason was altered", "reason = 'I was told to'"),
        (
            "a row's changes were altered",
            r#"changes = '{"name":"hull"}'"#,
        ),
        ("a row's link was taken off", "link = NULL"),
    ] {
        trail
            .change(&format!(
                "UPDATE audit_rows SET {set} WHERE {} AND position = 3",
                trail.own()
            ))
            .await?;
        trail.named(what, "altered", 3).await?;
    }
    trail
        .change(&format!(
            "DELETE FROM audit_rows WHERE {} AND position = 4",
            trail.own()
        ))
        .await?;
    trail
        .named("a row in the middle was removed", "removed", 4)
        .await
}

async fn rows_are_slipped_in(trail: &Trail) -> Result<()> {
    let behind = (trail.last + 1).to_string();
    for (what, place, kind, named) in [
        (
            "a row was added at the end",
            &*behind,
            "altered",
            trail.last + 1,
        ),
        ("a row was added at place 0", "0", "slipped_in", 0),
        ("a row was added at place -1", "-1", "slipped_in", 0),
        ("a row was added without a place", "NULL", "slipped_in", 0),
    ] {
        // A copy of another row in every column but its identifier and place.
        let copied = COLUMNS.replacen("id", &format!("'{FORGED}'"), 1);
        trail
            .change(&format!(
                "INSERT INTO audit_rows (organization, {COLUMNS}, position, link) \
                 SELECT organization, {copied}, {place}, link FROM audit_rows WHERE {} AND position = 2",
                trail.own()
            ))
            .await?;
        trail.named(what, kind, named).await?;
    }
    Ok(())
}

/// Seen by a head from elsewhere alone.
async fn the_newest_are_taken_back(trail: &Trail) -> Result<()> {
    let (own, end) = (trail.own(), trail.last - 2);
    trail
        .change(&format!(
            "DELETE FROM audit_rows WHERE {own} AND position > {end}"
        ))
        .await?;
    trail
        .named(
            "the newest rows were removed, the stored head was not",
            "rolled_back",
            end + 1,
        )
        .await?;

    trail
        .change(&format!(
            "DELETE FROM audit_rows WHERE {own} AND position > {end}"
        ))
        .await?;
    trail
        .change(&format!(
            "UPDATE audit_heads SET position = {end}, \
             link = (SELECT link FROM audit_rows WHERE {own} AND position = {end}) WHERE {own}"
        ))
        .await?;
    let what = "the newest rows were removed and the stored head was put back to them";
    let without = trail.verify(what, false)?;
    let unseen = without
        .unseen
        .as_str()
        .context("it says what it cannot see")?;
    ensure!(without.intact && unseen.contains("Without a head from elsewhere"));
    let with = trail.verify(what, true)?;
    ensure!(
        with.fault == ("rolled_back".to_owned(), end + 1),
        "{:?}",
        with.fault
    );
    trail.restore().await
}

async fn all_are_gone(trail: &Trail) -> Result<()> {
    let own = trail.own();
    trail
        .change(&format!("DELETE FROM audit_rows WHERE {own}"))
        .await?;
    trail
        .named("the trail was emptied", "rolled_back", 1)
        .await?;

    trail
        .change(&format!("DELETE FROM audit_rows WHERE {own}"))
        .await?;
    trail
        .change(&format!("DELETE FROM audit_heads WHERE {own}"))
        .await?;
    let what = "the trail was emptied, and its head was removed";
    for (with_head, kind) in [(false, "removed"), (true, "rolled_back")] {
        let said = trail.verify(what, with_head)?;
        ensure!(said.fault == (kind.to_owned(), 1), "{:?}", said.fault);
    }
    trail.restore().await
}

/// A trail whose links were taken off is not given new ones.
async fn nothing_is_signed_again(trail: &Trail) -> Result<()> {
    let own = trail.own();
    let unlinked = format!(
        "UPDATE audit_rows SET reason = 'forged', position = NULL, link = NULL WHERE {own}"
    );
    trail.change(&unlinked).await?;
    trail
        .change(&format!("DELETE FROM audit_heads WHERE {own}"))
        .await?;
    let what = "all links were taken off, and the head was removed";
    let said = trail.verify(what, false)?;
    ensure!(said.fault.0 == "slipped_in", "{:?}", said.fault);
    trail.wharf.start().await?.terminate().await?;
    let what = "the same, after a server has run";
    trail.named(what, "slipped_in", 0).await?;

    trail.change(&unlinked).await?;
    let none = "00".repeat(32);
    let none = match trail.wharf.store() {
        Store::Sqlite => format!("x'{none}'"),
        Store::Postgres => format!("'\\x{none}'"),
    };
    trail
        .change(&format!(
            "UPDATE audit_heads SET position = 0, link = {none} WHERE {own}"
        ))
        .await?;
    let verify = [
        "admin",
        "audit",
        "verify",
        "--organization",
        &trail.organization,
    ];
    let Output { status, stderr, .. } = trail.wharf.run(&verify)?;
    let stderr = String::from_utf8_lossy(&stderr);
    eprintln!("made to look like a trail of a version without links: {stderr}");
    ensure!(
        status.code() == Some(1) && stderr.contains("without links"),
        "{status}"
    );
    Ok(())
}

impl Trail {
    /// Keeps the trail as it is, beside itself.
    async fn keep(wharf: Installation, organization: String, head: String) -> Result<Self> {
        let database = wharf.database_to_change().await?;
        let kept = match wharf.store() {
            Store::Sqlite => "kept_",
            Store::Postgres => {
                database.change("CREATE SCHEMA kept", None).await?;
                "kept."
            }
        };
        for table in ["audit_rows", "audit_heads"] {
            let sql = format!("CREATE TABLE {kept}{table} AS SELECT * FROM {table}");
            database.change(&sql, None).await?;
        }
        let last =
            format!("SELECT MAX(position) FROM audit_rows WHERE organization = '{organization}'");
        let last = u64::try_from(database.number(&last).await?)?;
        ensure!(last >= 7 && last >= place(&head)?, "a trail of {last} rows");
        Ok(Self {
            wharf,
            database,
            organization,
            head,
            last,
            kept,
        })
    }

    async fn restore(&self) -> Result<()> {
        let kept = self.kept;
        for table in ["audit_rows", "audit_heads"] {
            self.database
                .change(&format!("DELETE FROM {table}"), None)
                .await?;
            let sql = format!("INSERT INTO {table} SELECT * FROM {kept}{table}");
            self.database.change(&sql, None).await?;
        }
        Ok(())
    }

    fn own(&self) -> String {
        format!("organization = '{}'", self.organization)
    }

    async fn change(&self, sql: &str) -> Result<()> {
        let changed = self.database.change(sql, None).await?;
        ensure!(changed > 0, "nothing was changed by: {sql}");
        Ok(())
    }

    /// `verify` names this fault, with a head from elsewhere or without, and all is put back.
    async fn named(&self, what: &str, kind: &str, place: u64) -> Result<()> {
        for with_head in [false, true] {
            let said = self.verify(what, with_head)?;
            ensure!(
                said.fault == (kind.to_owned(), place),
                "{what}: {:?}",
                said.fault
            );
        }
        self.restore().await
    }

    fn verify(&self, what: &str, with_head: bool) -> Result<Said> {
        let mut verify = vec![
            "admin",
            "audit",
            "verify",
            "--organization",
            &self.organization,
        ];
        if with_head {
            verify.extend(["--head", &self.head]);
        }
        let Output {
            status,
            stdout,
            stderr,
        } = self.wharf.run(&verify)?;
        let with = if with_head { ", with a head" } else { "" };
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        eprintln!("--- {what}{with}: {status}\n{stdout}{stderr}");
        let verdict: Value = serde_json::from_str(&stdout).context("a verdict in JSON")?;
        let intact = verdict["intact"] == true;
        let code = i32::from(!intact);
        ensure!(status.code() == Some(code), "{what}{with}: {status}");
        let fault = &verdict["fault"];
        Ok(Said {
            intact,
            fault: (
                fault["kind"].as_str().unwrap_or_default().to_owned(),
                fault["position"].as_u64().unwrap_or_default(),
            ),
            unseen: verdict["unseen"].clone(),
        })
    }
}
