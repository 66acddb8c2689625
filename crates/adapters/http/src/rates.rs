//! How often callers come: requests per minute, counted in this process.
//!
//! Each subject of a limit has one moment that its requests have used up: each request moves it on by a minute's share, and it
//! may not run ahead of now by more than a minute. A whole minute's worth passes at once; after that, requests pass at their rate.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use wharf_domain::access::Principal;
use wharf_domain::connection::Connection;
use wharf_domain::ids::{ApiKeyId, ConnectionId, OrganizationId};
use wharf_domain::rate_limit::Category;

use crate::limits::Limits;
use crate::network::network;

pub(crate) const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(crate) const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(crate) const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
pub(crate) const WINDOW: HeaderName = HeaderName::from_static("x-ratelimit-window");

const MINUTE: Duration = Duration::from_mins(1);
/// Subjects that are remembered at a time; further ones are refused until some were idle for long enough to be forgotten.
const MOST: usize = 200_000;
/// How often the idle ones are looked for at most.
const SWEEP: Duration = Duration::from_secs(1);

/// What authenticated requests are counted for.
#[derive(PartialEq, Eq, Hash)]
enum Account {
    Key(ApiKeyId),
    Organization(OrganizationId, Category),
    ConnectionTests(ConnectionId),
    Tests(OrganizationId),
}

/// Where a caller stands with the limit that is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) limit: u32,
    remaining: u32,
    /// Until nothing is used up any more.
    reset: Duration,
    /// Until one more request passes; only told when one did not.
    pub(crate) wait: Duration,
}

