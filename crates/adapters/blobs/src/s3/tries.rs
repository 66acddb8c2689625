//! How often a call is made before it counts as failed.

use std::future::Future;
use std::time::Duration;

use super::failure::Failure;

const MOST: u32 = 4;
/// Before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A store that wants to be left alone for longer is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The tries of one call.
#[derive(Debug, Default)]
pub(super) struct Tries {
    made: u32,
    unclear: bool,
}

impl Tries {
    /// Waits until the call may be made again, or gives the failure back.
    pub(super) async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        self.made += 1;
        let reason = failure.clone().reason();
        self.unclear |= failure_is_unclear(&failure);
        let pause = match &reason {
            super::fault::Reason::Busy(Some(wish)) => *wish,
            _ => Duration::ZERO,
        };
        if self.made >= MOST || pause > LONGEST_PAUSE || !reason.may_pass() {
            return Err(failure);
        }
        tokio::time::sleep(pause.max(FIRST_PAUSE * 2_u32.pow(self.made - 1))).await;
        Ok(())
    }

    /// Begins anew, after a success.
    pub(super) fn renew(&mut self) {
        *self = Self::default();
    }

    /// Whether one of the tries may have succeeded without an answer that says so.
    pub(super) fn unclear(&self) -> bool {
        self.unclear
    }
}

fn failure_is_unclear(failure: &Failure) -> bool {
    matches!(failure, Failure::Other(reason) if reason.is_unclear())
}

/// Makes a call that may be repeated at will until it succeeds, or fails for good.
pub(super) async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut tries = Tries::default();
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(failure) => tries.again(failure).await?,
        }
    }
}
