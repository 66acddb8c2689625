//! The audience of credentials: whom a stored secret may be sent to.

use std::fmt;

/// The host and account that a provider configuration sends its secrets to, in one canonical form.
///
/// Two configurations have the same audience exactly when secrets typed in for one may be sent by the other. It is bound
/// to the sealed credentials, and a `PATCH` keeps omitted secrets only while it stays the same.
///
/// The bytes are a sequence of texts, each after its length as four big-endian bytes, so that no two different
/// sequences have the same bytes. They hold nothing secret. The form is stored (as a hash) beside sealed credentials:
/// changing it makes them unreadable.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Audience(Vec<u8>);

impl Audience {
    /// The audience made of these parts, the provider's word first.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
        for part in parts {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Self(bytes)
    }

    /// The canonical bytes, to be hashed or bound as associated data.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length))
                .unwrap_or(usize::MAX)
                .min(tail.len());
            let (part, tail) = tail.split_at(length);
            parts.push(String::from_utf8_lossy(part).into_owned());
            rest = tail;
        }
        parts
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Audience").field(&self.parts()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn different_sequences_of_parts_never_have_the_same_bytes() {
        let texts = [
            "",
            "a",
            "aa",
            "\0",
            "\0\0\0\u{1}",
            "\0\0\0\u{1}a",
            "a\0\0\0\0",
            "s3",
            "é",
        ];
        let mut sequences: Vec<Vec<&str>> = vec![vec![]];
        let mut last = sequences.clone();
        for _ in 0..4 {
            last = last
                .iter()
                .flat_map(|start| {
                    texts
                        .iter()
                        .map(move |text| [start.as_slice(), &[*text]].concat())
                })
                .collect();
            sequences.extend(last.iter().cloned());
        }
        assert!(sequences.len() > 7000);
        let mut seen = HashMap::new();
        for parts in sequences {
            let audience = Audience::of(&parts);
            assert_eq!(audience.parts(), parts);
            if let Some(other) = seen.insert(audience.as_bytes().to_vec(), parts.clone()) {
                panic!("{parts:?} and {other:?} have the same bytes");
            }
        }
    }
}
