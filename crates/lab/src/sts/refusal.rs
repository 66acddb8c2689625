//! Errors of STS and the document that tells of them.

use http::{Response, StatusCode};

use super::answer;
use crate::xml::Document;

/// A code and what is said with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }

    pub(crate) fn answer(&self, request_id: &str) -> Response<String> {
        answer::document(status_of(&self.code), self.document(request_id))
    }

    fn document(&self, request_id: &str) -> String {
        let blamed = if status_of(&self.code).is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        let mut document = Document::open("ErrorResponse", Some(answer::NAMESPACE));
        document.group("Error", |document| {
            document.element("Type", blamed);
            document.element("Code", &self.code);
            document.element("Message", &self.message);
        });
        document.element("RequestId", request_id);
        document.close()
    }
}

/// The status the documentation gives a code; what it does not name is the sender's fault.
fn status_of(code: &str) -> StatusCode {
    match code {
        "AccessDenied"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "RegionDisabledException"
        | "SignatureDoesNotMatch" => StatusCode::FORBIDDEN,
        "InternalFailure" => StatusCode::INTERNAL_SERVER_ERROR,
        "ServiceUnavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
