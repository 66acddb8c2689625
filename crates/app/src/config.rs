//! The operator's settings: defaults, then a TOML file, then `WHARF_…` environment variables.

mod aws;
mod blob_store;
mod events;
mod google;
mod limits;
mod public_url;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::LevelFilter;
use wharf_domain::health::LONGEST_BACKOFF;
use wharf_domain::provider::EndpointUrl;
use wharf_domain::secret::SecretString;
use wharf_egress::{AllowEntry, Policy};
use wharf_google_drive::Addresses;
use wharf_s3::Aws;

use self::aws::AwsSettings;
use self::blob_store::BlobStoreS3;
pub(crate) use self::blob_store::BlobsAt;
use self::events::Events;
use self::google::GoogleSettings;
use self::limits::LimitSettings;

/// Environment variables with the prefix that are not settings: they are read by the command line itself.
const NOT_SETTINGS: [&str; 3] = ["config", "url", "api_key"];

/// Settings whose text is anybody's choice. In the environment they stand as they are, even if they look like a number,
/// a list or a quotation.
const TEXTS: [&str; 9] = [
    "blob_store_s3.access_key_id",
    "blob_store_s3.secret_access_key",
    "blob_store_s3.session_token",
    "bootstrap.admin_key",
    "database_url",
    "events.nats.url",
    "providers.aws.identity.access_key_id",
    "providers.aws.identity.secret_access_key",
    "providers.aws.identity.session_token",
];

/// A setting that cannot be used, told by name with what would be right.
#[derive(Debug)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// All settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    public_url: Option<String>,
    #[serde(deserialize_with = "secret")]
    database_url: Option<SecretString>,
    blob_store: Option<String>,
    blob_store_s3: BlobStoreS3,
    key_ring: Option<String>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) egress: Egress,
    providers: Providers,
    pub(crate) health: Health,
    pub(crate) limits: LimitSettings,
    pub(crate) sync: Sync,
    pub(crate) events: Events,
    pub(crate) log: Log,
}

/// The first start.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bootstrap {
    #[serde(deserialize_with = "secret")]
    pub(crate) admin_key: Option<SecretString>,
}

/// What the egress guard opens.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Egress {
    #[serde(deserialize_with = "list")]
    allow: Vec<String>,
    allow_loopback: bool,
}

/// Storage providers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Providers {
    aws: AwsSettings,
    google: GoogleSettings,
}

/// Checks of connections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Health {
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) probe_backoff: Duration,
}

/// Runs of syncs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sync {
    pub(crate) workers: Option<usize>,
    #[serde(deserialize_with = "duration")]
    pub(crate) lease_ttl: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) min_polling_interval: Duration,
    pub(crate) delete_threshold_percent: u32,
    pub(crate) delete_threshold_count: u64,
    #[serde(deserialize_with = "duration")]
    pub(crate) full_pass_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub(crate) undo_window: Duration,
}

/// The log on stderr.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("./wharf-data"),
            public_url: None,
            database_url: None,
            blob_store: None,
            blob_store_s3: BlobStoreS3::default(),
            key_ring: None,
            bootstrap: Bootstrap::default(),
            egress: Egress::default(),
            providers: Providers::default(),
            health: Health::default(),
            limits: LimitSettings::default(),
            sync: Sync::default(),
            events: Events::default(),
            log: Log::default(),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            interval: Duration::from_mins(5),
            timeout: Duration::from_secs(10),
            probe_backoff: Duration::from_mins(15),
        }
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            workers: None,
            lease_ttl: Duration::from_secs(30),
            min_polling_interval: Duration::from_secs(30),
            delete_threshold_percent: 20,
            delete_threshold_count: 50,
            full_pass_interval: Duration::from_hours(24),
            undo_window: Duration::from_hours(7 * 24),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: None,
        }
    }
}

