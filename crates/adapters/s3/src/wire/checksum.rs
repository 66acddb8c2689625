//! The checksum that a store sent with an object, to be held against all of its bytes.

use std::fmt;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use aws_smithy_checksums::ChecksumAlgorithm as Algorithm;
use aws_smithy_checksums::http::HttpChecksum;

/// A checksum of the whole object, and as much of it as has passed.
pub(crate) struct Checksum {
    passed: Box<dyn HttpChecksum>,
    told: Vec<u8>,
}

impl Checksum {
    /// The first of the answer's checksums that can be computed over all bytes, the fastest first: not those that were put
    /// together from checksums of parts, nor what is none.
    pub(super) fn of(answer: &GetObjectOutput) -> Option<Self> {
        if answer.checksum_type == Some(ChecksumType::Composite) {
            return None;
        }
        [
            (Algorithm::Crc64Nvme, &answer.checksum_crc64_nvme),
            (Algorithm::Crc32c, &answer.checksum_crc32_c),
            (Algorithm::Crc32, &answer.checksum_crc32),
            (Algorithm::Sha1, &answer.checksum_sha1),
            (Algorithm::Sha256, &answer.checksum_sha256),
        ]
        .into_iter()
        .find_map(|(algorithm, told)| Self::read(algorithm, told.as_deref()?))
    }

    /// Base64 of the right length; with `-3` at its end, which means three parts, it is not.
    fn read(algorithm: Algorithm, told: &str) -> Option<Self> {
        let told = aws_smithy_types::base64::decode(told).ok()?;
        let passed = algorithm.into_impl();
        let size = aws_smithy_checksums::Checksum::size(passed.as_ref());
        (usize::try_from(size) == Ok(told.len())).then_some(Self { passed, told })
    }

    /// Lets the next bytes of the object pass.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.passed.update(bytes);
    }

    /// Whether the bytes that passed are those that the checksum was made of.
    pub(crate) fn holds(self) -> bool {
        *self.passed.finalize() == *self.told
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checksum").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(algorithm: Algorithm, told: &str, bytes: &[u8]) -> Option<bool> {
        Checksum::read(algorithm, told).map(|mut checksum| {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            checksum.update(first);
            checksum.update(rest);
            checksum.holds()
        })
    }

    /// The check values that the algorithms are published with, of the nine digits, in Base64.
    #[test]
    fn every_algorithm_is_computed_as_published() {
        for (algorithm, told) in [
            (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
            (Algorithm::Crc32c, "4waSgw=="),
            (Algorithm::Crc32, "y/Q5Jg=="),
            (Algorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
            (
                Algorithm::Sha256,
                "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
            ),
        ] {
            assert_eq!(holds(algorithm, told, b"123456789"), Some(true));
            assert_eq!(holds(algorithm, told, b"123456780"), Some(false));
        }
    }

    #[test]
    fn what_is_no_checksum_of_the_whole_is_none() {
        for told in ["", "y/Q5Jg==-3", "not base64!", "rosUhgp5mIg="] {
            assert_eq!(holds(Algorithm::Crc32, told, b""), None, "{told}");
        }
        for (kind, usable) in [
            (None, true),
            (Some(ChecksumType::FullObject), true),
            (Some(ChecksumType::Composite), false),
        ] {
            let answer = GetObjectOutput::builder()
                .checksum_crc32("y/Q5Jg==")
                .set_checksum_type(kind)
                .build();
            assert_eq!(Checksum::of(&answer).is_some(), usable);
        }
    }
}
