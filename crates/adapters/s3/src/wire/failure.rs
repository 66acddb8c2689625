//! What the SDK calls an error, taken apart. Nothing that the store said is kept but codes, a region and a time.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::DateTime;
use wharf_domain::provider::s3::Region;
use wharf_egress::EgressError;

use super::signing::NotSignedIn;
use crate::error::Fault;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no answer, or only a part of one.
    Egress(EgressError),
    /// The store said no.
    Refused(Refused),
    /// The answer is a success in the store's eyes, and nothing that we understand.
    Unreadable {
        /// Whether it is a page for people.
        html: bool,
    },
    /// The bytes do not match their checksum.
    Corrupt,
    /// There was no key to sign the request with.
    NotSignedIn(Box<Fault>),
    /// The request could not be made.
    Unsendable,
}

/// The store's no.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    /// The machine code, if the answer is an error document.
    pub(crate) code: Option<String>,
    /// What the message gives away beyond the code.
    pub(crate) hint: Option<Hint>,
    /// Where the store says that the bucket lies.
    pub(crate) region: Option<Region>,
    /// When the store wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

/// What a message gives away beyond the code, looked for where the code alone is too coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A policy above the key's own denies it.
    ExplicitDeny,
    /// A paid-for cap is used up.
    CapExceeded,
    /// The key that encrypts the object may not be used.
    Encryption,
}

/// Takes an error of a call apart.
pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let Some(egress) = EgressError::find(error) {
        return Failure::Egress(egress.clone());
    }
    if let Some(fault) = NotSignedIn::find(error) {
        return Failure::NotSignedIn(Box::new(fault.clone()));
    }
    let Some(response) = error.raw_response() else {
        return Failure::Unsendable;
    };
    let status = response.status().as_u16();
    let service = error.as_service_error();
    let code = service
        .and_then(ProvideErrorMetadata::code)
        .filter(|code| !code.trim().is_empty());
    if code.is_none() && response.status().is_success() {
        return Failure::Unreadable {
            html: is_html(response),
        };
    }
    Failure::Refused(Refused {
        status,
        code: code.map(ToOwned::to_owned),
        hint: service
            .and_then(ProvideErrorMetadata::message)
            .and_then(hint),
        region: region(response),
        retry_after: retry_after(response),
    })
}

/// Takes an error in the middle of an object apart: a broken connection, or else a checksum or a length that is wrong.
pub(super) fn of_stream(error: &(dyn Error + 'static)) -> Failure {
    EgressError::find(error).map_or(Failure::Corrupt, |egress| Failure::Egress(egress.clone()))
}

fn hint(message: &str) -> Option<Hint> {
    let message = message.to_ascii_lowercase();
    let says = |words: &str| message.contains(words);
    if says("cap exceeded") || says("caps exceeded") {
        Some(Hint::CapExceeded)
    } else if says("kms") || says("server side encryption") {
        Some(Hint::Encryption)
    } else if says("explicit deny")
        && (says("resource-based policy")
            || says("service control policy")
            || says("endpoint policy"))
    {
        Some(Hint::ExplicitDeny)
    } else {
        None
    }
}

fn header<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    response.headers().get(name)
}

fn text(response: &HttpResponse) -> &str {
    response
        .body()
        .bytes()
        .and_then(|body| std::str::from_utf8(body).ok())
        .unwrap_or_default()
}

fn is_html(response: &HttpResponse) -> bool {
    let says_so = header(response, "content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    let start: String = text(response)
        .trim_start()
        .chars()
        .take(15)
        .collect::<String>()
        .to_ascii_lowercase();
    says_so || start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn region(response: &HttpResponse) -> Option<Region> {
    let in_body = || {
        text(response)
            .split_once("<Region>")?
            .1
            .split_once("</Region>")
            .map(|(region, _)| region)
    };
    header(response, "x-amz-bucket-region")
        .or_else(in_body)
        .and_then(Region::parse)
}

/// Seconds, or a date, which is measured against the store's own clock.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let wish = header(response, "retry-after")?.trim();
    if let Ok(seconds) = wish.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = DateTime::parse_from_rfc2822(wish).ok()?;
    let now = DateTime::parse_from_rfc2822(header(response, "date")?).ok()?;
    Some((then - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn answer(headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(503.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    #[test]
    fn the_wish_to_be_asked_later_is_read_in_both_forms() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        for (wish, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2026 07:27:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let read = retry_after(&answer(&[date, ("retry-after", wish)], ""));
            assert_eq!(read, seconds.map(Duration::from_secs), "{wish}");
        }
        assert_eq!(
            retry_after(&answer(
                &[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")],
                ""
            )),
            None
        );
    }

    #[test]
    fn a_region_is_read_from_header_or_document_if_it_is_one() {
        let named =
            |headers: &[_], body| region(&answer(headers, body)).map(|region| region.to_string());
        let document = "<Error><Region>eu-west-1</Region></Error>";
        assert_eq!(
            named(&[("x-amz-bucket-region", "eu-central-1")], document).as_deref(),
            Some("eu-central-1")
        );
        assert_eq!(named(&[], document).as_deref(), Some("eu-west-1"));
        assert_eq!(
            named(&[], "<Error><Region>evil text!</Region></Error>"),
            None
        );
        assert_eq!(named(&[], "<Region>"), None);
    }

    #[test]
    fn pages_for_people_are_recognized() {
        assert!(is_html(&answer(
            &[("content-type", "Text/HTML; charset=utf-8")],
            ""
        )));
        assert!(is_html(&answer(&[], "\n <!DOCTYPE html><html>")));
        assert!(is_html(&answer(&[], "<HTML>")));
        assert!(!is_html(&answer(
            &[("content-type", "application/xml")],
            "<?xml version=\"1.0\"?><Error/>"
        )));
    }

    #[test]
    fn messages_refine_what_codes_leave_open() {
        let scp = "User is not authorized to perform: s3:ListBucket with an explicit deny in a service control policy";
        assert_eq!(hint(scp), Some(Hint::ExplicitDeny));
        assert_eq!(
            hint("with an explicit deny in an identity-based policy"),
            None
        );
        assert_eq!(
            hint("Cannot download file, download bandwidth or transaction (Class B) cap exceeded."),
            Some(Hint::CapExceeded)
        );
        assert_eq!(
            hint("not authorized to perform: kms:Decrypt"),
            Some(Hint::Encryption)
        );
        assert_eq!(hint("Access Denied"), None);
    }
}