/// Where the database is.
#[derive(Debug)]
pub(crate) enum Database {
    /// An `SQLite` file.
    Sqlite(PathBuf),
    /// A Postgres server, by URL.
    Postgres(SecretString),
}

/// Where the key ring is.
#[derive(Debug)]
pub(crate) struct KeyRingPlace {
    pub(crate) path: PathBuf,
    /// Whether this is the embedded default, which the first start may create.
    pub(crate) embedded: bool,
}

impl Config {
    /// Reads all settings and checks that they fit together.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError(format!(
                    "there is no configuration file {}",
                    path.display()
                )));
            }
            figment = figment.merge(Toml::string(&read_toml(path)?));
        }
        let environment = Env::prefixed("WHARF_").ignore(&NOT_SETTINGS).split("__");
        figment = figment.merge(&environment);
        for (name, text) in environment.iter() {
            if TEXTS.contains(&name.as_str()) {
                figment = figment.merge(Serialized::default(name.as_str(), text.trim()));
            }
        }
        let config: Self = figment.extract().map_err(|error| {
            let messages: Vec<String> = error.into_iter().map(|error| describe(&error)).collect();
            ConfigError(messages.join("; "))
        })?;
        config.public_url()?;
        config.database()?;
        config.blobs()?;
        config.key_ring_place()?;
        config.egress_policy()?;
        config.aws()?;
        config.google()?;
        config.events.check()?;
        config.check_bounds()?;
        Ok(config)
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError("data_dir must not be empty".to_owned()));
        }
        if !is_log_level(&self.log.level) {
            return Err(ConfigError(
                "log.level must be error, warn, info, debug or trace, or such with modules: info,wharf_engine=debug"
                    .to_owned(),
            ));
        }
        if self.sync.workers.is_some_and(|workers| workers > 256) {
            return Err(ConfigError("sync.workers must be at most 256".to_owned()));
        }
        if self.sync.workers == Some(0) {
            return Err(ConfigError(
                "sync.workers must be at least 1; use `serve --role api` for none".to_owned(),
            ));
        }
        if !(Duration::from_millis(300)..=Duration::from_hours(1)).contains(&self.sync.lease_ttl) {
            return Err(ConfigError(
                "sync.lease_ttl must be from 300ms to 1h".to_owned(),
            ));
        }
        if !(Duration::from_secs(1)..=Duration::from_hours(24))
            .contains(&self.sync.min_polling_interval)
        {
            return Err(ConfigError(
                "sync.min_polling_interval must be from 1s to 24h".to_owned(),
            ));
        }
        if self.sync.delete_threshold_percent > 100 {
            return Err(ConfigError(
                "sync.delete_threshold_percent must be from 0 to 100".to_owned(),
            ));
        }
        if !(Duration::from_secs(1)..=Duration::from_hours(30 * 24))
            .contains(&self.sync.full_pass_interval)
        {
            return Err(ConfigError(
                "sync.full_pass_interval must be from 1s to 30d".to_owned(),
            ));
        }
        if !(Duration::from_hours(1)..=Duration::from_hours(365 * 24))
            .contains(&self.sync.undo_window)
        {
            return Err(ConfigError(
                "sync.undo_window must be from 1h to 365d".to_owned(),
            ));
        }
        let health = &self.health;
        if !(Duration::from_secs(1)..=Duration::from_hours(24)).contains(&health.interval) {
            return Err(ConfigError(
                "health.interval must be from 1s to 24h".to_owned(),
            ));
        }
        if !(Duration::from_secs(1)..=LONGEST_BACKOFF).contains(&health.probe_backoff) {
            return Err(ConfigError(
                "health.probe_backoff must be from 1s to 6h".to_owned(),
            ));
        }
        if !(Duration::from_millis(100)..=Duration::from_mins(5)).contains(&health.timeout) {
            return Err(ConfigError(
                "health.timeout must be from 100ms to 5m".to_owned(),
            ));
        }
        self.limits.check()?;
        if let Some(key) = &self.bootstrap.admin_key {
            let sound = (8..=256).contains(&key.expose().len())
                && key.expose().bytes().all(|b| b.is_ascii_graphic());
            if !sound {
                let message = "bootstrap.admin_key must have 8 to 256 printable ASCII characters without spaces";
                return Err(ConfigError(message.to_owned()));
            }
        }
        Ok(())
    }

    /// Where browsers and providers reach this server.
    pub(crate) fn public_url(&self) -> Result<Option<EndpointUrl>, ConfigError> {
        self.public_url.as_deref().map(public_url::read).transpose()
    }

    /// The database that `database_url` names.
    pub(crate) fn database(&self) -> Result<Database, ConfigError> {
        let Some(url) = &self.database_url else {
            return Ok(Database::Sqlite(self.data_dir.join("wharf.db")));
        };
        let text = url.expose();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            match url::Url::parse(text) {
                Ok(_) => Ok(Database::Postgres(url.duplicate())),
                Err(error) => Err(ConfigError(format!("database_url is no URL: {error}"))),
            }
        } else if let Some(path) = text
            .strip_prefix("sqlite://")
            .filter(|path| !path.is_empty() && !path.contains('?'))
        {
            Ok(Database::Sqlite(PathBuf::from(path)))
        } else {
            Err(ConfigError(
                "database_url must be sqlite:// and a path without parameters, or a postgres:// URL".to_owned(),
            ))
        }
    }

    /// Where `blob_store` says that the blobs are.
    pub(crate) fn blobs(&self) -> Result<BlobsAt, ConfigError> {
        BlobsAt::of(
            self.blob_store.as_deref(),
            &self.blob_store_s3,
            &self.data_dir,
        )
    }

    /// The file that `key_ring` names.
    pub(crate) fn key_ring_place(&self) -> Result<KeyRingPlace, ConfigError> {
        match (&self.key_ring, self.database()?) {
            (Some(url), _) => {
                let path = file_path(url)
                    .ok_or_else(|| ConfigError("key_ring must be file:// and a path in this version".to_owned()))?;
                Ok(KeyRingPlace { path, embedded: false })
            }
            (None, Database::Sqlite(_)) => {
                Ok(KeyRingPlace { path: self.data_dir.join("keyring.json"), embedded: true })
            }
            (None, Database::Postgres(_)) => Err(ConfigError(
                "key_ring must be named when the database is Postgres, so that every replica uses the same one; \
                 `wharf serve` with a SQLite database creates a key ring to start from"
                    .to_owned(),
            )),
        }
    }

    /// What is decided about AWS.
    pub(crate) fn aws(&self) -> Result<Aws, ConfigError> {
        self.providers.aws.read()
    }

    /// Where Google answers.
    pub(crate) fn google(&self) -> Result<Addresses, ConfigError> {
        self.providers.google.read()
    }

    /// What the egress guard may open.
    pub(crate) fn egress_policy(&self) -> Result<Policy, ConfigError> {
        let allow = self
            .egress
            .allow
            .iter()
            .map(|entry| {
                entry.parse::<AllowEntry>().map_err(|error| {
                    ConfigError(format!("egress.allow: {entry:?} cannot be used: {error}"))
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Policy {
            allow,
            allow_loopback: self.egress.allow_loopback,
            ..Policy::default()
        })
    }
}

/// What is wrong with one setting, without its value, which may be a secret.
fn describe(error: &figment::Error) -> String {
    use figment::error::Kind;
    let path = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, known) => {
            // The path may end before the unknown field or in it.
            let mut path = error.path.clone();
            if path.last() != Some(field) {
                path.push(field.clone());
            }
            format!(
                "{}: there is no such setting; known here: {}",
                path.join("."),
                known.join(", ")
            )
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{path}: expected {expected}")
        }
        Kind::Message(message) => {
            format!("{path}: {}", message.lines().next().unwrap_or_default())
        }
        other => format!("{path}: {other}"),
    }
}

