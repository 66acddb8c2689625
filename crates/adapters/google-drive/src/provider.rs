//! One account at Google Drive, behind the port.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::check::CheckReport;
use wharf_domain::plan::Entry;
use wharf_domain::run::feed::{ChangesPage, Fate, MissingRow};
use wharf_domain::sync::Cursor;
use wharf_ports::{
    Browse, Browsed, CheckRequest, FetchWish, Fetched, ListingPage, Looked, ProviderError,
    StorageProvider, WatchRequest, Watching,
};

use crate::reach::Reach;
use crate::wire::Wire;
use crate::{browse, changes, check, download, listing, look, push, trace};

/// What files are identified under: their ids are unique in all of Google Drive.
const AUTHORITY: &str = "drive.google.com";

#[expect(
    clippy::struct_field_names,
    reason = "the account that Google counts on is another one"
)]
pub(crate) struct Account {
    pub(crate) wire: Arc<Wire>,
    /// Who signs in, as far as the configuration tells.
    pub(crate) identity: Identity,
    /// The only drive that is read, if one is named.
    pub(crate) shared_drive: Option<String>,
    /// Whom Google counts requests against.
    pub(crate) quota_account: String,
    /// The same account as syncs see it.
    pub(crate) reach: Arc<Reach>,
}

/// Who signs in, as far as the configuration tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A service account on its own, by its address.
    ServiceAccount(String),
    /// A user that a service account acts for.
    User(String),
    /// A person who consented.
    Person,
}

#[async_trait]
impl StorageProvider for Account {
    fn authority(&self) -> String {
        AUTHORITY.to_owned()
    }

    fn quota_account(&self) -> Option<String> {
        Some(self.quota_account.clone())
    }

    async fn check(&self, request: CheckRequest<'_>) -> CheckReport {
        Box::pin(check::report(self, request)).await
    }

    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        Box::pin(listing::list(&self.reach, source_path, cursor, limit)).await
    }

    /// Drive knows no tags.
    async fn fetch(&self, entry: &Entry, _: FetchWish) -> Result<Fetched, ProviderError> {
        Box::pin(download::fetch(&self.reach, entry)).await
    }

    async fn feed_start(&self, source_path: &str) -> Result<Option<Cursor>, ProviderError> {
        changes::start(&self.reach, source_path).await.map(Some)
    }

    async fn changes(
        &self,
        source_path: &str,
        cursor: &Cursor,
        limit: u32,
    ) -> Result<ChangesPage, ProviderError> {
        Box::pin(changes::changes(&self.reach, source_path, cursor, limit)).await
    }

    async fn trace(
        &self,
        source_path: &str,
        missing: &[MissingRow],
    ) -> Result<Vec<Fate>, ProviderError> {
        Box::pin(trace::trace(&self.reach, source_path, missing)).await
    }

    async fn browse(
        &self,
        what: Browse,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Browsed>, ProviderError> {
        browse::browse(&self.reach, what, path, limit).await
    }

    async fn find(&self, source_path: &str, path: &str) -> Result<Vec<String>, ProviderError> {
        browse::find(&self.reach, source_path, path).await
    }

    async fn watch(
        &self,
        source_path: &str,
        request: &WatchRequest<'_>,
    ) -> Result<Option<Watching>, ProviderError> {
        let now = self.wire.access().now();
        let watching = push::watch(&self.reach, source_path, request, now).await?;
        Ok(Some(watching))
    }

    async fn unwatch(&self, channel: &str, resource: &str) -> Result<(), ProviderError> {
        push::unwatch(&self.reach, channel, resource).await
    }

    async fn look(&self, source_path: &str, object: &str) -> Result<Option<Looked>, ProviderError> {
        Box::pin(look::look(&self.reach, source_path, object)).await
    }
}
