//! The one table from the store's codes, statuses and silences to Wharf's errors, in our own words.

use std::fmt;
use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_egress::{EgressError, TlsReason};
use wharf_ports::{ProviderError, Retry};

use crate::wire::{Failure, Hint, Refused};

/// Caps are renewed once a day; asking every hour is often enough.
const CAP_PAUSE: Duration = Duration::from_hours(1);

/// What was asked of the store: `s3:ListBucket on media`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    action: &'static str,
    bucket: Option<String>,
}

impl Call {
    pub(crate) fn list_buckets() -> Self {
        Self {
            action: "s3:ListAllMyBuckets",
            bucket: None,
        }
    }

    pub(crate) fn list(bucket: &str) -> Self {
        Self {
            action: "s3:ListBucket",
            bucket: Some(bucket.to_owned()),
        }
    }

    pub(crate) fn get(bucket: &str) -> Self {
        Self {
            action: "s3:GetObject",
            bucket: Some(bucket.to_owned()),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action)?;
        self.bucket
            .as_ref()
            .map_or(Ok(()), |bucket| write!(f, " on {bucket}"))
    }
}

/// What went wrong, decided, but not yet told to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) retry: Retry,
    pub(crate) words: String,
    cause: Option<EgressError>,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, words: impl Into<String>) -> Self {
        Self {
            code,
            retry: retry(code, None),
            words: words.into(),
            cause: None,
        }
    }

    /// The same, to be tried again as the caller knows better.
    pub(crate) fn retried(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same, in words that say more.
    pub(crate) fn worded(self, words: String) -> Self {
        Self { words, ..self }
    }

    /// The error of a call.
    pub(crate) fn during(self, call: &Call) -> ProviderError {
        let message = format!("{call}: {}", self.words);
        let error = ProviderError {
            code: self.code,
            retry: self.retry,
            message,
            source: None,
        };
        match self.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Egress(error) => of_egress(error),
            Failure::Refused(refused) => of_refusal(&refused),
            Failure::Unreadable { html: true } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the endpoint answers with a page for people, not with the S3 protocol",
            ),
            Failure::Unreadable { html: false } => Self::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the answer is no complete document of the S3 protocol",
            ),
            Failure::Corrupt => Self::new(
                ErrorCode::IntegrityMismatch,
                "the bytes do not match the checksum that the store sent with them",
            ),
            Failure::NotSignedIn(fault) => *fault,
            Failure::Unsendable => Self::new(ErrorCode::Internal, "the request could not be made"),
        }
    }
}

fn of_egress(error: EgressError) -> Fault {
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
        retry(code, None)
    };
    Fault {
        code,
        retry,
        words: error.to_string(),
        cause: Some(error),
    }
}

fn of_refusal(refused: &Refused) -> Fault {
    let known = refused
        .code
        .as_deref()
        .and_then(|code| of_code(code, refused.hint));
    let (code, words) = match known {
        Some(known) => known,
        None if refused.status == 301 && refused.region.is_some() => WRONG_REGION,
        None => of_status(refused.status),
    };
    let words = match (&refused.region, code) {
        (Some(region), ErrorCode::ConfigWrongRegion) => {
            format!("the bucket lies in {region}: set provider_config.region to it")
        }
        _ => words.to_owned(),
    };
    Fault {
        code,
        retry: retry(code, refused.retry_after),
        words,
        cause: None,
    }
}

const WRONG_REGION: (ErrorCode, &str) = (
    ErrorCode::ConfigWrongRegion,
    "the bucket lies in another region",
);
const RATE_LIMITED: (ErrorCode, &str) = (
    ErrorCode::QuotaRateLimited,
    "the store asks for fewer requests",
);
const UNAVAILABLE: (ErrorCode, &str) = (ErrorCode::ProviderUnavailable, "the store has an outage");
const NOT_SPOKEN: (ErrorCode, &str) = (
    ErrorCode::ConfigEndpointInvalid,
    "the endpoint does not offer this part of the S3 protocol",
);

