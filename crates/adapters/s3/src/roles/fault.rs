//! What STS's answers mean, in our own words: whether the role, the connection or Wharf's own identity is to blame.

use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use crate::error::Fault;
use crate::wire::{Failure, Refused};

/// `AssumeRole`, asked by Wharf's own identity.
pub(crate) fn of_assume_role(failure: Failure) -> Fault {
    match code(&failure) {
        Some("AccessDenied" | "AccessDeniedException") => denied(),
        // What is wrong with our own identity always has a code; some servers in STS's place deny without one.
        None if matches!(&failure, Failure::Refused(refused) if refused.status == 403) => denied(),
        Some("RegionDisabledException") => region_disabled(),
        Some("ValidationError" | "MalformedPolicyDocument" | "PackedPolicyTooLarge") => Fault::new(
            ErrorCode::ConfigInvalid,
            "STS does not accept provider_config.credentials: role_arn and external_id must be those of an existing role",
        ),
        _ => of_own(failure),
    }
}

fn denied() -> Fault {
    Fault::new(
        ErrorCode::AuthAssumeRoleDenied,
        "STS does not let Wharf assume the role: it does not exist, or its trust policy does not name Wharf's identity with \
         the issued external id as a StringEquals condition on sts:ExternalId",
    )
}

/// A call that only Wharf's own identity is to blame for.
pub(crate) fn of_own(failure: Failure) -> Fault {
    let broken = |what: &str| {
        Fault::new(
            ErrorCode::Internal,
            format!("{what}: the operator of this server must correct providers.aws.identity"),
        )
    };
    match (code(&failure), &failure) {
        (Some("RegionDisabledException"), _) => region_disabled(),
        (Some("ExpiredToken" | "ExpiredTokenException"), _) => {
            broken("Wharf's own identity is past its end")
        }
        (Some("SignatureDoesNotMatch"), _) => broken(
            "STS does not accept the signature of Wharf's own identity (its secret, or this machine's clock, is wrong)",
        ),
        (_, Failure::Unsendable) => {
            broken("Wharf's own identity could not be found where it was to be")
                .retried(Retry::Later { after: None })
        }
        (_, Failure::Refused(refused)) if !passes(refused) => {
            broken("STS does not accept Wharf's own identity")
        }
        (_, Failure::Unreadable { .. }) => Fault::new(
            ErrorCode::Internal,
            "what answers in STS's place does not speak its protocol (providers.aws.sts_url)",
        )
        .retried(Retry::Later { after: None }),
        _ => of_transport(failure),
    }
}

/// A call that the account's own key is to blame for.
pub(crate) fn of_account(failure: Failure) -> Fault {
    match code(&failure) {
        Some("InvalidClientTokenId" | "UnrecognizedClientException") => Fault::new(
            ErrorCode::AuthInvalidCredentials,
            "AWS does not know the access key id",
        ),
        Some("SignatureDoesNotMatch") => Fault::new(
            ErrorCode::AuthInvalidCredentials,
            "the signature does not match: the secret access key is wrong",
        ),
        Some("ExpiredToken" | "ExpiredTokenException") => {
            Fault::new(ErrorCode::AuthExpired, "the session token is past its end")
        }
        Some("RegionDisabledException") => region_disabled(),
        _ => of_transport(failure),
    }
}

fn region_disabled() -> Fault {
    let words =
        "the region is not activated in the account: set provider_config.region to one that is";
    Fault::new(ErrorCode::ConfigWrongRegion, words)
}

/// What lies between us and STS, in words that say so.
fn of_transport(failure: Failure) -> Fault {
    let of_sts = matches!(failure, Failure::Refused(_));
    let fault = Fault::from(failure);
    // The guard's words say what to do; to anything else no setting of a connection matters.
    if fault.silence.is_some() && fault.code != ErrorCode::EgressRefused {
        return fault.remedied(
            "Wharf asks STS for every role: the operator of this server must let it get there, or correct \
             providers.aws.sts_url.",
        );
    }
    if of_sts {
        let words = match fault.code {
            ErrorCode::QuotaRateLimited => "STS asks for fewer requests",
            ErrorCode::ProviderUnavailable => "STS has an outage",
            ErrorCode::AuthClockSkew => "STS's clock and ours disagree",
            _ => "STS does not accept the request",
        };
        return fault.worded(words.to_owned());
    }
    fault
}

/// Whether a refusal is one of those that pass by themselves.
fn passes(refused: &Refused) -> bool {
    let fault = Fault::from(Failure::Refused(refused.clone()));
    matches!(fault.retry, Retry::Later { .. })
}

fn code(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Refused(refused) => refused.code.as_deref(),
        _ => None,
    }
}
