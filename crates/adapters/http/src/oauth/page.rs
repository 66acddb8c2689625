//! The page that a person sees at the end of a consent: plain, whole, and cut off from everything else.

use axum::body::Body;
use axum::http::header::{
    CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, REFERRER_POLICY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use wharf_domain::connection::Connection;

use crate::error::{ApiError, ErrorDetail};
use crate::problem;

pub(super) const SUCCESS: &str = "The connection works with this consent.";

/// Nothing is loaded, framed, sent or told to whatever comes next.
const SEALED_OFF: [(HeaderName, &str); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
];

/// Whether a caller wants a page: browsers do, and whoever does not ask for JSON.
pub(super) fn wanted(headers: &HeaderMap) -> bool {
    !problem::wanted(headers) && problem::quality(headers, "application/json") == 0.0
}

/// What became of the consent, as a page.
pub(super) fn told(answer: Result<Connection, ApiError>) -> Response {
    let (mut response, title, told) = match answer {
        Ok(connection) => {
            let told = format!(
                "{SUCCESS} It is named \u{201c}{}\u{201d} ({}). You can close this window.",
                connection.name.as_str(),
                connection.id
            );
            (StatusCode::OK.into_response(), "Connected", told)
        }
        Err(error) => {
            let mut response = error.into_response();
            let detail = response.extensions_mut().remove::<ErrorDetail>();
            let message = detail.map_or_else(String::new, |detail| detail.message);
            let told = format!("{message} Nothing was saved. You can close this window.");
            (response, "Not connected", told)
        }
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1><p>{}</p></body>\n</html>\n",
        escaped(&told)
    );
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, kind);
    *response.body_mut() = Body::from(page);
    sealed_off(response)
}

/// The same answer, with the headers that keep it apart.
pub(super) fn sealed_off(mut response: Response) -> Response {
    for (name, value) in SEALED_OFF {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// A text as it stands in a page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
