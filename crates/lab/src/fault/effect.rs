//! Carrying out an [`Action`]: answers given in the provider's place, and answers spoiled on their way.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Response};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::Action;
use crate::operation::Operation;
use crate::{google, s3, sts};

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

const XML: &str = "application/xml";

/// What was sent before a cut must leave the server's buffer before the connection breaks.
const TIME_TO_FLUSH: Duration = Duration::from_millis(25);

impl Action {
    /// The answer of a store in the provider's place, if the action has one.
    pub(crate) fn in_place_of_store(&self, request_id: &str) -> Option<Response<Body>> {
        match &self.code {
            Some(code) => {
                let mut refusal = s3::refusal::Refusal::new(code, self.said());
                if let Some(region) = &self.region {
                    refusal = refusal.detail("Region", region);
                }
                Some(self.with_own_status(refusal.answer(request_id)))
            }
            None => self.in_place(XML),
        }
    }

    /// The answer of STS in the provider's place, if the action has one.
    pub(crate) fn in_place_of_sts(&self, request_id: &str) -> Option<Response<Body>> {
        match &self.code {
            Some(code) => {
                let refusal = sts::Refusal::new(code, self.said());
                Some(self.with_own_status(refusal.answer(request_id)))
            }
            None => self.in_place(XML),
        }
    }

    /// The answer of Google in the provider's place, if the action has one.
    pub(crate) fn in_place_of_google(&self, operation: Operation) -> Option<Response<Body>> {
        match &self.code {
            Some(code) => {
                let refusal = google::refused_by_name(operation, code, self.message.as_deref());
                Some(self.with_own_status(refusal))
            }
            None => self.in_place("application/json; charset=UTF-8"),
        }
    }

    /// An answer that is no document of any provider.
    fn in_place(&self, content_type: &'static str) -> Option<Response<Body>> {
        let Some(body) = &self.body else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = self.status?;
            return Some(response);
        };
        let mut response = self.with_own_status(Response::new(body.clone()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Some(response)
    }

    fn with_own_status(&self, response: Response<String>) -> Response<Body> {
        let mut response = response.map(Body::from);
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        response
    }

    fn said(&self) -> &str {
        self.message
            .as_deref()
            .unwrap_or("The lab was told to fail here.")
    }

    /// Spoils an answer on its way out.
    pub(crate) async fn spoil(&self, mut response: Response<Body>) -> Response<Body> {
        if let Some(region) = self
            .region
            .as_deref()
            .and_then(|region| HeaderValue::try_from(region).ok())
        {
            response.headers_mut().insert(BUCKET_REGION, region);
        }
        for (name, value) in &self.headers {
            match value {
                Some(value) => {
                    response.headers_mut().insert(name, value.clone());
                }
                None => {
                    response.headers_mut().remove(name);
                }
            }
        }
        if self.truncate_at.is_none() && self.corrupt_byte_at.is_none() && self.stall_at.is_none() {
            return response;
        }
        self.spoil_body(response).await
    }

    async fn spoil_body(&self, response: Response<Body>) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        let promised = body.size_hint().exact();
        let Ok(collected) = body.collect().await else {
            // The provider's own body broke: that is a worse answer than any rule asks for.
            return Response::from_parts(head, Body::empty());
        };
        let mut bytes = Vec::from(collected.to_bytes());
        if let Some(byte) = self
            .corrupt_byte_at
            .and_then(|offset| bytes.get_mut(offset))
        {
            *byte = !*byte;
        }
        let promise = |head: &mut Parts| {
            if let Some(length) = promised {
                // A stream of unknown length would be sent in chunks and promise nothing.
                head.headers
                    .entry(CONTENT_LENGTH)
                    .or_insert_with(|| HeaderValue::from(length));
            }
        };
        if let Some(stop) = self.stall_at.filter(|stop| *stop < bytes.len()) {
            promise(&mut head);
            return Response::from_parts(head, stalling(bytes, stop, self.stall));
        }
        let Some(cut) = self.truncate_at.filter(|cut| *cut < bytes.len()) else {
            return Response::from_parts(head, Body::from(bytes));
        };
        promise(&mut head);
        bytes.truncate(cut);
        let sent = stream::iter([Ok(Bytes::from(bytes))]);
        let broken = stream::once(async {
            tokio::time::sleep(TIME_TO_FLUSH).await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        });
        Response::from_parts(head, Body::from_stream(sent.chain(broken)))
    }
}

/// All bytes, with a pause in the middle that may never end.
fn stalling(mut bytes: Vec<u8>, stop: usize, pause: Option<Duration>) -> Body {
    let rest = bytes.split_off(stop);
    let later = stream::once(async move {
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => std::future::pending().await,
        }
        Ok(Bytes::from(rest))
    });
    let sent = stream::iter([Ok::<_, io::Error>(Bytes::from(bytes))]);
    Body::from_stream(sent.chain(later))
}
