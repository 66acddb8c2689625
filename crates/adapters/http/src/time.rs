//! Times on the wire: RFC 3339 in UTC with `Z` and microseconds, always.

use serde::Serializer;
use wharf_domain::Timestamp;
pub(crate) use wharf_domain::time_text as text;

pub(crate) fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(time))
}

#[expect(clippy::ref_option, reason = "serde hands the field over like this")]
pub(crate) fn rfc3339_or_null<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_six_digits_after_the_second_even_when_they_are_zero() {
        let time = Timestamp::from_timestamp(1_767_225_600, 0).expect("in range");
        assert_eq!(text(&time), "2026-01-01T00:00:00.000000Z");
    }
}
