//! Signs of life of one connection, and what their absence means.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a request's head may take to arrive; the first one from the moment of the connection.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is kept that nothing is asked on.
pub(super) const IDLE: Duration = Duration::from_secs(75);
/// How long a client may take nothing of an answer.
const STALLED: Duration = Duration::from_secs(30);
/// How long a connection that is to end may take for its last words, once no request is at hand.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Lives,
    /// It ends when the requests at hand have.
    Retires,
    /// It ends now.
    IsCut,
}

/// What is known of a connection.
pub(super) struct Pulse {
    accepted: Instant,
    state: Mutex<State>,
}

struct State {
    /// Requests at hand: being answered, or with an answer that is not sent yet.
    at_hand: usize,
    asked: bool,
    idle_since: Instant,
    /// When the head began that is being read.
    head_since: Option<Instant>,
    blocked_since: Option<Instant>,
    /// Answers with a piece that was handed out, and when; the next one was not asked for yet.
    handed: HashMap<u64, Instant>,
    next: u64,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            accepted: now,
            state: Mutex::new(State {
                at_hand: 0,
                asked: false,
                idle_since: now,
                head_since: None,
                blocked_since: None,
                handed: HashMap::new(),
                next: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came on a connection that carries one request at a time: between requests, a head begins.
    pub(super) fn came(&self) {
        let mut state = self.state();
        if state.at_hand == 0 {
            state.head_since.get_or_insert_with(Instant::now);
        }
    }

    /// Bytes were to go, and did or did not.
    pub(super) fn went(&self, went: bool) {
        let mut state = self.state();
        if went {
            state.blocked_since = None;
        } else {
            state.blocked_since.get_or_insert_with(Instant::now);
        }
    }

    /// A request's head has come.
    pub(super) fn asked(self: &Arc<Self>) -> AtHand {
        let mut state = self.state();
        state.at_hand += 1;
        state.asked = true;
        state.head_since = None;
        state.next += 1;
        AtHand {
            pulse: Arc::clone(self),
            id: state.next,
        }
    }

    /// What becomes of the connection, which may be retired already.
    pub(super) fn verdict(&self, retired: Option<Instant>) -> Verdict {
        let now = Instant::now();
        let state = self.state();
        let older = |since: Option<Instant>, than: Duration| {
            since.is_some_and(|since| now.duration_since(since) >= than)
        };
        if older(state.blocked_since, STALLED)
            || older(state.handed.values().min().copied(), STALLED)
        {
            return Verdict::IsCut;
        }
        if state.at_hand > 0 {
            return Verdict::Lives;
        }
        let first = (!state.asked).then_some(self.accepted);
        if older(first, HEAD) || older(state.head_since, HEAD) || older(retired, LAST_WORDS) {
            Verdict::IsCut
        } else if older(Some(state.idle_since), IDLE) {
            Verdict::Retires
        } else {
            Verdict::Lives
        }
    }
}

/// A request at hand, until its answer is sent.
pub(super) struct AtHand {
    pulse: Arc<Pulse>,
    id: u64,
}

impl AtHand {
    /// A piece of the answer was handed out.
    pub(super) fn handed(&self) {
        self.pulse.state().handed.insert(self.id, Instant::now());
    }

    /// The next one is asked for.
    pub(super) fn taken(&self) {
        self.pulse.state().handed.remove(&self.id);
    }
}

impl Drop for AtHand {
    fn drop(&mut self) {
        let mut state = self.pulse.state();
        state.handed.remove(&self.id);
        state.at_hand -= 1;
        if state.at_hand == 0 {
            state.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn verdict_after(pulse: &Pulse, time: Duration) -> Verdict {
        advance(time).await;
        pulse.verdict(None)
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_asks_is_cut() {
        let pulse = Pulse::new(Instant::now());
        pulse.came();
        assert_eq!(verdict_after(&pulse, HEAD / 2).await, Verdict::Lives);
        assert_eq!(verdict_after(&pulse, HEAD / 2).await, Verdict::IsCut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_asked_may_rest_but_not_begin_without_end() {
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let at_hand = pulse.asked();
        assert_eq!(verdict_after(&pulse, 2 * IDLE).await, Verdict::Lives);
        drop(at_hand);
        assert_eq!(verdict_after(&pulse, IDLE / 2).await, Verdict::Lives);
        pulse.came();
        assert_eq!(verdict_after(&pulse, HEAD).await, Verdict::IsCut);
        drop(pulse.asked());
        assert_eq!(verdict_after(&pulse, IDLE).await, Verdict::Retires);
        let retired = Some(Instant::now());
        assert_ne!(pulse.verdict(retired), Verdict::IsCut);
        advance(LAST_WORDS).await;
        assert_eq!(pulse.verdict(retired), Verdict::IsCut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_cut() {
        let pulse = Arc::new(Pulse::new(Instant::now()));
        let at_hand = pulse.asked();
        pulse.went(false);
        assert_eq!(verdict_after(&pulse, STALLED / 2).await, Verdict::Lives);
        pulse.went(true);
        at_hand.handed();
        assert_eq!(verdict_after(&pulse, STALLED / 2).await, Verdict::Lives);
        at_hand.taken();
        assert_eq!(verdict_after(&pulse, STALLED / 2).await, Verdict::Lives);
        at_hand.handed();
        pulse.went(false);
        assert_eq!(verdict_after(&pulse, STALLED).await, Verdict::IsCut);
    }
}
