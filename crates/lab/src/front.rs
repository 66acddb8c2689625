//! The one way in: every request passes here, is written down, meets the fault rules, and only then
//! reaches the admin surface or a simulated provider.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use s3s::service::S3Service;
use tower::ServiceExt;

use crate::admin;
use crate::clock;
use crate::fault::echo::Echo;
use crate::fault::{Action, Sighting};
use crate::journal::JournalEntry;
use crate::operation::Operation;
use crate::s3::{self, target::Target};
use crate::sigv4::Claim;
use crate::sts::{self, Form};
use crate::world::World;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const STS_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const LONGEST_FORM: usize = 64 * 1024;

/// There is no answer: a fault rule asked for the connection to be closed, or the request ended early.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
pub(crate) struct Closed;

#[derive(Debug, Clone)]
pub(crate) struct Front {
    world: Arc<World>,
    admin: Router,
    s3: S3Service,
}

/// Whom a request is for, and the rest of it.
enum Addressee {
    Store(Target, Incoming),
    Sts(Form),
}

impl Addressee {
    fn operation(&self) -> Operation {
        match self {
            Self::Store(target, _) => target.operation,
            Self::Sts(form) => form.operation(),
        }
    }
}

impl Front {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self {
            admin: admin::router(Arc::clone(&world)),
            s3: s3::service(&world),
            world,
        }
    }

    pub(crate) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        if request.uri().path().starts_with(admin::PREFIX) {
            let Ok(response) = self.admin.oneshot(request).await;
            return Ok(response);
        }
        let (head, body) = request.into_parts();
        let addressee = self.addressee(&head, body).await?;
        let (seq, action) = self.write_down(&head, &addressee);
        let request_id = format!("LAB{seq:013}");
        let id_header = match &addressee {
            Addressee::Store(..) => REQUEST_ID,
            Addressee::Sts(_) => STS_REQUEST_ID,
        };
        let mut response = match &action {
            Some(action) => self.misbehave(action, head, addressee, &request_id).await?,
            None => self.provider(head, addressee, &request_id).await,
        };
        if let Ok(request_id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(id_header, request_id);
        }
        if let Ok(date) = HeaderValue::try_from(clock::http_date(self.world.clock.now())) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
        self.world.journal().answer(seq, response.status().as_u16());
        Ok(response)
    }

    async fn addressee(&self, head: &Parts, body: Incoming) -> Result<Addressee, Closed> {
        let host = text(&head.headers, &HOST);
        let target = Target::read(
            &head.method,
            &head.uri,
            host.as_deref(),
            &self.world.bucket_domains,
        );
        if target.bucket.is_some() || !sts::is_addressed(head) {
            return Ok(Addressee::Store(target, body));
        }
        let form = Limited::new(body, LONGEST_FORM)
            .collect()
            .await
            .map_err(|_| Closed)?
            .to_bytes();
        Ok(Addressee::Sts(Form::read(form)))
    }

    fn write_down(&self, head: &Parts, addressee: &Addressee) -> (u64, Option<Action>) {
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let operation = addressee.operation();
        let (target, form) = match addressee {
            Addressee::Store(target, _) => (Some(target), None),
            Addressee::Sts(form) => (None, Some(form)),
        };
        let due = self.world.faults().next(&Sighting {
            method: head.method.as_str(),
            operation,
            bucket: target.and_then(|target| target.bucket.as_deref()),
            user: None,
            headers: &head.headers,
            path: &path,
            query: head.uri.query().unwrap_or_default(),
        });
        let (fault, action) = due.unzip();
        let field = |name| Some(form?.field(name)?.to_owned());
        let seq = self.world.journal().arrive(JournalEntry {
            seq: 0,
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(ToOwned::to_owned),
            operation,
            bucket: target.and_then(|target| target.bucket.clone()),
            key: target.and_then(|target| target.key.clone()),
            range: text(&head.headers, &RANGE),
            access_key_id: Claim::read(&head.headers, &head.uri).map(|claim| claim.access_key_id),
            role_arn: field("RoleArn"),
            external_id: field("ExternalId"),
            session_name: field("RoleSessionName"),
            duration_seconds: field("DurationSeconds"),
            grant_type: None,
            bearer: false,
            user: None,
            status: None,
            fault,
        });
        (seq, action)
    }

    async fn misbehave(
        &self,
        action: &Action,
        mut head: Parts,
        addressee: Addressee,
        request_id: &str,
    ) -> Result<Response<Body>, Closed> {
        if let Some(delay) = action.delay {
            tokio::time::sleep(delay).await;
        }
        if action.close {
            return Err(Closed);
        }
        let (in_place, payload) = match &addressee {
            Addressee::Store(..) => (action.in_place_of_store(request_id), None),
            Addressee::Sts(form) => (action.in_place_of_sts(request_id), Some(form.digest())),
        };
        let echo = action.echo.then(|| Echo::of(&head, payload));
        let response = if let Some(response) = in_place {
            response
        } else {
            if let Some(fault) = action.listing.clone() {
                head.extensions.insert(fault);
            }
            if let Some(fault) = action.object {
                head.extensions.insert(fault);
            }
            self.provider(head, addressee, request_id).await
        };
        let response = match echo {
            Some(echo) => echo.onto(response).await,
            None => response,
        };
        Ok(action.spoil(response).await)
    }

    async fn provider(
        &self,
        head: Parts,
        addressee: Addressee,
        request_id: &str,
    ) -> Response<Body> {
        match addressee {
            Addressee::Store(target, body) => match s3::refuse_early(&self.world, &target, &head) {
                Some(refusal) => refusal.answer(request_id).map(Body::from),
                None => self.store(head, target, body).await,
            },
            Addressee::Sts(form) => {
                sts::answer(&self.world, &head, &form, request_id).map(Body::from)
            }
        }
    }

    async fn store(&self, mut head: Parts, target: Target, body: Incoming) -> Response<Body> {
        head.extensions.insert(target);
        let request = Request::from_parts(head, s3s::Body::from(body));
        match self.s3.call(request).await {
            Ok(response) if response.status() == StatusCode::NOT_MODIFIED => {
                // The protocol crate describes every error in a document; this status carries none.
                let (mut head, _) = response.into_parts();
                head.headers.remove(CONTENT_LENGTH);
                head.headers.remove(CONTENT_TYPE);
                Response::from_parts(head, Body::empty())
            }
            Ok(response) => response.map(Body::new),
            Err(_) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
