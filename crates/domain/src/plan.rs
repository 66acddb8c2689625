//! An entry: one file as a listing tells of it.

use crate::Timestamp;

/// One file as the provider's listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The provider's identity of the file; on S3 `bucket/key`.
    pub object: String,
    /// Where it lies, for people.
    pub path: String,
    /// The version token that decides "unchanged".
    pub version: String,
    /// Its size, if the listing tells.
    pub size_bytes: Option<u64>,
    /// When it was last modified, if the listing tells.
    pub modified_at: Option<Timestamp>,
    /// Why it cannot be copied, such as `resource.archived`, if the listing tells.
    pub unreadable: Option<&'static str>,
    /// The identities of the folders that it lies in, from the source's root on, each between slashes: `/root/folder/`. Empty
    /// where folders have no identity of their own, as on S3.
    pub lineage: String,
}
