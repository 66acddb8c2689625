//! What people do in Drive meanwhile. Data only; [`super::history`] lets it happen.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Restrictions;
use super::access::Role;
use super::new_item::{Holding, NewItem};

/// One thing that happens. As JSON: `{"op": "rename", "file": "1…", "name": "b.txt"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "mutations are made one at a time and never kept"
)]
pub enum Mutation {
    /// A file or folder is made.
    Create {
        /// What, and in which folder.
        item: NewItem,
    },
    /// Its content changes: to this, or to something made up.
    Modify {
        /// The file.
        file: String,
        /// Its new content.
        #[serde(flatten)]
        holding: Option<Holding>,
        /// New exports of a native document.
        #[serde(default)]
        exports: BTreeMap<String, String>,
    },
    /// What people wrote about it changes, not its content; what is not said stays.
    Annotate {
        /// The file.
        file: String,
        /// Its description.
        #[serde(default)]
        description: Option<String>,
        /// Whether it is starred.
        #[serde(default)]
        starred: Option<bool>,
        /// All its properties for all apps.
        #[serde(default)]
        properties: Option<BTreeMap<String, String>>,
    },
    /// It gets another name.
    Rename {
        /// The file.
        file: String,
        /// Its new name.
        name: String,
    },
    /// It goes to another folder, perhaps of another drive.
    Move {
        /// The file.
        file: String,
        /// The folder.
        to: String,
    },
    /// It is put into the trash, with everything below it.
    Trash {
        /// The file.
        file: String,
    },
    /// It is taken out of the trash.
    Untrash {
        /// The file.
        file: String,
    },
    /// It is deleted for good, with everything below it.
    Delete {
        /// The file.
        file: String,
    },
    /// It is shared with somebody: an address, `domain:` and a domain, or `anyone`.
    Share {
        /// The file.
        file: String,
        /// With whom.
        with: String,
        /// How far.
        role: Role,
    },
    /// It is shared with somebody no longer.
    Unshare {
        /// The file.
        file: String,
        /// With whom.
        with: String,
    },
    /// What of it is restricted changes; what is not said stays.
    Restrict {
        /// The file.
        file: String,
        /// Nobody may download it.
        #[serde(default)]
        download_blocked: Option<bool>,
        /// Readers may not download it.
        #[serde(default)]
        copy_requires_writer_permission: Option<bool>,
        /// Nothing of its folder's sharing holds for it; organizers of the drive see it still.
        #[serde(default)]
        limited: Option<bool>,
        /// Found to be malware.
        #[serde(default)]
        abusive: Option<bool>,
    },
    /// Somebody joins a shared drive, or gets another role there.
    AddMember {
        /// The drive.
        drive: String,
        /// Who.
        user: String,
        /// As what.
        role: Role,
    },
    /// Somebody leaves a shared drive.
    RemoveMember {
        /// The drive.
        drive: String,
        /// Who.
        user: String,
    },
    /// A shared drive gets another name.
    RenameDrive {
        /// The drive.
        drive: String,
        /// Its new name.
        name: String,
    },
    /// The restrictions of a shared drive change.
    RestrictDrive {
        /// The drive.
        drive: String,
        /// All of them.
        restrictions: Restrictions,
    },
    /// A shared drive is deleted with everything in it.
    DeleteDrive {
        /// The drive.
        drive: String,
    },
}

/// Why something could not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MutationError {
    /// There is no such file or folder.
    #[error("there is no file {0}")]
    NoFile(String),
    /// There is no such shared drive.
    #[error("there is no shared drive {0}")]
    NoDrive(String),
    /// There is no such account.
    #[error("there is no account {0}")]
    NoAccount(String),
    /// That cannot be done with this kind of file.
    #[error("that cannot be done with {0}")]
    NotSo(String),
    /// The folder is below the file that was to go into it, or too deep.
    #[error("{0} cannot go there")]
    NoPlace(String),
    /// The content of this file is no base64.
    #[error("the content of {0} is no base64")]
    Base64(String),
}

impl Mutation {
    /// Gives a file other content.
    pub fn modify(file: impl Into<String>, bytes: impl Into<bytes::Bytes>) -> Self {
        Self::Modify {
            file: file.into(),
            holding: Some(Holding::Bytes(bytes.into())),
            exports: BTreeMap::new(),
        }
    }

    /// Edits a native document.
    pub fn edit(file: impl Into<String>) -> Self {
        Self::Modify {
            file: file.into(),
            holding: None,
            exports: BTreeMap::new(),
        }
    }

    /// Gives a file another name.
    pub fn rename(file: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Rename {
            file: file.into(),
            name: name.into(),
        }
    }

    /// Puts a file into another folder.
    pub fn relocate(file: impl Into<String>, to: impl Into<String>) -> Self {
        Self::Move {
            file: file.into(),
            to: to.into(),
        }
    }

    /// Puts a file into the trash.
    pub fn trash(file: impl Into<String>) -> Self {
        Self::Trash { file: file.into() }
    }

    /// Takes a file out of the trash.
    pub fn untrash(file: impl Into<String>) -> Self {
        Self::Untrash { file: file.into() }
    }

    /// Deletes a file for good.
    pub fn delete(file: impl Into<String>) -> Self {
        Self::Delete { file: file.into() }
    }

    /// Shares a file.
    pub fn share(file: impl Into<String>, with: impl Into<String>, role: Role) -> Self {
        Self::Share {
            file: file.into(),
            with: with.into(),
            role,
        }
    }

    /// Shares a file no longer.
    pub fn unshare(file: impl Into<String>, with: impl Into<String>) -> Self {
        Self::Unshare {
            file: file.into(),
            with: with.into(),
        }
    }

    /// Blocks, or allows, the download of a file.
    pub fn block_download(file: impl Into<String>, blocked: bool) -> Self {
        Self::Restrict {
            file: file.into(),
            download_blocked: Some(blocked),
            copy_requires_writer_permission: None,
            limited: None,
            abusive: None,
        }
    }

    /// Ends, or restores, what a file has of its folder's sharing.
    pub fn limit(file: impl Into<String>, limited: bool) -> Self {
        Self::Restrict {
            file: file.into(),
            download_blocked: None,
            copy_requires_writer_permission: None,
            limited: Some(limited),
            abusive: None,
        }
    }

    /// Lets somebody into a shared drive.
    pub fn add_member(drive: impl Into<String>, user: impl Into<String>, role: Role) -> Self {
        Self::AddMember {
            drive: drive.into(),
            user: user.into(),
            role,
        }
    }

    /// Shuts somebody out of a shared drive.
    pub fn remove_member(drive: impl Into<String>, user: impl Into<String>) -> Self {
        Self::RemoveMember {
            drive: drive.into(),
            user: user.into(),
        }
    }
}
