//! The bytes of sealed credentials.
//!
//! ```text
//! "SCE1" | suite 1 | organization key version 4 | wrap nonce 12 | wrapped DEK 48 | salt 32 | commitment 32 | nonce 12
//!        | ciphertext, a multiple of 256 | tag 16
//! ```
//! Numbers are big-endian. Suite 1 is AES-256-GCM for wrap and body with an HKDF-SHA256 key commitment.

use crate::padding;

pub(crate) const NONCE: usize = 12;
pub(crate) const TAG: usize = 16;
pub(crate) const KEY: usize = 32;

const MAGIC: &[u8; 4] = b"SCE1";
const SUITE: u8 = 1;
const HEAD: usize = MAGIC.len() + 1 + 4 + NONCE + KEY + TAG + KEY + KEY + NONCE;

/// Sealed credentials, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed<'a> {
    pub(crate) organization_key_version: u32,
    pub(crate) wrap_nonce: &'a [u8; NONCE],
    pub(crate) wrapped_dek: &'a [u8; KEY + TAG],
    pub(crate) salt: &'a [u8; KEY],
    pub(crate) commitment: &'a [u8; KEY],
    pub(crate) nonce: &'a [u8; NONCE],
    /// Ciphertext and tag.
    pub(crate) body: &'a [u8],
}

impl<'a> Sealed<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (suite, rest) = rest.split_first()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (wrap_nonce, rest) = rest.split_first_chunk()?;
        let (wrapped_dek, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (nonce, body) = rest.split_first_chunk()?;
        let organization_key_version = u32::from_be_bytes(*version);
        let text = body.len().checked_sub(TAG)?;
        let sound = magic == MAGIC
            && *suite == SUITE
            && organization_key_version != 0
            && text > 0
            && text.is_multiple_of(padding::BLOCK);
        sound.then_some(Self {
            organization_key_version,
            wrap_nonce,
            wrapped_dek,
            salt,
            commitment,
            nonce,
            body,
        })
    }

    pub(crate) fn print(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.push(SUITE);
        bytes.extend_from_slice(&self.organization_key_version.to_be_bytes());
        bytes.extend_from_slice(self.wrap_nonce);
        bytes.extend_from_slice(self.wrapped_dek);
        bytes.extend_from_slice(self.salt);
        bytes.extend_from_slice(self.commitment);
        bytes.extend_from_slice(self.nonce);
        bytes.extend_from_slice(self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_print_unchanged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(sealed) = Sealed::parse(&bytes) {
                prop_assert_eq!(sealed.print(), bytes);
            }
        }

        #[test]
        fn what_starts_soundly_is_parsed_exactly_at_whole_blocks(
            version in 1u32..,
            rest in proptest::collection::vec(any::<u8>(), 0..1200),
        ) {
            let bytes = [MAGIC.as_slice(), &[SUITE], &version.to_be_bytes(), &rest].concat();
            let text = bytes.len().checked_sub(HEAD + TAG);
            let whole = text.is_some_and(|text| text > 0 && text % 256 == 0);
            match Sealed::parse(&bytes) {
                Some(sealed) => {
                    prop_assert!(whole);
                    prop_assert_eq!(sealed.organization_key_version, version);
                    prop_assert_eq!(sealed.print(), bytes);
                }
                None => prop_assert!(!whole),
            }
        }
    }

    #[test]
    fn another_format_suite_or_a_zero_version_is_refused() {
        let sound = [
            MAGIC.as_slice(),
            &[SUITE],
            &1u32.to_be_bytes(),
            &[7; HEAD - 9 + 256 + TAG],
        ]
        .concat();
        assert!(Sealed::parse(&sound).is_some());
        for (at, byte) in [(0, b's'), (3, b'2'), (4, 0), (4, 2), (8, 0)] {
            let mut other = sound.clone();
            other[at] = byte;
            assert!(Sealed::parse(&other).is_none(), "byte {at} as {byte}");
        }
    }
}
