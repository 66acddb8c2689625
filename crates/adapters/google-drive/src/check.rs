//! The check report: what signing in, asking who we are and a look at the drive prove, claim by claim.

mod path;
mod patience;

use url::{Host, Url};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_egress::{EgressError, Reason};
use wharf_ports::CheckRequest;

use self::patience::{Patience, Timed};
use crate::error::{ADDRESSES, Call, Fault};
use crate::provider::{Account, Identity};
use crate::remote::{About, Drive};
use crate::wire::{Failure, FilesRequest, Wire};

const DRIVE_VISIBLE: &str = "drive_visible";

/// Pages may be empty although more follow; so many are looked at.
const LOOKED_AT: usize = 5;

/// What two exchanges decide, in the order in which one rests on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Claim {
    Configuration,
    NameResolution,
    Connection,
    Tls,
    SignIn,
    ApiEnabled,
    Identity,
}

impl Claim {
    const ALL: [Self; 7] = [
        Self::Configuration,
        Self::NameResolution,
        Self::Connection,
        Self::Tls,
        Self::SignIn,
        Self::ApiEnabled,
        Self::Identity,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::NameResolution => "name_resolution",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::SignIn => "sign_in",
            Self::ApiEnabled => "api_enabled",
            Self::Identity => "identity",
        }
    }

    /// The claim that a silence refutes; those before it hold.
    fn refuted_by_silence(silence: &EgressError) -> Self {
        match silence {
            EgressError::Dns { .. } => Self::NameResolution,
            EgressError::Refused(refusal) => match refusal.reason() {
                Reason::InternalName | Reason::LoopbackName | Reason::TooManyAnswers(_) => {
                    Self::NameResolution
                }
                _ => Self::Connection,
            },
            EgressError::Connect { .. }
            | EgressError::ConnectTimeout { .. }
            | EgressError::Timeout { .. }
            | EgressError::Broken { .. } => Self::Connection,
            EgressError::Tls { .. } => Self::Tls,
            EgressError::Request { .. } => Self::Configuration,
        }
    }

    /// The claim that the token service's no refutes.
    fn refuted_by_token_service(fault: &Fault) -> Self {
        match (&fault.silence, fault.code) {
            (Some(silence), _) => Self::refuted_by_silence(silence),
            (None, ErrorCode::ConfigEndpointInvalid | ErrorCode::NetworkTimeout) => {
                Self::Connection
            }
            (None, _) => Self::SignIn,
        }
    }

    /// The claim that the API's no to the first question refutes.
    fn refuted_by_api(fault: &Fault) -> Self {
        use ErrorCode as E;
        match (&fault.silence, fault.code) {
            (Some(silence), _) => Self::refuted_by_silence(silence),
            _ if fault.of_sign_in => Self::refuted_by_token_service(fault),
            (
                None,
                E::ConfigEndpointInvalid
                | E::NetworkTimeout
                | E::NetworkConnect
                | E::ProtocolUnexpectedResponse,
            ) => Self::Connection,
            (None, E::AuthInvalidCredentials | E::PermScopeInsufficient) => Self::SignIn,
            (None, E::PermApiNotEnabled) => Self::ApiEnabled,
            (None, _) => Self::Identity,
        }
    }
}

/// A claim that does not hold.
struct Refuted {
    claim: Claim,
    action: Option<Call>,
    fault: Fault,
}

/// Tests the connection and, if one is given, a source path.
pub(crate) async fn report(account: &Account, request: CheckRequest<'_>) -> CheckReport {
    let patience = Patience::from_now(request.budget);
    let (answer, ms) = sign_in(&account.wire, &patience).await;
    let mut checks = claims(&account.wire, answer.as_ref().err(), ms);
    if answer.is_err() {
        checks.push(Check::skipped(DRIVE_VISIBLE));
    } else {
        checks.push(drive_visible(account, &patience).await);
    }
    let of_path = match request.source_path {
        None => Vec::new(),
        Some(source_path) if answer.is_ok() => path::checks(account, &patience, source_path).await,
        Some(_) => path::skipped(),
    };
    checks.extend(of_path.into_iter().map(Check::of_path));
    CheckReport { checks }
}

/// A new token, and the first question that it is used for.
async fn sign_in(wire: &Wire, patience: &Patience) -> (Result<About, Refuted>, u64) {
    if let Err(fault) = wire.access().vet() {
        let refuted = Refuted {
            claim: Claim::Configuration,
            action: None,
            fault,
        };
        return (Err(refuted), 0);
    }
    let signed_in = patience.call(|| wire.access().sign_in_anew()).await;
    if let Err(fault) = signed_in.answer {
        let refuted = Refuted {
            claim: Claim::refuted_by_token_service(&fault),
            action: Some(Call::sign_in()),
            fault,
        };
        return (Err(refuted), signed_in.ms);
    }
    let Timed { answer, ms } = patience.call(|| wire.about()).await;
    let answer = answer.map_err(|mut fault| {
        // There is nothing in this question that could be missing but the API itself.
        if fault.code == ErrorCode::ResourceNotFound {
            let words = "what answers is not the Drive API";
            fault = Fault::new(ErrorCode::ConfigEndpointInvalid, words).remedied(ADDRESSES);
        }
        Refuted {
            claim: Claim::refuted_by_api(&fault),
            action: Some(Call::new("drive.about.get")),
            fault,
        }
    });
    (answer, signed_in.ms.saturating_add(ms))
}

