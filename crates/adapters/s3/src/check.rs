//! The check report: what signing in and a look at one source path prove, claim by claim.
//!
//! One exchange decides most of it: address, connection, TLS, clock and key. It lists buckets, which nothing needs, so
//! that its denial proves as much as its success.

mod path;
mod patience;

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_egress::{EgressError, Reason};
use wharf_ports::CheckRequest;

use self::patience::Patience;
use crate::error::{self, Call, Fault};
use crate::profile;
use crate::roles::Access;
use crate::store::Store;
use crate::wire::{Ahead, Failure, Wire};

/// By how many seconds clocks may differ without a word. Signatures are refused from 15 minutes on.
const TOLERATED_SKEW: u64 = 60;

const IDENTITY: &str = "identity";

/// What a report claims of a connection, in the order in which one rests on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Claim {
    Configuration,
    NameResolution,
    Connection,
    Tls,
    Clock,
    SignIn,
}

impl Claim {
    const ALL: [Self; 6] = [
        Self::Configuration,
        Self::NameResolution,
        Self::Connection,
        Self::Tls,
        Self::Clock,
        Self::SignIn,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::NameResolution => "name_resolution",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::SignIn => "sign_in",
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

    /// The claim that the store's no to the first request refutes.
    fn refuted_by_store(fault: &Fault) -> Self {
        match (&fault.silence, fault.code) {
            (Some(silence), _) => Self::refuted_by_silence(silence),
            (None, ErrorCode::Internal) => Self::Configuration,
            (None, ErrorCode::ConfigEndpointInvalid) => Self::Connection,
            (None, _) => Self::refuted_by_token_service(fault),
        }
    }

    /// The claim that STS's no refutes.
    fn refuted_by_token_service(fault: &Fault) -> Self {
        match (&fault.silence, fault.code) {
            (Some(silence), _) => Self::refuted_by_silence(silence),
            (None, ErrorCode::NetworkTimeout) => Self::Connection,
            (None, ErrorCode::AuthClockSkew) => Self::Clock,
            (None, _) => Self::SignIn,
        }
    }
}

/// What the store's answer says of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Accepted,
    /// It is refused with a code that is none of the protocol's.
    Unclear,
}

/// How signing in ended.
struct SignedIn {
    answer: Result<Key, Refuted>,
    /// By how much the store's clock was ahead, if it showed.
    ahead: Option<Ahead>,
    ms: u64,
}

/// A claim that does not hold.
struct Refuted {
    claim: Claim,
    /// What STS was asked for, if it was not the store that was asked.
    action: Option<Call>,
    fault: Fault,
}

/// Tests the connection and, if one is given, a source path.
pub(crate) async fn report(
    store: &Store,
    access: &Access,
    wire: &Wire,
    request: CheckRequest<'_>,
) -> CheckReport {
    let patience = Patience::from_now(request.budget);
    let signed_in = sign_in(access, wire, &patience).await;
    let mut checks = claims(store, access, wire, &signed_in);
    let is_in = signed_in.answer.is_ok();
    let of_aws = access.is_role() || store.profile.name == profile::AWS.name;
    // Nothing rests on the identity, so that nothing waits for it.
    let (identity, of_path) = tokio::join!(
        async {
            if is_in && of_aws {
                identity(access, &patience).await
            } else {
                Check::skipped(IDENTITY)
            }
        },
        async {
            match request.source_path {
                None => Vec::new(),
                Some(source_path) if is_in => path::checks(wire, &patience, source_path).await,
                Some(_) => path::skipped(),
            }
        }
    );
    checks.push(identity);
    checks.extend(of_path.into_iter().map(Check::of_path));
    CheckReport { checks }
}

/// Under a role, a new session; then the first request to the store.
async fn sign_in(access: &Access, wire: &Wire, patience: &Patience) -> SignedIn {
    let assumed = patience.call(|| access.sign_in_anew()).await;
    if let Err(fault) = assumed.answer {
        let refuted = Refuted {
            claim: Claim::refuted_by_token_service(&fault),
            action: access.is_role().then(Call::assume_role),
            fault,
        };
        return SignedIn {
            answer: Err(refuted),
            ahead: None,
            ms: assumed.ms,
        };
    }
    let ahead = OnceLock::new();
    let listed = patience.call(|| list_buckets(wire, &ahead)).await;
    SignedIn {
        answer: listed.answer.map_err(|fault| Refuted {
            claim: Claim::refuted_by_store(&fault),
            action: None,
            fault,
        }),
        ahead: ahead.get().copied(),
        ms: assumed.ms.saturating_add(listed.ms),
    }
}

/// Whether AWS knows whose key it is, by a call that needs no permission.
async fn identity(access: &Access, patience: &Patience) -> Check {
    let asked = patience.call(|| access.caller_identity()).await;
    match asked.answer {
        Ok(()) => Check::passed(IDENTITY, asked.ms),
        Err(fault) => {
            let remedy = format!(
                "{} Syncs do not need this; the store itself accepted the key.",
                fault.advice()
            );
            let action = Some(Call::caller_identity().to_string());
            Check::inconclusive(IDENTITY, fault.code, action, remedy, asked.ms)
        }
    }
}

