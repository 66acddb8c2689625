//! The throttle gate: how much is asked of one account at a provider at a time, and when nothing is.
//!
//! All workers of a process share one [`Gate`] per account and connection. It lets requests through in the order in which
//! they came, as many at a time as the account has been found to bear: one more after as many successes as there are places,
//! half as many after a throttled answer, once per round trip. A throttled answer also closes the gate for everyone, for as
//! long as the provider wishes.
//!
//! This knows requests, not what they are for; how large a file is matters for the process's memory alone ([`Room`]).

mod gated;
mod gates;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use gates::Gates;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{IdSource, ProviderError, Retry};

/// Requests that a new gate lets through at a time.
const FIRST_LIMIT: u32 = 16;
/// Most requests that any gate lets through at a time.
const MOST_AT_ONCE: u32 = 128;
/// The longest that a provider's wish closes a gate.
const LONGEST_CLOSING: Duration = Duration::from_hours(1);
/// How long a gate closes at first when the provider names no time; doubled with every round that is throttled again.
const FIRST_CLOSING: Duration = Duration::from_secs(1);
/// The longest that it closes when the provider names no time.
const LONGEST_GUESS: Duration = Duration::from_mins(1);
/// How long a worker waits at a closed gate: with a longer wait ahead, its run had better end and come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// The gate of one account.
struct Gate {
    /// Waiting requests take their places in the order in which they came.
    places: Arc<Semaphore>,
    state: Mutex<State>,
    /// When it is open; in the past while it is.
    opens_at: watch::Sender<Instant>,
    ids: Arc<dyn IdSource>,
}

struct State {
    /// Places there are.
    limit: u32,
    /// Places that are taken away as soon as they are given back.
    owed: u32,
    /// Requests that succeeded since the limit last changed.
    successes: u32,
    /// Counts halvings: what a request from before the last one tells is known already.
    round: u64,
    /// Halvings without a success in between.
    in_a_row: u32,
}

impl Gate {
    fn new(ids: Arc<dyn IdSource>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(FIRST_LIMIT as usize)),
            state: Mutex::new(State {
                limit: FIRST_LIMIT,
                owed: 0,
                successes: 0,
                round: 0,
                in_a_row: 0,
            }),
            opens_at: watch::Sender::new(Instant::now()),
            ids,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        *self.opens_at.borrow() > Instant::now()
    }

    /// Waits for a place, and for the gate to be open.
    async fn enter(self: &Arc<Self>) -> Result<Pass, ProviderError> {
        let mut patience = Patience::default();
        let place = tokio::select! {
            biased;
            error = self.too_long(&mut patience) => return Err(error),
            place = self.places.clone().acquire_owned() => place,
        };
        let mut pass = Pass {
            place: Some(place.expect("the places of a gate are never closed")),
            gate: self.clone(),
            round: 0,
            patience,
        };
        pass.wait_until_open().await?;
        Ok(pass)
    }

    /// Ends only when the gate is closed for longer than is waited for.
    async fn too_long(&self, patience: &mut Patience) -> ProviderError {
        let mut opens_at = self.opens_at.subscribe();
        loop {
            let at = *opens_at.borrow_and_update();
            if let Err(error) = patience.bear(at) {
                return error;
            }
            if opens_at.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn succeeded(&self, round: u64) {
        let mut state = self.state();
        if round != state.round {
            return;
        }
        state.in_a_row = 0;
        state.successes += 1;
        if state.successes >= state.limit && state.limit < MOST_AT_ONCE {
            state.limit += 1;
            state.successes = 0;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.add_permits(1);
            }
        }
    }

    fn throttled(&self, round: u64, after: Option<Duration>) {
        metrics::counter!("wharf_throttled_total").increment(1);
        let after = after.filter(|after| !after.is_zero());
        let mut state = self.state();
        let news = round == state.round;
        if news {
            let limit = (state.limit / 2).max(1);
            let surplus = state.limit - limit;
            let taken = self.places.forget_permits(surplus as usize);
            state.owed += surplus - u32::try_from(taken).unwrap_or(surplus);
            state.limit = limit;
            state.successes = 0;
            state.round += 1;
            state.in_a_row += 1;
        }
        let closing = match after {
            Some(after) => after.min(LONGEST_CLOSING),
            None if news => self.guess(state.in_a_row),
            None => return,
        };
        let until = Instant::now() + closing;
        self.opens_at.send_if_modified(|at| {
            let later = until > *at;
            if later {
                *at = until;
            }
            later
        });
    }

    /// How long to leave a provider alone that does not say so itself: at least half of a time that doubles.
    fn guess(&self, in_a_row: u32) -> Duration {
        let doubled = FIRST_CLOSING * 2u32.saturating_pow(in_a_row.saturating_sub(1).min(16));
        let half = doubled.min(LONGEST_GUESS) / 2;
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        half + half.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    }

    /// What is learned of an answer that came past the gate.
    fn overheard_throttling(&self) {
        let round = self.state().round;
        self.throttled(round, None);
    }
}

/// A request's place, given back when it is dropped.
struct Pass {
    place: Option<OwnedSemaphorePermit>,
    gate: Arc<Gate>,
    round: u64,
    patience: Patience,
}

impl Pass {
    /// Whether the gate is open; if so, the request belongs to this round.
    fn may_go(&mut self) -> bool {
        if self.gate.is_closed() {
            return false;
        }
        self.round = self.gate.state().round;
        true
    }

    /// Waits until the gate is open. What is asked next must go out without another wait.
    async fn wait_until_open(&mut self) -> Result<(), ProviderError> {
        let mut opens_at = self.gate.opens_at.subscribe();
        while !self.may_go() {
            let at = *opens_at.borrow_and_update();
            self.patience.bear(at)?;
            tokio::select! {
                () = sleep_until(at) => {}
                // The gate outlives its passes, so this ends only when the time has changed.
                _ = opens_at.changed() => {}
            }
        }
        Ok(())
    }

    /// Tells the gate what became of the request. Failures other than throttling say nothing about its limit.
    fn tell<T>(&self, answer: &Result<T, ProviderError>) {
        match answer {
            Ok(_) => self.gate.succeeded(self.round),
            Err(error) => self.tell_failure(error),
        }
    }

    fn tell_failure(&self, error: &ProviderError) {
        if error.code == ErrorCode::QuotaRateLimited {
            let after = match error.retry {
                Retry::Later { after } => after,
                Retry::Never | Retry::Restart => None,
            };
            self.gate.throttled(self.round, after);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let mut state = self.gate.state();
        if state.owed > 0 {
            state.owed -= 1;
            place.forget();
        }
    }
}

/// How long somebody has waited at a closed gate.
#[derive(Default)]
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// An error when waiting until then would take too long.
    fn bear(&mut self, opens_at: Instant) -> Result<(), ProviderError> {
        let now = Instant::now();
        if opens_at <= now {
            return Ok(());
        }
        let since = *self.since.get_or_insert(now);
        if opens_at <= since + PATIENCE {
            return Ok(());
        }
        let remaining = opens_at - now;
        Err(ProviderError {
            code: ErrorCode::QuotaRateLimited,
            retry: Retry::Later {
                after: Some(remaining),
            },
            message: format!(
                "the provider throttles this connection and is left alone for another {} s",
                remaining.as_secs().max(1)
            ),
            source: None,
        })
    }
}
