//! The one way into the lab's Google: every request is written down, meets the fault rules, and only then
//! reaches the admin surface, the token endpoint, the consent page or Drive.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::call::{Call, authenticated, bearer};
use super::drive;
use super::oauth::consent;
use super::oauth::form::Form;
use super::oauth::refusal::OauthRefusal;
use super::refusal::{Refusal, json_answer};
use super::surface::{self, Method};
use super::world::GoogleWorld;
use super::{admin, oauth};
use crate::clock;
use crate::fault::echo::Echo;
use crate::fault::{Action, Sighting};
use crate::front::Closed;
use crate::journal::JournalEntry;
use crate::operation::Operation;

const LONGEST_BODY: usize = 1024 * 1024;
pub(crate) const TOKEN: &str = "/token";
const REVOKE: &str = "/revoke";
pub(crate) const CONSENT: &str = "/o/oauth2/v2/auth";
const DOWNLOADED: &str = "/_dl/";

#[derive(Debug, Clone)]
pub(crate) struct Front {
    world: Arc<GoogleWorld>,
    admin: Router,
}

/// What a request is for.
#[derive(Debug)]
enum Addressee {
    Token(Form),
    Revoke(Form),
    Consent,
    Method(&'static Method, String),
    Downloaded(String),
    Nobody,
}

impl Addressee {
    fn of(head: &Parts, body: &Bytes) -> Self {
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        match (head.method.as_str(), path.as_ref()) {
            ("POST", TOKEN) => Self::Token(Form::read(body)),
            ("POST", REVOKE) => Self::Revoke(Form::read(body)),
            ("GET", CONSENT) => Self::Consent,
            ("GET", path) if path.starts_with(DOWNLOADED) => {
                Self::Downloaded(path[DOWNLOADED.len()..].to_owned())
            }
            (http, path) => match surface::route(http, path) {
                Some((method, part)) => Self::Method(method, part.to_owned()),
                None => Self::Nobody,
            },
        }
    }

    fn operation(&self, query: &str) -> Operation {
        match self {
            Self::Token(_) => Operation::GoogleToken,
            Self::Revoke(_) => Operation::GoogleRevoke,
            Self::Consent => Operation::GoogleConsent,
            Self::Method(method, _)
                if method.operation == Operation::DriveFilesGet
                    && query.split('&').any(|pair| pair == "alt=media") =>
            {
                Operation::DriveFilesMedia
            }
            Self::Method(method, _) => method.operation,
            Self::Downloaded(_) => Operation::DriveDownloadedBytes,
            Self::Nobody => Operation::Other,
        }
    }

    fn form(&self) -> Option<&Form> {
        match self {
            Self::Token(form) | Self::Revoke(form) => Some(form),
            _ => None,
        }
    }
}

/// A refresh under way; it is over when this is dropped, answered or not.
struct UnderWay(Arc<GoogleWorld>, usize);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().directory.leave(self.1);
    }
}

