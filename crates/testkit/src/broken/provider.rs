//! Providers that break one promise each, over a sound one.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, future};
use wharf_domain::check::CheckReport;
use wharf_domain::plan::Entry;
use wharf_domain::sync::Cursor;
use wharf_ports::{
    CheckRequest, FetchWish, Fetched, ListingPage, Looked, OpenProvider, ProviderError,
    StorageProvider,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    LastEntryLost,
    TroubleIsAnEnd,
    ShortFilesPass,
    TroubleIsAbsence,
    TagsForgotten,
}

/// The same provider, but the last entry of every page that another page follows is lost.
pub fn losing_last_entries(provider: OpenProvider) -> OpenProvider {
    Arc::new(Broken(provider, Fault::LastEntryLost))
}

/// The same provider, but a listing that cannot go on has ended.
pub fn ending_listings_early(provider: OpenProvider) -> OpenProvider {
    Arc::new(Broken(provider, Fault::TroubleIsAnEnd))
}

/// The same provider, but bytes that break off, or turn out to be wrong, have ended.
pub fn passing_short_files(provider: OpenProvider) -> OpenProvider {
    Arc::new(Broken(provider, Fault::ShortFilesPass))
}

/// The same provider, but a file that may not be looked at is not there.
pub fn taking_trouble_for_absence(provider: OpenProvider) -> OpenProvider {
    Arc::new(Broken(provider, Fault::TroubleIsAbsence))
}

/// The same provider, but no file has tags.
pub fn forgetting_tags(provider: OpenProvider) -> OpenProvider {
    Arc::new(Broken(provider, Fault::TagsForgotten))
}

struct Broken(OpenProvider, Fault);

#[async_trait]
impl StorageProvider for Broken {
    fn authority(&self) -> String {
        self.0.authority()
    }

    async fn check(&self, request: CheckRequest<'_>) -> CheckReport {
        self.0.check(request).await
    }

    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        let mut page = match self.0.list(source_path, cursor, limit).await {
            Err(_) if self.1 == Fault::TroubleIsAnEnd => ListingPage {
                entries: Vec::new(),
                next: None,
                denied: Vec::new(),
            },
            page => page?,
        };
        if self.1 == Fault::LastEntryLost && page.next.is_some() {
            page.entries.pop();
        }
        Ok(page)
    }

    async fn fetch(&self, entry: &Entry, wish: FetchWish) -> Result<Fetched, ProviderError> {
        let mut fetched = self.0.fetch(entry, wish).await?;
        if self.1 == Fault::ShortFilesPass {
            let whole = fetched.bytes.take_while(|part| future::ready(part.is_ok()));
            fetched.bytes = whole.boxed();
        }
        if self.1 == Fault::TagsForgotten {
            fetched.tags.clear();
        }
        Ok(fetched)
    }

    async fn look(&self, source_path: &str, object: &str) -> Result<Option<Looked>, ProviderError> {
        match self.0.look(source_path, object).await {
            Err(_) if self.1 == Fault::TroubleIsAbsence => Ok(None),
            looked => looked,
        }
    }
}
