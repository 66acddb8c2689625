//! The time of a whole check, and the second try of what may pass.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use crate::error::Fault;

/// How long the pause before the second try is at least.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a whole check may take.
pub(super) struct Patience {
    budget: Duration,
    end: Instant,
}

/// What became of a call, and how many milliseconds it took.
pub(super) struct Timed<T> {
    pub(super) answer: Result<T, Fault>,
    pub(super) ms: u64,
}

impl Patience {
    pub(super) fn from_now(budget: Duration) -> Self {
        let end = Instant::now() + budget;
        Self { budget, end }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// One try, and another if the first failed by what may pass and the pause that the store wants leaves time for it.
    pub(super) async fn call<T, E, F>(&self, call: impl Fn() -> F) -> Timed<T>
    where
        E: Into<Fault>,
        F: Future<Output = Result<T, E>>,
    {
        let begun = Instant::now();
        let answer = match self.within(call()).await {
            Some(Err(fault)) => match self.again(&fault, call).await {
                Some(answer) => answer,
                None => Err(fault),
            },
            Some(answer) => answer,
            None => Err(self.over()),
        };
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timed { answer, ms }
    }

    async fn again<T, E, F>(&self, fault: &Fault, call: impl Fn() -> F) -> Option<Result<T, Fault>>
    where
        E: Into<Fault>,
        F: Future<Output = Result<T, E>>,
    {
        let Retry::Later { after } = fault.retry else {
            return None;
        };
        let pause = after.unwrap_or(PAUSE).max(PAUSE);
        if Instant::now() + pause >= self.end {
            return None;
        }
        sleep(pause).await;
        self.within(call()).await
    }

    async fn within<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Option<Result<T, Fault>>
    where
        E: Into<Fault>,
    {
        let answer = timeout_at(self.end, call).await.ok()?;
        Some(answer.map_err(Into::into))
    }

    fn over(&self) -> Fault {
        let words = format!(
            "no answer came within the {:?} of the whole check",
            self.budget
        );
        Fault::new(ErrorCode::NetworkTimeout, words)
    }
}
