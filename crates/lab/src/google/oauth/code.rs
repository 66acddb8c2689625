//! A client exchanges the code a person's consent gave it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::form::Form;
use super::refresh::client;
use super::refusal::OauthRefusal;
use crate::google::world::State;

pub(super) fn token(
    state: &mut State,
    form: &Form,
    now: DateTime<Utc>,
) -> Result<Value, OauthRefusal> {
    let client = client(state, form)?;
    let code = form
        .field("code")
        .ok_or_else(|| OauthRefusal::missing("code"))?;
    let invalid = |said: &str| OauthRefusal::of("invalid_grant").saying(said);
    let known = state
        .directory
        .codes
        .get(code)
        .ok_or_else(|| invalid("Malformed auth code."))?
        .clone();
    if known.client_id != client {
        return Err(OauthRefusal::of("unauthorized_client").saying("Unauthorized"));
    }
    if form.field("redirect_uri") != Some(known.redirect_uri.as_str()) {
        return Err(OauthRefusal::of("redirect_uri_mismatch"));
    }
    if let Some(challenge) = &known.challenge {
        let verifier = form
            .field("code_verifier")
            .ok_or_else(|| invalid("Missing code verifier."))?;
        if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != *challenge {
            return Err(invalid("Invalid code verifier."));
        }
    }
    state.directory.codes.remove(code);
    if known.expires <= now {
        return Err(invalid("Bad Request"));
    }
    let mut answer = json!({
        "expires_in": state.directory.token_seconds,
        "scope": known.scopes.join(" "),
        "token_type": "Bearer",
    });
    let mut grant = None;
    if known.offline {
        let refresh_token = state.refresh_token();
        answer["refresh_token"] = json!(refresh_token);
        grant = Some(state.directory.add_grant(
            &client,
            &known.user,
            known.scopes.clone(),
            refresh_token,
        ));
    }
    let access_token = state.open(&known.user, &client, known.scopes, grant, now);
    answer["access_token"] = json!(access_token);
    Ok(answer)
}
