//! What the bytes of a file are held against, the first to the last, over however many answers they came in.

use md5::{Digest, Md5};
use sha2::Sha256;

use crate::remote::RemoteFile;

/// A proof that the bytes are right, and as much of it as has passed. Checksums are in lower-case digits.
#[derive(Debug)]
pub(super) enum Proof {
    Sha256(Sha256, String),
    Md5(Md5, String),
    /// There is nothing but the size, if that.
    None,
}

impl Proof {
    /// The best that Drive tells of.
    pub(super) fn of(file: &RemoteFile) -> Self {
        let told = |checksum: &Option<String>, digits| {
            let checksum = checksum.as_ref().map(|text| text.to_ascii_lowercase());
            checksum.filter(|text| text.len() == digits)
        };
        if let Some(told) = told(&file.sha256_checksum, 64) {
            return Self::Sha256(Sha256::new(), told);
        }
        match told(&file.md5_checksum, 32) {
            Some(told) => Self::Md5(Md5::new(), told),
            None => Self::None,
        }
    }

    /// Lets the next bytes of the file pass.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sha256, _) => sha256.update(bytes),
            Self::Md5(md5, _) => md5.update(bytes),
            Self::None => {}
        }
    }

    /// Whether the bytes were the right ones, after the last; nothing where that cannot be told.
    pub(super) fn holds(&mut self) -> Option<bool> {
        match self {
            Self::Sha256(sha256, told) => Some(hex::encode(sha256.finalize_reset()) == *told),
            Self::Md5(md5, told) => Some(hex::encode(md5.finalize_reset()) == *told),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(sha256: Option<&str>, md5: Option<&str>, bytes: &str) -> Option<bool> {
        let mut proof = Proof::of(&RemoteFile {
            sha256_checksum: sha256.map(ToOwned::to_owned),
            md5_checksum: md5.map(ToOwned::to_owned),
            ..RemoteFile::default()
        });
        let (one, two) = bytes.split_at(2);
        proof.update(one.as_bytes());
        proof.update(two.as_bytes());
        proof.holds()
    }

    #[test]
    fn the_stronger_checksum_decides() {
        let sha256 = hex::encode(Sha256::digest("hello"));
        let md5 = hex::encode(Md5::digest("hello")).to_ascii_uppercase();
        let wrong = "0".repeat(32);
        assert_eq!(holds(Some(&sha256), Some(&wrong), "hello"), Some(true));
        assert_eq!(holds(Some(&sha256), None, "hellO"), Some(false));
        assert_eq!(holds(None, Some(&md5), "hello"), Some(true));
        assert_eq!(holds(Some("short"), Some(&wrong), "hello"), Some(false));
        assert_eq!(holds(None, Some("short"), "hello"), None);
        assert_eq!(holds(None, None, "hello"), None);
    }
}
