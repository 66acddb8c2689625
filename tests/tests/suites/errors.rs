//! Every public type of error, made of what really went wrong beside secrets, says none of them: not by `Display`, not by
//! `Debug`, in no form, nor by its sources. A type that the sources have and this list lacks fails the suite.

use std::any::type_name;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, json};
use wharf_blobs::{AccessKey, InvalidPlace, S3Blobs, S3Place};
use wharf_domain::connection::TransitionError;
use wharf_domain::filter::{Extension, Glob, MimePattern};
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::mapping::{self, Mapper, SchemaMapping};
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{
    CredentialType, EndpointUrl, Provider, ProviderConfig, parse_new, parse_patch,
};
use wharf_domain::secret::{SecretBytes, SecretString};
use wharf_domain::webhook::{DraftChannels, PayloadTemplate};
use wharf_egress::{AllowEntry, ConnectReason, EgressError, Origin, Policy, TlsReason, Waiting};
use wharf_engine::EngineError;
use wharf_envelope::{Binding, Envelope, OpenError, SealError};
use wharf_events::{NatsSettings, NatsStream};
use wharf_keys::{FileKeyRing, KeyRingFileError};
use wharf_memory::MemoryStore;
use wharf_ports::{
    AccessError, ApplyError, BlobError, BlobStore, ChangeError, CheckRequest, ConsentError,
    InsertError, KeyRingError, LoneSession, ProviderFactory, PublishError, RecordError,
    RepositoryError, RunError, SendError, SessionError, UpdateSyncError, WebhookError,
};
use wharf_postgres::{MigrateError, PostgresDatabase, SchemaError};
use wharf_sqlite::SqliteDatabase;
use wharf_testkit::{FakeClock, SeededIds};
use wharf_tests::{Canary, Echo, Place, Search, files_below};

use crate::in_process::{adapter, object, told};

const ERRORS: &str = "errors and their sources";

/// What errors said, and which types they were of.
#[derive(Default)]
struct Said {
    places: Vec<Place>,
    types: BTreeSet<String>,
}

impl Said {
    /// A real error, or one made of real ones.
    fn note<E: Error + 'static>(&mut self, error: &E) {
        let name = short(type_name::<E>());
        self.places.push(Place::new(ERRORS, &name, told(error)));
        self.types.insert(name);
    }

    fn note_failed<T, E: Error + 'static>(&mut self, failed: Result<T, E>) -> Result<E> {
        let error = failed.err().context("it was not refused")?;
        self.note(&error);
        Ok(error)
    }
}

/// `wharf_ports::error::RepositoryError` as crate and name.
fn short(path: &str) -> String {
    let (first, last) = (path.split("::").next(), path.rsplit("::").next());
    format!(
        "{}::{}",
        first.unwrap_or_default(),
        last.unwrap_or_default()
    )
}

struct Secrets {
    id: Canary,
    secret: Canary,
    token: Canary,
    planted: Canary,
}

#[tokio::test]
async fn no_public_type_of_error_says_a_secret() -> Result<()> {
    let secrets = Secrets {
        id: Canary::random("the access key id"),
        secret: Canary::random("the secret access key"),
        token: Canary::random("the session token"),
        planted: Canary::random("a planted leak"),
    };
    let mut said = Said::default();
    let folder = tempfile::tempdir()?;
    let known = [&secrets.id, &secrets.secret, &secrets.token].map(|one| one.text().to_owned());
    let echo = Echo::start(known.into(), Vec::new()).await?;
    domain(&mut said, &secrets)?;
    egress(&mut said, &secrets)?;
    for way in 0..Echo::ways() {
        echo.refuse(wharf_tests::Echoed::Everything, way);
        provider(&mut said, &secrets, &echo).await?;
        blobs(&mut said, &secrets, &echo).await?;
    }
    let ring = key_ring(&mut said, &secrets, folder.path())?;
    databases(&mut said, &secrets, folder.path()).await?;
    envelope(&mut said, &secrets, ring).await?;
    events(&mut said, &secrets).await?;

    let of_sources = types_in_the_sources()?;
    ensure!(of_sources.len() >= 30, "only these exist: {of_sources:?}");
    let left_out: Vec<_> = of_sources.difference(&said.types).collect();
    ensure!(left_out.is_empty(), "no error of these: {left_out:?}");

    let planted = RepositoryError::Unavailable(secrets.planted.text().into());
    let planted = Place::new(ERRORS, "a planted one", told(&RunError::from(planted)));
    let all = [secrets.id, secrets.secret, secrets.token];
    let mut search = Search::for_all([&all[..], std::slice::from_ref(&secrets.planted)].concat());
    let sightings = search.look(&said.places);
    ensure!(sightings.is_empty(), "{}", sightings.join("\n"));
    search.expect(ERRORS, &[secrets.planted], &[planted])?;
    eprintln!("{} types, sightings: 0, {search}", said.types.len());
    Ok(())
}