/// The file's text, if it is TOML. The parser's own report would quote the line, which may hold a secret.
fn read_toml(path: &Path) -> Result<String, ConfigError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{shown} cannot be read: {error}")))?;
    match text.parse::<toml::Table>() {
        Ok(_) => Ok(text),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            Err(ConfigError(format!(
                "{shown} is not TOML, line {line}: {}",
                error.message()
            )))
        }
    }
}

/// Whether every part of a log level is `level` or `module=level`.
fn is_log_level(text: &str) -> bool {
    text.split(',').map(str::trim).all(|part| {
        let level = part.split_once('=').map_or(part, |(_, level)| level);
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    })
}

fn file_path(url: &str) -> Option<PathBuf> {
    url.strip_prefix("file://")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::new))
}

/// A list, or its items separated by commas as they stand in an environment variable.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a list of texts, or one text with commas between"
    )]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    Ok(match ListOrText::deserialize(deserializer)? {
        ListOrText::List(items) => items,
        ListOrText::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| serde::de::Error::custom("expected a duration such as 500ms, 30s or 5m"))
}

#[cfg(test)]
mod tests {
    use wharf_s3::Identity;

    use super::*;

    pub(super) fn from_toml(text: &str) -> Result<Config, String> {
        Figment::new()
            .merge(Toml::string(text))
            .extract::<Config>()
            .map_err(|error| {
                error
                    .into_iter()
                    .map(|error| describe(&error))
                    .collect::<Vec<_>>()
                    .join("; ")
            })
    }

