//! What answers say beside what the SDK reads, whatever the operation: headers, text, pages for people, wishes for a pause.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::DateTime;

/// The longest pause that a store is believed to want.
const LONGEST_WISH: Duration = Duration::from_hours(1);

/// A header, if it is text.
pub fn header<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    response.headers().get(name)
}

/// The body that was read, if it is text; else nothing.
pub fn text(response: &HttpResponse) -> &str {
    response
        .body()
        .bytes()
        .and_then(|body| std::str::from_utf8(body).ok())
        .unwrap_or_default()
}

/// Whether the answer is a page for people, and so none of the protocol.
pub fn is_html(response: &HttpResponse) -> bool {
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

/// What the store wishes, as far as it is believed: a header of AWS in milliseconds, or seconds, or a date, which is
/// measured against the store's own clock.
pub fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let precise = header(response, "x-amz-retry-after")
        .and_then(|wish| wish.trim().parse().ok())
        .map(Duration::from_millis);
    let wish = precise.or_else(|| {
        let wish = header(response, "retry-after")?.trim();
        if let Ok(seconds) = wish.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let then = DateTime::parse_from_rfc2822(wish).ok()?;
        let now = DateTime::parse_from_rfc2822(header(response, "date")?).ok()?;
        Some((then - now).to_std().unwrap_or_default())
    });
    wish.map(|wish| wish.min(LONGEST_WISH))
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
            ("Thu, 22 Oct 2026 07:28:00 GMT", Some(3600)),
            ("86400", Some(3600)),
            ("18446744073709551615", Some(3600)),
            ("99999999999999999999", None),
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
        let in_ms = |wish| {
            retry_after(&answer(
                &[("x-amz-retry-after", wish), ("retry-after", "7")],
                "",
            ))
        };
        assert_eq!(in_ms("1500"), Some(Duration::from_millis(1500)));
        assert_eq!(in_ms("soon"), Some(Duration::from_secs(7)));
        assert_eq!(in_ms("99000000"), Some(LONGEST_WISH));
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
}
