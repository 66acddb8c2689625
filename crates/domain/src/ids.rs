//! Typed, prefixed identifiers. Parse, don't validate: a value of these types is well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected an identifier of the form {expected}")]
pub struct InvalidId {
    /// The form that was expected, such as `conn_` + 15 alphanumerics.
    pub expected: &'static str,
}

/// Which characters stand after an identifier's prefix, drawn from a CSPRNG by the `IdSource` port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// `0-9A-Za-z`
    Alphanumeric,
    /// `0-9a-f`
    Hex,
}

impl Alphabet {
    /// The characters of the alphabet.
    pub fn characters(self) -> &'static [u8] {
        match self {
            Self::Alphanumeric => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Self::Hex => b"0123456789abcdef",
        }
    }
}

/// What every typed identifier can tell about its own form.
pub trait Id: Sized + FromStr<Err = InvalidId> {
    /// The prefix, its separator included.
    const PREFIX: &'static str;
    /// Characters after the prefix.
    const LENGTH: usize;
    /// The alphabet of those characters.
    const ALPHABET: Alphabet;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $length:literal, $alphabet:ident, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;
            const LENGTH: usize = $length;
            const ALPHABET: Alphabet = Alphabet::$alphabet;
        }

        impl $name {
            /// The identifier as it appears on the wire and in the database.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let well_formed = text.strip_prefix($prefix).is_some_and(|rest| {
                    rest.len() == $length && rest.bytes().all(|b| Alphabet::$alphabet.characters().contains(&b))
                });
                if well_formed {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// An organization, the tenant. On the wire: `internal_id`.
    OrganizationId, "int_", 24, Alphanumeric, "int_ + 24 alphanumerics"
);
id!(
    /// A user of an organization.
    UserId, "usr_", 15, Alphanumeric, "usr_ + 15 alphanumerics"
);
id!(
    /// An external id for role assumption: issued by Wharf, random (190 bits), one pool per organization. A customer writes
    /// it into the trust policy of a role, and Wharf sends it with every assumption of that role. Nobody else can make Wharf
    /// send it. The customer knows it, so it is no secret, but nothing that could be guessed either.
    ExternalId, "wharf-", 32, Alphanumeric, "wharf- + 32 alphanumerics"
);
id!(
    /// A storage connection.
    ConnectionId, "conn_", 15, Alphanumeric, "conn_ + 15 alphanumerics"
);
id!(
    /// A namespace.
    NamespaceId, "ns_", 16, Hex, "ns_ + 16 hex digits"
);
id!(
    /// A bucket.
    BucketId, "bkt_", 16, Hex, "bkt_ + 16 hex digits"
);
id!(
    /// An object of a bucket.
    ObjectId, "obj_", 16, Hex, "obj_ + 16 hex digits"
);
id!(
    /// A sync: the standing intent to copy. On the wire: `sync_config_id`.
    SyncId, "sync_", 16, Hex, "sync_ + 16 hex digits"
);
id!(
    /// One run of a sync. On the wire: `sync_job_id`.
    JobId, "job_", 16, Hex, "job_ + 16 hex digits"
);
id!(
    /// A dead letter.
    DeadLetterId, "dlq_", 16, Hex, "dlq_ + 16 hex digits"
);
id!(
    /// An audit row.
    AuditId, "aud_", 16, Hex, "aud_ + 16 hex digits"
);
id!(
    /// An API key (the row, not the key itself).
    ApiKeyId, "key_", 16, Hex, "key_ + 16 hex digits"
);
id!(
    /// A webhook.
    WebhookId, "wh_", 16, Hex, "wh_ + 16 hex digits"
);
id!(
    /// One attempt to deliver an event to a webhook.
    DeliveryId, "dlv_", 16, Hex, "dlv_ + 16 hex digits"
);
id!(
    /// One check of a connection in its history.
    CheckId, "chk_", 16, Hex, "chk_ + 16 hex digits"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_identifier_parses_and_prints_unchanged() {
        let id: ConnectionId = "conn_abc123DEF456ghi".parse().expect("well formed");
        assert_eq!(id.to_string(), "conn_abc123DEF456ghi");
    }

    #[test]
    fn malformed_identifiers_are_refused() {
        for text in [
            "",
            "conn_",
            "conn_short",
            "conn_abc123DEF456gh!",
            "conn_abc123DEF456ghiX",
            "bkt_0123456789abcdef",
        ] {
            assert!(text.parse::<ConnectionId>().is_err(), "{text}");
        }
        assert!(
            "bkt_0123456789ABCDEF".parse::<BucketId>().is_err(),
            "hex is lower case"
        );
    }
}
