//! A client asks for a token by the refresh token a person's grant gave it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::directory::GrantState;
use super::form::Form;
use super::refusal::OauthRefusal;
use super::scopes;
use crate::google::world::State;

/// The client a form comes from, if its secret is right.
pub(super) fn client(state: &State, form: &Form) -> Result<String, OauthRefusal> {
    let id = form.field("client_id").ok_or_else(|| {
        OauthRefusal::of("invalid_request").saying("Could not determine client ID from request.")
    })?;
    let client = state
        .directory
        .clients
        .get(id)
        .ok_or_else(|| OauthRefusal::of("invalid_client"))?;
    match form.field("client_secret") {
        Some(secret) if secret == client.secret => Ok(id.to_owned()),
        Some(_) => {
            Err(OauthRefusal::of("invalid_client").saying("The provided client secret is invalid."))
        }
        None => Err(OauthRefusal::of("invalid_request").saying("client_secret is missing.")),
    }
}

pub(super) fn token(
    state: &mut State,
    form: &Form,
    now: DateTime<Utc>,
) -> Result<Value, OauthRefusal> {
    let refresh_token = form
        .field("refresh_token")
        .ok_or_else(|| OauthRefusal::missing("refresh_token"))?;
    let index = state.directory.grant_of(refresh_token);
    let answer = refresh(state, form, refresh_token, index, now);
    if let Some(grant) = index.and_then(|index| state.directory.grant(index)) {
        match answer {
            Ok(_) => grant.refreshes += 1,
            Err(_) => grant.refused += 1,
        }
    }
    answer
}

fn refresh(
    state: &mut State,
    form: &Form,
    refresh_token: &str,
    index: Option<usize>,
    now: DateTime<Utc>,
) -> Result<Value, OauthRefusal> {
    let client = client(state, form)?;
    let bad = || OauthRefusal::of("invalid_grant");
    let expired = || bad().saying("Token has been expired or revoked.");
    let index = index.ok_or_else(bad)?;
    let grant = state.directory.grant(index).ok_or_else(bad)?.clone();
    if grant.client_id != client {
        return Err(OauthRefusal::of("unauthorized_client").saying("Unauthorized"));
    }
    if grant.refresh_token != refresh_token {
        return Err(expired());
    }
    match grant.state {
        GrantState::Valid => {}
        GrantState::Revoked => return Err(expired()),
        GrantState::InvalidRapt => return Err(OauthRefusal::of("invalid_rapt")),
        GrantState::AdminPolicyEnforced => {
            return Err(OauthRefusal::of("admin_policy_enforced"));
        }
        GrantState::OrgInternal => return Err(OauthRefusal::of("org_internal")),
    }
    let scopes = match form.field("scope") {
        Some(asked) => scopes(Some(asked))?,
        None => grant.scopes.clone(),
    };
    if !scopes.iter().all(|scope| grant.scopes.contains(scope)) {
        return Err(OauthRefusal::of("invalid_scope"));
    }
    let mut answer = json!({
        "expires_in": state.directory.token_seconds,
        "scope": scopes.join(" "),
        "token_type": "Bearer",
    });
    if state.directory.rotates {
        let renewed = state.refresh_token();
        if let Some(grant) = state.directory.grant(index) {
            let earlier = std::mem::replace(&mut grant.refresh_token, renewed.clone());
            grant.earlier_tokens.push(earlier);
        }
        answer["refresh_token"] = json!(renewed);
    }
    let access_token = state.open(&grant.user, &client, scopes, Some(index), now);
    answer["access_token"] = json!(access_token);
    Ok(answer)
}
