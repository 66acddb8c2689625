//! One file, folder, native document or shortcut.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::access::Role;
use super::kind;

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Folder,
    Blob {
        bytes: Bytes,
        revision: String,
        md5: String,
        sha1: String,
        sha256: String,
    },
    /// Bytes by export format; formats without bytes of their own give some made up.
    Native(BTreeMap<String, Bytes>),
    Shortcut {
        target: String,
        /// As the target was when the shortcut was made.
        mime_type: String,
        resource_key: Option<String>,
    },
}

impl Content {
    pub(crate) fn blob(bytes: Bytes, revision: String) -> Self {
        Self::Blob {
            revision,
            md5: hex::encode(Md5::digest(&bytes)),
            sha1: hex::encode(Sha1::digest(&bytes)),
            sha256: hex::encode(Sha256::digest(&bytes)),
            bytes,
        }
    }
}

#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Drive keeps these flags of a file, each independent of the others"
)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) content: Content,
    pub(crate) parent: Option<String>,
    /// The shared drive it is in.
    pub(crate) drive: Option<String>,
    /// Whose it is, unless it is in a shared drive.
    pub(crate) owner: Option<String>,
    /// Whom it is shared with directly.
    pub(crate) permissions: BTreeMap<String, Role>,
    /// Nothing of its folder's sharing holds for it.
    pub(crate) limited: bool,
    /// Trashed itself, not with a folder above it.
    pub(crate) trashed: bool,
    pub(crate) starred: bool,
    pub(crate) description: Option<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) app_properties: BTreeMap<String, String>,
    /// The app that wrote `app_properties`, which no other sees.
    pub(crate) app: Option<String>,
    pub(crate) resource_key: Option<String>,
    pub(crate) download_blocked: bool,
    pub(crate) copy_requires_writer_permission: bool,
    /// Found to be malware.
    pub(crate) abusive: bool,
    pub(crate) created: DateTime<Utc>,
    pub(crate) modified: DateTime<Utc>,
    pub(crate) modified_by: Option<String>,
    pub(crate) version: u64,
}

impl Item {
    pub(super) fn folder(id: &str, name: &str, now: DateTime<Utc>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            mime_type: kind::FOLDER.to_owned(),
            content: Content::Folder,
            parent: None,
            drive: None,
            owner: None,
            permissions: BTreeMap::new(),
            limited: false,
            trashed: false,
            starred: false,
            description: None,
            properties: BTreeMap::new(),
            app_properties: BTreeMap::new(),
            app: None,
            resource_key: None,
            download_blocked: false,
            copy_requires_writer_permission: false,
            abusive: false,
            created: now,
            modified: now,
            modified_by: None,
            version: 1,
        }
    }

    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.content, Content::Folder)
    }

    /// How many bytes it takes up.
    pub(crate) fn length(&self) -> usize {
        match &self.content {
            Content::Blob { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// The part of the name behind the last dot.
    pub(crate) fn extension(&self) -> Option<&str> {
        let (stem, extension) = self.name.rsplit_once('.')?;
        (!stem.is_empty()).then_some(extension)
    }

    /// The bytes of an export; `None` when the file cannot be exported so.
    pub(crate) fn export(&self, format: &str) -> Option<Bytes> {
        kind::exports_of(&self.mime_type)
            .contains(&format)
            .then(|| self.made_of(format))
    }

    /// The bytes an operation makes of it, which can do more than an export.
    pub(crate) fn converted(&self, format: &str) -> Option<Bytes> {
        let film = self.mime_type == kind::native("vid") && format == "video/mp4";
        self.export(format)
            .or_else(|| film.then(|| self.made_of(format)))
    }

    fn made_of(&self, format: &str) -> Bytes {
        let given = match &self.content {
            Content::Native(exports) => exports.get(format).cloned(),
            _ => None,
        };
        given.unwrap_or_else(|| Bytes::from(format!("{} as {format}\n", self.name)))
    }
}
