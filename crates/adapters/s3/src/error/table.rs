//! The table of what stores refuse with. `docs/providers/s3.md` shows it; a test compares the two.

use std::ops::RangeInclusive;

use wharf_domain::error_code::ErrorCode;
use wharf_domain::error_code::ErrorCode as E;

use crate::wire::{Hint, Refused};

/// What a refusal means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    pub(super) code: ErrorCode,
    /// What happened.
    pub(super) says: &'static str,
    /// What to do, where the code's own remedy can be bettered.
    pub(super) remedy: Option<&'static str>,
}

/// Refusals with the same meaning.
#[derive(Debug)]
pub(super) struct Row {
    /// The store's codes; `*` at the end stands for any rest.
    codes: &'static [&'static str],
    /// What the message must give away, if the code alone says too little. Such rows stand before those of the bare code.
    hint: Option<Hint>,
    meaning: Meaning,
}

const fn means(
    codes: &'static [&'static str],
    hint: Option<Hint>,
    code: ErrorCode,
    says: &'static str,
    remedy: Option<&'static str>,
) -> Row {
    Row {
        codes,
        hint,
        meaning: Meaning { code, says, remedy },
    }
}

const DENIALS: &[&str] = &["AccessDenied", "AccessPointAccessDenied"];

/// What the store's codes mean; the first row that fits counts.
static CODES: &[Row] = &[
    means(
        &["InvalidAccessKeyId"],
        None,
        E::AuthInvalidCredentials,
        "the store does not know the access key id",
        Some(
            "Correct provider_config.credentials.access_key_id: check for a truncated paste, a deleted key, or a key of \
             another account or store.",
        ),
    ),
    means(
        &["SignatureDoesNotMatch"],
        None,
        E::AuthInvalidCredentials,
        "the signature does not match",
        Some(
            "Correct provider_config.credentials.secret_access_key; if it is right, check that \
             provider_config.endpoint_url and region are the store's own and that no proxy changes the host.",
        ),
    ),
    means(
        &["InvalidToken", "InvalidSecurity"],
        None,
        E::AuthInvalidCredentials,
        "the store does not accept the session token",
        Some(
            "Correct provider_config.credentials.session_token, which belongs to one temporary key; leave it out for a \
             permanent one.",
        ),
    ),
    means(
        &["AuthorizationHeaderMalformed"],
        Some(Hint::MalformedKey),
        E::AuthInvalidCredentials,
        "the access key id has a form that no key has",
        Some("Correct provider_config.credentials.access_key_id: check what was pasted."),
    ),
    means(
        &["ExpiredToken", "TokenRefreshRequired"],
        None,
        E::AuthExpired,
        "the session token is past its end",
        Some(
            "Update the connection with a new temporary key (access_key_id, secret_access_key and session_token \
             together), a permanent key or a role.",
        ),
    ),
    means(
        &["RequestTimeTooSkewed", "RequestExpired"],
        None,
        E::AuthClockSkew,
        "the store's clock and ours disagree",
        None,
    ),
    means(
        &["AllAccessDisabled", "AccountProblem", "NotSignedUp"],
        None,
        E::AuthAccountDisabled,
        "the account cannot be used at the store",
        Some(
            "Settle with the store what stops the account, such as an unpaid bill, or use another one.",
        ),
    ),
    means(
        DENIALS,
        Some(Hint::EncryptionKey),
        E::PermDenied,
        "the key that encrypts the object may not be used",
        Some(
            "Grant kms:Decrypt on the object's KMS key, in the key's policy too if the key is another account's.",
        ),
    ),
    means(
        DENIALS,
        Some(Hint::RequesterPays),
        E::ObjectRequesterPays,
        "reading from this bucket is at the requester's expense, which Wharf does not accept",
        None,
    ),
    means(
        DENIALS,
        Some(Hint::CapExceeded),
        E::QuotaExhausted,
        "a cap of the account is used up",
        Some("Raise the account's caps at the store, or wait until they are renewed."),
    ),
    means(
        DENIALS,
        Some(Hint::OrganizationPolicy),
        E::PermPolicyBlocked,
        "a policy of the organization denies it",
        Some(
            "Ask who manages the organization's service and resource control policies to allow the action.",
        ),
    ),
    means(
        DENIALS,
        Some(Hint::EndpointPolicy),
        E::PermPolicyBlocked,
        "the policy of the VPC endpoint denies it",
        Some(
            "Allow the action and the bucket in the policy of the VPC endpoint that Wharf's requests pass.",
        ),
    ),
    means(
        DENIALS,
        Some(Hint::Boundary),
        E::PermPolicyBlocked,
        "the permissions boundary of the user or role denies it",
        Some("Ask who manages the permissions boundary to allow the action."),
    ),
    means(
        DENIALS,
        Some(Hint::BucketPolicy),
        E::PermPolicyBlocked,
        "a Deny in the policy of the bucket or access point forbids it",
        Some("Ask who manages the bucket to except this user or role from the policy's Deny."),
    ),
    means(
        DENIALS,
        Some(Hint::BucketGrantsNothing),
        E::PermDenied,
        "the bucket's policy does not allow it, which a bucket of another account must",
        Some(
            "Have the bucket's owner allow the action to this user or role in the bucket's policy.",
        ),
    ),
    means(
        DENIALS,
        Some(Hint::OwnDeny),
        E::PermDenied,
        "a Deny in the user's or role's own policies forbids it",
        Some("Remove the Deny, or except the action from it; an Allow beside it does not help."),
    ),
    means(
        DENIALS,
        None,
        E::PermDenied,
        "the credentials do not allow it",
        Some(
            "Grant the named action to the access key's user or to the role. If it is granted, look for a policy of the \
             bucket that denies it, and for requester pays, which Wharf does not accept.",
        ),
    ),
    means(
        &["InvalidPayer", "UserProjectMissing"],
        None,
        E::ObjectRequesterPays,
        "reading from this bucket is at the requester's expense, which Wharf does not accept",
        None,
    ),
    means(
        &["NoSuchBucket"],
        None,
        E::ResourceNotFound,
        "there is no such bucket",
        Some(
            "Check the bucket at the start of the source path, and that provider_config.endpoint_url and region are \
             those of the store that has it.",
        ),
    ),
    means(
        &["InvalidBucketName"],
        None,
        E::ConfigInvalid,
        "the store does not accept the bucket's name",
        Some("Correct the bucket at the start of the source path."),
    ),
    means(
        &["NoSuchKey", "NoSuchVersion"],
        None,
        E::ResourceNotFound,
        "the object is gone",
        Some("Nothing to do: the next run sees what has become of it."),
    ),
    means(
        &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "Redirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "InvalidRegion",
        ],
        None,
        E::ConfigWrongRegion,
        "the bucket lies in another region",
        Some(
            "Look the bucket's region up at the store, set provider_config.region to it and, if \
             provider_config.endpoint_url names a region, that one, too.",
        ),
    ),
    means(
        &["InvalidObjectState"],
        None,
        E::ResourceArchived,
        "the object is in an archive class",
        None,
    ),
    means(
        &["PreconditionFailed", "InvalidRange"],
        None,
        E::ResourceChanged,
        "the object has changed since it was listed",
        None,
    ),
    means(
        &[
            "SlowDown*",
            "Throttl*",
            "RequestThrottl*",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "TooManyRequests*",
        ],
        None,
        E::QuotaRateLimited,
        "the store asks for fewer requests",
        None,
    ),
    means(
        &["ServiceUnavailable", "InternalError", "OperationAborted"],
        None,
        E::ProviderUnavailable,
        "the store has an outage",
        None,
    ),
    means(
        &["RequestTimeout"],
        None,
        E::NetworkTimeout,
        "the request took too long to arrive",
        None,
    ),
    means(
        &["NotImplemented", "MethodNotAllowed"],
        None,
        E::ConfigEndpointInvalid,
        "the endpoint does not offer this part of the S3 protocol",
        None,
    ),
    means(
        &["KMS*", "kms*"],
        None,
        E::PermDenied,
        "the key that encrypts the object is disabled, deleted or not granted",
        Some("Enable the object's KMS key and grant kms:Decrypt on it."),
    ),
    means(
        &["InvalidRequest", "InvalidArgument"],
        Some(Hint::CustomerKey),
        E::ObjectCustomerKey,
        "the object is encrypted with a key that only its owner has",
        None,
    ),
    means(
        &["InvalidRequest", "InvalidArgument"],
        Some(Hint::PlainHttp),
        E::ConfigInvalid,
        "the store gives this object out over TLS alone",
        Some(
            "Set provider_config.use_ssl to true, or provider_config.endpoint_url to an address with https://.",
        ),
    ),
    means(
        &[
            "UserSuspended",
            "TransactionCapExceeded",
            "DownloadCapExceeded",
        ],
        None,
        E::QuotaExhausted,
        "a cap of the account is used up",
        Some("Raise the account's caps at the store, or wait until they are renewed."),
    ),
];

