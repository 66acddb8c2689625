//! Content types: which one a file has, and patterns of them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a store says when it does not know.
const UNKNOWN: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];
/// Longest type and longest subtype, in characters.
const LONGEST: usize = 127;

/// The content type to go by, without its parameters: what the provider told, unless that says nothing; then what the
/// file name's extension stands for.
pub fn content_type<'a>(told: Option<&'a str>, file_name: &str) -> Option<&'a str> {
    let told = told
        .and_then(|told| told.split(';').next())
        .map(str::trim)
        .filter(|told| !told.is_empty());
    let says_nothing = |told: &str| UNKNOWN.iter().any(|text| told.eq_ignore_ascii_case(text));
    match told {
        Some(told) if !says_nothing(told) => Some(told),
        _ => mime_guess::from_path(file_name).first_raw().or(told),
    }
}

/// Whether a text is `type/subtype`, each of 1 to 127 letters, digits and `!#$&^_.+-`.
pub(crate) fn is_mime_type(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
}

/// `image/jpeg`, `video/*` or `*/*`, in any letter case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MimePattern(String);

/// A text that is no pattern of content types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a content type such as image/jpeg or video/*, without parameters")]
pub struct InvalidMimePattern;

impl MimePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is neither `type/subtype` nor `type/*` nor `*/*`.
    pub fn parse(text: &str) -> Result<Self, InvalidMimePattern> {
        let sound =
            is_mime_type(text) || text == "*/*" || text.strip_suffix("/*").is_some_and(is_name);
        sound
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidMimePattern)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a content type without parameters is meant.
    pub fn matches(&self, content_type: &str) -> bool {
        match self.0.strip_suffix("/*") {
            Some("*") => true,
            Some(kind) => content_type
                .split_once('/')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(kind)),
            None => self.0.eq_ignore_ascii_case(content_type),
        }
    }
}

impl TryFrom<String> for MimePattern {
    type Error = InvalidMimePattern;

    fn try_from(text: String) -> Result<Self, InvalidMimePattern> {
        Self::parse(&text)
    }
}

impl From<MimePattern> for String {
    fn from(pattern: MimePattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_guessed_from_the_name_only_where_the_provider_does_not_know_it() {
        for (told, name, expected) in [
            (Some("image/png"), "a.mp4", Some("image/png")),
            (Some("Text/HTML; charset=utf-8"), "a", Some("Text/HTML")),
            (Some("binary/octet-stream"), "a.mp4", Some("video/mp4")),
            (
                Some("application/octet-stream"),
                "A.JPG",
                Some("image/jpeg"),
            ),
            (
                Some("application/octet-stream"),
                "a.unheard-of",
                Some("application/octet-stream"),
            ),
            (Some(" "), "a.pdf", Some("application/pdf")),
            (None, "a.tar.gz", Some("application/gzip")),
            (None, "README", None),
            (None, "", None),
        ] {
            assert_eq!(content_type(told, name), expected, "{told:?} {name}");
        }
    }

    #[test]
    fn patterns_match_in_any_letter_case() {
        for (pattern, found, expected) in [
            ("video/*", "video/mp4", true),
            ("Video/*", "VIDEO/mp4", true),
            ("video/*", "videos/mp4", false),
            ("image/jpeg", "IMAGE/JPEG", true),
            ("image/jpeg", "image/jpegx", false),
            ("*/*", "a/b", true),
        ] {
            let parsed = MimePattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.matches(found), expected, "{pattern} {found}");
        }
        for text in [
            "",
            "video",
            "video/",
            "*",
            "*/mp4",
            "a/b/c",
            "text/html; charset=utf-8",
            "vi deo/*",
            "video/m*",
        ] {
            assert_eq!(MimePattern::parse(text), Err(InvalidMimePattern), "{text}");
        }
    }
}
