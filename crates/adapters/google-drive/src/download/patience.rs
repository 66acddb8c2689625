//! How often a download that breaks is taken up again, and after what pause.

use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use crate::error::Fault;

/// So many bytes since the last break are a progress, after which patience begins anew.
const PROGRESS: u64 = 64 * 1024;

/// How many times in a row it may be taken up without progress, and how many times in all.
const MOST_IN_VAIN: u32 = 3;
const MOST: u32 = 100;

/// The first pause; without progress, each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);

/// What takes longer to pass is left to whoever tries the whole file again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is left of the patience with one download.
#[derive(Debug, Default)]
pub(super) struct Patience {
    taken_up: u32,
    in_vain: u32,
    /// How far the download was when it last made progress.
    mark: u64,
}

impl Patience {
    /// How long to wait before the download is taken up after `received` bytes; nothing when it is over.
    pub(super) fn pause(&mut self, received: u64, fault: &Fault) -> Option<Duration> {
        let Retry::Later { after } = fault.retry else {
            return None;
        };
        if !passes(fault.code) {
            return None;
        }
        if received >= self.mark + PROGRESS {
            (self.in_vain, self.mark) = (0, received);
        }
        let pause = (PAUSE * 2u32.pow(self.in_vain)).max(after.unwrap_or_default());
        self.in_vain += 1;
        self.taken_up += 1;
        let goes_on =
            self.in_vain <= MOST_IN_VAIN && self.taken_up <= MOST && pause <= LONGEST_PAUSE;
        goes_on.then_some(pause)
    }
}

/// Whether it can be over in a moment: the network, a busy service, a body that came out short.
fn passes(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::NetworkDns
            | E::NetworkConnect
            | E::NetworkTimeout
            | E::NetworkTls
            | E::QuotaRateLimited
            | E::ProviderUnavailable
            | E::IntegrityMismatch
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(fault: &Fault, received: impl Fn(u32) -> u64) -> Vec<u128> {
        let mut patience = Patience::default();
        (0..1000)
            .map_while(|time| patience.pause(received(time), fault))
            .map(|pause| pause.as_millis())
            .collect()
    }

    #[test]
    fn pauses_grow_until_there_is_progress_and_end_without_it() {
        let broken = Fault::new(ErrorCode::NetworkConnect, "broken");
        assert_eq!(pauses(&broken, |_| 0), [250, 500, 1000]);
        let slowly = |time: u32| u64::from(time / 2) * PROGRESS;
        assert_eq!(pauses(&broken, slowly)[..6], [250, 500, 250, 500, 250, 500]);
        let quickly = pauses(&broken, |time| u64::from(time) * PROGRESS);
        assert_eq!(quickly, vec![250; 100]);
    }

    #[test]
    fn google_s_own_wish_is_heeded_if_it_is_soon() {
        let wish = |seconds| {
            let after = Some(Duration::from_secs(seconds));
            Fault::new(ErrorCode::QuotaRateLimited, "busy").retried(Retry::Later { after })
        };
        assert_eq!(pauses(&wish(7), |_| 0), [7000, 7000, 7000]);
        assert!(pauses(&wish(31), |_| 0).is_empty());
    }

    #[test]
    fn what_does_not_pass_by_itself_ends_the_download_at_once() {
        for code in [
            ErrorCode::AuthInvalidCredentials,
            ErrorCode::PermDenied,
            ErrorCode::ResourceChanged,
            ErrorCode::QuotaExhausted,
            ErrorCode::ProtocolUnexpectedResponse,
        ] {
            let fault = Fault::new(code, "no");
            assert!(pauses(&fault, |_| 0).is_empty(), "{code}");
        }
    }
}
