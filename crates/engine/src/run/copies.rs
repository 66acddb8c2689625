//! Files on their way, so many at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::task::AbortOnDropHandle;
use wharf_domain::run::machine::Event;
use wharf_domain::run::page::CopyOrder;

use super::fetch::Copier;
use crate::EngineError;

/// Copies files side by side. Dropping it ends those that are under way.
pub(super) struct Copies {
    copier: Arc<Copier>,
    at_once: usize,
    waiting: VecDeque<CopyOrder>,
    /// Each copy is a task of its own, so that hashing and writing use every core.
    under_way: FuturesUnordered<AbortOnDropHandle<Event>>,
}

impl Copies {
    pub(super) fn new(copier: Copier, at_once: usize) -> Self {
        Self {
            copier: Arc::new(copier),
            at_once,
            waiting: VecDeque::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    pub(super) fn start(&mut self, orders: Vec<CopyOrder>) {
        self.waiting.extend(orders);
        self.fill();
    }

    fn fill(&mut self) {
        while self.under_way.len() < self.at_once {
            let Some(order) = self.waiting.pop_front() else {
                return;
            };
            let copier = self.copier.clone();
            let copy = async move { copier.copy(order).await };
            self.under_way
                .push(AbortOnDropHandle::new(tokio::spawn(copy)));
        }
    }

    /// What became of the next file; `None` when there is none under way.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let ended = self.under_way.next().await?;
        self.fill();
        Some(ended.unwrap_or_else(|panic| {
            Event::Stopped(super::ours(&EngineError::Internal(panic.into())))
        }))
    }
}
