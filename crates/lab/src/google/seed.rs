//! Filling the lab's Google: accounts, clients, grants, shared drives and files, one by one or many alike.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::oauth::directory::{Client, ServiceAccount, ServiceAccountKey};
use super::oauth::key::AccountKey;
use super::tree::access::Role;
use super::tree::item::Content;
use super::tree::mutation::MutationError;
use super::tree::new_item::{Holding, NewItem};
use super::world::State;

/// What to put into the lab's Google. Parts may come in any number of seeds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// People.
    pub users: Vec<NewUser>,
    /// Service accounts.
    pub service_accounts: Vec<NewServiceAccount>,
    /// OAuth clients.
    pub clients: Vec<NewClient>,
    /// What people granted clients.
    pub grants: Vec<NewGrant>,
    /// Shared drives.
    pub drives: Vec<SeedDrive>,
    /// Files of people's own.
    pub my_drives: Vec<SeedMyDrive>,
}

/// A person.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The address.
    pub email: String,
    /// The name; the address when not said.
    #[serde(default)]
    pub name: Option<String>,
}

/// A service account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccount {
    /// The address.
    pub email: String,
    /// The project; `lab-project` when not said.
    #[serde(default)]
    pub project_id: Option<String>,
    /// The scopes it may use in the name of people of the domain, whole URLs.
    #[serde(default)]
    pub delegated_scopes: Vec<String>,
    /// Its private key in PEM, PKCS #8; one is made when not given.
    #[serde(default)]
    pub private_key: Option<String>,
}

/// An OAuth client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// Where consent may send people back to.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
}

/// What a person granted a client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The client.
    pub client_id: String,
    /// The person's address.
    pub user: String,
    /// The scopes, whole URLs.
    pub scopes: Vec<String>,
    /// The refresh token; one is made when not given.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// A shared drive and what is in it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedDrive {
    /// Its name.
    pub name: String,
    /// Its members, by address.
    #[serde(default)]
    pub members: BTreeMap<String, Role>,
    /// What is in it.
    #[serde(default)]
    pub items: Vec<NewItem>,
    /// Many files alike.
    #[serde(default)]
    pub bulk: Option<Bulk>,
}

/// Files of a person, or service account, that is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedMyDrive {
    /// Whose.
    pub user: String,
    /// What is in it.
    #[serde(default)]
    pub items: Vec<NewItem>,
    /// Many files alike.
    #[serde(default)]
    pub bulk: Option<Bulk>,
}

/// Many files alike: `folder-000/file-00000.bin`, spread evenly over the folders.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// How many files.
    pub files: usize,
    /// In how many folders; in the root itself when none.
    #[serde(default)]
    pub folders: usize,
    /// How many made-up bytes each has.
    #[serde(default)]
    pub size: usize,
}

/// What a seed made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seeded {
    /// Ids of the shared drives, in order.
    pub drives: Vec<String>,
    /// The files, by the path from the drive's name, or owner's address, on.
    pub files: Vec<SeededFile>,
    /// The key files of the service accounts, in order.
    pub service_accounts: Vec<ServiceAccountKey>,
    /// The refresh tokens of the grants, in order.
    pub refresh_tokens: Vec<String>,
}

/// A file a seed made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeededFile {
    /// Names between slashes; other files may have the same.
    pub path: String,
    /// Its id.
    pub id: String,
}

impl Seeded {
    /// The id of the first file with this path.
    pub fn id(&self, path: &str) -> Option<&str> {
        self.files
            .iter()
            .find(|file| file.path == path)
            .map(|file| file.id.as_str())
    }
}

/// Why a seed was refused. What came before the refused part is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// A part speaks of an account or client that is not there.
    #[error("{0} is not there")]
    Unknown(String),
    /// A private key is no RSA key in PEM, PKCS #8.
    #[error("the private key of {0} cannot be read")]
    PrivateKey(String),
    /// An item cannot be put there.
    #[error(transparent)]
    Item(#[from] MutationError),
}

