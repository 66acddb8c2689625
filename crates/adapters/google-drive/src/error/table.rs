//! What Google's answers mean. `docs/providers/google-drive.md` shows these tables, written from here.

use std::ops::RangeInclusive;

use wharf_domain::error_code::ErrorCode;
use wharf_domain::error_code::ErrorCode as E;

use crate::wire::Refused;

/// What a refusal means, in our own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    pub(crate) code: ErrorCode,
    pub(crate) says: &'static str,
    /// What a person can do, if the code's own remedy does not fit.
    pub(crate) remedy: Option<&'static str>,
}

struct Row {
    reasons: &'static [&'static str],
    meaning: Meaning,
}

const fn means(
    reasons: &'static [&'static str],
    code: ErrorCode,
    says: &'static str,
    remedy: Option<&'static str>,
) -> Row {
    Row {
        reasons,
        meaning: Meaning { code, says, remedy },
    }
}

const PAGE_TOKEN: Meaning = Meaning {
    code: E::CursorExpired,
    says: "Drive no longer accepts the place that was reached",
    remedy: None,
};

/// The quota of one file, which no pause of a run renews.
const DOWNLOAD_QUOTA: &[&str] = &["downloadQuotaExceeded"];

/// What Google's reasons mean; the first row that fits counts.
static REASONS: &[Row] = &[
    means(
        &["authError"],
        E::AuthInvalidCredentials,
        "Google does not accept the access token",
        Some(
            "Check that the account still exists and is not suspended; for an OAuth connection, sign in again.",
        ),
    ),
    means(
        &["fileNotDownloadable"],
        E::ObjectNotExportable,
        "the document has no bytes of its own",
        Some("Nothing to do: the next run sees what kind of file it has become."),
    ),
    means(
        &[
            "userRateLimitExceeded",
            "rateLimitExceeded",
            "sharingRateLimitExceeded",
            "RATE_LIMIT_EXCEEDED",
        ],
        E::QuotaRateLimited,
        "Google asks for fewer requests",
        None,
    ),
    means(
        &[
            "dailyLimitExceeded",
            "dailyLimitExceededUnreg",
            "quotaExceeded",
        ],
        E::QuotaExhausted,
        "a quota of the project is used up",
        Some(
            "Raise the project's quota for the Google Drive API in the Google Cloud console, or wait until it is renewed.",
        ),
    ),
    means(
        DOWNLOAD_QUOTA,
        E::QuotaExhausted,
        "this file was downloaded too often of late",
        Some("Wait for a day, or have the file's owner make a copy of it."),
    ),
    means(
        &["appNotAuthorizedToFile"],
        E::PermScopeInsufficient,
        "the application may see only files that were opened with it",
        Some(
            "Grant the scope https://www.googleapis.com/auth/drive.readonly: drive.file alone does not do. For an OAuth \
             connection, sign in again and allow it.",
        ),
    ),
    means(
        &["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"],
        E::PermScopeInsufficient,
        "the access token does not carry the scope https://www.googleapis.com/auth/drive.readonly",
        Some(
            "Grant exactly that scope: for an OAuth connection, sign in again and allow it; for a service account that acts \
             for a user, name it in the domain-wide delegation.",
        ),
    ),
    means(
        &["accessNotConfigured", "SERVICE_DISABLED"],
        E::PermApiNotEnabled,
        "the Google Drive API is not enabled in the project of the credentials",
        Some(
            "Enable the Google Drive API in that project (Google Cloud console, APIs & Services, Library); it takes a few \
             minutes to work.",
        ),
    ),
    means(
        &[
            "domainPolicy",
            "SECURITY_POLICY_VIOLATED",
            "ORG_RESTRICTION_VIOLATION",
        ],
        E::PermPolicyBlocked,
        "a policy of the organization forbids it",
        Some(
            "Ask who administers Google Workspace to allow third-party applications access to Drive, or to except this \
             application.",
        ),
    ),
    means(
        &["teamDriveMembershipRequired"],
        E::PermDenied,
        "only members of the shared drive may do this",
        Some("Add the account to the shared drive as a viewer or more."),
    ),
    means(
        &[
            "cannotDownloadFile",
            "download_restricted_for_revision",
            "cannotCopyFile",
        ],
        E::ObjectDownloadBlocked,
        "downloads of this file are switched off",
        None,
    ),
    means(
        &["cannotDownloadAbusiveFile"],
        E::ObjectFlaggedMalware,
        "Google takes this file for malware or spam",
        None,
    ),
    means(
        &["exportSizeLimitExceeded"],
        E::ObjectTooLargeToExport,
        "the document is larger than Google exports (10 MB)",
        None,
    ),
    means(
        &["fileNotExportable", "cannotExportFile"],
        E::ObjectNotExportable,
        "documents of this kind cannot be exported",
        None,
    ),
    means(
        &["insufficientFilePermissions", "forbidden"],
        E::PermDenied,
        "the account may not do this",
        Some("Share the file or folder with the account, as a viewer or more."),
    ),
    means(
        &["notFound"],
        E::ResourceNotFound,
        "it is not there, or not shared with the account",
        Some("Check the id or path, and share the file, folder or drive with the account."),
    ),
    means(
        &["requestedRangeNotSatisfiable"],
        E::ResourceChanged,
        "the file has changed since it was listed",
        None,
    ),
    means(
        &[
            "backendError",
            "internalError",
            "transientError",
            "UNAVAILABLE",
            "INTERNAL",
        ],
        E::ProviderUnavailable,
        "Google has an outage",
        None,
    ),
    means(
        &[
            "badRequest",
            "invalid",
            "invalidParameter",
            "invalidSharingRequest",
            "invalidQuery",
            "required",
        ],
        E::ConfigInvalid,
        "Drive does not accept the request",
        Some("Check the source path, provider_config.shared_drive_id and the export formats."),
    ),
];

