//! Connection names and how a request names a connection.

use unicode_normalization::UnicodeNormalization;

use crate::ids::ConnectionId;
use crate::input::FieldError;

/// A connection's name: trimmed, NFC, 1 to 100 characters, no control characters, never shaped like an identifier.
/// Names are compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionName(String);

impl ConnectionName {
    /// Reads a name; the field named in the error is `name`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let name: String = text.trim().nfc().collect();
        let length = name.chars().count();
        let refuse = |kind, message| Err(FieldError::new("name", kind, message));
        if length == 0 {
            refuse(
                "string_too_short",
                "must have at least 1 character that is not a space",
            )
        } else if length > 100 {
            refuse("string_too_long", "must have at most 100 characters")
        } else if name.chars().any(char::is_control) {
            refuse("string_pattern", "must not contain control characters")
        } else if name == "list" {
            refuse(
                "reserved",
                "must not be list, which has a meaning of its own in addresses",
            )
        } else if name.starts_with("conn_") {
            refuse(
                "string_pattern",
                "must not start with conn_, which marks identifiers",
            )
        } else {
            Ok(Self(name))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a request names a connection: what starts with `conn_` is an identifier, anything else a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionIdentifier {
    /// By identifier.
    Id(ConnectionId),
    /// By name.
    Name(ConnectionName),
}

impl ConnectionIdentifier {
    /// Reads an identifier or name; `None` when it can be neither, so that nothing can be found under it.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with("conn_") {
            text.parse().ok().map(Self::Id)
        } else {
            ConnectionName::parse(text).ok().map(Self::Name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_composed() {
        let name = ConnectionName::parse("  Cafe\u{301}  ").expect("a good name");
        assert_eq!(name.as_str(), "Café");
    }

    #[test]
    fn names_that_could_be_identifiers_are_refused() {
        for text in [
            "list",
            "",
            "   ",
            "conn_x",
            " conn_abc123DEF456ghi",
            "a\u{7}b",
            &"x".repeat(101),
        ] {
            assert!(ConnectionName::parse(text).is_err(), "{text:?}");
        }
        assert!(ConnectionName::parse(&"é".repeat(100)).is_ok());
    }

    #[test]
    fn a_forged_identifier_finds_nothing() {
        assert_eq!(ConnectionIdentifier::parse("conn_' OR 1=1"), None);
        assert!(matches!(
            ConnectionIdentifier::parse("a/b c"),
            Some(ConnectionIdentifier::Name(_))
        ));
    }
}
