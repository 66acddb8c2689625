//! One account at a store, behind the port.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::check::CheckReport;
use wharf_domain::plan::Entry;
use wharf_domain::sync::Cursor;
use wharf_ports::{
    CheckRequest, FetchWish, Fetched, ListingPage, Looked, ProviderError, StorageProvider,
};

use crate::roles::Access;
use crate::store::Store;
use crate::wire::Wire;
use crate::{check, download, listing, look};

pub(crate) struct Account {
    store: Store,
    access: Access,
    wire: Arc<Wire>,
}

impl Account {
    pub(crate) fn new(store: Store, access: Access, wire: Wire) -> Self {
        let wire = Arc::new(wire);
        Self {
            store,
            access,
            wire,
        }
    }
}

#[async_trait]
impl StorageProvider for Account {
    fn authority(&self) -> String {
        self.store.authority()
    }

    async fn check(&self, request: CheckRequest<'_>) -> CheckReport {
        let checked = check::report(&self.store, &self.access, &self.wire, request);
        Box::pin(checked).await
    }

    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        listing::list(&self.wire, source_path, cursor, limit).await
    }

    async fn fetch(&self, entry: &Entry, wish: FetchWish) -> Result<Fetched, ProviderError> {
        download::fetch(&self.wire, self.store.profile, entry, wish).await
    }

    async fn look(&self, _: &str, object: &str) -> Result<Option<Looked>, ProviderError> {
        look::look(&self.wire, object).await
    }
}