impl Standing {
    /// Puts the standing into an answer.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, HeaderValue::from(seconds(self.reset)));
        headers.insert(WINDOW, HeaderValue::from(MINUTE.as_secs()));
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The limits and what was used up of them.
pub(crate) struct Rates {
    limits: Limits,
    accounts: Mutex<Spent<Account>>,
    /// Apart from the accounts: who has no key must not be able to crowd out those who have.
    guesses: Mutex<Spent<IpAddr>>,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Rates {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            accounts: Mutex::default(),
            guesses: Mutex::default(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a request for its key and its organization; `Err` when one of them has no more left.
    pub(crate) fn request(
        &self,
        principal: &Principal,
        category: Category,
    ) -> Result<Standing, Standing> {
        let of_key = principal.grant.rate_limit_override;
        let of_key = of_key.unwrap_or(self.limits.requests_per_minute_per_key);
        let most = self.limits.requests_per_minute_per_organization;
        let own = principal.rate_limits.of(category);
        let of_organization = own.map_or(most, |own| own.min(most));
        let organization = principal.organization.clone();
        self.count([
            (Account::Key(principal.key.clone()), of_key),
            (
                Account::Organization(organization, category),
                of_organization,
            ),
        ])
    }

    /// Counts a test of a connection, or of one that is about to be.
    pub(crate) fn test(
        &self,
        organization: &OrganizationId,
        connection: Option<&Connection>,
    ) -> Result<Standing, Standing> {
        let of_organization = (
            Account::Tests(organization.clone()),
            self.limits.tests_per_minute_per_organization,
        );
        match connection {
            None => self.count([of_organization]),
            Some(connection) => {
                let account = Account::ConnectionTests(connection.id.clone());
                let limit = self.limits.tests_per_minute_per_connection;
                self.count([(account, limit), of_organization])
            }
        }
    }

    /// Counts an API key that stands for nobody; `Err` when there were too many from that address.
    pub(crate) fn guess(&self, address: IpAddr) -> Result<Standing, Standing> {
        let limit = self.limits.failed_authentications_per_minute;
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.take(Instant::now(), [(network(address), limit)])
    }

    fn count<const N: usize>(&self, wanted: [(Account, u32); N]) -> Result<Standing, Standing> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.take(Instant::now(), wanted)
    }
}

/// Subject → the moment that its requests have used up. One in the past is as good as none.
struct Spent<S> {
    until: HashMap<S, Instant>,
    swept_at: Option<Instant>,
    /// How many there may be before the next sweep.
    room: usize,
}

impl<S> Default for Spent<S> {
    fn default() -> Self {
        Self {
            until: HashMap::new(),
            swept_at: None,
            room: 1024,
        }
    }
}

impl<S: Eq + Hash> Spent<S> {
    /// Takes one from each of the subjects, or from none if one of them has none left.
    fn take<const N: usize>(
        &mut self,
        now: Instant,
        wanted: [(S, u32); N],
    ) -> Result<Standing, Standing> {
        self.sweep(now);
        let mut refused: Option<Standing> = None;
        let mut nearest: Option<Standing> = None;
        let mut nexts = [now; N];
        for ((subject, limit), next) in wanted.iter().zip(&mut nexts) {
            let known = self.until.get(subject).copied();
            let used = known.map_or(now, |until| until.max(now));
            // No limit of zero divides; nothing passes it.
            let share = MINUTE / (*limit).max(1);
            *next = used + share;
            let ahead = *next - now;
            let full = known.is_none() && self.until.len() >= MOST;
            if *limit == 0 || full || ahead > MINUTE {
                let wait = if *limit == 0 || full {
                    MINUTE
                } else {
                    ahead.saturating_sub(MINUTE)
                };
                let standing = Standing {
                    limit: *limit,
                    remaining: 0,
                    reset: used - now,
                    wait,
                };
                if refused.is_none_or(|other| other.wait < wait) {
                    refused = Some(standing);
                }
                continue;
            }
            let remaining = MINUTE.saturating_sub(ahead).as_nanos() / share.as_nanos();
            let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
            if nearest.is_none_or(|other| remaining < other.remaining) {
                nearest = Some(Standing {
                    limit: *limit,
                    remaining,
                    reset: ahead,
                    wait: Duration::ZERO,
                });
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        for ((subject, _), next) in wanted.into_iter().zip(nexts) {
            self.until.insert(subject, next);
        }
        Ok(nearest.expect("there is at least one subject"))
    }

    /// Forgets who has nothing used up, once there are many more than after the last time.
    fn sweep(&mut self, now: Instant) {
        let rested = self.swept_at.is_none_or(|at| now - at >= SWEEP);
        if self.until.len() < self.room || !rested {
            return;
        }
        self.until.retain(|_, until| *until > now);
        self.swept_at = Some(now);
        self.room = (2 * self.until.len()).clamp(1024, MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(spent: &mut Spent<u32>, now: Instant, limit: u32) -> Result<Standing, Standing> {
        spent.take(now, [(1, limit)])
    }

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_passes_at_once_and_then_one_per_share() {
        let mut spent = Spent::default();
        let now = Instant::now();
        for left in (0..5).rev() {
            let standing = take(&mut spent, now, 5).expect("within the limit");
            assert_eq!((standing.limit, standing.remaining), (5, left));
        }
        let refused = take(&mut spent, now, 5).expect_err("the sixth");
        assert_eq!(refused.wait, Duration::from_secs(12));
        assert_eq!(refused.reset, MINUTE);
        let early = now + Duration::from_millis(11_999);
        take(&mut spent, early, 5).expect_err("too early");
        let later = now + Duration::from_secs(12);
        take(&mut spent, later, 5).expect("one more");
        take(&mut spent, later, 5).expect_err("and no other");
        for _ in 0..5 {
            take(&mut spent, later + MINUTE, 5).expect("all are back");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_when_one_of_two_has_none_left() {
        let mut spent = Spent::default();
        let now = Instant::now();
        spent.take(now, [(1, 1)]).expect("the first");
        for _ in 0..3 {
            spent.take(now, [(1, 1), (2, 2)]).expect_err("used up");
        }
        spent.take(now, [(2, 2)]).expect("untouched");
        let standing = spent.take(now, [(2, 2), (3, 9)]).expect("the last");
        assert_eq!(
            (standing.limit, standing.remaining),
            (2, 0),
            "the nearest is told"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_zero_lets_nothing_through_and_the_largest_does_not_overflow() {
        let mut spent = Spent::default();
        let now = Instant::now();
        assert_eq!(take(&mut spent, now, 0).expect_err("nothing").wait, MINUTE);
        take(&mut spent, now, u32::MAX).expect("one");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_idle_are_forgotten() {
        let mut spent = Spent::default();
        let now = Instant::now();
        for subject in 0..MOST {
            spent.take(now, [(subject, 1)]).expect("a new one");
        }
        spent.take(now, [(MOST, 1)]).expect_err("no room");
        assert_eq!(spent.until.len(), MOST);
        spent.take(now + MINUTE, [(MOST, 1)]).expect("room again");
        assert_eq!(spent.until.len(), 1);
    }
}