/// What a machine code means.
fn of_code(code: &str, hint: Option<Hint>) -> Option<(ErrorCode, &'static str)> {
    use ErrorCode as E;
    Some(match code {
        "InvalidAccessKeyId" => (
            E::AuthInvalidCredentials,
            "the store does not know the access key id",
        ),
        "SignatureDoesNotMatch" => (
            E::AuthInvalidCredentials,
            "the signature does not match: the secret access key is wrong, or a proxy changes host or region",
        ),
        "InvalidToken" | "InvalidSecurity" => (
            E::AuthInvalidCredentials,
            "the store does not accept the session token",
        ),
        "ExpiredToken" | "TokenRefreshRequired" => {
            (E::AuthExpired, "the session token is past its end")
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            (E::AuthClockSkew, "the store's clock and ours disagree")
        }
        "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => (
            E::AuthAccountDisabled,
            "the account cannot be used at the store",
        ),
        "AccessDenied" => match hint {
            Some(Hint::ExplicitDeny) => (
                E::PermPolicyBlocked,
                "a policy of the bucket or organization denies it",
            ),
            Some(Hint::CapExceeded) => (E::QuotaExhausted, "a cap of the account is used up"),
            Some(Hint::Encryption) => (
                E::PermDenied,
                "the object's encryption key may not be used: grant kms:Decrypt",
            ),
            None => (E::PermDenied, "the access key may not do this"),
        },
        "AccessPointAccessDenied" => (E::PermDenied, "the access key may not do this"),
        "InvalidPayer" => (
            E::PermDenied,
            "requests to this bucket are at the requester's expense, which Wharf does not accept",
        ),
        "NoSuchBucket" => (E::ResourceNotFound, "there is no such bucket"),
        "InvalidBucketName" => (
            E::ConfigInvalid,
            "the store does not accept the bucket's name",
        ),
        "NoSuchKey" | "NoSuchVersion" => (E::ResourceNotFound, "the object is gone"),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "InvalidRegion" => WRONG_REGION,
        "InvalidObjectState" => (E::ResourceArchived, "the object is in an archive class"),
        "PreconditionFailed" | "InvalidRange" => (
            E::ResourceChanged,
            "the object has changed since it was listed",
        ),
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException" => RATE_LIMITED,
        throttled
            if throttled.starts_with("Throttling") || throttled.starts_with("RequestThrottled") =>
        {
            RATE_LIMITED
        }
        "ServiceUnavailable" | "InternalError" | "OperationAborted" => UNAVAILABLE,
        "RequestTimeout" => (E::NetworkTimeout, "the request took too long to arrive"),
        "NotImplemented" | "MethodNotAllowed" => NOT_SPOKEN,
        "InvalidRequest" if hint == Some(Hint::Encryption) => (
            E::PermDenied,
            "the object is encrypted with a key that only its owner has",
        ),
        "UserSuspended" => (E::QuotaExhausted, "a cap of the account is used up"),
        kms if kms.starts_with("KMS.") => (
            E::PermDenied,
            "the object's encryption key cannot be used: it is disabled, deleted or not granted (kms:Decrypt)",
        ),
        _ => return None,
    })
}

/// What a status means when the code is unknown or missing.
fn of_status(status: u16) -> (ErrorCode, &'static str) {
    use ErrorCode as E;
    match status {
        300..=399 => (
            E::ConfigEndpointInvalid,
            "the endpoint points elsewhere, which is not followed",
        ),
        401 => (
            E::AuthInvalidCredentials,
            "the store does not accept the credentials",
        ),
        403 => (E::PermDenied, "the store forbids it"),
        404 | 410 => (E::ResourceNotFound, "the store finds nothing there"),
        405 | 501 => NOT_SPOKEN,
        408 | 504 => (
            E::NetworkTimeout,
            "the store, or what stands before it, took too long",
        ),
        409 | 412 | 416 => (
            E::ResourceChanged,
            "the object has changed since it was listed",
        ),
        429 | 509 => RATE_LIMITED,
        500.. => UNAVAILABLE,
        _ => (E::ConfigInvalid, "the store does not accept the request"),
    }
}