impl State {
    /// Puts everything; what it made.
    pub(crate) fn seed(&mut self, seed: Seed, now: DateTime<Utc>) -> Result<Seeded, SeedError> {
        let mut made = Seeded::default();
        for user in seed.users {
            let name = user.name.as_deref().unwrap_or(&user.email);
            self.add_account(&user.email, name, now);
        }
        for account in seed.service_accounts {
            made.service_accounts
                .push(self.add_service_account(account, now)?);
        }
        for client in seed.clients {
            let known = Client {
                secret: client.client_secret,
                redirect_uris: client.redirect_uris,
            };
            self.directory.clients.insert(client.client_id, known);
        }
        for grant in seed.grants {
            made.refresh_tokens.push(self.add_grant(grant)?);
        }
        for drive in seed.drives {
            if let Some(stranger) = drive
                .members
                .keys()
                .find(|member| !self.directory.accounts.contains_key(*member))
            {
                return Err(SeedError::Unknown(stranger.clone()));
            }
            let id = self.tree.add_drive(&drive.name, drive.members, now);
            self.fill(&id, drive.items, drive.bulk, now, &mut made)?;
            made.drives.push(id);
        }
        for files in seed.my_drives {
            let root = self
                .tree
                .root_of(&files.user)
                .ok_or_else(|| SeedError::Unknown(files.user.clone()))?
                .to_owned();
            self.fill(&root, files.items, files.bulk, now, &mut made)?;
        }
        Ok(made)
    }

    fn add_service_account(
        &mut self,
        account: NewServiceAccount,
        now: DateTime<Utc>,
    ) -> Result<ServiceAccountKey, SeedError> {
        let key = match &account.private_key {
            Some(pem) => AccountKey::given(pem),
            None => AccountKey::nth(self.directory.service_accounts.len()),
        };
        let key = key.ok_or_else(|| SeedError::PrivateKey(account.email.clone()))?;
        self.add_account(&account.email, &account.email, now);
        let known = ServiceAccount {
            project_id: account
                .project_id
                .unwrap_or_else(|| "lab-project".to_owned()),
            client_id: self.tree.number(21),
            key,
            delegated: account.delegated_scopes,
        };
        self.directory
            .service_accounts
            .insert(account.email.clone(), known);
        self.directory
            .key_file(&account.email)
            .ok_or(SeedError::Unknown(account.email))
    }

    fn add_grant(&mut self, grant: NewGrant) -> Result<String, SeedError> {
        if !self.directory.clients.contains_key(&grant.client_id) {
            return Err(SeedError::Unknown(grant.client_id));
        }
        if !self.directory.accounts.contains_key(&grant.user) {
            return Err(SeedError::Unknown(grant.user));
        }
        let token = match grant.refresh_token {
            Some(token) => token,
            None => self.refresh_token(),
        };
        self.directory
            .add_grant(&grant.client_id, &grant.user, grant.scopes, token.clone());
        Ok(token)
    }

    fn fill(
        &mut self,
        root: &str,
        items: Vec<NewItem>,
        bulk: Option<Bulk>,
        now: DateTime<Utc>,
        made: &mut Seeded,
    ) -> Result<(), SeedError> {
        let before: HashSet<_> = self.tree.below(root).into_iter().collect();
        for item in items {
            let folder = item.inside.clone().unwrap_or_else(|| root.to_owned());
            self.tree.create(item, &folder, now)?;
        }
        if let Some(bulk) = bulk {
            self.fill_alike(root, bulk, now)?;
        }
        let mut new: Vec<_> = self
            .tree
            .below(root)
            .into_iter()
            .filter(|id| !before.contains(id))
            .filter_map(|id| {
                let path = self.tree.path(self.tree.item(&id)?);
                Some(SeededFile { path, id })
            })
            .collect();
        new.sort_unstable_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
        self.point_shortcuts(root, &new);
        made.files.extend(new);
        Ok(())
    }

    fn fill_alike(&mut self, root: &str, bulk: Bulk, now: DateTime<Utc>) -> Result<(), SeedError> {
        let mut folders = Vec::new();
        for number in 0..bulk.folders {
            let folder = NewItem::folder(format!("folder-{number:03}"));
            folders.push(self.tree.create(folder, root, now)?);
        }
        for number in 0..bulk.files {
            let folder = match folders.len() {
                0 => root,
                count => &folders[number % count],
            };
            let mut file = NewItem::blob(format!("file-{number:05}.bin"), "");
            file.holding = Holding::Size(bulk.size);
            self.tree.create(file, folder, now)?;
        }
        Ok(())
    }

    /// Shortcuts of the seed whose target was named by path lead to it.
    fn point_shortcuts(&mut self, root: &str, new: &[SeededFile]) {
        let base = self.tree.item(root).map(|root| self.tree.path(root));
        let base = base.unwrap_or_default();
        for file in new {
            let Some(Content::Shortcut { target, .. }) =
                self.tree.item(&file.id).map(|item| &item.content)
            else {
                continue;
            };
            let path = format!("{base}/{target}");
            if let Some(found) = new.iter().find(|other| other.path == path) {
                self.tree.point(&file.id, &found.id);
            }
        }
    }
}
