//! The command line: exit codes, settings, first start, shutdown, administration.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use wharf_tests::{ADMIN_KEY, Installation, Lab, Store, fresh_database, text};

/// The exit code for a configuration that cannot work.
const BAD_CONFIGURATION: i32 = 2;

#[tokio::test]
async fn a_bad_setting_ends_every_command_with_code_2_and_its_name() -> Result<()> {
    for (setting, value, name) in [
        ("WHARF_LISTEN", "everywhere", "listen"),
        ("WHARF_SYNC__LEASE_TTL", "soonish", "sync.lease_ttl"),
        ("WHARF_SYNC__LEASE_TTL", "1ms", "sync.lease_ttl"),
        ("WHARF_SYNC__WORKERS", "0", "sync.workers"),
        ("WHARF_EGRESS__ALLOW", "not an address", "egress.allow"),
        (
            "WHARF_EGRESS__ALLOW_LOOPBACK",
            "perhaps",
            "egress.allow_loopback",
        ),
        (
            "WHARF_EGRESS__ALLOW_EVERYTHING",
            "true",
            "egress.allow_everything",
        ),
        ("WHARF_DATABASE_URL", "mysql://db/wharf", "database_url"),
        ("WHARF_DATABASE_URL", "postgres://db/wharf", "key_ring"),
        ("WHARF_NO_SUCH_SETTING", "1", "no_such_setting"),
    ] {
        let Some(mut wharf) = Installation::on(Store::Sqlite).await? else {
            return Ok(());
        };
        wharf.set(setting, value);
        for command in ["check-config", "serve"] {
            let output = wharf.run(&[command])?;
            let stderr = String::from_utf8(output.stderr)?;
            assert_eq!(
                output.status.code(),
                Some(BAD_CONFIGURATION),
                "{setting}={value} {command}: {stderr}"
            );
            ensure!(
                stderr.contains(name),
                "{setting}={value} {command} does not name {name}: {stderr}"
            );
        }
        ensure!(
            !wharf.data_dir().exists(),
            "{setting}={value} left a data directory behind"
        );
    }
    Ok(())
}

