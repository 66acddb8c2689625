//! From Google's reasons, statuses and silences to Wharf's errors, in our own words: what happened, where, and what to do.

mod table;

use std::fmt;
use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_egress::{EgressError, TlsReason};
use wharf_ports::{ProviderError, Retry};

pub(crate) use self::table::Meaning;
use crate::wire::{Failure, Refused};

/// Quotas of a day are renewed once a day; asking every hour is often enough.
const QUOTA_PAUSE: Duration = Duration::from_hours(1);

/// What was asked of Google: `drive.files.list on the folder 0AB`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    action: &'static str,
    on: Option<String>,
}

impl Call {
    /// Such as `drive.about.get`, as Google's own reference calls it.
    pub(crate) fn new(action: &'static str) -> Self {
        Self { action, on: None }
    }

    /// The same, on something.
    pub(crate) fn on(self, on: impl Into<String>) -> Self {
        let on = Some(on.into());
        Self { on, ..self }
    }

    pub(crate) fn sign_in() -> Self {
        Self::new("oauth2.token")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)?;
        self.on.as_ref().map_or(Ok(()), |on| write!(f, " on {on}"))
    }
}

/// What went wrong, decided, but not yet told to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) retry: Retry,
    /// What happened: the rest of a sentence that begins with the call.
    pub(crate) words: String,
    /// What a person can do: whole sentences, or none where the words say it.
    pub(crate) remedy: String,
    /// Why there was no answer, if there was none.
    pub(crate) silence: Option<Box<EgressError>>,
    /// Whether signing in failed, and not the call itself.
    pub(crate) of_sign_in: bool,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, words: impl Into<String>) -> Self {
        Self {
            code,
            retry: retry(code, None),
            words: words.into(),
            remedy: code.remedy().to_owned(),
            silence: None,
            of_sign_in: false,
        }
    }

    /// The same, to be tried again as the caller knows better.
    pub(crate) fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same, with a remedy that fits better than the code's own.
    pub(crate) fn remedied(self, remedy: impl Into<String>) -> Self {
        let remedy = remedy.into();
        Self { remedy, ..self }
    }

    /// The same, met while signing in.
    pub(crate) fn of_sign_in(self) -> Self {
        Self {
            of_sign_in: true,
            ..self
        }
    }

    /// What a row of a table says, to be tried again after the time that Google wished, if it did.
    pub(crate) fn of(meaning: Meaning, after: Option<Duration>) -> Self {
        let fault = Self::new(meaning.code, meaning.says).retried(retry(meaning.code, after));
        match meaning.remedy {
            Some(remedy) => fault.remedied(remedy),
            None => fault,
        }
    }

    /// What happened and what to do, as sentences.
    pub(crate) fn advice(&self) -> String {
        let mut words = self.words.chars();
        let first: String = words
            .next()
            .into_iter()
            .flat_map(char::to_uppercase)
            .collect();
        let sentence = format!("{first}{}. {}", words.as_str(), self.remedy);
        sentence.trim_end().to_owned()
    }

    /// The error of a call.
    pub(crate) fn during(self, call: &Call) -> ProviderError {
        let sign_in = self.of_sign_in.then(Call::sign_in);
        let call = sign_in.as_ref().unwrap_or(call);
        let message = format!("{call}: {}. {}", self.words, self.remedy);
        let error = ProviderError {
            code: self.code,
            retry: self.retry,
            message: message.trim_end().to_owned(),
            source: None,
        };
        match self.silence {
            Some(silence) => error.caused_by(*silence),
            None => error,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Egress(error) => of_silence(error),
            Failure::CutShort => Self::new(
                ErrorCode::NetworkConnect,
                "the answer broke off, or was larger than any that makes sense",
            ),
            Failure::Refused(refused) => of_refusal(&refused),
            Failure::Unreadable { html: true } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "a page for people came back, not an answer of the Drive API",
            )
            .remedied(ADDRESSES),
            Failure::Unreadable { html: false } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the answer is none of the Drive API's",
            )
            .remedied(ADDRESSES),
            Failure::NotSignedIn(fault) => *fault,
            Failure::Unsendable => Self::new(
                ErrorCode::ConfigInvalid,
                "this is no name or id that Drive could know",
            )
            .remedied("Correct the source path or the id."),
        }
    }
}

/// Google's addresses are the operator's constants, so that nobody else can mend them.
pub(crate) const ADDRESSES: &str = "If it stays so, have the operator check what stands between Wharf and Google, and \
                                    providers.google.api_url and token_url, if they are set.";

