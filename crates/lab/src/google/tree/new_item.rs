//! What is put into the lab's Drive, as tests say it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::access::Role;
use super::item::{Content, Item};
use super::mutation::MutationError;
use super::{Tree, kind};
use crate::s3::seed::generated_content;

/// What an item holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// A folder, and what is in it.
    Folder(Vec<NewItem>),
    /// A file of this text.
    Text(String),
    /// A file of these bytes, in base64.
    Base64(String),
    /// A file of so many made-up bytes; see [`crate::generated_content`].
    Size(usize),
    /// A file of these bytes.
    #[serde(skip)]
    Bytes(Bytes),
    /// One of Google's own kinds, such as `document`, `spreadsheet`, `form` or `vid`.
    Native(String),
    /// A shortcut to a file of this id, or of this path from the drive's root on if it stands in the same
    /// seed.
    ShortcutTo(String),
}

impl Holding {
    /// The bytes of a file of this name; `None` for what is no plain file.
    fn bytes(&self, name: &str) -> Result<Option<Bytes>, MutationError> {
        Ok(match self {
            Self::Text(text) => Some(Bytes::from(text.clone())),
            Self::Base64(text) => Some(
                STANDARD
                    .decode(text)
                    .map_err(|_| MutationError::Base64(name.to_owned()))?
                    .into(),
            ),
            Self::Size(size) => Some(generated_content(name, *size)),
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Folder(_) | Self::Native(_) | Self::ShortcutTo(_) => None,
        })
    }
}

/// An item to put into a drive.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Drive keeps these flags of a file, each independent of the others"
)]
pub struct NewItem {
    /// Its name, which others in the folder may have too.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub holding: Holding,
    /// The folder it goes to; by a seed, into the folder it stands in.
    #[serde(default)]
    pub inside: Option<String>,
    /// Its MIME type, in place of the one its name suggests.
    #[serde(default)]
    pub mime_type: Option<String>,
    /// Text of exports of a native document, by format.
    #[serde(default)]
    pub exports: BTreeMap<String, String>,
    /// So many made-up bytes of exports of a native document, by format.
    #[serde(default)]
    pub export_sizes: BTreeMap<String, usize>,
    /// Whom it is shared with: an address, `domain:` and a domain, or `anyone`.
    #[serde(default)]
    pub shared_with: BTreeMap<String, Role>,
    /// Nothing of its folder's sharing holds for it.
    #[serde(default)]
    pub limited: bool,
    /// Starts in the trash.
    #[serde(default)]
    pub trashed: bool,
    /// Starred.
    #[serde(default)]
    pub starred: bool,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// Properties for all apps.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Properties for one app.
    #[serde(default)]
    pub app_properties: BTreeMap<String, String>,
    /// That app's client id; without one, every app sees them.
    #[serde(default)]
    pub app: Option<String>,
    /// The key everybody must show who knows the file by a link only.
    #[serde(default)]
    pub resource_key: Option<String>,
    /// Nobody may download it.
    #[serde(default)]
    pub download_blocked: bool,
    /// Readers may not download it.
    #[serde(default)]
    pub copy_requires_writer_permission: bool,
    /// Found to be malware.
    #[serde(default)]
    pub abusive: bool,
    /// When it was made; now when not said.
    #[serde(default)]
    pub created_time: Option<DateTime<Utc>>,
    /// When it was changed; now when not said.
    #[serde(default)]
    pub modified_time: Option<DateTime<Utc>>,
}

impl NewItem {
    fn of(name: impl Into<String>, holding: Holding) -> Self {
        Self {
            name: name.into(),
            holding,
            inside: None,
            mime_type: None,
            exports: BTreeMap::new(),
            export_sizes: BTreeMap::new(),
            shared_with: BTreeMap::new(),
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
            created_time: None,
            modified_time: None,
        }
    }

    /// An empty folder.
    pub fn folder(name: impl Into<String>) -> Self {
        Self::of(name, Holding::Folder(Vec::new()))
    }

    /// A file of these bytes.
    pub fn blob(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::of(name, Holding::Bytes(bytes.into()))
    }

    /// One of Google's own kinds, such as `document`.
    pub fn native(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self::of(name, Holding::Native(kind.into()))
    }

