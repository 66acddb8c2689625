//! How an account signs in: with an access key of its own, or under a role that Wharf's own identity assumes.
//!
//! A role's session is never a snapshot: [`Access::key`] gives the one of the moment, renewed ahead of its end, one renewal
//! at a time whoever waits for it. Before a session is used, the role has proven that it asks for the external id.

mod fault;
mod identity;
mod session;
mod token;
mod trust;

use std::sync::Arc;

use wharf_domain::Timestamp;
use wharf_domain::provider::EndpointUrl;
use wharf_domain::secret::SecretString;

pub(crate) use self::identity::Own;
pub(crate) use self::session::{Role, Session};
pub(crate) use self::trust::Trust;
use crate::error::Fault;
use crate::wire::{AccessKey, Signer, Sts, StsPlace};

/// What an operator decided about AWS (`providers.aws`).
#[derive(Debug)]
pub struct Aws {
    /// Stands in STS's place, and is trusted there.
    pub sts_url: Option<EndpointUrl>,
    /// Stands in the place of S3 itself, for connections that name no endpoint, and is trusted there.
    pub s3_url: Option<EndpointUrl>,
    /// Who Wharf is when it assumes roles.
    pub identity: Option<Identity>,
    /// Whether a role is refused that can be assumed without the external id.
    pub require_external_id: bool,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            sts_url: None,
            s3_url: None,
            identity: None,
            require_external_id: true,
        }
    }
}

/// Wharf's own identity at AWS.
#[derive(Debug)]
pub enum Identity {
    /// An access key.
    Key {
        /// The key's public half.
        access_key_id: String,
        /// The key's secret half.
        secret_access_key: SecretString,
        /// What a temporary key needs.
        session_token: Option<SecretString>,
    },
    /// That of the machine that Wharf runs on.
    Ambient,
}

/// An account's way in. Clones share it.
#[derive(Clone)]
pub(crate) struct Access(Arc<Parts>);

struct Parts {
    way: Way,
    /// Where AWS tells whose key it is.
    sts: StsPlace,
}

enum Way {
    Key(Arc<AccessKey>),
    Role(Box<Session>),
}

impl Access {
    pub(crate) fn by_key(key: AccessKey, sts: StsPlace) -> Self {
        let way = Way::Key(Arc::new(key));
        Self(Arc::new(Parts { way, sts }))
    }

    pub(crate) fn by_role(session: Session, sts: StsPlace) -> Self {
        let way = Way::Role(Box::new(session));
        Self(Arc::new(Parts { way, sts }))
    }

    /// The key to sign a request with.
    pub(crate) async fn key(&self) -> Result<Arc<AccessKey>, Fault> {
        match &self.0.way {
            Way::Key(key) => Ok(Arc::clone(key)),
            Way::Role(session) => session.key().await,
        }
    }

    /// Whether another key can be had in place of one that is refused.
    pub(crate) fn is_renewable(&self) -> bool {
        matches!(self.0.way, Way::Role(_))
    }

    /// Has the key with this id replaced, which the store no longer accepts.
    pub(crate) fn reject(&self, id: &str) {
        if let Way::Role(session) = &self.0.way {
            session.reject(id);
        }
    }

    /// Signs in as if for the first time: under a role, that includes the proof that it asks for the external id.
    pub(crate) async fn sign_in_anew(&self) -> Result<(), Fault> {
        match &self.0.way {
            Way::Key(_) => Ok(()),
            Way::Role(session) => session.begin_anew().await,
        }
    }

    /// When the account's own key runs out, where its session token says so. A role's sessions are renewed by themselves.
    pub(crate) fn key_expires_at(&self) -> Option<Timestamp> {
        match &self.0.way {
            Way::Key(key) => token::end_of(key.session_token.as_ref()?.expose()),
            Way::Role(_) => None,
        }
    }

    /// Whether a role is assumed.
    pub(crate) fn is_role(&self) -> bool {
        matches!(&self.0.way, Way::Role(_))
    }

    /// Whether AWS knows the account's key, which needs no permission.
    pub(crate) async fn caller_identity(&self) -> Result<(), Fault> {
        let sts = Sts::new(&self.0.sts, Signer::of_account(self.clone()));
        match sts.caller_identity().await {
            Ok(_) => Ok(()),
            Err(failure) => Err(fault::of_account(failure)),
        }
    }
}
