//! Channels as requests describe them: read, and completed with the secrets that are meant to stay.

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

use super::channel::{Channel, Channels, HttpChannel, REDACTED, SlackChannel, origin};
use super::template::PayloadTemplate;
use crate::input::{FieldError, InvalidInput, Length, Reader};
use crate::secret::{self, SecretString};

const MOST_CHANNELS: usize = 5;
const MOST_HEADERS: usize = 20;
const LONGEST_URL: usize = 2048;
const LONGEST_SECRET: usize = 4096;
const DEFAULT_TIMEOUT: f64 = 10.0;

/// Headers that a delivery carries of its own, or that say how it is sent.
const OUR_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-mixpeek-signature",
];

/// Why drafted channels cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IncompleteChannels {
    /// Something is wrong with them.
    #[error(transparent)]
    Invalid(InvalidInput),
    /// These secrets would go to another host than they were entered for: the fields to enter again.
    #[error(
        "secrets of the channels must be entered again, because their address is another one now"
    )]
    Reentry(Vec<String>),
}

/// What is wanted of a secret.
#[derive(Debug)]
enum Wish {
    /// The old one; whether it was asked for by name.
    Keep {
        named: bool,
    },
    Set(SecretString),
    Remove,
}

impl Wish {
    fn of(given: Option<String>) -> Self {
        match given {
            None => Self::Keep { named: false },
            Some(text) if text == REDACTED => Self::Keep { named: true },
            Some(text) if text.is_empty() => Self::Remove,
            Some(text) => Self::Set(SecretString::new(text)),
        }
    }
}

/// Channels as a request describes them, some of whose secrets may be meant to stay as they are.
#[derive(Debug)]
pub struct DraftChannels {
    path: String,
    drafts: Vec<Draft>,
}

#[derive(Debug)]
enum Draft {
    Webhook {
        url: Url,
        headers: Option<Vec<(String, Wish)>>,
        payload_template: Option<PayloadTemplate>,
        timeout: Duration,
        signing_secret: Wish,
    },
    Slack {
        /// `None` keeps the old one.
        webhook_url: Option<(SecretString, String)>,
        appearance: Vec<(&'static str, String)>,
    },
}

impl DraftChannels {
    /// Reads the list that stands at `path`.
    ///
    /// # Errors
    /// Every mistake, by its place.
    pub fn parse(path: &str, value: Value) -> Result<Self, InvalidInput> {
        let Value::Array(items) = value else {
            let mut value = value;
            secret::wipe(&mut value);
            return Err(InvalidInput::one(
                path,
                "wrong_type",
                "must be a list of channels",
            ));
        };
        if !(1..=MOST_CHANNELS).contains(&items.len()) {
            for mut item in items {
                secret::wipe(&mut item);
            }
            let message = format!("must have 1 to {MOST_CHANNELS} channels");
            return Err(InvalidInput::one(path, "list_length", message));
        }
        let (mut drafts, mut mistakes) = (Vec::new(), Vec::new());
        for (i, item) in items.into_iter().enumerate() {
            match Draft::parse(&format!("{path}.{i}"), item) {
                Ok(draft) => drafts.push(draft),
                Err(errors) => mistakes.extend(errors.0),
            }
        }
        if mistakes.is_empty() {
            let path = path.to_owned();
            Ok(Self { path, drafts })
        } else {
            Err(InvalidInput(mistakes))
        }
    }

    /// Whether some secret may be meant to stay as it is.
    pub fn keeps(&self) -> bool {
        self.drafts.iter().any(|draft| match draft {
            Draft::Webhook {
                headers,
                signing_secret,
                ..
            } => {
                let kept = |wish: &Wish| matches!(wish, Wish::Keep { .. });
                kept(signing_secret)
                    || headers
                        .as_ref()
                        .is_none_or(|headers| headers.iter().any(|(_, wish)| kept(wish)))
            }
            Draft::Slack { webhook_url, .. } => webhook_url.is_none(),
        })
    }

