//! Why a call did not succeed, taken apart. Nothing that Google said is kept but reasons, places and times.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use serde_json::Value;
use wharf_domain::Timestamp;
use wharf_egress::EgressError;

use crate::error::Fault;

/// The longest pause that Google is believed to want.
const LONGEST_WISH: Duration = Duration::from_hours(1);

/// No reason is longer; what is, is none.
const LONGEST_REASON: usize = 80;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no answer, or only a part of one.
    Egress(EgressError),
    /// The answer broke off, or is larger than any that makes sense.
    CutShort,
    /// Google said no.
    Refused(Refused),
    /// The answer is a success in Google's eyes, and nothing that we understand.
    Unreadable {
        /// Whether it is a page for people.
        html: bool,
    },
    /// There was no token to send the request with.
    NotSignedIn(Box<Fault>),
    /// The request could not be made.
    Unsendable,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::NotSignedIn(Box::new(fault))
    }
}

/// Google's no.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// The machine-readable reasons, the most telling first.
    pub(crate) reasons: Vec<String>,
    /// The parameter that the first reason is about.
    pub(crate) location: Option<String>,
    /// When Google wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the answer is a page for people.
    pub(crate) html: bool,
    /// Whether the request named a place in a list that an earlier answer gave.
    pub(crate) went_on: bool,
}

impl Failure {
    /// The same, met while going on from a place in a list.
    pub(super) fn going_on(self) -> Self {
        match self {
            Self::Refused(refused) => Self::Refused(Refused {
                went_on: true,
                ..refused
            }),
            other => other,
        }
    }
}

impl Refused {
    /// Whether it is the token that is no longer accepted.
    pub(super) fn is_of_token(&self) -> bool {
        self.status == 401
            && !self
                .reasons
                .iter()
                .any(|reason| reason == "fileNotDownloadable")
    }

    /// Takes an answer apart that is no success.
    pub(super) fn of(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let document = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self {
            html: is_html(headers, body),
            ..Self::of_document(status, headers, &document)
        }
    }

    /// The same, of an error document that is already read.
    pub(super) fn of_document(status: u16, headers: &HeaderMap, document: &Value) -> Self {
        let error = &document["error"];
        let list = |name: &str| error[name].as_array().map_or(&[][..], Vec::as_slice);
        let reasons = [list("errors"), list("details")]
            .concat()
            .iter()
            .filter_map(|each| each["reason"].as_str())
            .chain(error["status"].as_str())
            .filter(|reason| is_word(reason))
            .map(ToOwned::to_owned)
            .collect();
        let location = list("errors").first().and_then(|first| {
            let place = first["location"].as_str().filter(|place| is_word(place))?;
            (first["locationType"] == "parameter").then(|| place.to_owned())
        });
        let wish = retry_after(headers).or_else(|| retry_after_message(&error["message"], headers));
        Self {
            status,
            reasons,
            location,
            retry_after: wish.map(|wish| wish.min(LONGEST_WISH)),
            html: false,
            went_on: false,
        }
    }
}

/// Whether this could be one of Google's words, and no text.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !text.is_empty() && text.len() <= LONGEST_REASON && text.bytes().all(plain)
}

/// What Google's clock shows, by an answer.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.with_timezone(&Utc))
}

/// Seconds or a date, which is measured against Google's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let wish = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = wish.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_WISH));
    }
    let then = DateTime::parse_from_rfc2822(wish).ok()?;
    Some(until(then.with_timezone(&Utc), headers)?.min(LONGEST_WISH))
}

/// Older limits tell the time in their message alone: `User-rate limit exceeded. Retry after 2026-11-26T03:04:05.678Z`.
fn retry_after_message(message: &Value, headers: &HeaderMap) -> Option<Duration> {
    let (_, then) = message.as_str()?.split_once("Retry after ")?;
    let then = then.split_whitespace().next()?.trim_end_matches('.');
    let then = DateTime::parse_from_rfc3339(then).ok()?;
    until(then.with_timezone(&Utc), headers)
}

fn until(then: Timestamp, headers: &HeaderMap) -> Option<Duration> {
    Some((then - date(headers)?).to_std().unwrap_or_default())
}

/// Whether an answer is a page for people, and so none of the protocol.
pub(crate) fn is_html(headers: &HeaderMap, body: &[u8]) -> bool {
    let says_so = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    let start = body.trim_ascii_start();
    let start = start[..start.len().min(15)].to_ascii_lowercase();
    says_so || start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().copied();
        pairs
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    const NOW: (&str, &str) = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");

    #[test]
    fn reasons_are_read_from_every_place_that_has_them() {
        let body = br#"{"error": {"code": 403, "message": "x", "status": "PERMISSION_DENIED",
            "errors": [{"domain": "usageLimits", "reason": "accessNotConfigured", "message": "x"}],
            "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]}}"#;
        let refused = Refused::of(403, &headers(&[]), body);
        assert_eq!(
            refused.reasons,
            [
                "accessNotConfigured",
                "SERVICE_DISABLED",
                "PERMISSION_DENIED"
            ]
        );
        let body =
            br#"{"error": {"code": 400, "errors": [{"reason": "invalid", "location": "pageToken",
            "locationType": "parameter"}]}}"#;
        let refused = Refused::of(400, &headers(&[]), body);
        assert_eq!(refused.location.as_deref(), Some("pageToken"));
    }

    #[test]
    fn what_is_no_error_document_has_no_reasons() {
        for body in [
            &b""[..],
            b"nonsense",
            b"[]",
            br#"{"error": "invalid_grant"}"#,
            br#"{"error": {"errors": "x", "details": 7, "status": {}}}"#,
            br#"{"error": {"errors": [{"reason": "two words"}, {"reason": 7}, 3]}}"#,
            b"\xff\xfe",
        ] {
            assert_eq!(Refused::of(403, &headers(&[]), body).reasons, [""; 0]);
        }
        let page = Refused::of(502, &headers(&[]), b"\n<!DOCTYPE html><html>");
        assert!(page.html);
    }

    #[test]
    fn the_wish_to_be_asked_later_is_read_in_all_its_forms() {
        for (wish, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2026 07:27:00 GMT", Some(0)),
            ("Thu, 22 Oct 2026 07:28:00 GMT", Some(3600)),
            ("86400", Some(3600)),
            ("soon", None),
            ("-5", None),
        ] {
            let read = retry_after(&headers(&[NOW, ("retry-after", wish)]));
            assert_eq!(read, seconds.map(Duration::from_secs), "{wish}");
        }
        for (message, seconds) in [
            (
                "User-rate limit exceeded.  Retry after 2026-10-21T07:28:12.000Z (Mail sending)",
                Some(12),
            ),
            ("Rate limit. Retry after 2026-10-21T07:29:00Z.", Some(60)),
            ("Rate limit. Retry after tomorrow", None),
            ("Rate limit.", None),
        ] {
            let document = serde_json::json!({"error": {"message": message}});
            let refused = Refused::of_document(403, &headers(&[NOW]), &document);
            let seconds = seconds.map(Duration::from_secs);
            assert_eq!(refused.retry_after, seconds, "{message}");
        }
    }
}
