//! The simulated Security Token Service: `AssumeRole` and `GetCallerIdentity` of the query protocol, on
//! the endpoint the stores answer on.

mod answer;
mod assume;
mod refusal;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

pub(crate) use self::refusal::Refusal;
use crate::clock;
use crate::identity::Principal;
use crate::operation::Operation;
use crate::sigv4::Claim;
use crate::world::World;

const VERSION: &str = "2011-06-15";
const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN: &str = "x-amz-security-token";

/// Whether this is a request to STS rather than to a store: no store answers a form at its root.
pub(crate) fn is_addressed(request: &Parts) -> bool {
    let form = request
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(FORM.as_bytes()));
    request.method == Method::POST && request.uri.path() == "/" && form
}

/// A form as it was sent.
pub(crate) struct Form {
    bytes: Bytes,
    fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn read(bytes: Bytes) -> Self {
        let fields = form_urlencoded::parse(&bytes).into_owned().collect();
        Self { bytes, fields }
    }

    pub(crate) fn field(&self, wanted: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn operation(&self) -> Operation {
        match self.field("Action") {
            Some("AssumeRole") => Operation::AssumeRole,
            Some("GetCallerIdentity") => Operation::GetCallerIdentity,
            _ => Operation::Other,
        }
    }

    /// The digest its signature covers.
    pub(crate) fn digest(&self) -> String {
        hex::encode(Sha256::digest(&self.bytes))
    }
}

/// Answers a request.
pub(crate) fn answer(
    world: &World,
    request: &Parts,
    form: &Form,
    request_id: &str,
) -> Response<String> {
    match fulfil(world, request, form, request_id) {
        Ok(document) => answer::document(StatusCode::OK, document),
        Err(refusal) => refusal.answer(request_id),
    }
}

fn fulfil(
    world: &World,
    request: &Parts,
    form: &Form,
    request_id: &str,
) -> Result<String, Refusal> {
    let caller = authenticate(world, request, form)?;
    let action = form.field("Action").ok_or_else(|| {
        Refusal::new(
            "MissingAction",
            "The request must contain the parameter Action.",
        )
    })?;
    let version = form.field("Version").unwrap_or_default();
    match form.operation() {
        Operation::AssumeRole if version == VERSION => {
            let asked = assume::read(form)?;
            let session = assume::open(world, &caller, &asked)?;
            Ok(answer::assumed(&session, request_id))
        }
        Operation::GetCallerIdentity if version == VERSION => {
            Ok(answer::identity(&caller, request_id))
        }
        _ => Err(Refusal::new(
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        )),
    }
}

/// Whoever signed the request.
fn authenticate(world: &World, request: &Parts, form: &Form) -> Result<Principal, Refusal> {
    if !request.headers.contains_key(header::AUTHORIZATION) {
        return Err(Refusal::new(
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ));
    }
    let claim = Claim::read(&request.headers, &request.uri).ok_or_else(|| {
        Refusal::new(
            "IncompleteSignature",
            "The request signature does not conform to AWS standards.",
        )
    })?;
    let caller = world
        .identities
        .principal(&claim.access_key_id)
        .ok_or_else(unknown_token)?;
    if claim.service != "sts" {
        return Err(mismatch(format!(
            "Credential should be scoped to correct service: 'sts'. '{}' is not it.",
            claim.service
        )));
    }
    if !claim.time.starts_with(&claim.day) {
        return Err(mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ));
    }
    if let Some(time) = clock::of_signature(&claim.time)
        && world.clock.refuses(time)
    {
        return Err(mismatch(skew(&claim.time, time, world.clock.now())));
    }
    let canonical = claim.canonical_request(
        &request.method,
        &request.uri,
        &request.headers,
        &form.digest(),
    );
    let expected = claim.sign(
        &caller.key.secret_access_key,
        &claim.string_to_sign(&canonical),
    );
    if expected != claim.signature {
        return Err(mismatch(
            "The request signature we calculated does not match the signature you provided. Check your \
             AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    if caller.key.session_token.as_deref() != token(&request.headers) {
        return Err(unknown_token());
    }
    if caller.has_ended() {
        return Err(Refusal::new(
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    Ok(caller)
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(TOKEN)?.to_str().ok()
}

fn skew(said: &str, time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let written = |time: DateTime<Utc>| time.format("%Y%m%dT%H%M%SZ").to_string();
    if time < now {
        let oldest = written(now - clock::MOST_SKEW);
        let now = written(now);
        format!("Signature expired: {said} is now earlier than {oldest} ({now} - 15 min.)")
    } else {
        let newest = written(now + clock::MOST_SKEW);
        let now = written(now);
        format!("Signature not yet current: {said} is still later than {newest} ({now} + 15 min.)")
    }
}

fn unknown_token() -> Refusal {
    Refusal::new(
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    )
}

fn mismatch(message: impl Into<String>) -> Refusal {
    Refusal::new("SignatureDoesNotMatch", message)
}