    /// The channels, with the secrets of the old ones where they are kept. An old channel is the one with the same address, else the
    /// one at the same place.
    ///
    /// # Errors
    /// When a secret is kept that there is not, or that was entered for another host.
    pub fn complete(self, old: Option<&Channels>) -> Result<Channels, IncompleteChannels> {
        let old = old.map(|old| old.0.as_slice()).unwrap_or_default();
        let (mut channels, mut mistakes, mut reentries) = (Vec::new(), Vec::new(), Vec::new());
        for (i, draft) in self.drafts.into_iter().enumerate() {
            let path = format!("{}.{i}.configs", self.path);
            match draft.complete(&path, i, old) {
                Ok(channel) => channels.push(channel),
                Err(IncompleteChannels::Invalid(errors)) => mistakes.extend(errors.0),
                Err(IncompleteChannels::Reentry(fields)) => reentries.extend(fields),
            }
        }
        if !mistakes.is_empty() {
            return Err(IncompleteChannels::Invalid(InvalidInput(mistakes)));
        }
        if !reentries.is_empty() {
            return Err(IncompleteChannels::Reentry(reentries));
        }
        Ok(Channels(channels))
    }
}

impl Draft {
    fn parse(path: &str, item: Value) -> Result<Self, InvalidInput> {
        let mut item = item;
        let Value::Object(fields) = item else {
            secret::wipe(&mut item);
            return Err(InvalidInput::one(
                path,
                "wrong_type",
                "must be a JSON object",
            ));
        };
        let mut reader = Reader::new(path, fields);
        let kind = reader.required_string("channel", Length::new(0, 100));
        let configs = reader
            .require("configs")
            .then(|| reader.object("configs"))
            .flatten();
        let mut draft = None;
        match (kind.as_deref(), configs) {
            (Some("webhook"), Some(configs)) => {
                let parsed = Self::parse_webhook(&format!("{path}.configs"), configs);
                draft = parsed.map_err(|errors| reader.absorb(errors)).ok();
            }
            (Some("slack"), Some(configs)) => {
                let parsed = Self::parse_slack(&format!("{path}.configs"), configs);
                draft = parsed.map_err(|errors| reader.absorb(errors)).ok();
            }
            (kind, configs) => {
                match kind {
                    None | Some("webhook" | "slack") => {}
                    Some("email") => reader.reject(
                        "channel",
                        "not_supported",
                        "this server sends no mail; use webhook or slack",
                    ),
                    Some(_) => reader.reject("channel", "enum", "must be webhook or slack"),
                }
                // What nobody reads may hold secrets.
                secret::wipe(&mut Value::Object(configs.unwrap_or_default()));
            }
        }
        reader.finish()?;
        draft.ok_or_else(|| InvalidInput::one(path, "invalid", "cannot be read"))
    }

    fn parse_webhook(path: &str, configs: Map<String, Value>) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new(path, configs);
        let url = reader.required_string("url", Length::new(1, LONGEST_URL));
        let url = url.and_then(|text| address(&mut reader, "url", &text));
        let headers = reader.object("headers").map(|fields| {
            let headers = headers(&format!("{path}.headers"), fields);
            headers
                .map_err(|errors| reader.absorb(errors))
                .unwrap_or_default()
        });
        let payload_template = reader
            .object("payload_template")
            .filter(|template| !template.is_empty())
            .and_then(|template| {
                let place = format!("{path}.payload_template");
                PayloadTemplate::parse(&place, template)
                    .map_err(|errors| reader.absorb(errors))
                    .ok()
            });
        let timeout = match reader.value("timeout") {
            None => Some(DEFAULT_TIMEOUT),
            Some(value) => value
                .as_f64()
                .filter(|seconds| (1.0..=30.0).contains(seconds)),
        };
        if timeout.is_none() {
            reader.reject(
                "timeout",
                "out_of_range",
                "must be a number of seconds from 1 to 30",
            );
        }
        let signing_secret =
            Wish::of(reader.string("signing_secret", Length::new(0, LONGEST_SECRET)));
        reader.finish()?;
        match (url, timeout) {
            (Some(url), Some(timeout)) => Ok(Self::Webhook {
                url,
                headers,
                payload_template,
                timeout: Duration::from_secs_f64(timeout),
                signing_secret,
            }),
            _ => Err(InvalidInput::one(path, "invalid", "cannot be read")),
        }
    }