#[tokio::test]
async fn check_config_tells_what_the_settings_mean_and_starts_nothing() -> Result<()> {
    let Some(wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let told = wharf.answer(&["check-config"])?;
    ensure!(
        told.contains("valid") && told.contains("wharf.db") && told.contains("keyring.json"),
        "{told}"
    );
    ensure!(
        !told.contains(ADMIN_KEY),
        "check-config prints the admin key"
    );
    ensure!(
        !wharf.data_dir().exists(),
        "check-config left a data directory behind"
    );

    let file = wharf.data_dir().with_file_name("wharf.toml");
    fs::write(&file, "[sync]\nlease_tll = \"30s\"\n")?;
    let output = wharf.run(&["check-config", "--config", &file.to_string_lossy()])?;
    assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
    ensure!(
        String::from_utf8(output.stderr)?.contains("sync.lease_tll"),
        "the unknown key is not named"
    );
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_is_printed_and_served_alike() -> Result<()> {
    let Some(wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let printed: Value = serde_json::from_str(&wharf.answer(&["openapi"])?)?;
    ensure!(
        text(&printed, "openapi")?.starts_with("3.1."),
        "{}",
        printed["openapi"]
    );
    ensure!(
        !wharf.data_dir().exists(),
        "openapi left a data directory behind"
    );
    let paths = printed["paths"].as_object().context("paths")?;
    for path in [
        "/v1/organizations/connections/{connection_identifier}/test",
        "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}",
        "/v1/health/liveness",
    ] {
        ensure!(
            paths.contains_key(path),
            "{path} is not in the document: {:?}",
            paths.keys()
        );
    }
    let server = wharf.start().await?;
    assert_eq!(server.api()?.get("/openapi.json").await?.ok()?, printed);
    Ok(())
}

#[tokio::test]
async fn the_healthcheck_tells_a_live_server_from_a_dead_one() -> Result<()> {
    let Some(mut wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let address = server.url().trim_start_matches("http://").to_owned();
    wharf.set("WHARF_LISTEN", &address);
    wharf.answer(&["healthcheck"])?;
    server.kill()?;
    assert_eq!(wharf.run(&["healthcheck"])?.status.code(), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_taken_port_ends_the_server_with_code_1_and_the_address() -> Result<()> {
    let Some(mut wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    wharf.set("WHARF_LISTEN", &address);
    let output = wharf.run(&["serve"])?;
    assert_eq!(output.status.code(), Some(1));
    ensure!(
        String::from_utf8(output.stderr)?.contains(&address),
        "the address is not told"
    );
    Ok(())
}

#[tokio::test]
async fn a_generated_admin_key_is_in_a_private_file_and_nowhere_else() -> Result<()> {
    let Some(mut wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    wharf.unset("WHARF_BOOTSTRAP__ADMIN_KEY");
    let server = wharf.start().await?;
    let file = wharf.data_dir().join("admin.key");
    let key = fs::read_to_string(&file)?.trim().to_owned();
    let mode = |path| Ok::<_, std::io::Error>(fs::metadata(path)?.permissions().mode() & 0o777);
    assert_eq!(mode(file.clone())?, 0o600);
    assert_eq!(mode(wharf.data_dir())?, 0o700);
    assert_eq!(mode(wharf.data_dir().join("keyring.json"))?, 0o600);
    server
        .api_as(&key)?
        .get("/v1/organizations/connections/any")
        .await?
        .refused(404)?;
    let namespaces = server
        .api_as(&key)?
        .post("/v1/namespaces/list", &json!({}))
        .await?
        .ok()?;
    assert_eq!(namespaces["results"][0]["namespace_name"], "default");

    ensure!(server.terminate().await?.success(), "no clean shutdown");
    let server = wharf.start().await?;
    assert_eq!(
        fs::read_to_string(&file)?.trim(),
        key,
        "the key after a second start"
    );
    server
        .api_as(&key)?
        .post("/v1/namespaces/list", &json!({}))
        .await?
        .ok()?;
    let logs = String::from_utf8_lossy(&wharf.logs()?).into_owned();
    ensure!(!logs.contains(&key), "the admin key is in the log");
    ensure!(
        logs.contains(&*file.to_string_lossy()),
        "the path of the admin key is not told"
    );
    for path in wharf.data_files()? {
        let holds = String::from_utf8_lossy(&fs::read(&path)?).contains(&key);
        assert_eq!(holds, path == file, "{}", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn a_later_bootstrap_key_is_ignored_with_a_warning() -> Result<()> {
    let Some(mut wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    wharf.start().await?.kill()?;
    wharf.set("WHARF_BOOTSTRAP__ADMIN_KEY", "sk_another_first_admin_key");
    let server = wharf.start().await?;
    server
        .api_as("sk_another_first_admin_key")?
        .post("/v1/namespaces/list", &json!({}))
        .await?
        .refused(401)?;
    server
        .api()?
        .post("/v1/namespaces/list", &json!({}))
        .await?
        .ok()?;
    let logs = String::from_utf8_lossy(&wharf.logs()?).into_owned();
    ensure!(
        logs.contains("bootstrap.admin_key is ignored"),
        "no warning"
    );
    Ok(())
}

#[tokio::test]
async fn without_its_key_ring_an_old_database_is_not_opened() -> Result<()> {
    let Some(wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let server = wharf.start().await?;
    server.api()?.create_bucket("kept").await?;
    ensure!(server.terminate().await?.success(), "no clean shutdown");
    let (ring, away) = (
        wharf.data_dir().join("keyring.json"),
        wharf.data_dir().join("keyring.away"),
    );
    fs::rename(&ring, &away)?;
    for command in [&["serve"][..], &["admin", "organizations", "list"]] {
        let output = wharf.run(command)?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(BAD_CONFIGURATION), "{stderr}");
        ensure!(
            stderr.contains("key ring") && stderr.contains("keyring.json"),
            "{stderr}"
        );
    }
    ensure!(
        !ring.exists(),
        "a new key ring was made for an old database"
    );
    fs::rename(&away, &ring)?;
    let buckets = wharf.start().await?.api()?.list("/v1/buckets/list").await?;
    assert_eq!(buckets.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_postgres_database_is_migrated_when_asked_and_only_then() -> Result<()> {
    let (Some(mut wharf), Some(database)) = (
        Installation::on(Store::Sqlite).await?,
        fresh_database().await?,
    ) else {
        return Ok(());
    };
    wharf.move_to(&database)?;
    let output = wharf.run(&["serve"])?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    ensure!(
        stderr.contains("migrate"),
        "the remedy is not told: {stderr}"
    );

    let server = wharf.start_with(&["--migrate"]).await?;
    server.api()?.create_bucket("kept").await?;
    ensure!(server.terminate().await?.success(), "no clean shutdown");
    wharf.answer(&["migrate"])?;
    let buckets = wharf.start().await?.api()?.list("/v1/buckets/list").await?;
    assert_eq!(buckets.len(), 1, "buckets after another migration");
    Ok(())
}

#[tokio::test]
async fn sigterm_in_the_middle_of_a_sync_ends_cleanly_and_the_sync_goes_on_after_a_restart()
-> Result<()> {
    let (Some(wharf), Some(lab)) = (Installation::on(Store::Sqlite).await?, Lab::start().await?)
    else {
        return Ok(());
    };
    let objects: Vec<Value> = (0..300)
        .map(|n| json!({"key": format!("{n:04}"), "text": format!("cargo {n}")}))
        .collect();
    lab.put("cargo", &objects).await?;
    lab.slow_down(60).await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let connection = api.connect_to(&lab, "cargo").await?;
    let bucket = api.create_bucket("cargo").await?;
    let sync = api.create_sync(&bucket, &connection, "cargo").await?;
    while lab.fetched().await?.len() < 120 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = server.terminate().await?;
    assert_eq!(ended.code(), Some(0), "the exit code after SIGTERM");

    lab.speed_up().await?;
    let server = wharf.start().await?;
    let api = server.api()?;
    let jobs = api.synced(&bucket, &sync).await?;
    let ends: Vec<[&Value; 3]> = jobs
        .iter()
        .map(|job| {
            [
                &job["status"],
                &job["trigger"],
                &job["metadata"]["complete"],
            ]
        })
        .collect();
    let expected = [["completed", "resume"], ["interrupted", "scheduled"]];
    for (end, [status, trigger]) in ends.iter().zip(expected) {
        assert_eq!(
            (end[0], end[1]),
            (&json!(status), &json!(trigger)),
            "{jobs:?}"
        );
    }
    assert_eq!(jobs.len(), 2);
    assert_eq!(api.objects(&bucket).await?.len(), 300);
    Ok(())
}

#[tokio::test]
async fn admin_commands_make_organizations_users_and_keys_that_work_until_revoked() -> Result<()> {
    let Some(wharf) = Installation::on(Store::Sqlite).await? else {
        return Ok(());
    };
    let server = wharf.start().await?;
    let admin = |arguments: &[&str]| -> Result<Value> {
        let arguments = [&["admin"], arguments].concat();
        Ok(serde_json::from_str(&wharf.answer(&arguments)?)?)
    };
    let created = admin(&[
        "organizations",
        "create",
        "--name",
        "Lighthouse",
        "--admin-email",
        "keeper@example.com",
    ])?;
    let organization = text(&created["organization"], "internal_id")?.to_owned();
    let listed = admin(&["organizations", "list"])?;
    let names: Vec<&Value> = listed
        .as_array()
        .context("a list")?
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["default", "Lighthouse"]);

    let in_it = ["--organization", organization.as_str()];
    let user = admin(
        &[
            &["users", "create", "--email", "mate@example.com"],
            &in_it[..],
        ]
        .concat(),
    )?;
    ensure!(text(&user, "user_id")?.starts_with("usr_"), "{user}");
    let users = admin(&[&["users", "list"], &in_it[..]].concat())?;
    assert_eq!(users.as_array().context("a list")?.len(), 2, "{users}");

    let of_keeper = [&in_it[..], &["--email", "keeper@example.com"]].concat();
    let key = admin(
        &[
            &["keys", "create", "--name", "lamp", "--permission", "admin"],
            &of_keeper[..],
        ]
        .concat(),
    )?;
    let (secret, key_id) = (
        text(&key, "key")?.to_owned(),
        text(&key, "key_id")?.to_owned(),
    );
    let lighthouse = server.api_as(&secret)?;
    let bucket = lighthouse.create_bucket("lamps").await?;
    // The other organization sees the same as for a bucket that was never there.
    server
        .api()?
        .get(&format!("/v1/buckets/{bucket}"))
        .await?
        .refused(404)?;

    let keys = admin(&[&["keys", "list"], &of_keeper[..]].concat())?;
    assert_eq!(keys[0]["key_id"], key_id.as_str());
    ensure!(
        !keys.to_string().contains(&secret),
        "a key is shown again: {keys}"
    );
    let revoked = admin(&[&["keys", "revoke", "--key", &key_id], &in_it[..]].concat())?;
    ensure!(revoked["revoked_at"].is_string(), "{revoked}");
    lighthouse
        .get(&format!("/v1/buckets/{bucket}"))
        .await?
        .refused(401)?;

    let twice = wharf.run(&[
        "admin",
        "organizations",
        "create",
        "--name",
        "Lighthouse",
        "--admin-email",
        "k@example.com",
    ])?;
    assert_eq!(twice.status.code(), Some(1));
    let beyond = [
        &[
            "admin",
            "keys",
            "create",
            "--name",
            "all",
            "--permission",
            "admin",
            "--email",
            "mate@example.com",
        ],
        &in_it[..],
    ];
    assert_eq!(
        wharf.run(&beyond.concat())?.status.code(),
        Some(1),
        "an admin key for a mere member"
    );
    Ok(())
}
