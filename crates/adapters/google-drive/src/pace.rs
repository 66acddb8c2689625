//! How fast one account may ask: Google counts quota units per user and project, and a call costs several.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Units that Google counts for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// One thing is asked about.
    Get,
    /// A page of a list.
    List,
    /// Bytes, as they lie there or exported.
    Download,
}

impl Cost {
    fn units(self) -> u32 {
        match self {
            Self::Get => 5,
            Self::List => 100,
            Self::Download => 200,
        }
    }
}

/// What a user of a project may spend in a minute, by Google's page of usage limits as of 2026.
const UNITS_PER_MINUTE: u32 = 325_000;

/// How fast an account may ask.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    units_per_second: f64,
    /// What may be spent at once after a rest.
    burst: f64,
}

impl Rate {
    /// A rate that spends no more than this in any minute: a quarter of it at once, and the rest evenly.
    fn within(units_per_minute: u32) -> Self {
        let whole = f64::from(units_per_minute);
        Self {
            units_per_second: whole * 0.75 / 60.0,
            burst: whole * 0.25,
        }
    }
}

/// What one account has left to spend. All connections of the account in this process share it.
#[derive(Debug)]
pub(crate) struct Pace {
    /// `None` where nobody counts.
    rate: Option<Rate>,
    purse: Mutex<Purse>,
}

#[derive(Debug)]
struct Purse {
    /// Below zero when those who wait have it spent already.
    units: f64,
    at: Instant,
}

impl Pace {
    fn new(rate: Option<Rate>) -> Self {
        let purse = Purse {
            units: rate.map_or(0.0, |rate| rate.burst),
            at: Instant::now(),
        };
        Self {
            rate,
            purse: Mutex::new(purse),
        }
    }

    /// Waits until a call of this cost may be made.
    pub(crate) async fn spend(&self, cost: Cost) {
        let Some(rate) = self.rate else {
            return;
        };
        let wait = self.reserve(rate, cost.units());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn reserve(&self, rate: Rate, units: u32) -> Duration {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = now.duration_since(purse.at).as_secs_f64() * rate.units_per_second;
        purse.units = (purse.units + earned).min(rate.burst) - f64::from(units);
        purse.at = now;
        Duration::from_secs_f64((-purse.units).max(0.0) / rate.units_per_second)
    }
}

/// The paces of all accounts that are in use.
#[derive(Debug)]
pub(crate) struct Paces {
    rate: Option<Rate>,
    by_account: Mutex<HashMap<String, Weak<Pace>>>,
}

impl Paces {
    /// Within an operator's quota, or else Google's where it is Google that answers. What stands in for it counts nothing.
    pub(crate) fn new(units_per_minute: Option<u32>, asks_google: bool) -> Self {
        let units = units_per_minute.or(asks_google.then_some(UNITS_PER_MINUTE));
        Self {
            rate: units.map(Rate::within),
            by_account: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, account: &str) -> Arc<Pace> {
        let mut paces = self
            .by_account
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(account).and_then(Weak::upgrade) {
            return pace;
        }
        paces.retain(|_, pace| pace.strong_count() > 0);
        let pace = Arc::new(Pace::new(self.rate));
        paces.insert(account.to_owned(), Arc::downgrade(&pace));
        pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_allows_a_burst_and_then_the_rate_rules() {
        let pace = Paces::new(Some(48_000), true).of("a");
        let begun = Instant::now();
        for _ in 0..120 {
            pace.spend(Cost::List).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..360 {
            pace.spend(Cost::List).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        assert!((59.9..60.1).contains(&seconds), "{seconds}");
        sleep(Duration::from_hours(1)).await;
        let begun = Instant::now();
        for _ in 0..120 {
            pace.spend(Cost::List).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_in_for_google_is_paced_only_where_an_operator_says_so() {
        let free = Paces::new(None, false).of("a");
        let begun = Instant::now();
        for _ in 0..10_000 {
            free.spend(Cost::Download).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(
            Paces::new(None, true).rate,
            Some(Rate::within(UNITS_PER_MINUTE))
        );
        assert_eq!(Paces::new(Some(60), false).rate, Some(Rate::within(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_works_on_one_account_shares_its_pace() {
        let paces = Paces::new(None, true);
        let (one, other) = (paces.of("a"), paces.of("a"));
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &paces.of("b")));
        drop((one, other));
        paces.of("c");
        assert_eq!(paces.by_account.lock().unwrap().len(), 1);
    }
}