    fn parse_slack(path: &str, configs: Map<String, Value>) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new(path, configs);
        let url = reader.required_string("webhook_url", Length::new(1, LONGEST_URL));
        let webhook_url = url.filter(|text| text != REDACTED).and_then(|text| {
            let url = address(&mut reader, "webhook_url", &text)?;
            let origin = origin(&url);
            Some((SecretString::new(url.into()), origin))
        });
        let mut appearance = Vec::new();
        for key in ["channel", "username", "icon_emoji", "icon_url"] {
            let text = reader.string(key, Length::new(0, 500));
            appearance.extend(text.filter(|text| !text.is_empty()).map(|text| (key, text)));
        }
        // Shown by reads, and so sent back.
        reader.take_unwanted("origin");
        if reader
            .string("blocks_template", Length::new(0, LONGEST_SECRET))
            .is_some_and(|text| !text.is_empty())
        {
            let message = "is not supported; a line of text is sent";
            reader.reject("blocks_template", "not_supported", message);
        }
        reader.finish()?;
        Ok(Self::Slack {
            webhook_url,
            appearance,
        })
    }

    fn complete(
        self,
        path: &str,
        at: usize,
        old: &[Channel],
    ) -> Result<Channel, IncompleteChannels> {
        match self {
            Self::Webhook {
                url,
                headers,
                payload_template,
                timeout,
                signing_secret,
            } => {
                let former = former(&url, at, old);
                let moved = former.is_some_and(|former| origin(&former.url) != origin(&url));
                let mut keep = Keeping {
                    path,
                    moved,
                    mistakes: Vec::new(),
                    reentries: Vec::new(),
                };
                let headers = match (headers, former) {
                    (Some(wishes), former) => wishes
                        .into_iter()
                        .filter_map(|(name, wish)| {
                            let old = former.and_then(|former| header(former, &name));
                            let field = format!("headers.{name}");
                            keep.secret(&field, wish, old).map(|value| (name, value))
                        })
                        .collect(),
                    (None, Some(former)) => former
                        .headers
                        .iter()
                        .filter_map(|(name, value)| {
                            let wish = Wish::Keep { named: false };
                            let field = format!("headers.{name}");
                            keep.secret(&field, wish, Some(value))
                                .map(|value| (name.clone(), value))
                        })
                        .collect(),
                    (None, None) => Vec::new(),
                };
                let old = former.and_then(|former| former.signing_secret.as_ref());
                let signing_secret = keep.secret("signing_secret", signing_secret, old);
                keep.finish()?;
                Ok(Channel::Webhook(HttpChannel {
                    url,
                    headers,
                    payload_template,
                    timeout,
                    signing_secret,
                }))
            }
            Self::Slack {
                webhook_url,
                appearance,
            } => {
                let former = old
                    .get(at)
                    .into_iter()
                    .chain(old)
                    .find_map(|channel| match channel {
                        Channel::Slack(channel) => Some(channel),
                        Channel::Webhook(_) => None,
                    });
                let kept =
                    || former.map(|former| (former.webhook_url.duplicate(), former.origin.clone()));
                let Some((webhook_url, origin)) = webhook_url.or_else(kept) else {
                    let place = format!("{path}.webhook_url");
                    return Err(IncompleteChannels::Invalid(nothing_to_keep(&place)));
                };
                Ok(Channel::Slack(SlackChannel {
                    webhook_url,
                    origin,
                    appearance,
                }))
            }
        }
    }
}