fn retry(code: ErrorCode, after: Option<Duration>) -> Retry {
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
            after: Some(after.unwrap_or(CAP_PAUSE)),
        },
        _ => Retry::Never,
    }
}

#[cfg(test)]
mod tests {
    use wharf_domain::provider::s3::Region;

    use super::*;

    fn refusal(status: u16, code: Option<&str>) -> Refused {
        Refused {
            status,
            code: code.map(ToOwned::to_owned),
            ..Refused::default()
        }
    }

    fn code_of(refused: Refused) -> ErrorCode {
        Fault::from(Failure::Refused(refused)).code
    }

    #[test]
    fn every_code_of_the_protocol_has_its_meaning() {
        use ErrorCode as E;
        for (codes, status, meaning) in [
            (
                "InvalidAccessKeyId SignatureDoesNotMatch InvalidSecurity",
                403,
                E::AuthInvalidCredentials,
            ),
            ("InvalidToken", 400, E::AuthInvalidCredentials),
            ("ExpiredToken TokenRefreshRequired", 400, E::AuthExpired),
            ("RequestTimeTooSkewed RequestExpired", 403, E::AuthClockSkew),
            (
                "AccessDenied AccessPointAccessDenied InvalidPayer",
                403,
                E::PermDenied,
            ),
            (
                "AllAccessDisabled AccountProblem NotSignedUp",
                403,
                E::AuthAccountDisabled,
            ),
            (
                "NoSuchBucket NoSuchKey NoSuchVersion",
                404,
                E::ResourceNotFound,
            ),
            ("InvalidBucketName", 400, E::ConfigInvalid),
            ("PermanentRedirect", 301, E::ConfigWrongRegion),
            ("TemporaryRedirect", 307, E::ConfigWrongRegion),
            (
                "AuthorizationHeaderMalformed IllegalLocationConstraintException InvalidRegion",
                400,
                E::ConfigWrongRegion,
            ),
            ("InvalidObjectState", 403, E::ResourceArchived),
            ("PreconditionFailed", 412, E::ResourceChanged),
            ("InvalidRange", 416, E::ResourceChanged),
            (
                "SlowDown BandwidthLimitExceeded RequestLimitExceeded",
                503,
                E::QuotaRateLimited,
            ),
            (
                "Throttling ThrottlingException ThrottledByThrottlingRule TooManyRequests",
                429,
                E::QuotaRateLimited,
            ),
            ("ServiceUnavailable", 503, E::ProviderUnavailable),
            ("InternalError", 500, E::ProviderUnavailable),
            ("OperationAborted", 409, E::ProviderUnavailable),
            ("RequestTimeout", 400, E::NetworkTimeout),
            ("NotImplemented", 501, E::ConfigEndpointInvalid),
            ("MethodNotAllowed", 405, E::ConfigEndpointInvalid),
            (
                "KMS.DisabledException KMS.NotFoundException KMS.InvalidStateException",
                400,
                E::PermDenied,
            ),
            ("UserSuspended", 403, E::QuotaExhausted),
        ] {
            for code in codes.split(' ') {
                assert_eq!(code_of(refusal(status, Some(code))), meaning, "{code}");
            }
        }
    }

    #[test]
    fn a_message_refines_a_denial() {
        for (code, hint, meaning) in [
            (
                "AccessDenied",
                Hint::ExplicitDeny,
                ErrorCode::PermPolicyBlocked,
            ),
            ("AccessDenied", Hint::CapExceeded, ErrorCode::QuotaExhausted),
            ("AccessDenied", Hint::Encryption, ErrorCode::PermDenied),
            ("InvalidRequest", Hint::Encryption, ErrorCode::PermDenied),
            ("NoSuchKey", Hint::Encryption, ErrorCode::ResourceNotFound),
        ] {
            let refused = Refused {
                hint: Some(hint),
                ..refusal(403, Some(code))
            };
            assert_eq!(code_of(refused), meaning, "{code} {hint:?}");
        }
    }