/// What a status means when no reason is known; the first row that fits counts.
const STATUSES: &[(&[RangeInclusive<u16>], ErrorCode, &str)] = &[
    (
        &[300..=399, 405..=405, 501..=501],
        E::ConfigEndpointInvalid,
        "what answers is not the Drive API",
    ),
    (
        &[401..=401],
        E::AuthInvalidCredentials,
        "Google does not accept the access token",
    ),
    (&[403..=403], E::PermDenied, "Google forbids it"),
    (
        &[404..=404],
        E::ResourceNotFound,
        "it is not there, or not shared with the account",
    ),
    (
        &[408..=408, 504..=504],
        E::NetworkTimeout,
        "Google, or what stands before it, took too long",
    ),
    (
        &[409..=409, 412..=412, 416..=416],
        E::ResourceChanged,
        "the file has changed since it was listed",
    ),
    (
        &[429..=429, 509..=509],
        E::QuotaRateLimited,
        "Google asks for fewer requests",
    ),
    (&[500..=599], E::ProviderUnavailable, "Google has an outage"),
];

const UNKNOWN: Meaning = Meaning {
    code: E::ConfigInvalid,
    says: "Drive does not accept the request",
    remedy: Some(
        "Check the source path and provider_config.shared_drive_id; Google gives no reason that is known.",
    ),
};

/// Where a page for people answers in the API's place.
const PAGE: Meaning = Meaning {
    code: E::ConfigEndpointInvalid,
    says: "what answers is not the Drive API, but a page for people",
    remedy: Some(super::ADDRESSES),
};

/// What a refusal means.
pub(super) fn meaning(refused: &Refused) -> Meaning {
    if is_of_page_token(refused) {
        return PAGE_TOKEN;
    }
    let known = row(&refused.reasons);
    match known {
        // A gateway's own pages come with statuses that say what it is.
        None if refused.html && matches!(refused.status, 300..=399 | 400 | 404 | 405) => PAGE,
        None => of_status(refused.status),
        Some(row) => row.meaning,
    }
}

