//! Where a value can come from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provider::Provider;

/// Where a value comes from; on the wire an object with `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Source {
    /// A tag of an object in S3 or Tigris, by its exact key of 1 to 128 characters.
    Tag {
        /// The tag's key.
        key: String,
    },
    /// User metadata of an object in S3 or Tigris, by its key of 1 to 1024 characters in any letter case.
    Metadata {
        /// The key, without `x-amz-meta-`.
        key: String,
    },
    /// What a pattern captures of the file name.
    FilenameRegex {
        /// A Python pattern of at most 1024 characters with exactly one capture group.
        pattern: String,
        /// The value where the pattern finds nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
    },
    /// A column of a table.
    Column {
        /// The column's name.
        name: String,
    },
    /// A property of a file in Google Drive.
    DriveProperty {
        /// The property's key.
        key: String,
    },
    /// The path of the file's folder, or a part of it.
    FolderPath(FolderPath),
    /// The file itself.
    File,
    /// The same value for every file; at most 16 KiB of JSON.
    Constant {
        /// The value.
        value: Value,
    },
    /// A field of an RSS entry.
    RssField {
        /// The field.
        field: String,
    },
    /// A field of an RTSP segment.
    RtspField {
        /// The field.
        field: String,
    },
}

/// Which part of a folder's path: all of it, or one segment, or else the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FolderPath {
    /// Which segment: from 0 at the root, or from -1 at the file's own folder backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<i64>,
    /// All segments, joined with `/`; `segment` does not count then.
    pub full_path: bool,
}

impl FolderPath {
    /// The part of a path of folders, which has no file name at its end. Empty segments do not count. `None` where there
    /// is no such segment, or no folder at all.
    pub fn of(&self, folder_path: &str) -> Option<String> {
        let segments: Vec<&str> = folder_path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        if self.full_path {
            return (!segments.is_empty()).then(|| segments.join("/"));
        }
        let segment = self.segment.unwrap_or(-1);
        let distance = usize::try_from(segment.unsigned_abs()).ok()?;
        let at = if segment < 0 {
            segments.len().checked_sub(distance)?
        } else {
            distance
        };
        segments.get(at).map(|&part| part.to_owned())
    }
}

impl Source {
    /// The types on the wire, in the order of the variants.
    pub(super) const TYPES: [&'static str; 10] = [
        "tag",
        "metadata",
        "filename_regex",
        "column",
        "drive_property",
        "folder_path",
        "file",
        "constant",
        "rss_field",
        "rtsp_field",
    ];

    /// The type on the wire.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Tag { .. } => "tag",
            Self::Metadata { .. } => "metadata",
            Self::FilenameRegex { .. } => "filename_regex",
            Self::Column { .. } => "column",
            Self::DriveProperty { .. } => "drive_property",
            Self::FolderPath(_) => "folder_path",
            Self::File => "file",
            Self::Constant { .. } => "constant",
            Self::RssField { .. } => "rss_field",
            Self::RtspField { .. } => "rtsp_field",
        }
    }

    /// The pattern of a `filename_regex`.
    pub(super) fn pattern(&self) -> Option<&str> {
        match self {
            Self::FilenameRegex { pattern, .. } => Some(pattern),
            _ => None,
        }
    }

    /// The types that a provider has for fields.
    pub(super) fn field_types_of(provider: Provider) -> &'static [&'static str] {
        match provider {
            Provider::S3 | Provider::Tigris => &[
                "tag",
                "metadata",
                "filename_regex",
                "folder_path",
                "constant",
            ],
            Provider::GoogleDrive => &[
                "drive_property",
                "filename_regex",
                "folder_path",
                "constant",
            ],
            Provider::SharePoint => &["filename_regex", "folder_path", "constant"],
            Provider::Snowflake => &["column", "filename_regex", "folder_path", "constant"],
        }
    }

    /// The type that a provider's blobs come from.
    pub(super) fn blob_type_of(provider: Provider) -> &'static str {
        match provider {
            Provider::Snowflake => "column",
            _ => "file",
        }
    }
}
