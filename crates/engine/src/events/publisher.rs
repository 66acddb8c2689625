use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_domain::event::{Event, EventCursor, OutboxEntry};
use wharf_ports::EventStream;

use super::{ENTRIES, LEASE, Round, missed, rounds};
use crate::{Engine, EngineError};

/// Events that are handed to the stream at a time.
const TOGETHER: usize = 500;
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Publishes every organization's events to a stream, one organization at a time.
pub struct Publisher {
    engine: Engine,
    stream: Arc<dyn EventStream>,
    /// Since the stream last took something.
    failures: AtomicU32,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    /// A publisher of this engine's events.
    pub fn new(engine: Engine, stream: Arc<dyn EventStream>) -> Self {
        Self {
            engine,
            stream,
            failures: AtomicU32::new(0),
        }
    }

    /// Leases the organization that has events for the stream and publishes a round of them; returns whether there was one. When `stop`
    /// is cancelled, the round ends with what was stored by then.
    ///
    /// # Errors
    /// When the database is away. What was published and could not be noted is published again.
    pub async fn publish_once(&self, stop: &CancellationToken) -> Result<bool, EngineError> {
        let across = &self.engine.repositories().across;
        let Some(due) = across.lease_due_stream(LEASE, ENTRIES).await? else {
            return Ok(false);
        };
        if due.missed {
            missed(&due.organization, "stream");
        }
        let round = Round::begin();
        let events: Vec<Event> = due
            .entries
            .iter()
            .flat_map(|entry: &OutboxEntry| entry.events_after(due.cursor))
            .collect();
        let (mut cursor, mut pause) = (due.cursor, Duration::ZERO);
        let mut whole = true;
        for together in events.chunks(TOGETHER) {
            whole = round.goes_on();
            if !whole {
                break;
            }
            match stop
                .run_until_cancelled(self.stream.publish(together))
                .await
            {
                Some(Ok(())) => {
                    self.failures.store(0, Ordering::Relaxed);
                    cursor = together.last().map_or(cursor, |event| event.cursor);
                    let published = u64::try_from(together.len()).unwrap_or(u64::MAX);
                    metrics::counter!("wharf_events_published_total").increment(published);
                }
                Some(Err(error)) => {
                    let failures = self.failures.fetch_add(1, Ordering::Relaxed);
                    pause = pause_after(failures);
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "events could not be published");
                    whole = false;
                    break;
                }
                None => {
                    whole = false;
                    break;
                }
            }
        }
        if whole && let Some(last) = due.entries.last() {
            cursor = EventCursor::past(last.head.position);
        }
        if !across.settle_stream(&due, cursor, pause).await? {
            tracing::info!(organization = %due.organization, "a round of publishing was overtaken");
        }
        Ok(true)
    }

    /// Publishes until `stop` is cancelled.
    pub async fn work(&self, stop: &CancellationToken) {
        rounds(stop, "stream", || self.publish_once(stop)).await;
    }
}

/// One second, doubling, at most a minute.
fn pause_after(failures: u32) -> Duration {
    let seconds = 2_u64.saturating_pow(failures.min(16));
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}
