//! What a request asks of a provider, in the provider's own terms.

use serde::{Deserialize, Serialize};

/// The operation a request stands for, as far as the lab tells operations apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// S3 `ListBuckets`.
    ListBuckets,
    /// S3 `CreateBucket`.
    CreateBucket,
    /// S3 `HeadBucket`.
    HeadBucket,
    /// S3 `ListObjectsV2`.
    ListObjects,
    /// S3 `GetObject`.
    GetObject,
    /// S3 `HeadObject`.
    HeadObject,
    /// S3 `PutObject`.
    PutObject,
    /// S3 `DeleteObject`.
    DeleteObject,
    /// S3 `GetObjectTagging`.
    GetObjectTagging,
    /// STS `AssumeRole`.
    AssumeRole,
    /// STS `GetCallerIdentity`.
    GetCallerIdentity,
    /// Anything else.
    Other,
}
