//! The people, service accounts and OAuth clients of the lab's Google, the grants people gave, and the
//! access tokens that are out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::key::AccountKey;
use crate::clock::later;

/// How long access tokens live, as Google says it.
pub(crate) const TOKEN_SECONDS: i64 = 3599;

/// Somebody who can be signed in: a person or a service account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) display_name: String,
    pub(crate) permission_id: String,
}

#[derive(Debug, Clone)]
pub(crate) struct ServiceAccount {
    pub(crate) project_id: String,
    pub(crate) client_id: String,
    pub(crate) key: Arc<AccountKey>,
    /// Scopes it may use in the name of people of the domain.
    pub(crate) delegated: Vec<String>,
}

/// What stands in the key file of a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceAccountKey {
    /// The project.
    pub project_id: String,
    /// The id of the key.
    pub private_key_id: String,
    /// The private key in PEM, PKCS #8.
    pub private_key: String,
    /// The address of the account.
    pub client_email: String,
    /// The client id of the account, which delegation names.
    pub client_id: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) secret: String,
    pub(crate) redirect_uris: Vec<String>,
}

/// What has become of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantState {
    /// It holds.
    Valid,
    /// The person took it back, or it was not used for too long; Google says the same of both.
    Revoked,
    /// The administrator wants the person to sign in again.
    InvalidRapt,
    /// The administrator does not let the client in.
    AdminPolicyEnforced,
    /// The client is for people of its organization only.
    OrgInternal,
}

/// What a person granted a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The client.
    pub client_id: String,
    /// The person's address.
    pub user: String,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The refresh token.
    pub refresh_token: String,
    /// Refresh tokens it had before, none of which is good any more.
    pub earlier_tokens: Vec<String>,
    /// What has become of it.
    pub state: GrantState,
    /// How often it gave an access token.
    pub refreshes: u64,
    /// How often it was asked and refused.
    pub refused: u64,
    /// How often it was asked while an earlier request was not answered yet.
    pub overlapping: u64,
    #[serde(skip)]
    in_flight: u64,
}

/// An access token that is out.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) email: String,
    /// The client id of whoever acts: the OAuth client, or the service account.
    pub(crate) app: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: DateTime<Utc>,
    grant: Option<usize>,
}

/// A code that can be exchanged once.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) user: String,
    pub(crate) scopes: Vec<String>,
    /// The S256 challenge.
    pub(crate) challenge: Option<String>,
    /// Whether a refresh token comes with it.
    pub(crate) offline: bool,
    pub(crate) expires: DateTime<Utc>,
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) service_accounts: BTreeMap<String, ServiceAccount>,
    pub(crate) clients: BTreeMap<String, Client>,
    pub(crate) codes: HashMap<String, Code>,
    /// Who consents; the first person when nobody is named.
    pub(crate) consenting: Option<String>,
    /// That person refuses.
    pub(crate) denies: bool,
    /// Refreshing gives a new refresh token and ends the old one.
    pub(crate) rotates: bool,
    pub(crate) token_seconds: i64,
    grants: Vec<Grant>,
    sessions: HashMap<String, Session>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            service_accounts: BTreeMap::new(),
            clients: BTreeMap::new(),
            codes: HashMap::new(),
            consenting: None,
            denies: false,
            rotates: false,
            token_seconds: TOKEN_SECONDS,
            grants: Vec::new(),
            sessions: HashMap::new(),
        }
    }
}

impl Directory {
    pub(crate) fn key_file(&self, email: &str) -> Option<ServiceAccountKey> {
        let account = self.service_accounts.get(email)?;
        Some(ServiceAccountKey {
            project_id: account.project_id.clone(),
            private_key_id: account.key.id.clone(),
            private_key: account.key.private_pem.clone(),
            client_email: email.to_owned(),
            client_id: account.client_id.clone(),
        })
    }

    /// Who is asked for consent.
    pub(crate) fn person(&self) -> Option<String> {
        self.consenting.clone().or_else(|| {
            self.accounts
                .keys()
                .find(|email| !self.service_accounts.contains_key(*email))
                .cloned()
        })
    }

    pub(crate) fn grants(&self) -> Vec<Grant> {
        self.grants.clone()
    }

    pub(crate) fn add_grant(
        &mut self,
        client_id: &str,
        user: &str,
        scopes: Vec<String>,
        refresh_token: String,
    ) -> usize {
        self.grants.push(Grant {
            client_id: client_id.to_owned(),
            user: user.to_owned(),
            scopes,
            refresh_token,
            earlier_tokens: Vec::new(),
            state: GrantState::Valid,
            refreshes: 0,
            refused: 0,
            overlapping: 0,
            in_flight: 0,
        });
        self.grants.len() - 1
    }

    /// Whether this person let the client in already.
    pub(crate) fn has_grant(&self, client_id: &str, user: &str) -> bool {
        self.grants.iter().any(|grant| {
            grant.client_id == client_id && grant.user == user && grant.state == GrantState::Valid
        })
    }

    /// The grant a refresh token belongs, or belonged, to.
    pub(crate) fn grant_of(&self, refresh_token: &str) -> Option<usize> {
        self.grants.iter().position(|grant| {
            grant.refresh_token == refresh_token
                || grant
                    .earlier_tokens
                    .iter()
                    .any(|token| token == refresh_token)
        })
    }

    pub(crate) fn grant(&mut self, index: usize) -> Option<&mut Grant> {
        self.grants.get_mut(index)
    }

    /// A request about this grant has come.
    pub(crate) fn arrive(&mut self, index: usize) {
        if let Some(grant) = self.grants.get_mut(index) {
            grant.overlapping += u64::from(grant.in_flight > 0);
            grant.in_flight += 1;
        }
    }

    /// It was answered, or given up.
    pub(crate) fn leave(&mut self, index: usize) {
        if let Some(grant) = self.grants.get_mut(index) {
            grant.in_flight = grant.in_flight.saturating_sub(1);
        }
    }

    /// Ends the grant of a refresh or access token; whether there was one.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let index = self
            .grant_of(token)
            .or_else(|| self.sessions.get(token)?.grant);
        let Some(index) = index else {
            return self.sessions.remove(token).is_some();
        };
        self.sessions
            .retain(|_, session| session.grant != Some(index));
        self.grants[index].state = GrantState::Revoked;
        true
    }

    /// Gives out an access token.
    pub(crate) fn open(
        &mut self,
        token: String,
        email: &str,
        app: &str,
        scopes: Vec<String>,
        grant: Option<usize>,
        now: DateTime<Utc>,
    ) {
        let lives = Duration::try_seconds(self.token_seconds).unwrap_or_default();
        let session = Session {
            email: email.to_owned(),
            app: app.to_owned(),
            scopes,
            expires: later(now, lives),
            grant,
        };
        self.sessions.insert(token, session);
    }

    /// Whom a token stands for, whether or not it is good still.
    pub(crate) fn session(&self, token: &str) -> Option<&Session> {
        self.sessions.get(token)
    }

    /// Every access token that was not ended.
    pub(crate) fn access_tokens(&self) -> Vec<String> {
        self.sessions.keys().cloned().collect()
    }

    /// Ends every access token now.
    pub(crate) fn end_sessions(&mut self) {
        self.sessions.clear();
    }
}