impl Front {
    pub(crate) fn new(world: Arc<GoogleWorld>) -> Self {
        Self {
            admin: admin::router(Arc::clone(&world)),
            world,
        }
    }

    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        if request.uri().path().starts_with(admin::PREFIX) {
            let Ok(response) = self.admin.oneshot(request).await;
            return Ok(response);
        }
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LONGEST_BODY)
            .collect()
            .await
            .map_err(|_| Closed)?
            .to_bytes();
        let addressee = Addressee::of(&head, &body);
        let operation = addressee.operation(head.uri.query().unwrap_or_default());
        let (seq, action) = self.write_down(&head, &addressee, operation);
        let _under_way = self.under_way(&addressee);
        let mut response = match &action {
            Some(action) => {
                self.misbehave(action, head, addressee, operation, body)
                    .await?
            }
            None => self.google(&head, &addressee, body),
        };
        if let Ok(date) = HeaderValue::try_from(clock::http_date(self.world.clock.now())) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        self.world.journal().answer(seq, response.status().as_u16());
        Ok(response)
    }

    fn write_down(
        &self,
        head: &Parts,
        addressee: &Addressee,
        operation: Operation,
    ) -> (u64, Option<Action>) {
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let token = bearer(&head.headers);
        let user = token.and_then(|token| {
            let state = self.world.state();
            let session = state.directory.session(token)?;
            Some(session.email.clone())
        });
        let due = self.world.faults().next(&Sighting {
            method: head.method.as_str(),
            operation,
            bucket: None,
            user: user.as_deref(),
            headers: &head.headers,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
        });
        let (fault, action) = due.unzip();
        let grant_type = addressee.form().and_then(|form| form.field("grant_type"));
        let seq = self.world.journal().arrive(JournalEntry {
            seq: 0,
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(ToOwned::to_owned),
            operation,
            bucket: None,
            key: None,
            range: text(&head.headers, &RANGE),
            access_key_id: None,
            role_arn: None,
            external_id: None,
            session_name: None,
            duration_seconds: None,
            grant_type: grant_type.map(ToOwned::to_owned),
            bearer: token.is_some(),
            user,
            status: None,
            fault,
        });
        (seq, action)
    }

    fn under_way(&self, addressee: &Addressee) -> Option<UnderWay> {
        let Addressee::Token(form) = addressee else {
            return None;
        };
        let mut state = self.world.state();
        let grant = state.directory.grant_of(form.field("refresh_token")?)?;
        state.directory.arrive(grant);
        drop(state);
        Some(UnderWay(Arc::clone(&self.world), grant))
    }

    async fn misbehave(
        &self,
        action: &Action,
        mut head: Parts,
        addressee: Addressee,
        operation: Operation,
        body: Bytes,
    ) -> Result<Response<Body>, Closed> {
        if let Some(delay) = action.delay {
            tokio::time::sleep(delay).await;
        }
        if action.close {
            return Err(Closed);
        }
        if let Some(fault) = action.listing.clone() {
            head.extensions.insert(fault);
        }
        if let Some(fault) = action.object {
            head.extensions.insert(fault);
        }
        let response = match action.in_place_of_google(operation) {
            Some(response) => response,
            None => self.google(&head, &addressee, body),
        };
        let response = if action.echo {
            let fields = addressee.form().map_or(&[][..], Form::fields);
            echoed(&head, fields, response).await
        } else {
            response
        };
        Ok(action.spoil(response).await)
    }

    fn google(&self, head: &Parts, addressee: &Addressee, body: Bytes) -> Response<Body> {
        let now = self.world.clock.now();
        let url = &self.world.url;
        let mut state = self.world.state();
        match addressee {
            Addressee::Token(form) => {
                let own_url = format!("{url}{TOKEN}");
                told(oauth::token(&mut state, &own_url, form, now))
            }
            Addressee::Revoke(form) => told(oauth::revoke(&mut state, form)),
            Addressee::Consent => {
                consent::answer(&mut state, head.uri.query().unwrap_or_default(), now)
            }
            Addressee::Method(method, part) => {
                Call::read(&state, method, part, head, body, now, url)
                    .and_then(|call| drive::answer(&call, &mut state, &self.world.push))
                    .unwrap_or_else(|refusal| refusal.answer())
            }
            Addressee::Downloaded(path) => authenticated(&state, &head.headers, now)
                .and_then(|_| {
                    let fetched = state.fetched.get(path.as_str());
                    let fetched = fetched.filter(|fetched| fetched.expires > now);
                    let fetched = fetched.ok_or_else(|| Refusal::of("notFound"))?;
                    let fault = head.extensions.get().copied();
                    drive::media::answer(&head.headers, &fetched.bytes, &fetched.mime_type, fault)
                })
                .unwrap_or_else(|refusal| refusal.answer()),
            Addressee::Nobody => nobody(),
        }
    }
}

/// The answer of the token endpoint.
fn told(answer: Result<Value, OauthRefusal>) -> Response<Body> {
    match answer {
        Ok(value) => json_answer(StatusCode::OK, &value),
        Err(refusal) => refusal.answer(),
    }
}

/// What Google says where nothing is.
fn nobody() -> Response<Body> {
    let page = "<!DOCTYPE html><html lang=en><title>Error 404 (Not Found)!!1</title><p>The requested URL was \
                not found on this server.";
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=UTF-8"),
    );
    response
}

/// An answer that repeats what the request held: in headers, and where it is a refusal in its words.
async fn echoed(
    head: &Parts,
    fields: &[(String, String)],
    response: Response<Body>,
) -> Response<Body> {
    let response = Echo::of(head, None).onto(response).await;
    if response.status().is_success() {
        return response;
    }
    let (mut answer, body) = response.into_parts();
    let Ok(collected) = body.collect().await else {
        return Response::from_parts(answer, Body::empty());
    };
    let bytes = collected.to_bytes();
    let Ok(mut document) = serde_json::from_slice::<Value>(&bytes) else {
        return Response::from_parts(answer, Body::from(bytes));
    };
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
    let sentence = headers.chain(fields).collect::<Vec<_>>().join("; ");
    for pointer in [
        "/error/message",
        "/error/errors/0/message",
        "/error_description",
    ] {
        if let Some(said) = document.pointer_mut(pointer) {
            *said = json!(format!("{} {sentence}", said.as_str().unwrap_or_default()));
        }
    }
    answer.headers.remove(CONTENT_LENGTH);
    Response::from_parts(answer, Body::from(document.to_string()))
}

/// A refusal that a fault rule names.
pub(crate) fn refused_by_name(
    operation: Operation,
    code: &str,
    message: Option<&str>,
) -> Response<String> {
    if matches!(operation, Operation::GoogleToken | Operation::GoogleRevoke) {
        let refusal = OauthRefusal::of(code);
        match message {
            Some(message) => refusal.saying(message).text(),
            None => refusal.text(),
        }
    } else {
        let refusal = Refusal::of(code);
        match message {
            Some(message) => refusal.saying(message).text(),
            None => refusal.text(),
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
