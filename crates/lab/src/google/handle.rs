//! The handle of the lab's Google.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::front::{CONSENT, TOKEN};
use super::oauth::directory::{Grant, GrantState, ServiceAccountKey};
use super::oauth::key::AccountKey;
use super::push::Delivery;
use super::sample;
use super::seed::{
    NewClient, NewGrant, NewServiceAccount, NewUser, Seed, SeedDrive, SeedError, Seeded,
};
use super::tree::access::Role;
use super::tree::item::Content;
use super::tree::mutation::{Mutation, MutationError};
use super::tree::new_item::NewItem;
use super::world::GoogleWorld;
use crate::fault::FaultRule;
use crate::journal::JournalEntry;

/// The Google of a running lab. Cheap to clone; every clone is the same Google.
#[derive(Debug, Clone)]
pub struct GoogleLab {
    world: Arc<GoogleWorld>,
}

/// A file as it is, whoever may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its id.
    pub id: String,
    /// Names between slashes, from the drive's name or the owner's address on.
    pub path: String,
    /// Its MIME type.
    pub mime_type: String,
    /// Whether it, or a folder above it, is in the trash.
    pub trashed: bool,
    /// How many bytes it has, if it is a plain file.
    pub size: Option<usize>,
    /// Their SHA-256.
    pub sha256: Option<String>,
}

impl GoogleLab {
    pub(crate) fn new(world: Arc<GoogleWorld>) -> Self {
        Self { world }
    }

    /// The base URL; Drive is below it at `/drive/v3/`.
    pub fn url(&self) -> &str {
        &self.world.url
    }

