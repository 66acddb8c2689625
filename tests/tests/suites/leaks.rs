//! Secrets that went in come out nowhere: not in an answer, not in the most talkative log, not on the disk, in no form.
//!
//! A canary stands in every secret there is. [`drive`] uses them all, against a store that works and one that answers
//! with everything it was sent. Then every place that they could have got to is searched. Then a leak in each form is
//! planted in each of those places, and the same search, over the same places collected the same way, must find it.

mod drive;
mod secrets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wharf_keys::FileKeyRing;
use wharf_ports::{KeyContext, KeyRing, WrappedKey};
use wharf_tests::{
    Answer, Api, Canary, Echo, Form, Installation, Lab, Place, Search, Store, files_below,
};

use self::drive::Drive;
use self::secrets::Secrets;

const BODIES: &str = "answers' bodies";
const METRICS: &str = "the metrics";
const HEADERS: &str = "answers' headers";
const LOG: &str = "the log at trace level";
const PRINTED: &str = "what commands print";
const TABLES: &str = "the database's tables";
const DATA: &str = "the data folder's files";
const BLOBS: &str = "the stored objects";
const TEMPORARY: &str = "temporary files";
const NAMES: &str = "files' names";

/// Of Google's access tokens, so many are searched for: more than a search for every piece of all of them would bear.
const MOST_TOKENS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_an_answer_a_log_or_the_data_on_sqlite() -> Result<()> {
    nothing_leaks(Store::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_an_answer_a_log_or_the_data_on_postgres() -> Result<()> {
    nothing_leaks(Store::Postgres).await
}

async fn nothing_leaks(store: Store) -> Result<()> {
    let mut secrets = Secrets::new();
    let of_lab = |field| secrets.get(&format!("s3 access_key {field}"));
    let lab = Lab::start_with(
        of_lab("access_key_id"),
        of_lab("secret_access_key"),
        Some(of_lab("session_token")),
    )
    .await?;
    let (Some(mut wharf), Some(lab)) = (Installation::on(store).await?, lab) else {
        return Ok(());
    };
    wharf.set("WHARF_BOOTSTRAP__ADMIN_KEY", secrets.get("the admin key"));
    lab.google().stand_in(&mut wharf);
    person_of(&lab, &secrets).await?;
    wharf.set("WHARF_LOG__LEVEL", "trace,sqlx=trace");
    wharf.set("RUST_LOG", "trace");
    wharf.set("RUST_BACKTRACE", "full");
    let objects = [
        json!({"key": "map.txt", "text": "X marks the spot."}),
        json!({"key": "b", "size": 70_000}),
    ];
    lab.put("vault", &objects).await?;
    let leaks = |(form, canary): &(Form, Canary)| form.of(canary.text().as_bytes());
    let known = ["access key id", "secret access key", "session token"];
    let known = known.map(|name| secrets.get(&format!("the echoed {name}")).to_owned());
    let key = |whose: &str| {
        let part = |name: &str| secrets.get(&format!("the {whose} {name}"));
        json!({
            "access_key_id": part("access key id"), "secret_access_key": part("secret access key"),
            "session_token": part("session token"),
        })
    };
    for whose in ["echoed", "server's"] {
        lab.accept(&key(whose)).await?;
    }
    let planted = secrets.planted().iter().map(leaks).collect();
    let echo = Echo::before(lab.url(), known.into(), planted).await?;
    wharf.set("WHARF_PROVIDERS__AWS__STS_URL", &echo.url());
    for (name, value) in key("server's").as_object().into_iter().flatten() {
        let name = format!("WHARF_PROVIDERS__AWS__IDENTITY__{}", name.to_uppercase());
        let value = value.as_str().context("a text")?;
        wharf.set(&name, value);
        echo.learn(value);
    }

    let server = wharf.start().await?;
    let mut drive = Drive {
        secrets: &secrets,
        server: &server,
        wharf: &wharf,
        lab: &lab,
        echo: &echo,
        api: server.api_as(secrets.get("the admin key"))?,
        answers: Vec::new(),
        printed: Vec::new(),
    };
    drive.through().await?;
    let Drive {
        answers,
        mut printed,
        ..
    } = drive;
    // While the server holds its files open, and once it has let go of them.
    let mut places = collect(&wharf, &answers, &printed).await?;
    ensure!(server.terminate().await?.success(), "no clean shutdown");
    for (name, key) in another_key(&wharf, &mut printed)? {
        secrets.add(Canary::new(name, key));
    }
    for canary in sessions(&echo.sessions()) {
        secrets.add(canary);
    }
    let tokens = lab.google().access_tokens().await?;
    ensure!(!tokens.is_empty(), "nobody signed in at Google");
    for (number, token) in tokens.iter().take(MOST_TOKENS).enumerate() {
        secrets.add(Canary::new(
            &format!("access token {number}"),
            token.as_str(),
        ));
    }
    for canary in keys(&wharf).await? {
        secrets.add(canary);
    }
    places.extend(collect(&wharf, &[], &printed).await?);
    assert_talkative(&places)?;
    let kinds: BTreeSet<&str> = places.iter().map(|place| place.kind).collect();
    let files = (store == Store::Sqlite).then_some(DATA);
    for kind in [BODIES, METRICS, HEADERS, LOG, PRINTED, TABLES, BLOBS, NAMES]
        .into_iter()
        .chain(files)
    {
        ensure!(kinds.contains(kind), "{kind} were not searched");
    }

    let mut search = Search::for_all(secrets.all());
    let sightings = search.look(&places);
    ensure!(sightings.is_empty(), "{}", sightings.join("\n"));

    finds_what_is_planted(&mut search, &wharf, &echo, &secrets).await?;
    eprintln!("{store:?}: sightings: 0, {search}");
    Ok(())
}

/// A leak planted in every place and form is found by the search that found nothing else.
async fn finds_what_is_planted(
    search: &mut Search,
    wharf: &Installation,
    echo: &Echo,
    secrets: &Secrets,
) -> Result<()> {
    let planted = plant(wharf, echo, secrets).await?;
    let mut printed = Vec::new();
    for (form, canary) in secrets.planted() {
        if form.is_text() {
            let leak = form.of(canary.text().as_bytes());
            printed.push(String::from_utf8(leak)?);
        }
    }
    let places = collect(wharf, &planted, &printed).await?;
    let all = |accepts: fn(Form) -> bool| -> Vec<Canary> {
        let fit = secrets.planted().iter().filter(|(form, _)| accepts(*form));
        fit.map(|(_, canary)| canary.clone()).collect()
    };
    for kind in [BODIES, LOG, TABLES, DATA, BLOBS, TEMPORARY] {
        search.expect(kind, &all(|_| true), &places)?;
    }
    for kind in [HEADERS, METRICS, PRINTED, NAMES] {
        search.expect(kind, &all(Form::is_text), &places)?;
    }
    Ok(())
}

/// Every place that a secret could have got to.
async fn collect(
    wharf: &Installation,
    answers: &[Answer],
    printed: &[String],
) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for (number, answer) in answers.iter().enumerate() {
        let name = format!("{number}: {}", answer.asked());
        let kind = if answer.asked().ends_with("/metrics") {
            METRICS
        } else {
            BODIES
        };
        places.push(Place::new(kind, &name, answer.bytes.clone()));
        let mut headers = Vec::new();
        for (key, value) in &answer.headers {
            headers.extend([key.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
        }
        places.push(Place::new(HEADERS, &name, headers));
    }
    for (number, text) in printed.iter().enumerate() {
        places.push(Place::new(PRINTED, number.to_string(), text.as_str()));
    }
    for (name, bytes) in wharf.database().await?.contents().await? {
        places.push(Place::new(TABLES, name, bytes));
    }
    let mut names = String::new();
    for (kind, folder) in [
        (DATA, wharf.data_dir()),
        (LOG, wharf.logs_dir()),
        (TEMPORARY, wharf.temporary_dir()),
    ] {
        for file in files_below(&folder)? {
            let name = file.display().to_string();
            names.push_str(&name);
            names.push('\n');
            let is_blob = file.starts_with(wharf.data_dir().join("blobs"));
            let kind = if is_blob { BLOBS } else { kind };
            // The keys' own place. A file may go while it is looked for, such as a write-ahead log.
            if file.file_name() != Some("keyring.json".as_ref())
                && let Ok(bytes) = fs::read(&file)
            {
                places.push(Place::new(kind, name, bytes));
            }
        }
    }
    places.push(Place::new(NAMES, "all", names));
    Ok(places)
}

/// A search of a quiet log would show nothing.
fn assert_talkative(places: &[Place]) -> Result<()> {
    let log: Vec<u8> = places
        .iter()
        .filter(|place| place.kind == LOG)
        .flat_map(|place| place.bytes.clone())
        .collect();
    let log = String::from_utf8_lossy(&log);
    for word in ["TRACE", "DEBUG", "sqlx::query"] {
        ensure!(log.contains(word), "there is no {word} in the log");
    }
    Ok(())
}

/// A person with files at Google who has consented to the application whose secrets are canaries.
async fn person_of(lab: &Lab, secrets: &Secrets) -> Result<()> {
    let (user, part) = ("ada@lab.example", |field: &str| {
        secrets.get(&format!("google_drive oauth {field}"))
    });
    let seed = json!({
        "users": [{"email": user}],
        "clients": [{"client_id": part("client_id"), "client_secret": part("client_secret")}],
        "grants": [{
            "client_id": part("client_id"), "user": user, "refresh_token": part("refresh_token"),
            "scopes": ["https://www.googleapis.com/auth/drive.readonly"],
        }],
        "drives": [{"name": "vault", "members": {user: "reader"}, "bulk": {"files": 5, "folders": 1, "size": 50}}],
        "my_drives": [{"user": user, "bulk": {"files": 4, "folders": 1, "size": 100}}],
    });
    lab.google().seed(&seed).await?;
    Ok(())
}

/// Of the sessions that STS handed out, the first and the last: key ids, secrets, and 40 characters from the midst of
/// their tokens, which are longer than a search for every piece of all of them would bear.
fn sessions(parts: &[String]) -> Vec<Canary> {
    const SESSIONS: usize = 10;
    let first = parts.iter().take(3 * SESSIONS);
    let last = parts.iter().rev().take(3 * SESSIONS);
    let unlike: BTreeSet<&String> = first.chain(last).collect();
    let canary = |(number, part): (usize, &String)| {
        let part = if part.len() > 80 { &part[40..80] } else { part };
        Canary::new(&format!("part {number} of STS's sessions"), part)
    };
    unlike.into_iter().enumerate().map(canary).collect()
}

/// A second API key, made, listed and revoked: it is shown once, in the line that is left out of `printed`.
fn another_key(
    wharf: &Installation,
    printed: &mut Vec<String>,
) -> Result<[(&'static str, String); 1]> {
    let mut admin = |arguments: &[&str], kept: bool| -> Result<Value> {
        let text = wharf.answer(&[&["admin"], arguments].concat())?;
        let value = serde_json::from_str(&text)?;
        if kept {
            printed.push(text);
        }
        Ok(value)
    };
    let organizations = admin(&["organizations", "list"], true)?;
    let organization = organizations[0]["internal_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let of = ["--organization", organization.as_str()];
    admin(
        &[&["users", "create", "--email", "mate@example.com"], &of[..]].concat(),
        true,
    )?;
    let of_mate = [&of[..], &["--email", "mate@example.com"]].concat();
    let create = ["keys", "create", "--name", "second", "--permission", "read"];
    let key = admin(&[&create, &of_mate[..]].concat(), false)?;
    let (secret, id) = (
        key["key"].as_str().context("a key")?,
        key["key_id"].as_str(),
    );
    admin(&[&["keys", "list"], &of_mate[..]].concat(), true)?;
    admin(
        &[&["keys", "revoke", "--key", id.context("an id")?], &of[..]].concat(),
        true,
    )?;
    admin(&[&["keys", "list"], &of_mate[..]].concat(), true)?;
    Ok([("a second API key", secret.to_owned())])
}

/// The keys of the key ring, and the organizations' keys that it opens: their bytes.
async fn keys(wharf: &Installation) -> Result<Vec<Canary>> {
    let file = wharf.data_dir().join("keyring.json");
    let ring: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let decode = |value: &Value| -> Result<Vec<u8>> {
        Ok(STANDARD.decode(value.as_str().context("a key")?)?)
    };
    let mut keys = vec![Canary::new(
        "the key of API key hashes",
        decode(&ring["api_key_hash_key"])?,
    )];
    for key in ring["keys"].as_array().context("keys")? {
        keys.push(Canary::new("a key of the key ring", decode(&key["key"])?));
    }
    let ring = FileKeyRing::open(&file)?;
    let rows = wharf.database().await?.organization_keys().await?;
    ensure!(!rows.is_empty(), "there is no organization key");
    for row in rows {
        let context = KeyContext {
            organization: row.organization.parse()?,
            version: row.version,
        };
        let wrapped = WrappedKey {
            ring_key: row.ring_key,
            bytes: row.wrapped,
        };
        let key = ring.unwrap(&context, &wrapped).await?;
        keys.push(Canary::new("an organization key", key.expose()));
    }
    Ok(keys)
}

/// Puts a leak in each form into each place; the answers that hold some.
async fn plant(wharf: &Installation, echo: &Echo, secrets: &Secrets) -> Result<Vec<Answer>> {
    let database = wharf.database_to_change().await?;
    let bytes = match wharf.store() {
        Store::Sqlite => "BLOB",
        Store::Postgres => "BYTEA",
    };
    database
        .change(
            &format!("CREATE TABLE planted (leak {bytes} NOT NULL)"),
            None,
        )
        .await?;
    let api = Api::new(&echo.url(), "any")?;
    let mut answers = Vec::new();
    let blobs = files_below(&wharf.data_dir().join("blobs"))?;
    let blob_folder = blobs
        .first()
        .and_then(|file| file.parent())
        .context("a blob")?;
    for (number, (form, canary)) in secrets.planted().iter().enumerate() {
        let leak = form.of(canary.text().as_bytes());
        database
            .change("INSERT INTO planted (leak) VALUES ($1)", Some(&leak))
            .await?;
        for path in ["", "/metrics"] {
            answers.push(api.get(&format!("/planted/{number}{path}")).await?);
        }
        let data = wharf.data_dir();
        for folder in [
            &data,
            &wharf.logs_dir(),
            &wharf.temporary_dir(),
            blob_folder,
        ] {
            plant_file(folder, number, &leak)?;
        }
        if form.is_text() {
            // A slash in base 64 would make a folder; its other pieces are enough.
            let name = String::from_utf8(leak)?.replace('/', "_");
            for (part, piece) in name.as_bytes().chunks(200).enumerate() {
                let name = format!("{part}{}", String::from_utf8_lossy(piece));
                fs::write(wharf.temporary_dir().join(name), "")?;
            }
        }
    }
    Ok(answers)
}

fn plant_file(folder: &Path, number: usize, leak: &[u8]) -> Result<()> {
    Ok(fs::write(folder.join(format!("planted-{number}")), leak)?)
}