pub(crate) fn of_silence(error: EgressError) -> Fault {
    let code = match &error {
        EgressError::Refused(_) => ErrorCode::EgressRefused,
        EgressError::Dns { .. } => ErrorCode::NetworkDns,
        EgressError::Connect { .. } | EgressError::Broken { .. } => ErrorCode::NetworkConnect,
        EgressError::ConnectTimeout { .. } | EgressError::Timeout { .. } => {
            ErrorCode::NetworkTimeout
        }
        EgressError::Tls { .. } => ErrorCode::NetworkTls,
        EgressError::Request { .. } => ErrorCode::Internal,
    };
    let fault = Fault::new(code, error.to_string());
    let fault = match &error {
        // The guard's words say what to do.
        EgressError::Refused(_) => fault.remedied(""),
        EgressError::Request { .. } => fault,
        EgressError::Tls { .. } => fault.remedied(
            "Have the operator check the clock of the machine that runs Wharf, and that nothing between it and Google \
             breaks into TLS.",
        ),
        _ => fault.remedied(
            "Have the operator check that the machine that runs Wharf reaches Google, its name servers and firewalls, \
             and providers.google.api_url and token_url, if they are set.",
        ),
    };
    let passes = matches!(
        &error,
        EgressError::Tls {
            reason: TlsReason::Closed | TlsReason::Declined | TlsReason::Other,
            ..
        }
    );
    let retry = if passes {
        Retry::Later { after: None }
    } else {
        fault.retry
    };
    Fault {
        silence: Some(Box::new(error)),
        ..fault.retried(retry)
    }
}

fn of_refusal(refused: &Refused) -> Fault {
    let fault = Fault::of(table::meaning(refused), refused.retry_after);
    if table::is_of_page_token(refused) {
        fault.retried(Retry::Restart)
    } else if table::is_of_download_quota(refused) {
        fault.retried(Retry::Never)
    } else {
        fault
    }
}

pub(crate) fn retry(code: ErrorCode, after: Option<Duration>) -> Retry {
    use ErrorCode as E;
    match code {
        E::QuotaRateLimited
        | E::ProviderUnavailable
        | E::NetworkDns
        | E::NetworkConnect
        | E::NetworkTimeout
        | E::AuthClockSkew
        | E::IntegrityMismatch
        | E::ProtocolUnexpectedResponse => Retry::Later { after },
        E::QuotaExhausted => Retry::Later {
            after: Some(after.unwrap_or(QUOTA_PAUSE)),
        },
        _ => Retry::Never,
    }
}

/// The table of what Drive's refusals mean, as the documents show it.
#[cfg(test)]
pub(crate) fn written() -> String {
    table::written()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, reason: &str, retry_after: Option<u64>) -> Fault {
        Fault::from(Failure::Refused(Refused {
            status,
            reasons: vec![reason.to_owned()],
            retry_after: retry_after.map(Duration::from_secs),
            ..Refused::default()
        }))
    }

    #[test]
    fn what_may_pass_is_tried_again_when_google_wishes() {
        let limited = fault(403, "userRateLimitExceeded", Some(7));
        let after = Some(Duration::from_secs(7));
        assert_eq!(limited.retry, Retry::Later { after });
        assert_eq!(
            fault(503, "backendError", None).retry,
            Retry::Later { after: None }
        );
        let daily = fault(403, "dailyLimitExceeded", None);
        let after = Some(QUOTA_PAUSE);
        assert_eq!(daily.retry, Retry::Later { after });
        assert_eq!(fault(403, "forbidden", None).retry, Retry::Never);
    }

    #[test]
    fn the_quota_of_one_file_does_not_hold_up_the_others() {
        let fault = fault(403, "downloadQuotaExceeded", Some(60));
        assert_eq!(
            (fault.code, fault.retry),
            (ErrorCode::QuotaExhausted, Retry::Never)
        );
    }

    #[test]
    fn an_error_names_the_call_what_happened_and_what_to_do() {
        let error = fault(403, "accessNotConfigured", None).during(&Call::new("drive.about.get"));
        assert_eq!(
            error.message,
            "drive.about.get: the Google Drive API is not enabled in the project of the credentials. Enable the Google Drive \
             API in that project (Google Cloud console, APIs & Services, Library); it takes a few minutes to work."
        );
        let silent = Failure::NotSignedIn(Box::new(
            Fault::new(
                ErrorCode::AuthClockSkew,
                "our clock is 400 s behind Google's",
            )
            .of_sign_in(),
        ));
        let error = Fault::from(silent).during(&Call::new("drive.about.get"));
        assert!(
            error
                .message
                .starts_with("oauth2.token: our clock is 400 s behind")
        );
    }
}
