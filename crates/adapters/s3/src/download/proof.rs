//! What the bytes of an object are held against, the first to the last, over however many answers they came in.

use md5::{Digest, Md5};

use crate::wire::Checksum;

/// A proof that the bytes are right, and as much of it as has passed.
#[derive(Debug)]
pub(super) enum Proof {
    Checksum(Checksum),
    /// The MD5 that the bytes must have, in lower-case digits.
    Tag(Md5, String),
    /// There is nothing but the size.
    None,
}

impl Proof {
    /// The best there is: the store's checksum, or else a tag that is to be trusted to be an MD5, if it has the form of one.
    pub(super) fn of(checksum: Option<Checksum>, trusted_tag: Option<&str>) -> Self {
        let md5 = || Some(Self::Tag(Md5::new(), md5_of(trusted_tag?)?));
        checksum
            .map(Self::Checksum)
            .or_else(md5)
            .unwrap_or(Self::None)
    }

    /// Lets the next bytes of the object pass.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Checksum(checksum) => checksum.update(bytes),
            Self::Tag(md5, _) => md5.update(bytes),
            Self::None => {}
        }
    }

    /// What is wrong with the bytes, after the last.
    pub(super) fn complaint(self) -> Option<&'static str> {
        let (holds, words) = match self {
            Self::Checksum(checksum) => (
                checksum.holds(),
                "the bytes do not match the checksum that the store sent with them",
            ),
            Self::Tag(md5, told) => (
                hex::encode(md5.finalize()) == told,
                "the bytes do not match the object's ETag",
            ),
            Self::None => return None,
        };
        (!holds).then_some(words)
    }
}

/// The MD5 of the bytes, if the tag is one: those of objects that were uploaded in parts are not.
fn md5_of(tag: &str) -> Option<String> {
    (tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| tag.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complains(tag: Option<&str>, bytes: &[&str]) -> bool {
        let mut proof = Proof::of(None, tag);
        for bytes in bytes {
            proof.update(bytes.as_bytes());
        }
        proof.complaint().is_some()
    }

    #[test]
    fn bytes_are_held_against_a_tag_only_if_it_is_an_md5() {
        let md5 = hex::encode(Md5::digest("hello"));
        for (tag, complaint) in [
            (md5.to_ascii_uppercase(), true),
            (md5.clone(), true),
            (format!("{md5}-2"), false),
            ("opaque".to_owned(), false),
        ] {
            assert!(!complains(Some(&tag), &["he", "llo"]), "{tag}");
            assert_eq!(complains(Some(&tag), &["hellO"]), complaint, "{tag}");
        }
        assert!(!complains(None, &["anything"]));
    }
}