/// Which old channel a new one follows: the one with the same address, at the same place if there are several, else the one at the
/// same place.
fn former<'a>(url: &Url, at: usize, old: &'a [Channel]) -> Option<&'a HttpChannel> {
    let webhook = |channel: &'a Channel| match channel {
        Channel::Webhook(channel) => Some(channel),
        Channel::Slack(_) => None,
    };
    let here = old.get(at).and_then(webhook);
    here.filter(|former| former.url == *url)
        .or_else(|| {
            old.iter()
                .filter_map(webhook)
                .find(|former| former.url == *url)
        })
        .or(here)
}

fn header<'a>(channel: &'a HttpChannel, name: &str) -> Option<&'a SecretString> {
    let mut headers = channel.headers.iter();
    headers
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

/// Decides about the secrets of one channel.
struct Keeping<'a> {
    path: &'a str,
    /// Whether the old ones were entered for another host.
    moved: bool,
    mistakes: Vec<FieldError>,
    reentries: Vec<String>,
}

impl Keeping<'_> {
    fn secret(
        &mut self,
        field: &str,
        wish: Wish,
        old: Option<&SecretString>,
    ) -> Option<SecretString> {
        let place = format!("{}.{field}", self.path);
        match (wish, old) {
            (Wish::Set(secret), _) => Some(secret),
            (Wish::Remove, _) | (Wish::Keep { named: false }, None) => None,
            (Wish::Keep { .. }, Some(_)) if self.moved => {
                self.reentries.push(place);
                None
            }
            (Wish::Keep { .. }, Some(old)) => Some(old.duplicate()),
            (Wish::Keep { named: true }, None) => {
                self.mistakes.extend(nothing_to_keep(&place).0);
                None
            }
        }
    }

    fn finish(self) -> Result<(), IncompleteChannels> {
        if !self.mistakes.is_empty() {
            return Err(IncompleteChannels::Invalid(InvalidInput(self.mistakes)));
        }
        if !self.reentries.is_empty() {
            return Err(IncompleteChannels::Reentry(self.reentries));
        }
        Ok(())
    }
}

fn nothing_to_keep(place: &str) -> InvalidInput {
    let message = "is the word that reads show in a secret's place, and there is no such secret to keep; enter it";
    InvalidInput::one(place, "redacted", message)
}

fn address(reader: &mut Reader, key: &'static str, text: &str) -> Option<Url> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    let url = Url::parse(text).ok().filter(|url| {
        !text.contains(refused) && matches!(url.scheme(), "http" | "https") && url.has_host()
    });
    let Some(url) = url else {
        let message = "must be a complete URL such as https://hooks.example.com/wharf";
        reader.reject(key, "url", message);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        let message = "must not carry a user name or a password; send a header instead";
        reader.reject(key, "url", message);
        return None;
    }
    if url.fragment().is_some() {
        reader.reject(key, "url", "must not have a fragment");
        return None;
    }
    Some(url)
}