fn domain(said: &mut Said, secrets: &Secrets) -> Result<()> {
    let secret = secrets.secret.text();
    let wrong = json!({"region": {"x": secret}, "credentials": {"type": "access_key", "access_key_id": [secret]}});
    let wrong = parse_new(Provider::S3, object(wrong), "provider_config");
    said.note(&EngineError::from(said_input(wrong.err())?));
    let wrong = parse_new(Provider::S3, object(json!({"credentials": secret})), "x");
    said.note_failed(wrong)?;
    let part = json!({"credentials": {"type": "access_key", "secret_access_key": secret}});
    let config = ProviderConfig::from_stored(Provider::S3, Map::new())?;
    let patch = parse_patch(Provider::S3, object(part), "provider_config")?;
    said.note_failed(patch.complete(CredentialType::AccessKey, &config.audience(), None))?;
    let endpoint = format!("https://{}:{secret}@s3.example.com", secrets.id.text());
    said.note_failed(EndpointUrl::parse(&endpoint))?;
    said.note_failed(secret.parse::<Provider>())?;
    said.note_failed(secret.parse::<CredentialType>())?;
    said.note_failed(secret.parse::<ConnectionId>())?;
    said.note_failed(Glob::parse(&format!("{secret}[")))?;
    said.note_failed(Extension::parse(&format!("{secret}/")))?;
    said.note_failed(MimePattern::parse(secret))?;
    let mapping = json!({"mappings": {"camera": {
        "target_type": "field", "source": {"type": "constant", "value": format!("{secret}{{")}, "transform": "json_parse", "required": true,
    }}});
    let mapping = SchemaMapping::parse(object(mapping), "schema_mapping")?;
    let none = Map::new();
    let failure = said.note_failed(Mapper::new(&mapping).apply(&mapping::Facts {
        file_name: secret,
        folder_path: secret,
        content_type: Some(secret),
        metadata: &none,
        tags: &none,
    }))?;
    said.note(&failure.reason);
    said.note(&TransitionError::Archived);
    said.note(&TransitionError::TestRequired);
    Ok(())
}

fn said_input(error: Option<InvalidInput>) -> Result<InvalidInput> {
    error.context("it was taken")
}

fn egress(said: &mut Said, secrets: &Secrets) -> Result<()> {
    let secret = secrets.secret.text();
    let url = format!("https://{secret}:{secret}@127.0.0.1/{secret}?{secret}#{secret}");
    let refusal = said.note_failed(Policy::default().check_url(&url))?;
    said.note(refusal.reason());
    said.note(&EgressError::from(refusal));
    said.note_failed(format!("no URL {secret}").parse::<Origin>())?;
    // The operator's own text, which no secret belongs in, is repeated.
    said.note_failed("10.0.0.0".parse::<AllowEntry>())?;
    said.note(&ConnectReason::Other);
    said.note(&TlsReason::Other);
    said.note(&Waiting::Body);
    Ok(())
}

async fn provider(said: &mut Said, secrets: &Secrets, echo: &Echo) -> Result<()> {
    let config = json!({"endpoint_url": echo.url(), "credentials": {
        "type": "access_key", "access_key_id": secrets.id.text(),
        "secret_access_key": secrets.secret.text(), "session_token": secrets.token.text(),
    }});
    let parts = parse_new(Provider::S3, object(config), "provider_config")?;
    let connection: ConnectionId = "conn_testtesttesttes".parse()?;
    let account = adapter().open(
        &connection,
        &parts.config,
        parts.credentials,
        Arc::new(LoneSession::new(Arc::new(FakeClock::new()))),
    )?;
    let error = said.note_failed(account.list("harbour/quay", None, 10).await)?;
    said.note(&BlobError::Source(error));
    let request = CheckRequest {
        source_path: None,
        budget: Duration::from_secs(10),
    };
    let report = account.check(request).await;
    said.note(&EngineError::ConnectionTestFailed(report));
    Ok(())
}

