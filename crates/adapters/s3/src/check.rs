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
use wharf_domain::provider::EndpointUrl;
use wharf_egress::{EgressError, Reason};
use wharf_ports::CheckRequest;

use self::patience::{Patience, Timed};
use crate::error::{self, Call, Fault};
use crate::store::Store;
use crate::wire::{Ahead, Failure, Wire};

/// By how many seconds clocks may differ without a word. Signatures are refused from 15 minutes on.
const TOLERATED_SKEW: u64 = 60;

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

    /// The claim that a fault of signing in refutes; those before it hold.
    fn refuted_by(fault: &Fault) -> Self {
        match &fault.silence {
            Some(EgressError::Dns { .. }) => Self::NameResolution,
            Some(EgressError::Refused(refusal)) => match refusal.reason() {
                Reason::InternalName | Reason::LoopbackName | Reason::TooManyAnswers(_) => {
                    Self::NameResolution
                }
                _ => Self::Connection,
            },
            Some(
                EgressError::Connect { .. }
                | EgressError::ConnectTimeout { .. }
                | EgressError::Timeout { .. }
                | EgressError::Broken { .. },
            ) => Self::Connection,
            Some(EgressError::Tls { .. }) => Self::Tls,
            Some(EgressError::Request { .. }) => Self::Configuration,
            None => match fault.code {
                ErrorCode::Internal => Self::Configuration,
                ErrorCode::NetworkTimeout | ErrorCode::ConfigEndpointInvalid => Self::Connection,
                ErrorCode::AuthClockSkew => Self::Clock,
                _ => Self::SignIn,
            },
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

/// Tests the connection and, if one is given, a source path.
pub(crate) async fn report(store: &Store, wire: &Wire, request: CheckRequest<'_>) -> CheckReport {
    let patience = Patience::from_now(request.budget);
    let ahead = OnceLock::new();
    let signed_in = patience.call(|| sign_in(wire, &ahead)).await;
    let mut checks = claims(store, &signed_in, ahead.get().copied());
    if let Some(source_path) = request.source_path {
        let of_path = match signed_in.answer {
            Ok(_) => path::checks(wire, &patience, source_path).await,
            Err(_) => path::skipped(),
        };
        checks.extend(of_path.into_iter().map(Check::of_path));
    }
    CheckReport { checks }
}

/// Lists one bucket, or learns that the key may not; and the store's clock from the first answer.
async fn sign_in(wire: &Wire, ahead: &OnceLock<Ahead>) -> Result<Key, Fault> {
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
fn claims(store: &Store, signed_in: &Timed<Key>, ahead: Option<Ahead>) -> Vec<Check> {
    let ms = signed_in.ms;
    let fault = signed_in.answer.as_ref().err();
    let refuted = fault.map(Claim::refuted_by);
    let check = |claim: Claim| {
        let name = claim.name();
        match (fault, refuted) {
            (Some(fault), Some(refuted)) if refuted == claim => {
                let remedy = match (claim, ahead) {
                    (Claim::Clock, Some(ahead)) => format!("{} {}", skew(ahead), fault.remedy),
                    _ => fault.advice(),
                };
                return Check::failed(name, fault.code, None, remedy, ms);
            }
            (_, Some(refuted)) if refuted < claim => return Check::skipped(name),
            _ => {}
        }
        match claim {
            Claim::Configuration => Check::passed(name, 0),
            Claim::NameResolution if is_address(store) => Check::skipped(name),
            Claim::Tls if !store.tls => Check::skipped(name),
            Claim::Clock => clock(signed_in, ahead),
            Claim::SignIn if matches!(signed_in.answer, Ok(Key::Unclear)) => {
                let remedy = "The store refuses to list buckets with a code that is none of the S3 protocol's, so the \
                              key may be right or wrong. Test with a source path: that shows whether it opens one.";
                let action = Some(Call::list_buckets().to_string());
                Check::inconclusive(name, ErrorCode::PermDenied, action, remedy, ms)
            }
            Claim::NameResolution | Claim::Connection | Claim::Tls | Claim::SignIn => {
                Check::passed(name, ms)
            }
        }
    };
    Claim::ALL.map(check).to_vec()
}

/// Whether the endpoint is given as an address, so that there is no name to resolve.
fn is_address(store: &Store) -> bool {
    let host = store.endpoint.as_ref().map(EndpointUrl::host);
    host.is_some_and(|host| host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok())
}

/// The store's word decides: what it signs in is no failure, whatever its clock shows.
fn clock(signed_in: &Timed<Key>, ahead: Option<Ahead>) -> Check {
    let name = Claim::Clock.name();
    match ahead {
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
