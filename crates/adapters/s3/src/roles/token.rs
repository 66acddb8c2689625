//! When a session token runs out. AWS's tells nobody; the STS of `MinIO` and its kin issue signed claims (RFC 7519), which say so.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use serde_json::Value;
use wharf_domain::Timestamp;

/// No store's token is longer.
const LONGEST: usize = 16 * 1024;

/// The end that the token's claims tell. They are not verified: the store does that, and here they only announce.
pub(super) fn end_of(token: &str) -> Option<Timestamp> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let end = claims.get("exp")?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "casts of floats saturate, and what is out of range is no time"
    )]
    let seconds = end
        .as_i64()
        .or_else(|| end.as_f64().map(|end| end as i64))?;
    let is_sensible = (1..=LAST_SECOND).contains(&seconds);
    is_sensible
        .then(|| DateTime::from_timestamp(seconds, 0))
        .flatten()
}

/// Of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!(
            "eyJhbGciOiJIUzUxMiJ9.{}.c2lnbmF0dXJl",
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    #[test]
    fn the_end_is_read_from_signed_claims_and_from_nothing_else() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let claims = r#"{"accessKey": "AKIA", "exp": 1767225600}"#;
        assert_eq!(end_of(&token(claims)), at(1_767_225_600));
        assert_eq!(
            end_of(&token(r#"{"exp": 1767225600.5}"#)),
            at(1_767_225_600)
        );
        for silent in [
            "IQoJb3JpZ2luX2VjEHoaCXVzLWVhc3QtMSJHMEUCIQ==".to_owned(),
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{}.more", token(claims)),
            token("{}"),
            token("[1]"),
            token(r#"{"exp": "1767225600"}"#),
            token(r#"{"exp": -1}"#),
            token(r#"{"exp": 1e300}"#),
            token(&format!(
                r#"{{"exp": 1767225600, "policy": "{}"}}"#,
                "x".repeat(LONGEST)
            )),
        ] {
            assert_eq!(end_of(&silent), None, "{silent}");
        }
    }
}