    /// The token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}{TOKEN}", self.world.url)
    }

    /// The consent page.
    pub fn consent_url(&self) -> String {
        format!("{}{CONSENT}", self.world.url)
    }

    /// Puts everything a seed says; what it made.
    pub fn seed(&self, seed: Seed) -> Result<Seeded, SeedError> {
        let now = self.world.clock.now();
        let mut state = self.world.state();
        let made = state.seed(seed, now);
        self.world.tell_channels(&mut state);
        made
    }

    /// Puts the shared drive `demo-drive`, a service account in it, and a person with files of their own.
    pub fn seed_samples(&self) {
        // Every part of it is there or made by it.
        let _ = self.seed(sample::seed());
    }

    /// Adds a person.
    pub fn add_user(&self, email: &str, name: &str) {
        let user = NewUser {
            email: email.to_owned(),
            name: Some(name.to_owned()),
        };
        let seed = Seed {
            users: vec![user],
            ..Seed::default()
        };
        // People alone cannot be refused.
        let _ = self.seed(seed);
    }

    /// Adds a service account; its key file.
    pub fn add_service_account(
        &self,
        account: NewServiceAccount,
    ) -> Result<ServiceAccountKey, SeedError> {
        let email = account.email.clone();
        let seed = Seed {
            service_accounts: vec![account],
            ..Seed::default()
        };
        let made = self.seed(seed)?.service_accounts.pop();
        made.ok_or(SeedError::Unknown(email))
    }

    /// What stands in the key file of a service account.
    pub fn key_file(&self, email: &str) -> Option<ServiceAccountKey> {
        self.world.state().directory.key_file(email)
    }

    /// Gives a service account another key; assertions signed with the old one are refused. Whether there
    /// is such an account.
    pub fn replace_key(&self, email: &str, private_key: &str) -> bool {
        let key = AccountKey::given(private_key);
        let mut state = self.world.state();
        let account = state.directory.service_accounts.get_mut(email);
        match (account, key) {
            (Some(account), Some(key)) => {
                account.key = key;
                true
            }
            _ => false,
        }
    }

    /// Deletes a service account or a person: signing in fails, and what they had stays.
    pub fn delete_account(&self, email: &str) {
        let mut state = self.world.state();
        state.directory.service_accounts.remove(email);
        state.directory.accounts.remove(email);
    }

    /// Delegates these scopes, whole URLs, to a service account, in place of the earlier ones.
    pub fn delegate(&self, email: &str, scopes: impl IntoIterator<Item = String>) {
        if let Some(account) = self.world.state().directory.service_accounts.get_mut(email) {
            account.delegated = scopes.into_iter().collect();
        }
    }

    /// Adds an OAuth client.
    pub fn add_client(&self, client: NewClient) {
        let seed = Seed {
            clients: vec![client],
            ..Seed::default()
        };
        // Clients alone cannot be refused.
        let _ = self.seed(seed);
    }

    /// A person grants a client scopes, whole URLs; the refresh token.
    pub fn grant(&self, client_id: &str, user: &str, scopes: &[&str]) -> Result<String, SeedError> {
        let grant = NewGrant {
            client_id: client_id.to_owned(),
            user: user.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            refresh_token: None,
        };
        let seed = Seed {
            grants: vec![grant],
            ..Seed::default()
        };
        let made = self.seed(seed)?.refresh_tokens.pop();
        made.ok_or_else(|| SeedError::Unknown(client_id.to_owned()))
    }

    /// What people granted, with how often each grant was used.
    pub fn grants(&self) -> Vec<Grant> {
        self.world.state().directory.grants()
    }

    /// The grant a refresh token belongs, or belonged, to.
    pub fn grant_of(&self, refresh_token: &str) -> Option<Grant> {
        let state = self.world.state();
        let index = state.directory.grant_of(refresh_token)?;
        state.directory.grants().get(index).cloned()
    }

    /// Changes what has become of a grant; whether there is one of this refresh token.
    pub fn set_grant(&self, refresh_token: &str, to: GrantState) -> bool {
        let mut state = self.world.state();
        let index = state.directory.grant_of(refresh_token);
        match index.and_then(|index| state.directory.grant(index)) {
            Some(grant) => {
                grant.state = to;
                true
            }
            None => false,
        }
    }

    /// From now on refreshing gives a new refresh token and ends the old one, or no longer.
    pub fn rotate_refresh_tokens(&self, rotates: bool) {
        self.world.state().directory.rotates = rotates;
    }

    /// How many seconds access tokens live from now on; 3599 otherwise.
    pub fn set_token_seconds(&self, seconds: i64) {
        self.world.state().directory.token_seconds = seconds;
    }

    /// Whose consent the consent page gives; without this, that of the first person.
    pub fn consent_as(&self, email: &str) {
        self.world.state().directory.consenting = Some(email.to_owned());
    }

    /// From now on that person refuses, or no longer.
    pub fn deny_consent(&self, denies: bool) {
        self.world.state().directory.denies = denies;
    }

    /// An access token for this account, without asking the token endpoint; scopes are whole URLs.
    pub fn access_token(&self, email: &str, scopes: &[&str]) -> String {
        let now = self.world.clock.now();
        let mut state = self.world.state();
        let app = state
            .directory
            .service_accounts
            .get(email)
            .map_or_else(|| "lab".to_owned(), |account| account.client_id.clone());
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        state.open(email, &app, scopes, None, now)
    }

    /// Every access token that was given out and not ended, in no order.
    pub fn access_tokens(&self) -> Vec<String> {
        self.world.state().directory.access_tokens()
    }

    /// Ends every access token now.
    pub fn end_sessions(&self) {
        self.world.state().directory.end_sessions();
    }

    /// Adds a shared drive with these members; its id, which is also that of its root folder.
    pub fn add_drive<M: Into<String>>(
        &self,
        name: &str,
        members: impl IntoIterator<Item = (M, Role)>,
    ) -> Result<String, SeedError> {
        let drive = SeedDrive {
            name: name.to_owned(),
            members: members
                .into_iter()
                .map(|(member, role)| (member.into(), role))
                .collect(),
            ..SeedDrive::default()
        };
        let seed = Seed {
            drives: vec![drive],
            ..Seed::default()
        };
        let made = self.seed(seed)?.drives.pop();
        made.ok_or_else(|| SeedError::Unknown(name.to_owned()))
    }

    /// The root folder of an account's own files.
    pub fn root_of(&self, email: &str) -> Option<String> {
        self.world
            .state()
            .tree
            .root_of(email)
            .map(ToOwned::to_owned)
    }

    /// Puts an item into the folder it names; its id.
    pub fn add(&self, item: NewItem) -> Result<String, MutationError> {
        let name = item.name.clone();
        self.mutate(Mutation::Create { item })?
            .ok_or(MutationError::NoPlace(name))
    }

    /// Lets something happen; the id of what was made, if something was.
    pub fn mutate(&self, mutation: Mutation) -> Result<Option<String>, MutationError> {
        let now = self.world.clock.now();
        let mut state = self.world.state();
        let made = state.tree.mutate(mutation, now);
        self.world.tell_channels(&mut state);
        made
    }

    /// Every file there is, whoever may see it, in order of paths.
    pub fn files(&self) -> Vec<FileSummary> {
        self.world.files()
    }

    /// The bytes of a file.
    pub fn file_bytes(&self, id: &str) -> Option<Bytes> {
        match &self.world.state().tree.item(id)?.content {
            Content::Blob { bytes, .. } => Some(bytes.clone()),
            _ => None,
        }
    }

    /// No place in any feed of changes that was given so far is known any more.
    pub fn forget_feed_tokens(&self) {
        self.world.state().tree.feed.forget_tokens();
    }

    /// The messages that were sent to watch channels.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.world.deliveries().clone()
    }

    /// Puts the clock so many seconds ahead: tokens, addresses and channels end.
    pub fn advance_clock(&self, seconds: i64) {
        self.world.clock.advance(seconds);
    }

    /// Puts these rules in force in place of the earlier ones.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        self.world.faults().replace(rules.into_iter().collect());
    }

    /// Adds a rule after those in force.
    pub fn add_fault(&self, rule: FaultRule) {
        self.world.faults().add(rule);
    }

    /// Behaves well again.
    pub fn clear_faults(&self) {
        self.set_faults([]);
    }

    /// Every request so far, in order of arrival.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.world.journal().entries()
    }

    /// Starts the journal anew.
    pub fn clear_journal(&self) {
        self.world.journal().clear();
    }

    /// Back to an empty Google: nobody, nothing, no rules, no journal, and the right time.
    pub fn reset(&self) {
        self.world.reset();
    }
}

impl GoogleWorld {
    pub(crate) fn files(&self) -> Vec<FileSummary> {
        let state = self.state();
        let tree = &state.tree;
        let mut files: Vec<_> = tree
            .all()
            .into_iter()
            .filter(|item| !tree.is_root(item))
            .map(|item| {
                let (size, sha256) = match &item.content {
                    Content::Blob { bytes, sha256, .. } => {
                        (Some(bytes.len()), Some(sha256.clone()))
                    }
                    _ => (None, None),
                };
                FileSummary {
                    id: item.id.clone(),
                    path: tree.path(item),
                    mime_type: item.mime_type.clone(),
                    trashed: tree.is_trashed(item),
                    size,
                    sha256,
                }
            })
            .collect();
        files.sort_unstable_by(|a, b| (&a.path, &a.id).cmp(&(&b.path, &b.id)));
        files
    }
}