/// Lists one bucket, or learns that the key may not; and the store's clock from the first answer.
async fn list_buckets(wire: &Wire, ahead: &OnceLock<Ahead>) -> Result<Key, Fault> {
    let (mut answer, clock) = wire.list_buckets(Some(1)).await;
    if let Some(clock) = clock {
        ahead.get_or_init(|| clock);
    }
    // Older stores know no limit here.
    if let Err(Failure::Refused(refused)) = &answer
        && matches!(
            refused.code.as_deref(),
            Some("InvalidArgument" | "NotImplemented")
        )
    {
        (answer, _) = wire.list_buckets(None).await;
    }
    match answer {
        Ok(()) => Ok(Key::Accepted),
        Err(failure) => told_by(failure),
    }
}

/// What a failure tells of the key, and of an endpoint that was never seen to speak the protocol.
fn told_by(failure: Failure) -> Result<Key, Fault> {
    let foreign = match &failure {
        Failure::Unreadable { .. } => true,
        Failure::Refused(refused) => match refused.code.as_deref() {
            // A store says why it refuses this call. From 429 on, what stands before a store may have answered.
            None => refused.status < 429,
            Some(code) if refused.status == 403 && !error::is_known(code) => {
                return Ok(Key::Unclear);
            }
            Some(_) => false,
        },
        _ => false,
    };
    let fault = Fault::from(failure);
    if matches!(
        fault.code,
        ErrorCode::PermDenied | ErrorCode::PermPolicyBlocked
    ) && !foreign
    {
        return Ok(Key::Accepted);
    }
    // There is nothing in this request that could be missing but the protocol.
    if foreign || fault.code == ErrorCode::ResourceNotFound {
        let words = "what answers at the endpoint does not speak the S3 protocol";
        return Err(Fault::new(ErrorCode::ConfigEndpointInvalid, words).retried(fault.retry));
    }
    Err(fault)
}

/// The checks of the connection. Every claim that an exchange decided carries the time it took.
fn claims(store: &Store, access: &Access, wire: &Wire, signed_in: &SignedIn) -> Vec<Check> {
    let SignedIn { answer, ahead, ms } = signed_in;
    let tls = wire
        .endpoint()
        .map_or(store.tls, |endpoint| endpoint.scheme() == Scheme::Https);
    let check = |claim: Claim| {
        let name = claim.name();
        match answer {
            Err(refuted) if refuted.claim == claim => return refuted.check(*ahead, *ms),
            Err(refuted) if refuted.claim < claim || refuted.unasked(claim) => {
                return Check::skipped(name);
            }
            _ => {}
        }
        match claim {
            Claim::Configuration => Check::passed(name, 0),
            Claim::NameResolution if wire.endpoint().is_some_and(is_address) => {
                Check::skipped(name)
            }
            Claim::Tls if !tls => Check::skipped(name),
            Claim::Clock => clock(signed_in),
            Claim::SignIn if matches!(answer, Ok(Key::Unclear)) => {
                let remedy = "The store refuses to list buckets with a code that is none of the S3 protocol's, so the \
                              key may be right or wrong. Test with a source path: that shows whether it opens one.";
                let action = Some(Call::list_buckets().to_string());
                Check::inconclusive(name, ErrorCode::PermDenied, action, remedy, *ms)
            }
            Claim::Tls => Check::passed(name, *ms).until(wire.certificate_expires_at()),
            Claim::SignIn => Check::passed(name, *ms).until(access.key_expires_at()),
            Claim::NameResolution | Claim::Connection => Check::passed(name, *ms),
        }
    };
    Claim::ALL.map(check).to_vec()
}

impl Refuted {
    /// Whether this leaves a claim open that the store alone could have shown: STS spoke, and the store was never asked.
    fn unasked(&self, claim: Claim) -> bool {
        self.action.is_some() && claim != Claim::Configuration
    }

    fn check(&self, ahead: Option<Ahead>, ms: u64) -> Check {
        let fault = &self.fault;
        let remedy = match (self.claim, ahead) {
            (Claim::Clock, Some(ahead)) => format!("{} {}", skew(ahead), fault.remedy),
            _ => fault.advice(),
        };
        let action = self.action.as_ref().map(ToString::to_string);
        Check::failed(self.claim.name(), fault.code, action, remedy, ms)
    }
}

/// Whether the endpoint is given as an address, so that there is no name to resolve.
fn is_address(endpoint: &EndpointUrl) -> bool {
    let host = endpoint.host();
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

/// The store's word decides: what it signs in is no failure, whatever its clock shows.
fn clock(signed_in: &SignedIn) -> Check {
    let name = Claim::Clock.name();
    match signed_in.ahead {
        Some(ahead) if ahead.unsigned_abs() > TOLERATED_SKEW => {
            let code = ErrorCode::AuthClockSkew;
            let remedy = format!(
                "{} Signatures are refused from 15 minutes on. {}",
                skew(ahead),
                code.remedy()
            );
            Check::inconclusive(name, code, None, remedy, signed_in.ms)
        }
        None if signed_in.answer.is_err() => Check::skipped(name),
        _ => Check::passed(name, signed_in.ms),
    }
}

fn skew(ahead: Ahead) -> String {
    let way = if ahead < 0 { "ahead of" } else { "behind" };
    let seconds = ahead.unsigned_abs();
    format!("Wharf's clock is {seconds} s {way} the store's.")
}