/// Whether the place in a listing or in the changes feed is no longer valid. Of a request that went on from such a place, all else was
/// accepted before, so that a refusal without a better reason is about the place.
pub(super) fn is_of_page_token(refused: &Refused) -> bool {
    let names_it = refused.location.as_deref() == Some("pageToken");
    let is_vague = || {
        let meaning = row(&refused.reasons).map(|row| row.meaning.code);
        meaning.is_none_or(|code| code == E::ConfigInvalid)
    };
    let means_it = refused.went_on && !refused.html && is_vague();
    refused.status == 410 || (refused.status == 400 && (names_it || means_it))
}

/// Whether it is one file alone that may not be downloaded for now.
pub(super) fn is_of_download_quota(refused: &Refused) -> bool {
    refused
        .reasons
        .iter()
        .any(|reason| DOWNLOAD_QUOTA.contains(&reason.as_str()))
}

/// An answer may give several reasons; the vague ones stand at the table's end.
fn row(reasons: &[String]) -> Option<&'static Row> {
    let gives = |known: &&'static str| reasons.iter().any(|reason| reason == known);
    REASONS.iter().find(|row| row.reasons.iter().any(&gives))
}

fn of_status(status: u16) -> Meaning {
    STATUSES
        .iter()
        .find(|(ranges, ..)| ranges.iter().any(|range| range.contains(&status)))
        .map_or(UNKNOWN, |&(_, code, says)| Meaning {
            code,
            says,
            remedy: (code == E::ConfigEndpointInvalid).then_some(super::ADDRESSES),
        })
}

