//! Who may sign requests: the long-lived key pairs of the lab, the roles they may assume, and the
//! sessions that came of it.

pub(crate) mod key;
pub(crate) mod permission;
pub(crate) mod role;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use chrono::{DateTime, Utc};

use self::key::KeyPair;
use self::role::Role;
use self::session::Session;
use crate::clock;
use crate::world::lock;

/// The account long-lived keys belong to.
const ACCOUNT: &str = "999988887777";

/// Whoever signed a request.
#[derive(Clone)]
pub(crate) struct Principal {
    pub(crate) key: KeyPair,
    pub(crate) arn: String,
    pub(crate) user_id: String,
    pub(crate) account: String,
    /// When the session ends; long-lived keys have no end.
    pub(crate) expires: Option<DateTime<Utc>>,
}

impl Principal {
    pub(crate) fn has_ended(&self) -> bool {
        self.expires.is_some_and(|end| end <= clock::now())
    }
}

/// What a role is assumed with.
#[derive(Clone)]
pub(crate) struct Assumption {
    pub(crate) role_arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) seconds: u32,
}

/// Why a role was not assumed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such role, or it does not trust whoever asks with this external id.
    Denied,
    /// Longer than sessions of this role may last.
    TooLong,
}

#[derive(Default)]
struct Known {
    keys: Vec<KeyPair>,
    roles: BTreeMap<String, Role>,
    sessions: HashMap<String, Session>,
    issued: u64,
}

pub(crate) struct Identities(Mutex<Known>);

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").finish_non_exhaustive()
    }
}

impl Identities {
    pub(crate) fn new(keys: Vec<KeyPair>) -> Self {
        Self(Mutex::new(Known {
            keys,
            ..Known::default()
        }))
    }

    /// Adds a key pair, in place of one with the same id.
    pub(crate) fn add_key(&self, key: KeyPair) {
        let mut known = lock(&self.0);
        known
            .keys
            .retain(|other| other.access_key_id != key.access_key_id);
        known.keys.push(key);
    }

    /// Adds a role, in place of one with the same ARN.
    pub(crate) fn add_role(&self, role: Role) {
        lock(&self.0).roles.insert(role.arn.clone(), role);
    }

    pub(crate) fn principal(&self, access_key_id: &str) -> Option<Principal> {
        let known = lock(&self.0);
        if let Some(session) = known.sessions.get(access_key_id) {
            return Some(session.principal());
        }
        let key = known
            .keys
            .iter()
            .find(|key| key.access_key_id == access_key_id)?;
        Some(Principal {
            key: key.clone(),
            arn: format!("arn:aws:iam::{ACCOUNT}:user/lab"),
            user_id: "AIDALABUSER0000000001".to_owned(),
            account: ACCOUNT.to_owned(),
            expires: None,
        })
    }

    /// Opens a session of a role.
    pub(crate) fn assume(&self, asked: &Assumption) -> Result<Principal, Refusal> {
        let mut known = lock(&self.0);
        let role = known
            .roles
            .get(&asked.role_arn)
            .filter(|role| role.trusts(asked.external_id.as_deref()))
            .cloned()
            .ok_or(Refusal::Denied)?;
        if asked.seconds > role.max_session_seconds {
            return Err(Refusal::TooLong);
        }
        known.issued += 1;
        let session = Session::open(&role, asked, known.issued);
        let principal = session.principal();
        known
            .sessions
            .insert(principal.key.access_key_id.clone(), session);
        Ok(principal)
    }

    /// Ends every session now.
    pub(crate) fn end_sessions(&self) {
        for session in lock(&self.0).sessions.values_mut() {
            session.end();
        }
    }

    /// Forgets roles and sessions; keys stay.
    pub(crate) fn forget_roles(&self) {
        let mut known = lock(&self.0);
        known.roles.clear();
        known.sessions.clear();
    }
}
