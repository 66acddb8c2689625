//! Where a webhook's deliveries go: HTTP targets and Slack. Shown without secrets, kept whole in one sealed form.

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::Url;

use super::draft::{DraftChannels, IncompleteChannels};
use super::template::PayloadTemplate;
use crate::input::InvalidInput;
use crate::secret::{self, SecretBytes, SecretString};

/// What reads show in a secret's place, and what a change sends to keep it.
pub(super) const REDACTED: &str = "redacted";

/// One place that events are sent to.
#[derive(Debug)]
pub enum Channel {
    /// A `POST` with the event as JSON.
    Webhook(HttpChannel),
    /// A `POST` with a line of text, as Slack's incoming webhooks take it.
    Slack(SlackChannel),
}

/// An HTTP target.
#[derive(Debug)]
pub struct HttpChannel {
    /// Where to.
    pub url: Url,
    /// Headers to send along, with small names.
    pub headers: Vec<(String, SecretString)>,
    /// What to send in place of the event's own body.
    pub payload_template: Option<PayloadTemplate>,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// What deliveries are signed with.
    pub signing_secret: Option<SecretString>,
}

/// An incoming webhook of Slack.
#[derive(Debug)]
pub struct SlackChannel {
    /// Where to; whoever knows it may post there.
    pub webhook_url: SecretString,
    /// The host that it may be sent to.
    pub(super) origin: String,
    /// `channel`, `username`, `icon_emoji` and `icon_url`, as far as they are given.
    pub appearance: Vec<(&'static str, String)>,
}

impl Channel {
    fn view(&self, secrets: bool) -> Value {
        let show = |secret: &SecretString| {
            if secrets {
                secret.expose().to_owned()
            } else {
                REDACTED.to_owned()
            }
        };
        match self {
            Self::Webhook(channel) => {
                let headers: Map<String, Value> = channel
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(show(value))))
                    .collect();
                let mut configs = json!({
                    "url": channel.url.as_str(),
                    "timeout": channel.timeout.as_secs_f64(),
                });
                if !headers.is_empty() {
                    configs["headers"] = Value::Object(headers);
                }
                if let Some(template) = &channel.payload_template {
                    configs["payload_template"] = template.as_json();
                }
                if let Some(secret) = &channel.signing_secret {
                    configs["signing_secret"] = json!(show(secret));
                }
                json!({"channel": "webhook", "configs": configs})
            }
            Self::Slack(channel) => {
                let mut configs = json!({"webhook_url": show(&channel.webhook_url)});
                if !secrets {
                    configs["origin"] = json!(channel.origin);
                }
                for (key, text) in &channel.appearance {
                    configs[*key] = json!(text);
                }
                json!({"channel": "slack", "configs": configs})
            }
        }
    }
}

/// All channels of a webhook, whole.
#[derive(Debug)]
pub struct Channels(pub(super) Vec<Channel>);

impl Channels {
    /// The channels; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter()
    }

    /// As reads show them: without secrets.
    pub fn view(&self) -> Value {
        self.0.iter().map(|channel| channel.view(false)).collect()
    }

    /// The whole of them, to be sealed.
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let mut whole: Value = self.0.iter().map(|channel| channel.view(true)).collect();
        let bytes = SecretBytes::new(whole.to_string().into_bytes());
        secret::wipe(&mut whole);
        bytes
    }

    /// The inverse of [`to_secret_bytes`](Self::to_secret_bytes).
    ///
    /// # Errors
    /// When the bytes are not what it made.
    pub fn from_secret_bytes(bytes: &SecretBytes) -> Result<Self, InvalidInput> {
        let whole: Value = serde_json::from_slice(bytes.expose())
            .map_err(|_| InvalidInput::one("channels", "invalid", "cannot be read"))?;
        let draft = DraftChannels::parse("channels", whole)?;
        draft.complete(None).map_err(|error| match error {
            IncompleteChannels::Invalid(mistakes) => mistakes,
            IncompleteChannels::Reentry(_) => {
                InvalidInput::one("channels", "invalid", "cannot be read")
            }
        })
    }
}

/// Whom the secrets of channels may be sent to: the origins of their addresses, from the form that reads show. Part of what the
/// sealed form is bound to.
pub fn audience(view: &Value) -> String {
    let channels = view.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut origins: Vec<String> = channels
        .iter()
        .filter_map(|channel| {
            let configs = channel.get("configs")?;
            match configs.get("origin") {
                Some(origin) => origin.as_str().map(str::to_owned),
                None => Url::parse(configs.get("url")?.as_str()?)
                    .ok()
                    .as_ref()
                    .map(origin),
            }
        })
        .collect();
    origins.sort();
    origins.dedup();
    origins.join("\n")
}

pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