async fn blobs(said: &mut Said, secrets: &Secrets, echo: &Echo) -> Result<()> {
    let at = |url: &str| -> Result<Result<S3Place, InvalidPlace>> {
        let region = Region::parse("us-east-1").context("a region")?;
        let endpoint = EndpointUrl::parse(&echo.url())?;
        Ok(S3Place::new(url, region, Some(endpoint), None))
    };
    said.note_failed(at(&format!("https://{}", secrets.secret.text()))?)?;
    let key = AccessKey {
        id: secrets.id.text().to_owned(),
        secret: SecretString::new(secrets.secret.text().to_owned()),
        session_token: Some(SecretString::new(secrets.token.text().to_owned())),
    };
    let blobs = S3Blobs::new(at("s3://harbour/blobs")??, &key, Arc::new(FakeClock::new()));
    if let Err(error) = blobs.list(None, 10).await {
        said.note(&error);
        if let BlobError::Unavailable(source) = &error
            && let Some(fault) = source.downcast_ref::<wharf_blobs::S3Fault>()
        {
            said.note(fault);
        }
        said.note(&EngineError::from(error));
    }
    Ok(())
}

fn key_ring(said: &mut Said, secrets: &Secrets, folder: &Path) -> Result<FileKeyRing> {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("broken.json");
    let secret = secrets.secret.text();
    fs::write(
        &path,
        format!("{{\"format\": \"{secret}\", \"keys\": \"{secret}\"}}"),
    )?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let error = said.note_failed(FileKeyRing::open(&path))?;
    if let KeyRingFileError::Invalid { reason, .. } = &error {
        said.note(reason);
    }
    said.note(&KeyRingError::Refused);
    said.note(&KeyRingError::Unavailable(error.into()));
    let ids = SeededIds::new(5);
    let made = wharf_domain::Timestamp::UNIX_EPOCH;
    Ok(FileKeyRing::create(folder.join("ring.json"), &ids, made)?)
}

async fn databases(said: &mut Said, secrets: &Secrets, folder: &Path) -> Result<()> {
    let secret = secrets.secret.text();
    let path = folder.join("wharf.db");
    fs::write(&path, secret.repeat(100))?;
    let path = path.to_str().context("a path")?;
    let error = said.note_failed(SqliteDatabase::open(path).await)?;
    let of_postgres = format!("postgres://wharf:{secret}@127.0.0.1:1/wharf");
    said.note_failed(PostgresDatabase::connect(&of_postgres).await)?;
    // Nothing but numbers is in them.
    said.note(&MigrateError::Newer { migration: 7 });
    said.note(&SchemaError::Pending { migration: 7 });
    let unavailable = RepositoryError::Unavailable(error.into());
    said.note(&unavailable);
    said.note(&RunError::from(unavailable));
    let corrupt = || RepositoryError::Corrupt("connections.config".to_owned());
    said.note(&InsertError::from(corrupt()));
    said.note(&ApplyError::from(corrupt()));
    said.note(&UpdateSyncError::from(corrupt()));
    said.note(&EngineError::from(corrupt()));
    Ok(())
}

async fn envelope(said: &mut Said, secrets: &Secrets, ring: FileKeyRing) -> Result<()> {
    let clock = Arc::new(FakeClock::new());
    let keys = MemoryStore::new(clock).repositories().keys;
    let envelope = Envelope::new(Arc::new(ring), keys, Arc::new(SeededIds::new(6)));
    let config = ProviderConfig::from_stored(Provider::S3, Map::new())?;
    let mut binding = Binding {
        organization: "int_aaaaaaaaaaaaaaaaaaaaaaaa".parse()?,
        connection: "conn_ccccccccccccccc".parse()?,
        provider: Provider::S3,
        credential_type: CredentialType::AccessKey,
        credential_version: 0,
        audience: config.audience(),
    };
    let text = || SecretBytes::new(secrets.secret.text().as_bytes().to_vec());
    let incomplete = said.note_failed(envelope.seal(&binding, &text()).await)?;
    if let SealError::Binding(incomplete) = &incomplete {
        said.note(incomplete);
    }
    binding.credential_version = 1;
    // Of an organization that there is not.
    let error = said.note_failed(envelope.seal(&binding, &text()).await)?;
    said.note(&EngineError::from(error));
    let bytes = secrets.secret.text().repeat(20).into_bytes();
    let sealed = wharf_domain::connection::SealedCredentials(bytes);
    let error = said.note_failed(envelope.open(&binding, &sealed).await)?;
    said.note(&EngineError::from(error));
    said.note(&OpenError::Integrity);
    Ok(())
}