    /// A shortcut to this file.
    pub fn shortcut(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self::of(name, Holding::ShortcutTo(target.into()))
    }

    /// In this folder.
    #[must_use]
    pub fn inside(mut self, folder: impl Into<String>) -> Self {
        self.inside = Some(folder.into());
        self
    }

    /// With this MIME type.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = Some(mime_type.into());
        self
    }

    /// With this text when exported to this format.
    #[must_use]
    pub fn export(mut self, format: impl Into<String>, text: impl Into<String>) -> Self {
        self.exports.insert(format.into(), text.into());
        self
    }

    /// With so many bytes when exported to this format.
    #[must_use]
    pub fn export_size(mut self, format: impl Into<String>, size: usize) -> Self {
        self.export_sizes.insert(format.into(), size);
        self
    }

    /// Shared with an address, `domain:` and a domain, or `anyone`.
    #[must_use]
    pub fn shared_with(mut self, whom: impl Into<String>, role: Role) -> Self {
        self.shared_with.insert(whom.into(), role);
        self
    }

    /// With a property for all apps.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    pub(super) fn into_item(
        self,
        tree: &mut Tree,
        now: DateTime<Utc>,
    ) -> Result<(Item, Vec<Self>), MutationError> {
        let id = format!("1{}", tree.opaque("file", 32));
        let mut item = Item::folder(&id, &self.name, now);
        item.mime_type = self
            .mime_type
            .clone()
            .unwrap_or_else(|| kind::guessed(&self.name).to_owned());
        let mut children = Vec::new();
        item.content = match &self.holding {
            Holding::Native(of) => {
                item.mime_type = kind::native(of);
                let texts = self
                    .exports
                    .iter()
                    .map(|(format, text)| (format.clone(), Bytes::from(text.clone())));
                let sized = self
                    .export_sizes
                    .iter()
                    .map(|(format, size)| (format.clone(), generated_content(&id, *size)));
                Content::Native(texts.chain(sized).collect())
            }
            Holding::ShortcutTo(target) => {
                item.mime_type = kind::SHORTCUT.into();
                let known = tree.item(target);
                Content::Shortcut {
                    mime_type: known.map_or_else(
                        || "application/octet-stream".to_owned(),
                        |known| known.mime_type.clone(),
                    ),
                    resource_key: known.and_then(|known| known.resource_key.clone()),
                    target: target.clone(),
                }
            }
            Holding::Folder(inside) => {
                item.mime_type = kind::FOLDER.into();
                children.clone_from(inside);
                Content::Folder
            }
            other => {
                let bytes = other.bytes(&self.name)?.unwrap_or_default();
                Content::blob(bytes, tree.opaque("revision", 40))
            }
        };
        item.permissions = self.shared_with;
        item.limited = self.limited;
        item.trashed = self.trashed;
        item.starred = self.starred;
        item.description = self.description;
        item.properties = self.properties;
        item.app_properties = self.app_properties;
        item.app = self.app;
        item.resource_key = self.resource_key;
        item.download_blocked = self.download_blocked;
        item.copy_requires_writer_permission = self.copy_requires_writer_permission;
        item.abusive = self.abusive;
        item.created = self.created_time.unwrap_or(now);
        item.modified = self.modified_time.unwrap_or(now);
        Ok((item, children))
    }
}

/// New content of a file that is there.
pub(super) fn renewed(
    tree: &mut Tree,
    item: &Item,
    holding: Option<&Holding>,
    exports: &BTreeMap<String, String>,
) -> Result<Content, MutationError> {
    match &item.content {
        Content::Blob { .. } => {
            let revision = tree.opaque("revision", 40);
            let bytes = match holding {
                Some(holding) => holding.bytes(&revision)?,
                None => Some(generated_content(&revision, 32)),
            };
            let bytes = bytes.ok_or_else(|| MutationError::NotSo(item.id.clone()))?;
            Ok(Content::blob(bytes, revision))
        }
        Content::Native(earlier) => {
            let mut all = earlier.clone();
            all.extend(
                exports
                    .iter()
                    .map(|(format, text)| (format.clone(), Bytes::from(text.clone()))),
            );
            Ok(Content::Native(all))
        }
        Content::Folder | Content::Shortcut { .. } => Err(MutationError::NotSo(item.id.clone())),
    }
}