/// The checks that the two exchanges decided. Each carries the time that they took.
fn claims(wire: &Wire, refuted: Option<&Refuted>, ms: u64) -> Vec<Check> {
    let check = |claim: Claim| {
        let name = claim.name();
        match refuted {
            Some(refuted) if refuted.claim == claim => {
                let action = refuted.action.as_ref().map(ToString::to_string);
                let fault = &refuted.fault;
                return Check::failed(name, fault.code, action, fault.advice(), ms);
            }
            Some(refuted) if refuted.claim < claim => return Check::skipped(name),
            _ => {}
        }
        match claim {
            Claim::Configuration => Check::passed(name, 0),
            Claim::NameResolution if is_address(wire.api()) => Check::skipped(name),
            Claim::Tls if wire.api().scheme() != "https" => Check::skipped(name),
            _ => Check::passed(name, ms),
        }
    };
    Claim::ALL.map(check).to_vec()
}

/// Whether the API is given as an address, so that there is no name to resolve.
fn is_address(url: &Url) -> bool {
    !matches!(url.host(), Some(Host::Domain(_)))
}

/// Whether there is anything to read: the drive of the configuration, or any file or drive at all.
async fn drive_visible(account: &Account, patience: &Patience) -> Check {
    if patience.is_over() {
        return Check::skipped(DRIVE_VISIBLE);
    }
    match &account.shared_drive {
        Some(id) => shared_drive(account, patience, id).await,
        None => anything(account, patience).await,
    }
}

async fn shared_drive(account: &Account, patience: &Patience, id: &str) -> Check {
    let action = Call::new("drive.drives.get").on(id);
    let Timed { answer, ms } = patience.call(|| account.wire.drive(id)).await;
    let failed = |code, remedy: String| {
        Check::failed(DRIVE_VISIBLE, code, Some(action.to_string()), remedy, ms)
    };
    match answer {
        Ok(Drive {
            can_list_children: Some(false),
            ..
        }) => failed(
            ErrorCode::PermDenied,
            format!(
                "The files in the shared drive may not be listed. {}",
                account.identity.membership()
            ),
        ),
        Ok(_) => Check::passed(DRIVE_VISIBLE, ms),
        Err(fault) if fault.code == ErrorCode::ResourceNotFound => failed(
            fault.code,
            format!(
                "There is no such shared drive, or the account is no member of it. Check provider_config.shared_drive_id. {}",
                account.identity.membership()
            ),
        ),
        Err(fault) => failed(fault.code, fault.advice()),
    }
}

async fn anything(account: &Account, patience: &Patience) -> Check {
    let action = Some(Call::new("drive.files.list").to_string());
    let Timed { answer, ms } = patience.call(|| sees_anything(&account.wire)).await;
    match answer {
        Ok(true) => Check::passed(DRIVE_VISIBLE, ms),
        Ok(false) => Check::inconclusive(
            DRIVE_VISIBLE,
            ErrorCode::ResourceNotFound,
            action,
            account.identity.sharing(),
            ms,
        ),
        Err(fault) => Check::failed(DRIVE_VISIBLE, fault.code, action, fault.advice(), ms),
    }
}

/// Whether the account sees a file or a shared drive.
async fn sees_anything(wire: &Wire) -> Result<bool, Failure> {
    let mut request = FilesRequest {
        query: "trashed = false".to_owned(),
        page_size: 1,
        ..FilesRequest::default()
    };
    for _ in 0..LOOKED_AT {
        let page = wire.files(&request).await?;
        if !page.items.is_empty() {
            return Ok(true);
        }
        if page.next.is_none() {
            break;
        }
        request.page_token = page.next;
    }
    Ok(!wire.drives(1, None).await?.items.is_empty())
}

impl Identity {
    /// How it comes to see something.
    fn sharing(&self) -> String {
        match self {
            Self::ServiceAccount(email) => format!(
                "Signed in, but nothing is shared with {email} yet. Share a folder with that address as a viewer, add it to a \
                 shared drive, or have the service account act for a user (provider_config.impersonate_user)."
            ),
            Self::User(user) => format!(
                "Signed in, but {user} sees no file and no shared drive. Check provider_config.impersonate_user, or share a \
                 folder with that user."
            ),
            Self::Person => "Signed in, but the person sees no file and no shared drive. Check that the right Google account \
                             consented, or share a folder with it."
                .to_owned(),
        }
    }

    /// How it becomes a member of a shared drive.
    fn membership(&self) -> String {
        let who = match self {
            Self::ServiceAccount(email) => email,
            Self::User(user) => user,
            Self::Person => "the person who consented",
        };
        format!("Add {who} to the shared drive as a viewer or more.")
    }

    /// How it comes to read a folder.
    pub(crate) fn share_folder(&self) -> String {
        let who = match self {
            Self::ServiceAccount(email) => email,
            Self::User(user) => user,
            Self::Person => "the person who consented",
        };
        format!("Share the folder with {who} as a viewer or more.")
    }
}
