//! One role's session, shared by everyone who works on the account.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_ports::Retry;

use super::fault;
use super::identity::Own;
use super::trust::{Proof, Trust};
use crate::error::Fault;
use crate::wire::{AccessKey, AssumeRole, Sts};

/// What to ask for: an identity that is a role itself gets no more.
const SECONDS: i32 = 3600;

/// How long before its end a session is renewed; a short one when a quarter of its life is left.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// How long a session that could not be renewed ahead is used before the next try.
const PAUSE: TimeDelta = TimeDelta::seconds(20);

/// A role, as a connection names it.
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) external_id: String,
    /// What the session is called in AWS's audit trail.
    pub(crate) session_name: String,
}

/// The session of a role, begun when it is first needed and replaced ahead of its end.
pub(crate) struct Session {
    role: Role,
    sts: Sts,
    own: Arc<Own>,
    trust: Arc<Trust>,
    state: tokio::sync::Mutex<State>,
    /// How many tries to begin one have ended.
    tries: AtomicU64,
    /// The key id that the store refused.
    rejected: Mutex<Option<String>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Why the last try failed.
    failed: Option<Fault>,
}

struct Held {
    key: Arc<AccessKey>,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

impl Session {
    pub(crate) fn new(role: Role, sts: Sts, own: Arc<Own>, trust: Arc<Trust>) -> Self {
        Self {
            role,
            sts,
            own,
            trust,
            state: tokio::sync::Mutex::default(),
            tries: AtomicU64::new(0),
            rejected: Mutex::default(),
        }
    }

    /// The session's key. One caller renews it when that is due; the others wait and get the same answer.
    pub(crate) async fn key(&self) -> Result<Arc<AccessKey>, Fault> {
        let seen = self.tries.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        let now = self.trust.now();
        if let Some(held) = &state.held
            && now < held.renew_at
            && !self.is_rejected(held)
        {
            return Ok(Arc::clone(&held.key));
        }
        if let Some(fault) = &state.failed
            && seen < self.tries.load(Ordering::Acquire)
        {
            return Err(fault.clone());
        }
        let fault = match self.begin(&mut state, Proof::Remembered).await {
            Ok(key) => return Ok(key),
            Err(fault) => fault,
        };
        let State { held, failed } = &mut *state;
        match held {
            // What may pass is waited for as long as the session lasts.
            Some(held)
                if matches!(fault.retry, Retry::Later { .. })
                    && now < held.ends_at
                    && !self.is_rejected(held) =>
            {
                held.renew_at = (now + PAUSE).min(held.ends_at);
                *failed = None;
                Ok(Arc::clone(&held.key))
            }
            _ => Err(fault),
        }
    }

    /// Begins a session, proving anew that the role asks for the external id.
    pub(crate) async fn begin_anew(&self) -> Result<(), Fault> {
        let mut state = self.state.lock().await;
        self.begin(&mut state, Proof::Anew).await.map(|_| ())
    }

    /// Has the session replaced, unless it has been already.
    pub(crate) fn reject(&self, id: &str) {
        *self.rejected() = Some(id.to_owned());
    }

    async fn begin(&self, state: &mut State, proof: Proof) -> Result<Arc<AccessKey>, Fault> {
        let begun = self.assume(proof).await;
        self.tries.fetch_add(1, Ordering::Release);
        match begun {
            Ok(held) => {
                let key = Arc::clone(&held.key);
                *state = State {
                    held: Some(held),
                    failed: None,
                };
                Ok(key)
            }
            Err(fault) => {
                state.failed = Some(fault.clone());
                Err(fault)
            }
        }
    }

    async fn assume(&self, proof: Proof) -> Result<Held, Fault> {
        let wanted = AssumeRole {
            role_arn: &self.role.arn,
            external_id: Some(&self.role.external_id),
            session_name: &self.role.session_name,
            seconds: SECONDS,
        };
        let (key, ends_at) = match self.sts.assume_role(wanted).await {
            Ok(session) => session,
            Err(failure) => {
                let fault = fault::of_assume_role(failure);
                return Err(self.own.named_in(fault, &self.sts).await);
            }
        };
        self.trust.prove(&self.sts, wanted, proof).await?;
        let now = self.trust.now();
        let life = ends_at - now;
        if life <= TimeDelta::zero() {
            let words = "STS handed out a session that is past its end by this machine's clock";
            return Err(Fault::new(ErrorCode::AuthClockSkew, words));
        }
        Ok(Held {
            key: Arc::new(key),
            renew_at: ends_at - AHEAD.min(life / 4),
            ends_at,
        })
    }

    fn is_rejected(&self, held: &Held) -> bool {
        self.rejected().as_deref() == Some(held.key.id.as_str())
    }

    fn rejected(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