    #[test]
    fn unknown_and_missing_codes_are_told_by_their_status() {
        use ErrorCode as E;
        for (status, meaning) in [
            (302, E::ConfigEndpointInvalid),
            (400, E::ConfigInvalid),
            (401, E::AuthInvalidCredentials),
            (403, E::PermDenied),
            (404, E::ResourceNotFound),
            (405, E::ConfigEndpointInvalid),
            (408, E::NetworkTimeout),
            (409, E::ResourceChanged),
            (410, E::ResourceNotFound),
            (412, E::ResourceChanged),
            (416, E::ResourceChanged),
            (418, E::ConfigInvalid),
            (429, E::QuotaRateLimited),
            (500, E::ProviderUnavailable),
            (501, E::ConfigEndpointInvalid),
            (502, E::ProviderUnavailable),
            (503, E::ProviderUnavailable),
            (504, E::NetworkTimeout),
            (509, E::QuotaRateLimited),
        ] {
            assert_eq!(code_of(refusal(status, None)), meaning, "{status}");
            assert_eq!(
                code_of(refusal(status, Some("NeverHeardOf"))),
                meaning,
                "{status}"
            );
        }
    }

    #[test]
    fn the_bucket_s_region_is_named_if_the_store_names_it() {
        let refused = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(301, Some("PermanentRedirect"))
        };
        let error = Fault::from(Failure::Refused(refused)).during(&Call::list("media"));
        let text = "s3:ListBucket on media: the bucket lies in eu-central-1: set provider_config.region to it";
        assert_eq!(error.message, text);
        let bare = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(301, None)
        };
        assert_eq!(code_of(bare), ErrorCode::ConfigWrongRegion);
        let elsewhere = Refused {
            region: Region::parse("eu-central-1"),
            ..refusal(403, Some("AccessDenied"))
        };
        assert_eq!(code_of(elsewhere), ErrorCode::PermDenied);
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_not_before_the_store_wants() {
        let after = Some(Duration::from_secs(7));
        let retry = |status, code| {
            Fault::from(Failure::Refused(Refused {
                retry_after: after,
                ..refusal(status, Some(code))
            }))
            .retry
        };
        assert_eq!(retry(503, "SlowDown"), Retry::Later { after });
        assert_eq!(retry(503, "ServiceUnavailable"), Retry::Later { after });
        assert_eq!(retry(403, "AccessDenied"), Retry::Never);
        assert_eq!(retry(412, "PreconditionFailed"), Retry::Never);
        assert_eq!(
            Fault::from(Failure::Corrupt).retry,
            Retry::Later { after: None }
        );
        assert_eq!(
            Fault::from(Failure::Refused(refusal(403, Some("UserSuspended")))).retry,
            Retry::Later {
                after: Some(CAP_PAUSE)
            }
        );
    }

    #[test]
    fn silences_keep_their_kind_and_words() {
        let target = || "h:1".to_owned();
        let tls = |reason| EgressError::Tls {
            target: target(),
            reason,
        };
        let later = Retry::Later { after: None };
        for (error, code, retry) in [
            (
                EgressError::Dns {
                    host: target(),
                    timed_out: false,
                },
                ErrorCode::NetworkDns,
                later,
            ),
            (
                EgressError::Broken { target: target() },
                ErrorCode::NetworkConnect,
                later,
            ),
            (
                EgressError::ConnectTimeout { target: target() },
                ErrorCode::NetworkTimeout,
                later,
            ),
            (tls(TlsReason::Expired), ErrorCode::NetworkTls, Retry::Never),
            (tls(TlsReason::Closed), ErrorCode::NetworkTls, later),
            (
                EgressError::Request { target: target() },
                ErrorCode::Internal,
                Retry::Never,
            ),
        ] {
            let fault = Fault::from(Failure::Egress(error.clone()));
            assert_eq!(
                (fault.code, fault.retry, &fault.words),
                (code, retry, &error.to_string())
            );
            assert!(fault.during(&Call::list_buckets()).source.is_some());
        }
    }
}
