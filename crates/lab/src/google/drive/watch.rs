//! `changes.watch` and `channels.stop`.

use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::call::Call;
use super::super::push::{Channel, Push, is_near};
use super::super::refusal::Refusal;
use super::super::tree::feed::Whose;
use super::super::world::State;
use super::changes;
use crate::clock::later;

/// How long a channel for changes lives at most, and when nothing is said.
const LONGEST: Duration = Duration::days(7);
const USUAL: Duration = Duration::hours(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    expiration: Option<Value>,
    #[serde(default)]
    resource_id: Option<String>,
}

fn asked(call: &Call) -> Result<Asked, Refusal> {
    serde_json::from_slice(&call.body).map_err(|_| Refusal::of("badRequest").saying("Parse Error"))
}

fn needed(value: Option<String>, name: &str) -> Result<String, Refusal> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Refusal::of("required").about(name))
}

pub(super) fn open(call: &Call, state: &mut State, push: &Push) -> Result<Value, Refusal> {
    let whose = changes::whose(call, state)?;
    changes::place(call, state, &whose)?;
    let asked = asked(call)?;
    let id = needed(asked.id, "resource.id")?;
    let kind = needed(asked.kind, "resource.type")?;
    let address = needed(asked.address, "resource.address")?;
    if !matches!(kind.as_str(), "web_hook" | "webhook") {
        return Err(Refusal::of("invalid")
            .saying("Unknown channel type.")
            .about("resource.type"));
    }
    if id.len() > 64 {
        return Err(Refusal::of("invalid").about("resource.id"));
    }
    if !address.starts_with("https://") && !is_near(&address) {
        return Err(Refusal::of("push.webhookUrlNotHttps")
            .saying(format!("WebHook callback must be HTTPS: {address}")));
    }
    state.channels.retain(|channel| channel.expires > call.now);
    if state.channels.iter().any(|channel| channel.id == id) {
        return Err(Refusal::of("channelIdNotUnique").saying(format!("Channel id {id} not unique")));
    }
    let expires = expires(asked.expiration.as_ref(), call.now)?;
    let mut channel = Channel {
        resource_id: resource_id(&whose),
        resource_uri: format!("{}/drive/v3/changes?alt=json", call.url),
        id,
        whose,
        email: call.who.email.clone(),
        address,
        token: asked.token,
        expires,
        messages: 0,
    };
    let mut shown = json!({
        "kind": "api#channel",
        "id": channel.id,
        "resourceId": channel.resource_id,
        "resourceUri": channel.resource_uri,
        "expiration": channel.expires.timestamp_millis().to_string(),
    });
    if let Some(token) = &channel.token {
        shown["token"] = json!(token);
    }
    push.send(channel.message("sync"));
    state.channels.push(channel);
    Ok(shown)
}

/// When the channel ends: as asked, in milliseconds, but no later than a week from now.
fn expires(asked: Option<&Value>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Refusal> {
    let invalid = || Refusal::of("invalid").about("resource.expiration");
    let millis = match asked {
        None | Some(Value::Null) => return Ok(later(now, USUAL)),
        Some(Value::String(text)) => text.parse().map_err(|_| invalid())?,
        Some(value) => value.as_i64().ok_or_else(invalid)?,
    };
    let asked = DateTime::from_timestamp_millis(millis).ok_or_else(invalid)?;
    if asked <= now {
        return Err(invalid());
    }
    Ok(asked.min(later(now, LONGEST)))
}

/// The same for every channel on the same feed.
fn resource_id(whose: &Whose) -> String {
    let name = match whose {
        Whose::Account(email) => email,
        Whose::Drive(id) => id,
    };
    hex::encode(&Sha256::digest(name)[..14])
}

pub(super) fn stop(call: &Call, state: &mut State) -> Result<(), Refusal> {
    let asked = asked(call)?;
    let id = needed(asked.id, "id")?;
    let resource = needed(asked.resource_id, "resourceId")?;
    let found = state.channels.iter().position(|channel| {
        channel.id == id
            && channel.resource_id == resource
            && channel.email == call.who.email
            && channel.expires > call.now
    });
    let index = found.ok_or_else(|| {
        Refusal::of("notFound").saying(format!("Channel '{id}' not found for project 'lab'"))
    })?;
    state.channels.remove(index);
    Ok(())
}