/// Reads headers; names become small, as HTTP does not tell their case apart.
fn headers(path: &str, fields: Map<String, Value>) -> Result<Vec<(String, Wish)>, InvalidInput> {
    let mut mistakes = Vec::new();
    let mut headers: Vec<(String, Wish)> = Vec::new();
    let count = fields.len();
    for (name, mut value) in fields {
        let small = name.to_ascii_lowercase();
        let mut reject = |kind, message| {
            let name = crate::input::shown(&name);
            let location = path.split('.').map(str::to_owned).chain([name]).collect();
            mistakes.push(FieldError {
                location,
                kind,
                message,
            });
        };
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let Value::String(text) = &value else {
            secret::wipe(&mut value);
            reject("wrong_type", "must be a text".to_owned());
            continue;
        };
        let sendable = text.len() <= LONGEST_SECRET
            && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
            && text.trim() == text;
        if small.is_empty() || small.len() > 100 || !small.bytes().all(is_token) {
            reject("header", "is no name of a header".to_owned());
        } else if OUR_HEADERS.contains(&small.as_str()) || small.starts_with("x-wharf-") {
            reject(
                "header",
                "is a header that deliveries have of their own".to_owned(),
            );
        } else if headers.iter().any(|(known, _)| *known == small) {
            reject(
                "header",
                "stands twice, in different letter case".to_owned(),
            );
        } else if !sendable {
            let message = format!(
                "must have at most {LONGEST_SECRET} printable ASCII characters, none of them a space at the ends"
            );
            reject("header", message);
        } else {
            headers.push((small, Wish::of(Some(text.clone()))));
        }
        secret::wipe(&mut value);
    }
    if count > MOST_HEADERS {
        let message = format!("must have at most {MOST_HEADERS} headers");
        mistakes.push(FieldError::new(path, "too_long", message));
    }
    if mistakes.is_empty() {
        Ok(headers)
    } else {
        Err(InvalidInput(mistakes))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::channel::audience;
    use super::*;

    fn draft(value: Value) -> Result<DraftChannels, InvalidInput> {
        DraftChannels::parse("channels", value)
    }

    fn channels(value: Value) -> Channels {
        draft(value).expect("sound").complete(None).expect("whole")
    }

    fn webhook(configs: impl Into<Value>) -> Value {
        json!([{"channel": "webhook", "configs": configs.into()}])
    }

    fn whole() -> Channels {
        channels(json!([
            {"channel": "webhook", "configs": {
                "url": "https://a.example/x?y=1", "headers": {"Authorization": "Bearer canary"}, "timeout": 2.5,
                "payload_template": {"t": "{{ id }}"}, "signing_secret": "canary-signing",
            }},
            {"channel": "slack", "configs": {"webhook_url": "https://hooks.slack.example/canary", "username": "w"}},
        ]))
    }

    #[test]
    fn reads_show_no_secret_and_the_sealed_form_holds_all_of_them() {
        let whole = whole();
        let view = whole.view();
        assert!(!view.to_string().contains("canary"), "{view}");
        assert!(!format!("{whole:?}").contains("canary"));
        assert_eq!(
            view[0]["configs"]["headers"],
            json!({"authorization": "redacted"})
        );
        assert_eq!(view[0]["configs"]["signing_secret"], "redacted");
        assert_eq!(view[1]["configs"]["webhook_url"], "redacted");
        let again = Channels::from_secret_bytes(&whole.to_secret_bytes()).expect("the same");
        assert_eq!(again.view(), view);
        assert_eq!(
            again.to_secret_bytes().expose(),
            whole.to_secret_bytes().expose()
        );
    }

    #[test]
    fn what_reads_show_can_be_sent_back_and_keeps_every_secret() {
        let whole = whole();
        let kept = draft(whole.view())
            .expect("sound")
            .complete(Some(&whole))
            .expect("kept");
        assert_eq!(
            kept.to_secret_bytes().expose(),
            whole.to_secret_bytes().expose()
        );
    }

    #[test]
    fn left_out_keeps_empty_removes_and_a_word_replaces() {
        let whole = whole();
        let changed = |configs: Value| {
            let draft = draft(webhook(configs)).expect("sound");
            let channels = draft.complete(Some(&whole)).expect("whole");
            String::from_utf8(channels.to_secret_bytes().expose().to_vec()).expect("text")
        };
        let left_out = changed(json!({"url": "https://a.example/elsewhere"}));
        assert!(left_out.contains("canary-signing") && left_out.contains("Bearer canary"));
        let removed =
            changed(json!({"url": "https://a.example/", "signing_secret": "", "headers": {}}));
        assert!(!removed.contains("canary"), "{removed}");
        let replaced = changed(
            json!({"url": "https://a.example/", "signing_secret": "new", "headers": {"authorization": ""}}),
        );
        assert!(
            !replaced.contains("canary") && replaced.contains("\"new\""),
            "{replaced}"
        );
    }

    #[test]
    fn secrets_are_entered_again_when_they_would_go_to_another_host() {
        let whole = whole();
        for url in [
            "https://b.example/",
            "http://a.example/",
            "https://a.example:8443/",
        ] {
            let refused = draft(webhook(json!({"url": url})))
                .expect("sound")
                .complete(Some(&whole));
            let IncompleteChannels::Reentry(fields) = refused.expect_err(url) else {
                panic!("another refusal of {url}")
            };
            assert_eq!(
                fields,
                [
                    "channels.0.configs.headers.authorization",
                    "channels.0.configs.signing_secret"
                ]
            );
        }
        let entered = json!({"url": "https://b.example/", "headers": {}, "signing_secret": "new"});
        assert!(
            draft(webhook(entered))
                .expect("sound")
                .complete(Some(&whole))
                .is_ok()
        );
    }

    #[test]
    fn the_placeholder_is_no_secret_of_a_new_webhook() {
        let named = draft(webhook(
            json!({"url": "https://a.example/", "signing_secret": "redacted"}),
        ));
        let refused = named
            .expect("sound")
            .complete(None)
            .expect_err("nothing to keep");
        assert!(
            matches!(refused, IncompleteChannels::Invalid(_)),
            "{refused:?}"
        );
        let slack = json!([{"channel": "slack", "configs": {"webhook_url": "redacted"}}]);
        assert!(draft(slack).expect("sound").complete(None).is_err());
    }

    #[test]
    fn the_audience_is_the_origins_in_order_and_each_once() {
        assert_eq!(
            audience(&whole().view()),
            "https://a.example\nhttps://hooks.slack.example"
        );
        let twice = channels(json!([
            {"channel": "webhook", "configs": {"url": "https://a.example/1"}},
            {"channel": "webhook", "configs": {"url": "https://a.example:443/2"}},
        ]));
        assert_eq!(audience(&twice.view()), "https://a.example");
        assert_eq!(audience(&Value::Null), "");
    }

    #[test]
    fn what_cannot_be_sent_to_is_refused_by_its_place() {
        let url = |text: &str| webhook(json!({"url": text}));
        for (value, place) in [
            (json!("x"), "channels"),
            (json!([]), "channels"),
            (json!([1]), "channels.0"),
            (
                json!([{"channel": "email", "configs": {"to_addresses": ["a@b.c"]}}]),
                "channels.0.channel",
            ),
            (
                json!([{"channel": "pager", "configs": {}}]),
                "channels.0.channel",
            ),
            (json!([{"channel": "webhook"}]), "channels.0.configs"),
            (webhook(json!({})), "channels.0.configs.url"),
            (url("ftp://a.example/"), "channels.0.configs.url"),
            (url("https://u:p@a.example/"), "channels.0.configs.url"),
            (url("https://a.example/#f"), "channels.0.configs.url"),
            (url("https:\\\\a.example"), "channels.0.configs.url"),
            (
                webhook(json!({"url": "https://a/", "timeout": 31})),
                "channels.0.configs.timeout",
            ),
            (
                webhook(json!({"url": "https://a/", "timeout": "5"})),
                "channels.0.configs.timeout",
            ),
            (
                webhook(json!({"url": "https://a/", "headers": {"Host": "b"}})),
                "channels.0.configs.headers.Host",
            ),
            (
                webhook(json!({"url": "https://a/", "headers": {"X-Wharf-Event-Id": "b"}})),
                "channels.0.configs.headers.X-Wharf-Event-Id",
            ),
            (
                webhook(json!({"url": "https://a/", "headers": {"a": "b\r\nc"}})),
                "channels.0.configs.headers.a",
            ),
            (
                webhook(json!({"url": "https://a/", "payload_template": {"a": "{% x %}"}})),
                "channels.0.configs.payload_template.a",
            ),
            (
                json!([{"channel": "slack", "configs": {"webhook_url": "https://a/", "blocks_template": "x"}}]),
                "channels.0.configs.blocks_template",
            ),
        ] {
            let text = value.to_string();
            let refused = draft(value).expect_err(&text);
            assert_eq!(refused.0[0].path(), place, "{text}");
        }
    }
}
