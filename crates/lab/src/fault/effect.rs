//! Carrying out an [`Action`]: answers given in the provider's place, and answers spoiled on their way.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use s3s::S3ErrorCode;

use super::Action;
use crate::sts::Refusal;
use crate::xml;

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// What was sent before a cut must leave the server's buffer before the connection breaks.
const TIME_TO_FLUSH: Duration = Duration::from_millis(25);

impl Action {
    /// The answer in the provider's place, if the action has one.
    pub(crate) fn substitute(&self, request_id: &str) -> Option<Response<Body>> {
        let (status, content_type, body) = if let Some(code) = &self.code {
            (
                status_of(code),
                "application/xml",
                self.error_document(code, request_id),
            )
        } else if let Some(body) = &self.body {
            (StatusCode::OK, "application/xml", body.clone())
        } else {
            (self.status?, "", String::new())
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status.unwrap_or(status);
        if !content_type.is_empty() {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        Some(response)
    }

    /// The same where STS is asked: its errors have another document.
    pub(crate) fn substitute_sts(&self, request_id: &str) -> Option<Response<Body>> {
        let Some(code) = &self.code else {
            return self.substitute(request_id);
        };
        let refusal = Refusal::new(code, self.said());
        let mut response = refusal.answer(request_id).map(Body::from);
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        Some(response)
    }

    fn said(&self) -> &str {
        self.message
            .as_deref()
            .unwrap_or("The lab was told to fail here.")
    }

    fn error_document(&self, code: &str, request_id: &str) -> String {
        let mut document = xml::Document::open("Error", None);
        document.element("Code", code);
        document.element("Message", self.said());
        if let Some(region) = &self.region {
            document.element("Region", region);
        }
        document.element("RequestId", request_id);
        document.close()
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
        if self.truncate_at.is_none() && self.corrupt_byte_at.is_none() {
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
        let Some(cut) = self.truncate_at.filter(|cut| *cut < bytes.len()) else {
            return Response::from_parts(head, Body::from(bytes));
        };
        if let Some(length) = promised {
            // A stream of unknown length would be sent in chunks and promise nothing.
            head.headers
                .entry(CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(length));
        }
        bytes.truncate(cut);
        let sent = stream::iter([Ok(Bytes::from(bytes))]);
        let broken = stream::once(async {
            tokio::time::sleep(TIME_TO_FLUSH).await;
            Err(io::Error::from(io::ErrorKind::ConnectionAborted))
        });
        Response::from_parts(head, Body::from_stream(sent.chain(broken)))
    }
}

fn status_of(code: &str) -> StatusCode {
    S3ErrorCode::from_bytes(code.as_bytes())
        .and_then(|code| code.status_code())
        .unwrap_or(StatusCode::BAD_REQUEST)
}
