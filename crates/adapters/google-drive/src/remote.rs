//! What Drive tells of files, drives and changes, in structs of our own.

use std::collections::BTreeMap;

use wharf_domain::Timestamp;

pub(crate) const FOLDER: &str = "application/vnd.google-apps.folder";
pub(crate) const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// What types of Google's own begin with.
pub(crate) const NATIVE: &str = "application/vnd.google-apps.";

/// A file, folder or shortcut. What Drive left out, or told in a form that is none, is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RemoteFile {
    pub(crate) id: String,
    /// As it stands there: it may be empty and may contain anything.
    pub(crate) name: String,
    pub(crate) mime_type: String,
    pub(crate) size: Option<u64>,
    pub(crate) md5_checksum: Option<String>,
    pub(crate) sha1_checksum: Option<String>,
    pub(crate) sha256_checksum: Option<String>,
    pub(crate) head_revision_id: Option<String>,
    pub(crate) version: Option<i64>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) modified_at: Option<Timestamp>,
    /// One at most today.
    pub(crate) parents: Vec<String>,
    /// The shared drive that it lies in.
    pub(crate) drive_id: Option<String>,
    /// Whether it, or a folder above it, lies in the trash.
    pub(crate) trashed: bool,
    /// Whether it was put there itself.
    pub(crate) explicitly_trashed: bool,
    pub(crate) web_view_link: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) starred: Option<bool>,
    pub(crate) owners: Vec<Person>,
    pub(crate) last_modifying_user: Option<Person>,
    pub(crate) properties: BTreeMap<String, String>,
    /// Visible only to the application that wrote them.
    pub(crate) app_properties: BTreeMap<String, String>,
    pub(crate) shortcut: Option<Shortcut>,
    /// What older shared links need beside the id.
    pub(crate) resource_key: Option<String>,
    pub(crate) file_extension: Option<String>,
    pub(crate) original_filename: Option<String>,
    pub(crate) can_download: Option<bool>,
    pub(crate) can_list_children: Option<bool>,
    pub(crate) kind: Option<String>,
}

impl RemoteFile {
    pub(crate) fn is_folder(&self) -> bool {
        self.mime_type == FOLDER
    }

    /// Whether it has no bytes of its own: an editor's document, a form, a site.
    pub(crate) fn is_native(&self) -> bool {
        self.mime_type.starts_with(NATIVE) && !self.is_folder() && self.shortcut.is_none()
    }

    /// What its resource key has to be sent with, if it has one.
    pub(crate) fn key(&self) -> Option<ResourceKey> {
        Some(ResourceKey {
            id: self.id.clone(),
            key: self.resource_key.clone()?,
        })
    }
}

/// What a shortcut points to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "they are the target's, not the shortcut's own"
)]
pub(crate) struct Shortcut {
    pub(crate) target_id: String,
    /// As it was when the shortcut was made.
    pub(crate) target_mime_type: Option<String>,
    pub(crate) target_resource_key: Option<String>,
}

/// A person, as far as Drive shows who it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Person {
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
}

/// The key of one file or folder, sent with a request that touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceKey {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// Who is signed in, and what documents can be exported as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct About {
    pub(crate) user: Person,
    pub(crate) permission_id: Option<String>,
    /// From a type of Google's own to what it can be exported as.
    pub(crate) export_formats: BTreeMap<String, Vec<String>>,
}

/// A shared drive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Drive {
    /// Also that of its topmost folder.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) hidden: bool,
    /// Whether we see everything in it, so that what we do not see is not there.
    pub(crate) can_manage_members: bool,
    pub(crate) can_list_children: Option<bool>,
    pub(crate) can_download: Option<bool>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; none is the last page.
    pub(crate) next: Option<String>,
    /// Whether Drive did not look everywhere: absence from such a list proves nothing.
    pub(crate) incomplete: bool,
}

/// One entry of the changes feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A file as it is now.
    File(Box<RemoteFile>),
    /// A file that is gone, or that we no longer see.
    FileRemoved(String),
    /// A file of which nothing more is told.
    FileUntold(String),
    /// A shared drive was renamed, or its members or restrictions changed.
    Drive(String),
    /// A shared drive is gone, or we are no longer a member.
    DriveRemoved(String),
    /// Something that names neither, or is of a kind that we do not know: it says nothing about files.
    Other,
}

/// A page of the changes feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) changes: Vec<Change>,
    pub(crate) next: NextChanges,
}

/// Where the feed goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NextChanges {
    /// There are more pages.
    Page(String),
    /// This was the last one; what changes from now on begins there.
    Later(String),
}

/// A channel that changes are announced on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channel {
    /// Drive's name of what is watched.
    pub(crate) resource: String,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A download that Drive prepares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// It is still at it; ask again by this name.
    Pending(String),
    /// The bytes lie there for a day.
    Ready(String),
    /// It could not; the number is one of `google.rpc.Code`.
    Failed(Option<i32>),
}