/// What a status means when the code is unknown or missing; the first row that fits counts.
const STATUSES: &[(&[RangeInclusive<u16>], ErrorCode, &str)] = &[
    (
        &[300..=399],
        E::ConfigEndpointInvalid,
        "the endpoint points elsewhere, which is not followed",
    ),
    (
        &[401..=401],
        E::AuthInvalidCredentials,
        "the store does not accept the credentials",
    ),
    (&[403..=403], E::PermDenied, "the store forbids it"),
    (
        &[404..=404, 410..=410],
        E::ResourceNotFound,
        "the store finds nothing there",
    ),
    (
        &[405..=405, 501..=501],
        E::ConfigEndpointInvalid,
        "the endpoint does not offer this part of the S3 protocol",
    ),
    (
        &[408..=408, 504..=504],
        E::NetworkTimeout,
        "the store, or what stands before it, took too long",
    ),
    (
        &[409..=409, 412..=412, 416..=416],
        E::ResourceChanged,
        "the object has changed since it was listed",
    ),
    (
        &[429..=429, 509..=509],
        E::QuotaRateLimited,
        "the store asks for fewer requests",
    ),
    (
        &[500..=599],
        E::ProviderUnavailable,
        "the store has an outage",
    ),
];

const UNKNOWN: Meaning = Meaning {
    code: E::ConfigInvalid,
    says: "the store does not accept the request",
    remedy: Some(
        "Check the source path and provider_config's endpoint_url and region; the store gives no reason that is known.",
    ),
};

