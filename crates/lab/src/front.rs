//! The one way in: every request passes here, is written down, meets the fault rules, and only then
//! reaches the admin surface or a simulated provider.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use s3s::service::S3Service;
use tower::ServiceExt;

use crate::admin;
use crate::fault::{Action, Sighting};
use crate::journal::JournalEntry;
use crate::s3::{self, target::Target};
use crate::world::World;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// A fault rule asked for the connection to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed by a fault rule")]
pub(crate) struct Closed;

#[derive(Debug, Clone)]
pub(crate) struct Front {
    world: Arc<World>,
    admin: Router,
    s3: S3Service,
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
        let target = self.target(&request);
        let (seq, action) = self.write_down(&request, &target);
        let request_id = format!("LAB{seq:013}");
        let mut response = match &action {
            Some(action) => self.misbehave(action, request, target, &request_id).await?,
            None => self.provider(request, target).await,
        };
        if let Ok(request_id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, request_id);
        }
        self.world.journal().answer(seq, response.status().as_u16());
        Ok(response)
    }

    fn target(&self, request: &Request<Incoming>) -> Target {
        let host = text(request.headers(), &HOST);
        Target::read(
            request.method(),
            request.uri(),
            host.as_deref(),
            &self.world.bucket_domains,
        )
    }

    fn write_down(&self, request: &Request<Incoming>, target: &Target) -> (u64, Option<Action>) {
        let uri = request.uri();
        let path = percent_decode_str(uri.path()).decode_utf8_lossy();
        let due = self.world.faults().next(&Sighting {
            method: request.method().as_str(),
            operation: target.operation,
            path: &path,
            query: uri.query().unwrap_or_default(),
        });
        let (fault, action) = due.unzip();
        let seq = self.world.journal().arrive(JournalEntry {
            seq: 0,
            method: request.method().to_string(),
            path: uri.path().to_owned(),
            query: uri.query().map(ToOwned::to_owned),
            operation: target.operation,
            bucket: target.bucket.clone(),
            key: target.key.clone(),
            range: text(request.headers(), &RANGE),
            status: None,
            fault,
        });
        (seq, action)
    }

    async fn misbehave(
        &self,
        action: &Action,
        mut request: Request<Incoming>,
        target: Target,
        request_id: &str,
    ) -> Result<Response<Body>, Closed> {
        if let Some(delay) = action.delay {
            tokio::time::sleep(delay).await;
        }
        if action.close {
            return Err(Closed);
        }
        let response = if let Some(response) = action.substitute(request_id) {
            response
        } else {
            if let Some(fault) = action.listing {
                request.extensions_mut().insert(fault);
            }
            self.provider(request, target).await
        };
        Ok(action.spoil(response).await)
    }

    async fn provider(&self, mut request: Request<Incoming>, target: Target) -> Response<Body> {
        request.extensions_mut().insert(target);
        match self.s3.call(request.map(s3s::Body::from)).await {
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
