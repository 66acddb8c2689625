//! Errors of S3 answered before the protocol crate sees a request, and the document that tells of them.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::S3ErrorCode;

use crate::xml::Document;

/// A code, what is said with it, and what else the document holds.
pub(crate) struct Refusal {
    code: String,
    message: String,
    details: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn detail(mut self, name: &'static str, content: impl Into<String>) -> Self {
        self.details.push((name, content.into()));
        self
    }

    /// Leaves out what cannot stand in a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    pub(crate) fn answer(self, request_id: &str) -> Response<String> {
        let mut document = Document::open("Error", None);
        document.element("Code", &self.code);
        document.element("Message", &self.message);
        for (name, content) in &self.details {
            document.element(name, content);
        }
        document.element("RequestId", request_id);
        let mut response = Response::new(document.close());
        *response.status_mut() = status_of(&self.code);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.extend(self.headers);
        response
    }
}

fn status_of(code: &str) -> StatusCode {
    S3ErrorCode::from_bytes(code.as_bytes())
        .and_then(|code| code.status_code())
        .unwrap_or(StatusCode::BAD_REQUEST)
}
