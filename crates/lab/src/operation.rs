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
    /// S3 `GetBucketLocation`.
    GetBucketLocation,
    /// S3 `ListObjectsV2`.
    ListObjects,
    /// S3 `ListObjects`, the first version.
    ListObjectsV1,
    /// S3 `GetObject`.
    GetObject,
    /// S3 `HeadObject`.
    HeadObject,
    /// S3 `PutObject`.
    PutObject,
    /// S3 `DeleteObject`.
    DeleteObject,
    /// S3 `DeleteObjects`.
    DeleteObjects,
    /// S3 `GetObjectTagging`.
    GetObjectTagging,
    /// S3 `PutObjectTagging`.
    PutObjectTagging,
    /// S3 `CreateMultipartUpload`.
    CreateMultipartUpload,
    /// S3 `UploadPart`.
    UploadPart,
    /// S3 `CompleteMultipartUpload`.
    CompleteMultipartUpload,
    /// S3 `AbortMultipartUpload`.
    AbortMultipartUpload,
    /// S3 `ListMultipartUploads`.
    ListMultipartUploads,
    /// S3 `ListParts`.
    ListParts,
    /// STS `AssumeRole`.
    AssumeRole,
    /// STS `GetCallerIdentity`.
    GetCallerIdentity,
    /// Google's token endpoint.
    GoogleToken,
    /// Google's endpoint that revokes a grant.
    GoogleRevoke,
    /// Google's page where a person consents.
    GoogleConsent,
    /// Drive `about.get`.
    DriveAbout,
    /// Drive `files.list`.
    DriveFilesList,
    /// Drive `files.get`, of what is known about a file.
    DriveFilesGet,
    /// Drive `files.get` with `alt=media`.
    DriveFilesMedia,
    /// Drive `files.export`.
    DriveFilesExport,
    /// Drive `files.download`.
    DriveFilesDownload,
    /// Drive `operations.get`.
    DriveOperationsGet,
    /// The bytes an operation of `files.download` led to.
    DriveDownloadedBytes,
    /// Drive `drives.list`.
    DriveDrivesList,
    /// Drive `drives.get`.
    DriveDrivesGet,
    /// Drive `changes.getStartPageToken`.
    DriveStartPageToken,
    /// Drive `changes.list`.
    DriveChangesList,
    /// Drive `changes.watch`.
    DriveChangesWatch,
    /// Drive `channels.stop`.
    DriveChannelsStop,
    /// Anything else.
    Other,
}

impl Operation {
    /// The permission a policy must give for it, where the lab knows one.
    pub(crate) fn permission(self) -> Option<&'static str> {
        Some(match self {
            Self::ListBuckets => "s3:ListAllMyBuckets",
            Self::CreateBucket => "s3:CreateBucket",
            Self::HeadBucket | Self::ListObjects | Self::ListObjectsV1 => "s3:ListBucket",
            Self::GetBucketLocation => "s3:GetBucketLocation",
            Self::GetObject | Self::HeadObject => "s3:GetObject",
            Self::PutObject
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::CompleteMultipartUpload => "s3:PutObject",
            Self::DeleteObject | Self::DeleteObjects => "s3:DeleteObject",
            Self::GetObjectTagging => "s3:GetObjectTagging",
            Self::PutObjectTagging => "s3:PutObjectTagging",
            Self::AbortMultipartUpload => "s3:AbortMultipartUpload",
            Self::ListMultipartUploads => "s3:ListBucketMultipartUploads",
            Self::ListParts => "s3:ListMultipartUploadParts",
            _ => return None,
        })
    }
}
