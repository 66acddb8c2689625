//! Who may sign in to the lab's Google, and how: service accounts by assertion, people through a client and
//! its grants.

mod assertion;
mod code;
pub(crate) mod consent;
pub(crate) mod directory;
pub(crate) mod form;
pub(crate) mod key;
mod refresh;
pub(crate) mod refusal;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use self::form::Form;
use self::refusal::OauthRefusal;
use super::world::State;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";

/// A token is given, or not.
pub(crate) fn token(
    state: &mut State,
    own_url: &str,
    form: &Form,
    now: DateTime<Utc>,
) -> Result<Value, OauthRefusal> {
    match form.field("grant_type") {
        Some(JWT_BEARER) => assertion::token(state, own_url, form, now),
        Some("refresh_token") => refresh::token(state, form, now),
        Some("authorization_code") => code::token(state, form, now),
        Some(other) => Err(OauthRefusal::of("unsupported_grant_type")
            .saying(format!("Invalid grant_type: {other}"))),
        None => Err(OauthRefusal::missing("grant_type")),
    }
}

/// A grant, or the grant an access token came from, ends.
pub(crate) fn revoke(state: &mut State, form: &Form) -> Result<Value, OauthRefusal> {
    let token = form
        .field("token")
        .ok_or_else(|| OauthRefusal::missing("token"))?;
    if state.directory.revoke(token) {
        Ok(json!({}))
    } else {
        Err(OauthRefusal::of("invalid_token").saying("Token expired or revoked"))
    }
}

/// Scopes Google knows, as far as the lab needs any.
fn is_scope(scope: &str) -> bool {
    let of_drive = |rest: &str| {
        matches!(
            rest,
            "drive"
                | "drive.readonly"
                | "drive.file"
                | "drive.metadata"
                | "drive.metadata.readonly"
                | "drive.appdata"
                | "drive.photos.readonly"
                | "drive.meet.readonly"
                | "userinfo.email"
                | "userinfo.profile"
                | "cloud-platform"
        )
    };
    matches!(scope, "openid" | "email" | "profile")
        || scope.strip_prefix(SCOPE_PREFIX).is_some_and(of_drive)
}

/// The scopes of a request, each once; refused when there are none or an unknown one.
fn scopes(text: Option<&str>) -> Result<Vec<String>, OauthRefusal> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.unwrap_or_default().split_whitespace() {
        if !is_scope(scope) {
            return Err(OauthRefusal::of("invalid_scope"));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    if scopes.is_empty() {
        return Err(OauthRefusal::of("invalid_scope").saying("Empty or missing scope not allowed."));
    }
    Ok(scopes)
}
