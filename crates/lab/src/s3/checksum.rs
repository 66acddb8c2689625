//! Checksums: of whole objects, of objects put together from parts, and those a request claims.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::dto::{Checksum, ChecksumType};
use s3s::{S3Result, s3_error};
use serde::Deserialize;

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// CRC-32.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME, which S3 adds by itself.
    Crc64nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "CRC32" => Self::Crc32,
            "CRC32C" => Self::Crc32c,
            "CRC64NVME" => Self::Crc64nvme,
            "SHA1" => Self::Sha1,
            "SHA256" => Self::Sha256,
            _ => return None,
        })
    }

    pub(crate) fn value(self, checksum: &Checksum) -> Option<&String> {
        match self {
            Self::Crc32 => checksum.checksum_crc32.as_ref(),
            Self::Crc32c => checksum.checksum_crc32c.as_ref(),
            Self::Crc64nvme => checksum.checksum_crc64nvme.as_ref(),
            Self::Sha1 => checksum.checksum_sha1.as_ref(),
            Self::Sha256 => checksum.checksum_sha256.as_ref(),
        }
    }

    fn value_mut(self, checksum: &mut Checksum) -> &mut Option<String> {
        match self {
            Self::Crc32 => &mut checksum.checksum_crc32,
            Self::Crc32c => &mut checksum.checksum_crc32c,
            Self::Crc64nvme => &mut checksum.checksum_crc64nvme,
            Self::Sha1 => &mut checksum.checksum_sha1,
            Self::Sha256 => &mut checksum.checksum_sha256,
        }
    }
}

const ALL: [Algorithm; 5] = [
    Algorithm::Crc32,
    Algorithm::Crc32c,
    Algorithm::Crc64nvme,
    Algorithm::Sha1,
    Algorithm::Sha256,
];

/// The checksums of all bytes.
pub(crate) fn whole(bytes: &[u8], algorithms: &[Algorithm]) -> Checksum {
    let has = |algorithm| algorithms.contains(&algorithm).then_some(());
    let mut hasher = ChecksumHasher {
        crc32: has(Algorithm::Crc32).map(|()| s3s::crypto::Crc32::default()),
        crc32c: has(Algorithm::Crc32c).map(|()| s3s::crypto::Crc32c::default()),
        crc64nvme: has(Algorithm::Crc64nvme).map(|()| s3s::crypto::Crc64Nvme::default()),
        sha1: has(Algorithm::Sha1).map(|()| s3s::crypto::Checksum::new()),
        sha256: has(Algorithm::Sha256).map(|()| s3s::crypto::Checksum::new()),
    };
    hasher.update(bytes);
    let mut checksum = hasher.finalize();
    checksum.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    checksum
}

/// The checksum of the parts' checksums, with the number of parts; CRC-64/NVME is always of the whole.
pub(crate) fn of_parts(parts: &[&[u8]], algorithm: Algorithm) -> Checksum {
    if algorithm == Algorithm::Crc64nvme {
        return whole(&parts.concat(), &[algorithm]);
    }
    let digests: Vec<u8> = parts
        .iter()
        .filter_map(|part| {
            STANDARD
                .decode(algorithm.value(&whole(part, &[algorithm]))?)
                .ok()
        })
        .flatten()
        .collect();
    let mut checksum = whole(&digests, &[algorithm]);
    if let Some(value) = algorithm.value_mut(&mut checksum) {
        *value = format!("{value}-{}", parts.len());
    }
    checksum.checksum_type = Some(ChecksumType::from_static(ChecksumType::COMPOSITE));
    checksum
}

/// What a request claims, in headers or after the body in trailers.
pub(crate) fn claimed(headers: &HeaderMap, trailers: &HeaderMap) -> Checksum {
    let mut checksum = Checksum::default();
    for (algorithm, header) in ALL.into_iter().zip([
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
    ]) {
        *algorithm.value_mut(&mut checksum) = headers
            .get(header)
            .or_else(|| trailers.get(header))
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned);
    }
    checksum
}

/// The claimed checksums when they are right; none when none was claimed.
pub(crate) fn verified(bytes: &[u8], claimed: &Checksum) -> S3Result<Option<Checksum>> {
    let algorithms: Vec<_> = ALL
        .into_iter()
        .filter(|algorithm| algorithm.value(claimed).is_some())
        .collect();
    if algorithms.is_empty() {
        return Ok(None);
    }
    let right = whole(bytes, &algorithms);
    if algorithms
        .iter()
        .all(|algorithm| algorithm.value(&right) == algorithm.value(claimed))
    {
        Ok(Some(right))
    } else {
        Err(s3_error!(
            BadDigest,
            "The checksum you specified did not match the calculated checksum."
        ))
    }
}
