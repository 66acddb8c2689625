//! The chain of an organization's audit rows: each row's link is a keyed hash over the row and the link before it, so that a row
//! cannot be altered, removed or slipped in by somebody who can write to the database but does not hold the key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NewAuditRow;
use crate::Timestamp;
use crate::ids::OrganizationId;
use crate::input::InvalidInput;

/// The link of one row: HMAC-SHA-256 over [`link_bytes`]. Written in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuditHash(pub [u8; 32]);

impl AuditHash {
    /// What the first row of a chain is linked to.
    pub const START: Self = Self([0; 32]);
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditHash {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let refused = || InvalidInput::one("head", "string_pattern", "must be 64 hex digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        let mut hash = [0; 32];
        for (byte, i) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[i..i + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for AuditHash {
    type Error = InvalidInput;

    fn try_from(text: String) -> Result<Self, InvalidInput> {
        text.parse()
    }
}

impl From<AuditHash> for String {
    fn from(hash: AuditHash) -> String {
        hash.to_string()
    }
}

/// A place in a chain: the row at `position`, and its link. Written `<position>:<64 hex digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChainHead {
    /// 1 for the first row; without gaps. 0 is the place before it.
    pub position: u64,
    /// The link of the row at that place.
    pub hash: AuditHash,
}

impl ChainHead {
    /// The head of a chain without rows.
    pub const EMPTY: Self = Self {
        position: 0,
        hash: AuditHash::START,
    };
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.hash)
    }
}

impl FromStr for ChainHead {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let refused = || {
            let message = "must be a position, a colon and 64 hex digits, as events carry it";
            InvalidInput::one("head", "string_pattern", message)
        };
        let (position, hash) = text.split_once(':').ok_or_else(refused)?;
        Ok(Self {
            position: position.parse().map_err(|_| refused())?,
            hash: hash.parse().map_err(|_| refused())?,
        })
    }
}

/// What the link of a row is a keyed hash of: everything that the row says, its place, and the link before it. Every part is
/// preceded by its length, so that no two rows have the same bytes.
pub fn link_bytes(
    organization: &OrganizationId,
    before: &ChainHead,
    at: Timestamp,
    row: &NewAuditRow,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut part = |text: &[u8]| {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text);
    };
    part(b"wharf audit 1");
    part(organization.as_str().as_bytes());
    part(&(before.position + 1).to_be_bytes());
    part(&before.hash.0);
    part(row.id.as_str().as_bytes());
    part(&at.timestamp_micros().to_be_bytes());
    part(row.action.as_str().as_bytes());
    part(row.resource_type.as_str().as_bytes());
    part(row.resource_id.as_bytes());
    let origin = &row.origin;
    part(origin.actor.kind().as_bytes());
    let (user, key) = match &origin.actor {
        super::Actor::User { user_id, key_id } => (Some(user_id), Some(key_id)),
        super::Actor::System | super::Actor::Operator => (None, None),
    };
    let optional = [
        user,
        key,
        origin.reason.as_ref(),
        origin.ip_address.as_ref(),
        origin.user_agent.as_ref(),
    ];
    for text in optional {
        // What is missing differs from what is empty.
        part(&[u8::from(text.is_some())]);
        part(text.map(String::as_str).unwrap_or_default().as_bytes());
    }
    part(row.changes.to_string().as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_text_form() {
        let head = ChainHead {
            position: 7,
            hash: AuditHash([0xab; 32]),
        };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", "7", "7:ab", "x:", &format!("7:{}", "é".repeat(32))] {
            assert!(text.parse::<ChainHead>().is_err(), "{text}");
        }
    }
}