/// The tables, as the documents show them.
#[cfg(test)]
pub(super) fn written() -> String {
    use std::fmt::Write as _;

    let mut text =
        "| Drive answers | Wharf says | what happened | what to do |\n|---|---|---|---|\n"
            .to_owned();
    let mut line = |refusal: &str, meaning: Meaning| {
        let Meaning { code, says, remedy } = meaning;
        let remedy = remedy.unwrap_or_else(|| code.remedy());
        writeln!(text, "| {refusal} | `{code}` | {says} | {remedy} |").unwrap();
    };
    line(
        "status 410, or 400 about `pageToken` or to a request with one",
        PAGE_TOKEN,
    );
    for Row { reasons, meaning } in REASONS {
        let reasons: Vec<_> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
        line(&reasons.join(", "), *meaning);
    }
    line(
        "a page for people, with the status 300–399, 400, 404 or 405",
        PAGE,
    );
    for (ranges, ..) in STATUSES {
        let statuses: Vec<_> = ranges
            .iter()
            .map(|range| match (range.start(), range.end()) {
                (start, end) if start == end => start.to_string(),
                (start, end) => format!("{start}–{end}"),
            })
            .collect();
        let refusal = format!(
            "status {} without a reason of this table",
            statuses.join(", ")
        );
        line(&refusal, of_status(*ranges[0].start()));
    }
    line("any other status without a reason of this table", UNKNOWN);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, reasons: &[&str]) -> Refused {
        Refused {
            status,
            reasons: reasons.iter().map(ToString::to_string).collect(),
            ..Refused::default()
        }
    }

    #[test]
    fn every_row_can_be_reached() {
        for row_in_table in REASONS {
            for reason in row_in_table.reasons {
                let found = row(&[(*reason).to_owned()]).unwrap();
                assert!(std::ptr::eq(found, row_in_table), "{reason}");
            }
        }
    }

    #[test]
    fn every_reason_of_drive_has_its_meaning() {
        for (status, reasons, code) in [
            (
                400,
                "badRequest invalid invalidParameter invalidSharingRequest",
                E::ConfigInvalid,
            ),
            (401, "authError", E::AuthInvalidCredentials),
            (403, "fileNotDownloadable", E::ObjectNotExportable),
            (
                403,
                "userRateLimitExceeded rateLimitExceeded sharingRateLimitExceeded",
                E::QuotaRateLimited,
            ),
            (
                403,
                "dailyLimitExceeded quotaExceeded downloadQuotaExceeded",
                E::QuotaExhausted,
            ),
            (403, "insufficientFilePermissions forbidden", E::PermDenied),
            (
                403,
                "insufficientPermissions ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                E::PermScopeInsufficient,
            ),
            (
                403,
                "accessNotConfigured SERVICE_DISABLED",
                E::PermApiNotEnabled,
            ),
            (403, "appNotAuthorizedToFile", E::PermScopeInsufficient),
            (
                403,
                "domainPolicy SECURITY_POLICY_VIOLATED",
                E::PermPolicyBlocked,
            ),
            (403, "teamDriveMembershipRequired", E::PermDenied),
            (
                403,
                "cannotDownloadFile download_restricted_for_revision",
                E::ObjectDownloadBlocked,
            ),
            (403, "cannotDownloadAbusiveFile", E::ObjectFlaggedMalware),
            (403, "exportSizeLimitExceeded", E::ObjectTooLargeToExport),
            (
                403,
                "fileNotExportable cannotExportFile",
                E::ObjectNotExportable,
            ),
            (404, "notFound", E::ResourceNotFound),
            (416, "requestedRangeNotSatisfiable", E::ResourceChanged),
            (429, "rateLimitExceeded", E::QuotaRateLimited),
            (
                500,
                "backendError internalError transientError",
                E::ProviderUnavailable,
            ),
        ] {
            for reason in reasons.split(' ') {
                assert_eq!(meaning(&refused(status, &[reason])).code, code, "{reason}");
            }
        }
    }

    #[test]
    fn a_telling_reason_counts_before_a_vague_one() {
        let policy = refused(
            403,
            &["forbidden", "SECURITY_POLICY_VIOLATED", "PERMISSION_DENIED"],
        );
        assert_eq!(meaning(&policy).code, E::PermPolicyBlocked);
    }

    #[test]
    fn without_a_known_reason_the_status_counts() {
        for (status, code) in [
            (301, E::ConfigEndpointInvalid),
            (400, E::ConfigInvalid),
            (401, E::AuthInvalidCredentials),
            (403, E::PermDenied),
            (404, E::ResourceNotFound),
            (405, E::ConfigEndpointInvalid),
            (408, E::NetworkTimeout),
            (410, E::CursorExpired),
            (412, E::ResourceChanged),
            (418, E::ConfigInvalid),
            (429, E::QuotaRateLimited),
            (500, E::ProviderUnavailable),
            (503, E::ProviderUnavailable),
            (504, E::NetworkTimeout),
        ] {
            assert_eq!(
                meaning(&refused(status, &["unheardOf"])).code,
                code,
                "{status}"
            );
        }
        let page = Refused {
            html: true,
            ..refused(404, &[])
        };
        assert_eq!(meaning(&page).code, E::ConfigEndpointInvalid);
    }

    #[test]
    fn a_page_token_that_is_refused_starts_over() {
        let token = Refused {
            location: Some("pageToken".to_owned()),
            ..refused(400, &["invalid"])
        };
        assert_eq!(meaning(&token).code, E::CursorExpired);
        let query = Refused {
            location: Some("q".to_owned()),
            ..refused(400, &["invalid"])
        };
        assert_eq!(meaning(&query).code, E::ConfigInvalid);
        for reasons in [
            &[][..],
            &["badRequest"],
            &["invalid"],
            &["invalidParameter"],
            &["invalid", "INVALID_ARGUMENT"],
        ] {
            let went_on = Refused {
                went_on: true,
                ..refused(400, reasons)
            };
            assert_eq!(meaning(&went_on).code, E::CursorExpired, "{reasons:?}");
        }
        let busy = Refused {
            went_on: true,
            ..refused(400, &["userRateLimitExceeded"])
        };
        assert_eq!(meaning(&busy).code, E::QuotaRateLimited);
        let page = Refused {
            went_on: true,
            html: true,
            ..refused(400, &[])
        };
        assert_eq!(meaning(&page).code, E::ConfigEndpointInvalid);
    }
}