    fn keys(prefix: &str, table: &toml::Table, into: &mut Vec<String>) {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.clone()
            } else {
                format!("{prefix}.{key}")
            };
            match value {
                toml::Value::Table(inner) => keys(&path, inner, into),
                _ => into.push(path),
            }
        }
    }

    /// The default file with its commented settings switched on.
    fn whole_default_file() -> String {
        let file = include_str!("../../../config.default.toml");
        file.lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_default_file_says_what_the_code_does() {
        let file = from_toml(include_str!("../../../config.default.toml")).expect("a usable file");
        assert_eq!(format!("{file:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_default_file_names_every_setting() {
        let text = whole_default_file();
        from_toml(&text).expect("every setting in it is known");
        let mut named = Vec::new();
        keys("", &text.parse().expect("TOML"), &mut named);
        named.sort();
        assert_eq!(
            named,
            [
                "blob_store",
                "blob_store_s3.access_key_id",
                "blob_store_s3.endpoint_url",
                "blob_store_s3.path_style",
                "blob_store_s3.region",
                "blob_store_s3.secret_access_key",
                "blob_store_s3.session_token",
                "bootstrap.admin_key",
                "data_dir",
                "database_url",
                "egress.allow",
                "egress.allow_loopback",
                "events.nats.credentials_file",
                "events.nats.stream",
                "events.nats.subject_prefix",
                "events.nats.url",
                "events.retention",
                "health.interval",
                "health.probe_backoff",
                "health.timeout",
                "key_ring",
                "limits.connections",
                "limits.connections_per_address",
                "limits.failed_authentications_per_minute",
                "limits.requests_per_minute_per_key",
                "limits.requests_per_minute_per_organization",
                "limits.tests_per_minute_per_connection",
                "limits.tests_per_minute_per_organization",
                "listen",
                "log.format",
                "log.level",
                "providers.aws.identity",
                "providers.aws.require_external_id",
                "providers.aws.s3_url",
                "providers.aws.sts_url",
                "providers.google.api_url",
                "providers.google.consent_url",
                "providers.google.quota_units_per_minute",
                "providers.google.token_url",
                "public_url",
                "sync.delete_threshold_count",
                "sync.delete_threshold_percent",
                "sync.full_pass_interval",
                "sync.lease_ttl",
                "sync.min_polling_interval",
                "sync.undo_window",
                "sync.workers",
            ]
        );
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = from_toml("[egress]\nallow_everything = true").expect_err("unknown");
        assert!(
            error.starts_with("egress.allow_everything: there is no such setting"),
            "{error}"
        );
        assert!(error.contains("allow_loopback"), "{error}");
        let error = from_toml("no_such_setting = 1").expect_err("unknown");
        assert!(
            error.starts_with("no_such_setting: there is no such setting"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_is_told_by_path_and_without_the_value() {
        let error = from_toml("[sync]\nlease_ttl = \"soonish\"").expect_err("not a duration");
        assert!(
            error.starts_with("sync.lease_ttl: expected a duration"),
            "{error}"
        );
        let error = from_toml("database_url = 12345").expect_err("not a text");
        assert!(!error.contains("12345"), "{error}");
    }

    #[test]
    #[expect(
        clippy::result_large_err,
        reason = "the closure's type is the jail's own"
    )]
    fn secrets_in_the_environment_are_taken_as_they_are() {
        for text in [
            "00012345",
            "1234567e8",
            "[1234567]",
            "\"12345678\"",
            "{a=12345}",
        ] {
            figment::Jail::expect_with(|jail| {
                jail.clear_env();
                jail.set_env("WHARF_BLOB_STORE", "s3://media");
                for name in TEXTS.iter().filter(|name| !name.ends_with("url")) {
                    let variable = name.replace('.', "__").to_ascii_uppercase();
                    jail.set_env(format!("WHARF_{variable}"), format!(" {text}\n"));
                }
                let config = Config::load(None).expect("loads");
                let admin_key = config.bootstrap.admin_key.as_ref().expect("an admin key");
                assert_eq!(admin_key.expose(), text);
                let Ok(BlobsAt::S3(_, key)) = config.blobs() else {
                    panic!("a bucket")
                };
                let token = key.session_token.expect("a token");
                assert_eq!((key.id.as_str(), key.secret.expose()), (text, text));
                assert_eq!(token.expose(), text);
                let Some(Identity::Key {
                    access_key_id,
                    secret_access_key,
                    session_token: Some(token),
                }) = config.aws().expect("usable").identity
                else {
                    panic!("a key")
                };
                assert_eq!(
                    (access_key_id.as_str(), secret_access_key.expose()),
                    (text, text)
                );
                assert_eq!(token.expose(), text);
                Ok(())
            });
        }
    }

    #[test]
    fn a_file_that_is_not_toml_is_told_by_line_without_quoting_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("wharf.toml");
        let text = "listen = \"127.0.0.1:1\"\ndatabase_url = \"postgres://u:hunter2@db/wharf\n";
        std::fs::write(&file, text).expect("written");
        let error = Config::load(Some(&file)).expect_err("not TOML").to_string();
        assert!(
            error.contains("line 2") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn log_levels_are_words_that_logging_knows() {
        for level in ["info", "WARN", "info,wharf_engine=debug", "off"] {
            assert!(is_log_level(level), "{level}");
        }
        for level in ["loud", "", "info,", "wharf=loud", "nope!!=="] {
            assert!(!is_log_level(level), "{level}");
        }
    }

    #[test]
    fn postgres_needs_a_named_key_ring() {
        let config = from_toml("database_url = \"postgres://db/wharf\"").expect("parses");
        let error = config.key_ring_place().expect_err("no key ring");
        assert!(
            error.to_string().starts_with("key_ring must be named"),
            "{error}"
        );
    }

    #[test]
    fn a_list_may_be_one_text_with_commas() {
        let config =
            from_toml("[egress]\nallow = \"10.0.0.0/8:9000, 192.168.1.5:*\"").expect("parses");
        assert_eq!(config.egress_policy().expect("two entries").allow.len(), 2);
    }
}
