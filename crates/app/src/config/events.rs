//! `events`: how long they are kept, and the stream that they are published to.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use wharf_domain::secret::SecretString;
use wharf_events::NatsSettings;

use super::{ConfigError, duration, secret};

/// Events and their ways out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Events {
    #[serde(deserialize_with = "duration")]
    pub(crate) retention: Duration,
    nats: Nats,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nats {
    #[serde(deserialize_with = "secret")]
    url: Option<SecretString>,
    credentials_file: Option<PathBuf>,
    subject_prefix: String,
    stream: String,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(7 * 24),
            nats: Nats::default(),
        }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: None,
            credentials_file: None,
            subject_prefix: "wharf".to_owned(),
            stream: "WHARF".to_owned(),
        }
    }
}

impl Events {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refused = |message: &str| Err(ConfigError(message.to_owned()));
        if !(Duration::from_hours(1)..=Duration::from_hours(365 * 24)).contains(&self.retention) {
            return refused("events.retention must be from 1h to 365d");
        }
        let Nats {
            url,
            credentials_file,
            subject_prefix,
            stream,
        } = &self.nats;
        let is_word = |word: &str| {
            let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            (1..=100).contains(&word.len()) && word.bytes().all(sound)
        };
        if !subject_prefix.split('.').all(is_word) {
            return refused(
                "events.nats.subject_prefix must be words with dots between, of letters, digits, _ and -",
            );
        }
        if !is_word(stream) {
            return refused("events.nats.stream must have letters, digits, _ and - only");
        }
        match url {
            None if credentials_file.is_some() => {
                refused("events.nats.credentials_file needs events.nats.url")
            }
            Some(url)
                if !["nats://", "tls://"]
                    .iter()
                    .any(|start| url.expose().starts_with(start)) =>
            {
                refused("events.nats.url must be nats:// or tls://, a host and a port")
            }
            _ => Ok(()),
        }
    }

    /// The stream that events are published to, if one is named.
    pub(crate) fn nats(&self) -> Option<NatsSettings> {
        let nats = &self.nats;
        Some(NatsSettings {
            url: nats.url.as_ref()?.duplicate(),
            credentials_file: nats.credentials_file.clone(),
            subject_prefix: nats.subject_prefix.clone(),
            stream: nats.stream.clone(),
            max_age: self.retention,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::from_toml;

    #[test]
    fn a_stream_is_named_by_its_url_and_nothing_else() {
        let config = from_toml("[events.nats]\nurl = \"tls://user:hunter2@nats.example.net\"")
            .expect("parses");
        config.events.check().expect("sound");
        assert!(config.events.nats().is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(from_toml("").expect("parses").events.nats().is_none());
    }

    #[test]
    fn what_nats_would_not_take_is_refused_by_name() {
        for (setting, name) in [
            ("url = \"http://nats.example.net\"", "events.nats.url"),
            ("subject_prefix = \"a..b\"", "events.nats.subject_prefix"),
            ("subject_prefix = \"a.>\"", "events.nats.subject_prefix"),
            ("stream = \"a.b\"", "events.nats.stream"),
            ("credentials_file = \"x\"", "events.nats.credentials_file"),
        ] {
            let config = from_toml(&format!("[events.nats]\n{setting}")).expect("parses");
            let error = config.events.check().expect_err(setting).to_string();
            assert!(error.starts_with(name), "{error}");
        }
        let config = from_toml("[events]\nretention = \"1m\"").expect("parses");
        assert!(config.events.check().is_err());
    }
}
