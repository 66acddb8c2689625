//! Events on their way out: from the outbox to webhooks and to the stream, at least once and in order per thing; and to who asks for
//! them.
//!
//! Dispatchers and publishers lease a webhook, or an organization's stream, for one round. Every await of a round can be the last thing
//! the process does: what was not settled is sent again by whoever leases it next.

mod delivery;
mod dispatcher;
mod publisher;
mod read;

pub use dispatcher::Dispatcher;
pub use publisher::Publisher;
pub use read::{EventFilter, EventOrder, EventPage};

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_domain::ids::OrganizationId;

use crate::EngineError;

/// For how long a round is leased. It ends well before: nothing is begun after [`BEGIN`], and nothing that was begun takes longer than
/// a webhook's longest timeout, or a stream's patience.
const LEASE: Duration = Duration::from_mins(2);
const BEGIN: Duration = Duration::from_secs(30);
/// Entries that a round looks at.
const ENTRIES: u32 = 32;
/// How often an idle loop looks for events that became due.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// Since when a round goes on.
#[derive(Debug, Clone, Copy)]
struct Round(Instant);

impl Round {
    fn begin() -> Self {
        Self(Instant::now())
    }

    /// Whether something more may be begun.
    fn goes_on(self) -> bool {
        self.0.elapsed() < BEGIN
    }
}

/// Tells the operator that events were removed before a subscriber got them.
fn missed(organization: &OrganizationId, subscriber: &str) {
    metrics::counter!("wharf_events_missed_total").increment(1);
    tracing::warn!(%organization, subscriber, "events were removed, being too old, before they could be passed on");
}

/// Takes rounds until `stop` is cancelled.
async fn rounds<F>(stop: &CancellationToken, what: &str, mut once: impl FnMut() -> F)
where
    F: Future<Output = Result<bool, EngineError>>,
{
    while !stop.is_cancelled() {
        match once().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, what, "events could not be passed on"),
        }
        stop.run_until_cancelled(tokio::time::sleep(IDLE_LOOK))
            .await;
    }
}
