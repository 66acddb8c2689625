//! The page where a person lets a client in. Here nobody has to press a button: the person the lab is told
//! of consents, or refuses, at once.

use axum::body::Body;
use chrono::{DateTime, Duration, Utc};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use url::Url;
use url::form_urlencoded;

use super::directory::Code;
use super::scopes;
use crate::clock::later;
use crate::google::world::State;

fn page(error: &str, said: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!(
        "<!DOCTYPE html><title>Error 400: {error}</title><p>Access blocked: {said}"
    )));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

pub(crate) fn answer(state: &mut State, query: &str, now: DateTime<Utc>) -> Response<Body> {
    match back(state, query, now) {
        Ok(target) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(target) = HeaderValue::try_from(target.as_str()) {
                response.headers_mut().insert(LOCATION, target);
            }
            response
        }
        Err(page) => *page,
    }
}

/// Where the browser is sent back to; a page of Google's when that cannot be trusted.
fn back(state: &mut State, query: &str, now: DateTime<Utc>) -> Result<Url, Box<Response<Body>>> {
    let refuse = |error: &str, said: &str| Box::new(page(error, said));
    let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    };
    let client_id = field("client_id")
        .ok_or_else(|| refuse("invalid_request", "Missing required parameter: client_id"))?;
    let client = state
        .directory
        .clients
        .get(client_id)
        .ok_or_else(|| refuse("invalid_client", "The OAuth client was not found."))?;
    let redirect_uri = field("redirect_uri").ok_or_else(|| {
        refuse(
            "invalid_request",
            "Missing required parameter: redirect_uri",
        )
    })?;
    let target = Url::parse(redirect_uri).ok().filter(|_| {
        client
            .redirect_uris
            .iter()
            .any(|known| known == redirect_uri)
    });
    let mut target = target.ok_or_else(|| {
        refuse(
            "redirect_uri_mismatch",
            "The redirect URI in the request does not match those of the client.",
        )
    })?;
    if field("response_type") != Some("code") {
        return Err(refuse("unsupported_response_type", "Invalid response_type"));
    }
    let challenge = match (field("code_challenge"), field("code_challenge_method")) {
        (None, None) => None,
        (Some(challenge), Some("S256")) => Some(challenge.to_owned()),
        _ => {
            return Err(refuse(
                "invalid_request",
                "Only the code challenge method S256 is known",
            ));
        }
    };
    let scopes = scopes(field("scope"))
        .map_err(|_| refuse("invalid_scope", "Some requested scopes were invalid."))?;
    let person = state
        .directory
        .person()
        .ok_or_else(|| refuse("invalid_request", "There is nobody who could consent"))?;

    let mut answer = Vec::new();
    if let Some(given) = field("state") {
        answer.push(("state", given.to_owned()));
    }
    if state.directory.denies {
        answer.push(("error", "access_denied".to_owned()));
    } else {
        let code = format!("4/0{}", state.tree.opaque("code", 40));
        answer.push(("code", code.clone()));
        answer.push(("scope", scopes.join(" ")));
        let granted = Code {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            challenge,
            // Who consented before is not given another refresh token unless asked to consent again.
            offline: field("access_type") == Some("offline")
                && (field("prompt").is_some_and(|prompt| prompt.contains("consent"))
                    || !state.directory.has_grant(client_id, &person)),
            expires: later(now, Duration::minutes(10)),
            user: person,
        };
        state.directory.codes.insert(code, granted);
    }
    target.query_pairs_mut().extend_pairs(answer);
    Ok(target)
}
