//! A service account asks for a token by an assertion it signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::form::Form;
use super::refusal::OauthRefusal;
use super::scopes;
use crate::google::world::State;

const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const LONGEST: i64 = 3600;
const MOST_SKEW: i64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    scope: Option<String>,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    sub: Option<String>,
}

fn invalid(description: &str) -> OauthRefusal {
    OauthRefusal::of("invalid_grant").saying(description)
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

pub(super) fn token(
    state: &mut State,
    own_url: &str,
    form: &Form,
    now: DateTime<Utc>,
) -> Result<Value, OauthRefusal> {
    let assertion = form
        .field("assertion")
        .ok_or_else(|| OauthRefusal::missing("assertion"))?;
    let malformed = || OauthRefusal::of("invalid_request").saying("Bad Request");
    let (signed, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let header: Header = part(header).ok_or_else(malformed)?;
    let claims: Claims = part(claims).ok_or_else(malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;

    let account = state
        .directory
        .service_accounts
        .get(&claims.iss)
        .ok_or_else(|| invalid("Invalid grant: account not found"))?;
    let key = &account.key;
    let right_key = header.kid.is_none_or(|kid| kid == key.id);
    if header.alg != "RS256" || !right_key || !key.signed(signed.as_bytes(), &signature) {
        return Err(invalid("Invalid JWT Signature."));
    }
    if claims.aud != AUDIENCE && claims.aud != own_url {
        return Err(invalid("Invalid JWT: Failed audience check."));
    }
    let now_s = now.timestamp();
    let in_time = claims.exp > claims.iat
        && claims.exp.saturating_sub(claims.iat) <= LONGEST
        && claims.iat <= now_s.saturating_add(MOST_SKEW)
        && claims.exp.saturating_add(MOST_SKEW) > now_s;
    if !in_time {
        return Err(invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
             Check your iat and exp values in the JWT claim.",
        ));
    }
    let scopes = scopes(claims.scope.as_deref())?;
    let app = account.client_id.clone();
    let email = match claims.sub {
        Some(sub) if sub != claims.iss => {
            if !scopes.iter().all(|scope| account.delegated.contains(scope)) {
                return Err(OauthRefusal::of("unauthorized_client"));
            }
            let is_person = state.directory.accounts.contains_key(&sub)
                && !state.directory.service_accounts.contains_key(&sub);
            if !is_person {
                return Err(invalid("Invalid email or User ID"));
            }
            sub
        }
        _ => claims.iss,
    };
    let access_token = state.open(&email, &app, scopes, None, now);
    Ok(json!({
        "access_token": access_token,
        "expires_in": state.directory.token_seconds,
        "token_type": "Bearer",
    }))
}
