//! What a store's no, or its silence, means for the operator, in our own words.

use std::time::Duration;

use thiserror::Error;
use wharf_domain::provider::s3::Region;
use wharf_egress::EgressError;

/// Why a call to the store of the blobs failed: what was asked, and what to do about it.
///
/// Nothing that the store said is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{action} on the bucket {bucket}: {reason}")]
pub struct S3Fault {
    action: &'static str,
    bucket: String,
    reason: Reason,
}

impl S3Fault {
    pub(super) fn new(action: &'static str, bucket: &str, reason: Reason) -> Self {
        Self {
            action,
            bucket: bucket.to_owned(),
            reason,
        }
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn may_pass(&self) -> bool {
        self.reason.may_pass()
    }
}

/// What went wrong, apart from what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Reason {
    #[error("the access key may not do this; grant it this action")]
    Denied,
    #[error("the store does not know the access key; correct blob_store_s3.access_key_id")]
    UnknownKey,
    #[error(
        "the signature does not match; correct blob_store_s3.secret_access_key, or a proxy changes host or path"
    )]
    WrongSecret,
    #[error(
        "the session token is not accepted or past its end; renew blob_store_s3.session_token with its key"
    )]
    WrongToken,
    #[error("the store's clock and ours disagree; set the clock of this machine")]
    Clock,
    #[error("there is no such bucket; create it, or correct blob_store")]
    NoBucket,
    #[error("the bucket lies in {}; set blob_store_s3.region to it", region_or_another(.0.as_ref()))]
    WrongRegion(Option<Region>),
    #[error(
        "the bucket's encryption key cannot be used; grant kms:GenerateDataKey and kms:Decrypt"
    )]
    Encryption,
    #[error(
        "the blob lies in an archive class; restore it, and end the lifecycle rule that moved it"
    )]
    Archived,
    #[error("the store takes no more bytes: it is full, or a quota is used up")]
    Full,
    #[error("the blob is larger than the store takes")]
    TooLarge,
    #[error("the store asks for fewer requests")]
    Busy(Option<Duration>),
    #[error("the store has an outage (status {0})")]
    Outage(u16),
    #[error("the store does not offer this part of the S3 protocol")]
    NotSpoken,
    #[error(
        "the endpoint points elsewhere, which is not followed; correct blob_store_s3.endpoint_url"
    )]
    Elsewhere,
    #[error("what answers is not an S3 store; correct blob_store_s3.endpoint_url")]
    NoStore,
    #[error("the answer cannot be understood")]
    Unreadable,
    #[error("the store does not list in the order of its keys, so it cannot keep blobs")]
    Unordered,
    #[error("the bytes are not the ones that were asked for")]
    OtherBytes,
    #[error("the store did not answer in time")]
    Silent,
    #[error(transparent)]
    Network(EgressError),
    #[error("the blob is gone")]
    Gone,
    #[error("the store refuses it (status {0})")]
    Refused(u16),
    #[error("the request could not be made")]
    Unsendable,
}

fn region_or_another(region: Option<&Region>) -> &str {
    region.map_or("another region", Region::as_str)
}

impl Reason {
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy(_)
                | Self::Outage(_)
                | Self::Unreadable
                | Self::OtherBytes
                | Self::Silent
                | Self::Network(
                    EgressError::Dns { .. }
                        | EgressError::Connect { .. }
                        | EgressError::ConnectTimeout { .. }
                        | EgressError::Timeout { .. }
                        | EgressError::Broken { .. }
                )
        )
    }

    /// Whether the store may have done what it was asked, although no answer says so.
    pub(super) fn is_unclear(&self) -> bool {
        matches!(
            self,
            Self::Outage(_)
                | Self::Unreadable
                | Self::Silent
                | Self::Network(EgressError::Timeout { .. } | EgressError::Broken { .. })
        )
    }
}
