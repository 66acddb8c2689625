//! The confused deputy: whether a role asks for the external id at all.
//!
//! A role that can be assumed without it, or with any, could be named by whoever learns its ARN, and Wharf would open it to
//! them. So such a role is refused: before its session is first used, Wharf tries both. The answer is remembered for a
//! while; a check never relies on that. A try that says neither yes nor no leaves the role unproven.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::ExternalId;
use wharf_ports::{Clock, IdSource};

use super::fault;
use crate::error::Fault;
use crate::wire::{AssumeRole, Sts};

/// How long a proof is remembered.
const REMEMBERED: TimeDelta = TimeDelta::hours(1);

/// How many proofs are remembered.
const MOST: usize = 4096;

/// The shortest session there is: it is not used.
const SECONDS: i32 = 900;

/// Whether an earlier proof will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Remembered,
    Anew,
}

/// What is known of the roles.
pub(crate) struct Trust {
    required: bool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// Until when a proof of role and external id holds.
    proven: Mutex<HashMap<(String, String), Timestamp>>,
}

impl Trust {
    pub(crate) fn new(required: bool, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            required,
            clock,
            ids,
            proven: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Refuses a role that was assumed with its external id, if it does not ask for it.
    pub(crate) async fn prove(
        &self,
        sts: &Sts,
        assumed: AssumeRole<'_>,
        proof: Proof,
    ) -> Result<(), Fault> {
        let key = (
            assumed.role_arn.to_owned(),
            assumed.external_id.unwrap_or_default().to_owned(),
        );
        if !self.required || (proof == Proof::Remembered && self.remembers(&key)) {
            return Ok(());
        }
        self.forget(&key);
        let random: ExternalId = self.ids.id();
        for external_id in [None, Some(random.as_str())] {
            let probe = AssumeRole {
                external_id,
                seconds: SECONDS,
                ..assumed
            };
            match sts.assume_role(probe).await {
                Ok(_) => {
                    let words = "the role can be assumed without the external id that was issued to your organization";
                    return Err(Fault::new(
                        ErrorCode::AuthRoleTrustsWithoutExternalId,
                        words,
                    ));
                }
                Err(failure) => {
                    let fault = fault::of_assume_role(failure);
                    if fault.code != ErrorCode::AuthAssumeRoleDenied {
                        return Err(fault);
                    }
                }
            }
        }
        self.remember(key);
        Ok(())
    }

    fn remembers(&self, key: &(String, String)) -> bool {
        let now = self.now();
        self.proven().get(key).is_some_and(|until| now < *until)
    }

    fn forget(&self, key: &(String, String)) {
        self.proven().remove(key);
    }

    fn remember(&self, key: (String, String)) {
        let now = self.now();
        let mut proven = self.proven();
        if proven.len() >= MOST {
            proven.retain(|_, until| now < *until);
        }
        if proven.len() >= MOST {
            let oldest = proven
                .iter()
                .min_by_key(|(_, until)| **until)
                .map(|(key, _)| key.clone());
            oldest.and_then(|oldest| proven.remove(&oldest));
        }
        proven.insert(key, now + REMEMBERED);
    }

    fn proven(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Timestamp>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
