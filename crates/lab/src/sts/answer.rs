//! The documents STS answers with.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::identity::Principal;
use crate::xml::Document;

pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn document(status: StatusCode, document: String) -> Response<String> {
    let mut response = Response::new(document);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

pub(super) fn assumed(session: &Principal, request_id: &str) -> String {
    let mut document = Document::open("AssumeRoleResponse", Some(NAMESPACE));
    document.group("AssumeRoleResult", |document| {
        document.group("AssumedRoleUser", |document| {
            document.element("AssumedRoleId", &session.user_id);
            document.element("Arn", &session.arn);
        });
        document.group("Credentials", |document| {
            document.element("AccessKeyId", &session.key.access_key_id);
            document.element("SecretAccessKey", &session.key.secret_access_key);
            if let Some(token) = &session.key.session_token {
                document.element("SessionToken", token);
            }
            if let Some(end) = session.expires {
                document.element("Expiration", &end.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            }
        });
    });
    close(document, request_id)
}

pub(super) fn identity(caller: &Principal, request_id: &str) -> String {
    let mut document = Document::open("GetCallerIdentityResponse", Some(NAMESPACE));
    document.group("GetCallerIdentityResult", |document| {
        document.element("Arn", &caller.arn);
        document.element("UserId", &caller.user_id);
        document.element("Account", &caller.account);
    });
    close(document, request_id)
}

fn close(mut document: Document, request_id: &str) -> String {
    document.group("ResponseMetadata", |document| {
        document.element("RequestId", request_id);
    });
    document.close()
}
