//! A provider behind its gate.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use wharf_domain::check::CheckReport;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::run::feed::{ChangesPage, Fate, MissingRow};
use wharf_domain::sync::Cursor;
use wharf_ports::{
    Browse, Browsed, ByteStream, CheckRequest, FetchWish, Fetched, ListingPage, Looked,
    OpenProvider, ProviderError, StorageProvider, WatchRequest, Watching,
};

use super::room::{Room, Share};
use super::{Gate, Pass};

/// An account whose requests wait at its gate. Only tests, which a person waits for, go past it.
pub(super) struct Gated {
    account: OpenProvider,
    gate: Arc<Gate>,
    room: Arc<Room>,
}

impl Gated {
    pub(super) fn new(account: OpenProvider, gate: Arc<Gate>, room: Arc<Room>) -> Self {
        Self {
            account,
            gate,
            room,
        }
    }

    /// A place at the gate and room for the bytes, at a moment when the gate is open. The room is not kept while the gate is
    /// closed, since others could use it.
    async fn enter_with_room(
        &self,
        size_bytes: Option<u64>,
    ) -> Result<(Pass, Share), ProviderError> {
        let mut pass = self.gate.enter().await?;
        loop {
            let share = self.room.share(size_bytes).await;
            if pass.may_go() {
                return Ok((pass, share));
            }
            drop(share);
            pass.wait_until_open().await?;
        }
    }
}

#[async_trait]
impl StorageProvider for Gated {
    fn authority(&self) -> String {
        self.account.authority()
    }

    async fn check(&self, request: CheckRequest<'_>) -> CheckReport {
        let report = self.account.check(request).await;
        let throttled = Some(ErrorCode::QuotaRateLimited);
        if report
            .checks
            .iter()
            .any(|check| check.error_code == throttled)
        {
            self.gate.overheard_throttling();
        }
        report
    }

    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        let pass = self.gate.enter().await?;
        let page = self.account.list(source_path, cursor, limit).await;
        pass.tell(&page);
        page
    }

    async fn fetch(&self, entry: &Entry, wish: FetchWish) -> Result<Fetched, ProviderError> {
        let (pass, share) = self.enter_with_room(entry.size_bytes).await?;
        let fetched = self.account.fetch(entry, wish).await;
        pass.tell(&fetched);
        let Fetched {
            bytes,
            content_type,
            metadata,
            tags,
            version_id,
        } = fetched?;
        let bytes = Arriving {
            bytes,
            pass: Some(pass),
            _share: share,
        };
        Ok(Fetched {
            bytes: bytes.boxed(),
            content_type,
            metadata,
            tags,
            version_id,
        })
    }

    fn quota_account(&self) -> Option<String> {
        self.account.quota_account()
    }

    async fn feed_start(&self, source_path: &str) -> Result<Option<Cursor>, ProviderError> {
        let pass = self.gate.enter().await?;
        let start = self.account.feed_start(source_path).await;
        pass.tell(&start);
        start
    }

    async fn changes(
        &self,
        source_path: &str,
        cursor: &Cursor,
        limit: u32,
    ) -> Result<ChangesPage, ProviderError> {
        let pass = self.gate.enter().await?;
        let page = self.account.changes(source_path, cursor, limit).await;
        pass.tell(&page);
        page
    }

    async fn trace(
        &self,
        source_path: &str,
        missing: &[MissingRow],
    ) -> Result<Vec<Fate>, ProviderError> {
        let pass = self.gate.enter().await?;
        let fates = self.account.trace(source_path, missing).await;
        pass.tell(&fates);
        fates
    }

    async fn browse(
        &self,
        what: Browse,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Browsed>, ProviderError> {
        let pass = self.gate.enter().await?;
        let found = self.account.browse(what, path, limit).await;
        pass.tell(&found);
        found
    }

    async fn find(&self, source_path: &str, path: &str) -> Result<Vec<String>, ProviderError> {
        let pass = self.gate.enter().await?;
        let found = self.account.find(source_path, path).await;
        pass.tell(&found);
        found
    }

    async fn watch(
        &self,
        source_path: &str,
        request: &WatchRequest<'_>,
    ) -> Result<Option<Watching>, ProviderError> {
        let pass = self.gate.enter().await?;
        let watching = self.account.watch(source_path, request).await;
        pass.tell(&watching);
        watching
    }

    async fn unwatch(&self, channel: &str, resource: &str) -> Result<(), ProviderError> {
        let pass = self.gate.enter().await?;
        let ended = self.account.unwatch(channel, resource).await;
        pass.tell(&ended);
        ended
    }

    async fn look(&self, source_path: &str, object: &str) -> Result<Option<Looked>, ProviderError> {
        let pass = self.gate.enter().await?;
        let looked = self.account.look(source_path, object).await;
        pass.tell(&looked);
        looked
    }
}

/// Bytes on their way. The place at the gate is given back when the last one has arrived, the room when whoever takes them
/// lets go of the stream, since the last of them are in memory until then.
struct Arriving {
    bytes: ByteStream,
    pass: Option<Pass>,
    _share: Share,
}

impl Stream for Arriving {
    type Item = Result<Bytes, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.bytes.poll_next_unpin(context);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                if let Some(pass) = self.pass.take() {
                    pass.tell_failure(error);
                }
            }
            Poll::Ready(None) => self.pass = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}