/// What a refusal means.
pub(super) fn meaning(refused: &Refused) -> Meaning {
    // Some answers to a wrong region are bare but for a header.
    let redirected = matches!(refused.status, 301 | 307 | 308) && refused.region.is_some();
    let bare = if redirected { "PermanentRedirect" } else { "" };
    let by_code = row(refused.code.as_deref().unwrap_or(bare), refused.hint);
    by_code.map_or_else(|| of_status(refused.status), |row| row.meaning)
}

/// The row of a code, if it is one of the protocol's.
pub(super) fn row(code: &str, hint: Option<Hint>) -> Option<&'static Row> {
    let is = |known: &&str| {
        known
            .strip_suffix('*')
            .map_or(*known == code, |start| code.starts_with(start))
    };
    CODES
        .iter()
        .filter(|row| row.hint.is_none() || row.hint == hint)
        .find(|row| row.codes.iter().any(is))
}

fn of_status(status: u16) -> Meaning {
    STATUSES
        .iter()
        .find(|(ranges, ..)| ranges.iter().any(|range| range.contains(&status)))
        .map_or(UNKNOWN, |&(_, code, says)| Meaning {
            code,
            says,
            remedy: None,
        })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- the error table, generated: begin -->\n";
    const END: &str = "<!-- the error table, generated: end -->\n";

    /// How the table is written down anew.
    const REWRITE: &str =
        "WHARF_WRITE_DOCS=1 cargo test -p wharf-s3 the_error_table_of_the_document";

    fn line(table: &mut String, refusal: &str, code: ErrorCode, says: &str, remedy: Option<&str>) {
        let remedy = remedy.unwrap_or_else(|| code.remedy());
        writeln!(table, "| {refusal} | `{code}` | {says} | {remedy} |").unwrap();
    }

    fn table() -> String {
        let mut table = "\n| the store answers | Wharf says | what happened | what to do |\n|---|---|---|---|\n".to_owned();
        for Row {
            codes,
            hint,
            meaning,
        } in CODES
        {
            let codes: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
            let hint = hint.map_or(String::new(), |hint| format!(", {}", hint.told_by()));
            let refusal = format!("{}{hint}", codes.join(", "));
            line(
                &mut table,
                &refusal,
                meaning.code,
                meaning.says,
                meaning.remedy,
            );
        }
        for (ranges, code, says) in STATUSES {
            let statuses: Vec<_> = ranges
                .iter()
                .map(|range| match (range.start(), range.end()) {
                    (start, end) if start == end => start.to_string(),
                    (start, end) => format!("{start}\u{2013}{end}"),
                })
                .collect();
            let refusal = format!(
                "status {} without a code of this table",
                statuses.join(", ")
            );
            line(&mut table, &refusal, *code, says, None);
        }
        let Meaning { code, says, remedy } = UNKNOWN;
        let refusal = "any other status without a code of this table";
        line(&mut table, refusal, code, says, remedy);
        table.push('\n');
        table
    }

    #[test]
    fn the_error_table_of_the_document_is_the_one_in_force() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/providers/s3.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = document.split_once(BEGIN).unwrap();
        let (written, after) = rest.split_once(END).unwrap();
        let in_force = table();
        if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
            let document = format!("{before}{BEGIN}{in_force}{END}{after}");
            return std::fs::write(&path, document).unwrap();
        }
        assert!(
            written == in_force,
            "docs/providers/s3.md shows another error table. To write it anew:\n    {REWRITE}"
        );
    }

    #[test]
    fn every_row_can_be_reached() {
        for row_in_table in CODES {
            for code in row_in_table.codes {
                let code = code.trim_end_matches('*');
                let found = row(code, row_in_table.hint).unwrap();
                assert!(
                    std::ptr::eq(found, row_in_table),
                    "{code} {:?}",
                    row_in_table.hint
                );
            }
        }
    }
}
