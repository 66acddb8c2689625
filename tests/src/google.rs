//! The lab's Google: what lies on its drives, who may see it, and what was asked of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{client, text};
use crate::installation::Installation;
use crate::lab::{list, order};

/// The scope that Wharf asks for.
const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";

/// The lab's Google.
#[derive(Debug)]
pub struct Google {
    http: reqwest::Client,
    url: String,
}

impl Google {
    pub(crate) fn at(url: String) -> Result<Self> {
        Ok(Self {
            http: client()?,
            url,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts it in Google's place for a server, which must be allowed to reach loopback.
    pub fn stand_in(&self, wharf: &mut Installation) {
        let url = &self.url;
        wharf.set("WHARF_PROVIDERS__GOOGLE__API_URL", url);
        wharf.set(
            "WHARF_PROVIDERS__GOOGLE__TOKEN_URL",
            &format!("{url}/token"),
        );
        wharf.set(
            "WHARF_PROVIDERS__GOOGLE__CONSENT_URL",
            &format!("{url}/o/oauth2/v2/auth"),
        );
    }

    /// Makes accounts, clients, drives and files; what it made.
    pub async fn seed(&self, seed: &Value) -> Result<Value> {
        self.admin(Method::POST, "seed", Some(seed)).await
    }

    /// A shared drive `quay` with so many files in so many folders, and the `provider_config` of a service account that is a
    /// member of it with this role.
    pub async fn quay(&self, role: &str, files: usize, folders: usize) -> Result<Quay> {
        let email = "quay-reader@lab-project.iam.gserviceaccount.com";
        let seeded = self
            .seed(&json!({
                "service_accounts": [{"email": email}],
                "drives": [{
                    "name": "quay", "members": {email: role},
                    "bulk": {"files": files, "folders": folders, "size": 700},
                }],
            }))
            .await?;
        let drive = seeded["drives"][0].as_str();
        let drive = drive.context("the lab made no drive")?;
        let mut credentials = seeded["service_accounts"][0].clone();
        credentials["type"] = json!("service_account");
        Ok(Quay {
            drive: drive.to_owned(),
            member: email.to_owned(),
            config: json!({"provider_type": "google_drive", "shared_drive_id": drive, "credentials": credentials}),
        })
    }

    /// A person with a My Drive of so many files, and the `provider_config` of an application that they have consented to.
    pub async fn person(&self, files: usize) -> Result<Value> {
        let (client, user) = ("suites.apps.googleusercontent.com", "ada@lab.example");
        let seeded = self
            .seed(&json!({
                "users": [{"email": user}],
                "clients": [{"client_id": client, "client_secret": "GOCSPX-of-the-suites"}],
                "grants": [{"client_id": client, "user": user, "scopes": [SCOPE]}],
                "my_drives": [{"user": user, "bulk": {"files": files, "size": 300}}],
            }))
            .await?;
        Ok(json!({"provider_type": "google_drive", "credentials": {
            "type": "oauth", "client_id": client, "client_secret": "GOCSPX-of-the-suites",
            "refresh_token": seeded["refresh_tokens"][0],
        }}))
    }

    /// Lets things happen at the source; the ids of what was made, null where nothing was.
    pub async fn mutate(&self, mutations: &[Value]) -> Result<Vec<Value>> {
        let made = self
            .admin(Method::POST, "mutate", Some(&json!(mutations)))
            .await?;
        list(made["ids"].clone())
    }

    /// How accounts are dealt with from now on, such as `{"rotate_refresh_tokens": true}`.
    pub async fn deal(&self, order: &Value) -> Result<()> {
        self.admin(Method::POST, "accounts", Some(order)).await?;
        Ok(())
    }

    /// From now on these fault rules are in force, and no others.
    pub async fn misbehave(&self, rules: &[Value]) -> Result<()> {
        self.admin(Method::POST, "faults", Some(&json!(rules)))
            .await?;
        Ok(())
    }

    /// Every file and folder: `{"id", "path", "mime_type", "trashed", "size", "sha256"}`.
    pub async fn files(&self) -> Result<Vec<Value>> {
        list(self.admin(Method::GET, "files", None).await?)
    }

    /// What people granted, with how often each was used.
    pub async fn grants(&self) -> Result<Vec<Value>> {
        list(self.admin(Method::GET, "grants", None).await?)
    }

    /// Every access token that was given out and has not ended.
    pub async fn access_tokens(&self) -> Result<Vec<String>> {
        let tokens = list(self.admin(Method::GET, "access-token", None).await?)?;
        Ok(tokens
            .iter()
            .filter_map(|token| token.as_str().map(str::to_owned))
            .collect())
    }

    /// The requests since the journal was last cleared.
    pub async fn journal(&self) -> Result<Vec<Value>> {
        list(self.admin(Method::GET, "journal", None).await?)
    }

    /// How often each operation was asked for since the journal was last cleared.
    pub async fn asked(&self) -> Result<BTreeMap<String, usize>> {
        let mut asked = BTreeMap::new();
        for entry in self.journal().await? {
            *asked
                .entry(text(&entry, "operation")?.to_owned())
                .or_insert(0) += 1;
        }
        Ok(asked)
    }

    /// Starts the journal anew.
    pub async fn clear_journal(&self) -> Result<()> {
        self.admin(Method::DELETE, "journal", None).await?;
        Ok(())
    }

    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let address = format!("{}/__admin/{path}", self.url);
        order(self.http.request(method, address), body).await
    }
}

/// A shared drive and who reads it.
#[derive(Debug)]
pub struct Quay {
    /// The drive's id.
    pub drive: String,
    /// The address of the service account.
    pub member: String,
    /// The `provider_config` of a connection to it.
    pub config: Value,
}
