//! The check report: one `ListBuckets`, read claim by claim.
//!
//! It proves address, connection, protocol, key and clock. That the key may list buckets is not needed for anything, so
//! its denial leaves only that claim open. Which buckets can be read shows when a sync names one.

use std::time::{Duration, Instant};

use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use crate::error::{Call, Fault};
use crate::roles::Access;
use crate::wire::{Failure, Wire};

const CONFIGURATION: &str = "configuration";
const CONNECTION: &str = "connection";
const SIGN_IN: &str = "sign_in";
const LIST_BUCKETS: &str = "list_buckets";

/// How long the pause before the second try is, and the longest that the store can make it.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tests the connection. Every claim that the call decided carries the time it took.
pub(crate) async fn report(access: &Access, wire: &Wire) -> CheckReport {
    let begun = Instant::now();
    let answer = match access.sign_in_anew().await {
        Ok(()) => list_buckets(wire).await,
        Err(fault) => Err(fault),
    };
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let passed = |name| Check::passed(name, ms);
    let skipped = Check::skipped;
    let configuration = Check::passed(CONFIGURATION, 0);
    let checks = match answer {
        Ok(()) => vec![
            configuration,
            passed(CONNECTION),
            passed(SIGN_IN),
            passed(LIST_BUCKETS),
        ],
        Err(fault) => {
            let failed = |name| Check::failed(name, fault.code, None, remedy(&fault), ms);
            match decided_claim(fault.code) {
                CONFIGURATION => {
                    vec![
                        failed(CONFIGURATION),
                        skipped(CONNECTION),
                        skipped(SIGN_IN),
                        skipped(LIST_BUCKETS),
                    ]
                }
                CONNECTION => vec![
                    configuration,
                    failed(CONNECTION),
                    skipped(SIGN_IN),
                    skipped(LIST_BUCKETS),
                ],
                SIGN_IN => vec![
                    configuration,
                    passed(CONNECTION),
                    failed(SIGN_IN),
                    skipped(LIST_BUCKETS),
                ],
                _ => vec![
                    configuration,
                    passed(CONNECTION),
                    passed(SIGN_IN),
                    undecided(&fault, ms),
                ],
            }
        }
    };
    CheckReport { checks }
}

/// The claim that a fault decides; those before it hold.
fn decided_claim(code: ErrorCode) -> &'static str {
    use ErrorCode as E;
    match code {
        E::Internal => CONFIGURATION,
        E::NetworkDns
        | E::NetworkConnect
        | E::NetworkTimeout
        | E::NetworkTls
        | E::EgressRefused
        | E::ConfigEndpointInvalid => CONNECTION,
        E::PermDenied | E::PermPolicyBlocked => LIST_BUCKETS,
        _ => SIGN_IN,
    }
}

/// One try, and another if the first failed by what may pass.
async fn list_buckets(wire: &Wire) -> Result<(), Fault> {
    let fault = match try_list_buckets(wire).await {
        Ok(()) => return Ok(()),
        Err(fault) => fault,
    };
    let Retry::Later { after } = fault.retry else {
        return Err(fault);
    };
    let pause = after.unwrap_or(PAUSE).max(PAUSE);
    if pause > LONGEST_PAUSE {
        return Err(fault);
    }
    tokio::time::sleep(pause).await;
    try_list_buckets(wire).await
}

async fn try_list_buckets(wire: &Wire) -> Result<(), Fault> {
    match wire.list_buckets(Some(1)).await {
        // Older stores know no limit here.
        Err(Failure::Refused(refused))
            if matches!(
                refused.code.as_deref(),
                Some("InvalidArgument" | "NotImplemented")
            ) =>
        {
            wire.list_buckets(None).await
        }
        answer => answer,
    }
    .map_err(fault)
}

/// What a failure means for an endpoint that was never seen to speak the protocol.
fn fault(failure: Failure) -> Fault {
    let foreign = match &failure {
        Failure::Unreadable { .. } => true,
        // A store says why it refuses this call. From 429 on, what stands before a store may have answered.
        Failure::Refused(refused) => refused.code.is_none() && refused.status < 429,
        _ => false,
    };
    let fault = Fault::from(failure);
    // There is nothing in this request that could be missing but the protocol.
    if foreign || fault.code == ErrorCode::ResourceNotFound {
        let words = "what answers at the endpoint does not speak the S3 protocol";
        return Fault::new(ErrorCode::ConfigEndpointInvalid, words).retried(fault.retry);
    }
    fault
}

fn undecided(fault: &Fault, ms: u64) -> Check {
    let remedy = "The key is accepted, but may not list buckets, as is usual for keys of certain buckets. Grant \
                  s3:ListAllMyBuckets only if you want this check to pass; syncs do not need it.";
    Check::inconclusive(
        LIST_BUCKETS,
        fault.code,
        Some(Call::list_buckets().to_string()),
        remedy,
        ms,
    )
}

/// What happened, and what to do about it.
fn remedy(fault: &Fault) -> String {
    // The guard's words name the remedy themselves.
    let remedy = if fault.code == ErrorCode::EgressRefused {
        ""
    } else {
        fault.code.remedy()
    };
    let mut words = fault.words.chars();
    let first = words
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}. {remedy}", words.as_str())
        .trim_end()
        .to_owned()
}
