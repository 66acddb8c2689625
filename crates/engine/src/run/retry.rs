//! Trying a provider again: a few times, further and further apart, never before the provider wants it.

use std::future::Future;
use std::time::Duration;

use wharf_ports::{IdSource, ProviderError, Retry};

/// How often one call is tried in all.
const ATTEMPTS: u32 = 4;
const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// Calls `call` until it succeeds, fails for good, or has failed often enough.
pub(super) async fn with_retries<T, F>(
    ids: &dyn IdSource,
    mut call: impl FnMut() -> F,
) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let mut attempt = 1;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Retry::Later { after } = error.retry else {
            return Err(error);
        };
        let floor = after.unwrap_or_default();
        if attempt == ATTEMPTS || floor > CAP {
            return Err(error);
        }
        tracing::debug!(code = %error.code, attempt, "a provider call failed and is tried again");
        tokio::time::sleep(floor.max(jittered(ids, attempt))).await;
        attempt += 1;
    }
}

/// A random time up to twice as long with every attempt ("full jitter"), so that workers do not come back in step.
fn jittered(ids: &dyn IdSource, attempt: u32) -> Duration {
    let longest = CAP.min(BASE * 2u32.pow(attempt));
    let mut bytes = [0; 4];
    ids.fill(&mut bytes);
    longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