async fn events(said: &mut Said, secrets: &Secrets) -> Result<()> {
    let secret = secrets.secret.text();
    let kept = json!([{
        "channel": "webhook",
        "configs": {"url": "https://hooks.example.test/", "headers": {"x-key": "redacted", "x-other": secret}},
    }]);
    let draft = DraftChannels::parse("channels", kept)?;
    said.note_failed(draft.complete(None))?;
    let repeated = "{{ data.secret }}".repeat(100);
    let template = object(json!({"text": repeated}));
    let template = PayloadTemplate::parse("payload_template", template)?;
    let event = json!({"data": {"secret": secret.repeat(1000)}});
    said.note_failed(template.render(&event))?;
    let settings = NatsSettings {
        url: SecretString::new(format!("nats://{secret}:{secret}@here:port")),
        credentials_file: None,
        subject_prefix: "wharf".to_owned(),
        stream: "WHARF".to_owned(),
        max_age: Duration::from_hours(1),
    };
    let error = said.note_failed(NatsStream::connect(settings).await)?;
    said.note(&PublishError(error.into()));
    said.note(&SendError::TimedOut(Duration::from_secs(1)));
    let corrupt = || RepositoryError::Corrupt("webhooks.health".to_owned());
    said.note(&WebhookError::from(corrupt()));
    said.note(&AccessError::from(corrupt()));
    said.note(&ChangeError::from(corrupt()));
    said.note(&RecordError::from(corrupt()));
    said.note(&ConsentError::from(corrupt()));
    let corrupt = RepositoryError::Corrupt("sessions.sealed".to_owned());
    said.note(&SessionError::Unavailable(corrupt.into()));
    Ok(())
}

/// Crate and name of every public type of error, but for those of the lab and the test kit, which no server has.
fn types_in_the_sources() -> Result<BTreeSet<String>> {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut types = BTreeSet::new();
    for file in files_below(&crates)? {
        let parts: Vec<_> = file.iter().filter_map(|part| part.to_str()).collect();
        let Some(at) = parts.iter().rposition(|part| *part == "src") else {
            continue;
        };
        let name = parts[at - 1];
        if ["lab", "testkit"].contains(&name) || file.extension() != Some("rs".as_ref()) {
            continue;
        }
        for declared in declared(&fs::read_to_string(&file)?) {
            types.insert(format!("wharf_{name}::{declared}"));
        }
    }
    Ok(types)
}

/// What a file declares that implements `Error`, by derivation or by hand, and is public.
fn declared(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut derived = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[derive(") {
            derived = line.contains("Error)");
        }
        let public = line
            .strip_prefix("pub enum ")
            .or_else(|| line.strip_prefix("pub struct "));
        let Some(rest) = public else { continue };
        let end = rest.find(|c: char| !c.is_alphanumeric());
        let name = &rest[..end.unwrap_or(rest.len())];
        let by_hand = source.contains(&format!("Error for {name} "));
        if derived || by_hand {
            found.push(name.to_owned());
        }
        derived = false;
    }
    found
}

#[test]
fn a_type_of_error_is_seen_however_it_is_declared() {
    let source = "#[derive(Debug, Error)]\n#[error(\"x\")]\npub struct One;\n\
        #[derive(Debug)]\npub enum Two { A }\nimpl std::error::Error for Two {}\n\
        #[derive(Debug, thiserror::Error)]\n/// Said.\npub enum Three {\n\
        #[derive(Debug)]\npub struct NoError;\n#[derive(Debug, Error)]\npub(crate) struct Own;\n";
    assert_eq!(declared(source), ["One", "Two", "Three"]);
}
