//! What histories do not keep any longer.

use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::health::HISTORY;

use crate::state::State;

const A_DAY: Duration = Duration::from_hours(24);

/// Keeps what is young enough, and what is too much for one step. How many are gone.
struct Broom {
    before: Timestamp,
    left: usize,
    gone: u64,
}

impl Broom {
    fn new(age: Duration, limit: usize, now: Timestamp) -> Self {
        Self {
            before: now - age,
            left: limit,
            gone: 0,
        }
    }

    fn keeps(&mut self, at: Timestamp) -> bool {
        if at > self.before || self.left == 0 {
            return true;
        }
        self.left -= 1;
        self.gone += 1;
        false
    }
}

impl State {
    /// Removes what is too old, at most so many of each. How many in all.
    pub(crate) fn prune_history(&mut self, keep: Duration, limit: usize, now: Timestamp) -> u64 {
        let mut entries = Broom::new(keep, limit, now);
        let pruned = &mut self.trail.pruned;
        self.trail.outbox.retain(|(organization, position), entry| {
            let kept = entries.keeps(entry.at);
            if !kept {
                let through = pruned.entry(organization.clone()).or_default();
                *through = (*through).max(*position);
            }
            kept
        });
        let mut deliveries = Broom::new(keep, limit, now);
        for owned in self.webhooks.values_mut() {
            let stored = &mut owned.row.deliveries;
            stored.retain(|delivery| deliveries.keeps(delivery.at));
        }
        let mut checks = Broom::new(HISTORY, limit, now);
        self.checks.retain(|_, owned| checks.keeps(owned.row.at));
        let mut claims = Broom::new(A_DAY, limit, now);
        self.trail
            .claims
            .retain(|_, stored| claims.keeps(stored.claimed_at));
        entries.gone + deliveries.gone + checks.gone + claims.gone
    }
}
