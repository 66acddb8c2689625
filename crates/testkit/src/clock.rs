use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::SubsecRound;
use wharf_domain::Timestamp;
use wharf_ports::Clock;

/// A clock that stands still until it is moved. It starts at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// A clock at its start.
    pub fn new() -> Self {
        Self(Mutex::new(
            Timestamp::from_timestamp(1_767_225_600, 0)
                .expect("the start lies within chrono's range"),
        ))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }

    /// Moves the clock anywhere, backwards too.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .trunc_subsecs(6)
    }
}
