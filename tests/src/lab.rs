//! The provider lab, in a process of its own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::client;
use crate::google::Google;
use crate::program::Program;
use crate::signed::{Keys, Signer, element};
use crate::variable;

/// A running lab with one key pair, stopped when dropped.
#[derive(Debug)]
pub struct Lab {
    _program: Program,
    _folder: TempDir,
    http: reqwest::Client,
    url: String,
    google: Google,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Lab {
    /// Starts an empty lab. `None` when this run has left it out.
    pub async fn start() -> Result<Option<Self>> {
        Self::start_with(
            "LABKEYOFTHESUITES001",
            "lab-secret-of-the-whole-program-suites",
            None,
        )
        .await
    }

    /// Starts an empty lab that accepts this key pair, with the session token if there is one.
    pub async fn start_with(
        id: &str,
        secret: &str,
        session_token: Option<&str>,
    ) -> Result<Option<Self>> {
        let Some(program) = variable("WHARF_TEST_LAB_BIN")? else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new()
            .prefix("wharf-suite-lab-")
            .tempdir()?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .args(["--access-key-id", id, "--secret-access-key", secret]);
        if let Some(token) = session_token {
            command.args(["--session-token", token]);
        }
        let mut program = Program::start("lab", &mut command, folder.path())?;
        let url = program.announced("lab listening on ").await?;
        let google = program.announced("google listening on ").await?;
        Ok(Some(Self {
            _program: program,
            _folder: folder,
            http: client()?,
            url,
            google: Google::at(google)?,
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: session_token.map(str::to_owned),
        }))
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its Google.
    pub fn google(&self) -> &Google {
        &self.google
    }

    /// The key pair that it accepts.
    pub fn keys(&self) -> Keys {
        Keys {
            id: self.access_key_id.clone(),
            secret: self.secret_access_key.clone(),
            token: self.session_token.clone(),
        }
    }

    /// The `provider_config` of a connection to it.
    pub fn provider_config(&self) -> Value {
        let mut credentials = json!({
            "type": "access_key",
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        });
        if let Some(token) = &self.session_token {
            credentials["session_token"] = json!(token);
        }
        json!({"provider_type": "s3", "endpoint_url": self.url, "credentials": credentials})
    }

    /// The same as another kind of provider that speaks the protocol: `s3` or `tigris`.
    pub fn provider_config_of(&self, provider: &str) -> Value {
        let mut config = self.provider_config();
        config["provider_type"] = json!(provider);
        if provider == "tigris" {
            // It knows one type only.
            config["credentials"] = json!({
                "access_key_id": self.access_key_id,
                "secret_access_key": self.secret_access_key,
            });
        }
        config
    }

    /// The same with a secret that the lab does not accept.
    pub fn wrong_provider_config(&self, secret: &str) -> Value {
        let mut config = self.provider_config();
        config["credentials"]["secret_access_key"] = json!(secret);
        config
    }

    /// Accepts another key pair: `{"access_key_id", "secret_access_key", "session_token"}`.
    pub async fn accept(&self, key: &Value) -> Result<()> {
        self.admin(Method::POST, "keys", &[], Some(key)).await?;
        Ok(())
    }

    /// Puts objects: `{"key", "text"}` or `{"key", "size"}` each.
    pub async fn put(&self, bucket: &str, objects: &[Value]) -> Result<()> {
        let seed = json!({"bucket": bucket, "objects": objects});
        self.admin(Method::POST, "seed", &[], Some(&seed)).await?;
        Ok(())
    }

    /// Puts many empty objects: `<prefix>000000.bin`, `<prefix>000001.bin`, …
    pub async fn fill(&self, bucket: &str, prefix: &str, count: u64) -> Result<()> {
        let seed = json!({"bucket": bucket, "prefix": prefix, "count": count, "size": 0});
        self.admin(Method::POST, "seed", &[], Some(&seed)).await?;
        Ok(())
    }

    /// Takes an object away.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<()> {
        self.admin(
            Method::DELETE,
            "objects",
            &[("bucket", bucket), ("key", key)],
            None,
        )
        .await?;
        Ok(())
    }

    /// Makes a bucket peculiar, such as `{"requester_pays": true}`.
    pub async fn set_bucket(&self, bucket: &str, settings: Value) -> Result<()> {
        let order = json!({"bucket": bucket, "settings": settings});
        self.admin(Method::POST, "buckets", &[], Some(&order))
            .await?;
        Ok(())
    }

    /// Adds a role, such as `{"arn": "arn:…", "external_id": "…"}`, or puts it in the place of the one before.
    pub async fn add_role(&self, role: Value) -> Result<()> {
        self.admin(Method::POST, "roles", &[], Some(&role)).await?;
        Ok(())
    }

    /// The keys of a new session under a role that trusts anyone.
    pub async fn begin_session(&self, role: &str) -> Result<Keys> {
        let signer = Signer::new(self.keys())?;
        let fields = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", "a-person"),
        ];
        let session = signer.form("sts", &self.url, &fields).await?;
        Ok(Keys {
            id: element(&session, "AccessKeyId")?,
            secret: element(&session, "SecretAccessKey")?,
            token: Some(element(&session, "SessionToken")?),
        })
    }

    /// Ends every session now.
    pub async fn end_sessions(&self) -> Result<()> {
        self.admin(Method::DELETE, "sessions", &[], None).await?;
        Ok(())
    }

    /// What a bucket holds: `{"key", "size", "etag", "sha256"}` each.
    pub async fn objects(&self, bucket: &str) -> Result<Vec<Value>> {
        let objects = self
            .admin(Method::GET, "objects", &[("bucket", bucket)], None)
            .await?;
        list(objects)
    }

    /// From now on these fault rules are in force, and no others.
    pub async fn misbehave(&self, rules: &[Value]) -> Result<()> {
        self.admin(Method::POST, "faults", &[], Some(&json!(rules)))
            .await?;
        Ok(())
    }

    /// From now on every fetch of an object takes at least this long.
    pub async fn slow_down(&self, milliseconds: u64) -> Result<()> {
        let rule =
            json!({"match": {"operation": "get_object"}, "action": {"delay_ms": milliseconds}});
        self.misbehave(&[rule]).await
    }

    /// No more delays.
    pub async fn speed_up(&self) -> Result<()> {
        self.misbehave(&[]).await
    }

    /// The requests since the journal was last cleared.
    pub async fn journal(&self) -> Result<Vec<Value>> {
        list(self.admin(Method::GET, "journal", &[], None).await?)
    }

    /// The keys of the objects that were fetched since the journal was last cleared, in order. The first byte, for which a
    /// test of a source path asks, makes no fetch.
    pub async fn fetched(&self) -> Result<Vec<String>> {
        let journal = self.journal().await?;
        let fetches = journal
            .iter()
            .filter(|entry| entry["operation"] == "get_object" && entry["range"] != "bytes=0-0");
        Ok(fetches
            .filter_map(|entry| entry["key"].as_str().map(str::to_owned))
            .collect())
    }

    /// Starts the journal anew.
    pub async fn clear_journal(&self) -> Result<()> {
        self.admin(Method::DELETE, "journal", &[], None).await?;
        Ok(())
    }

    async fn admin(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value> {
        let pairs: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        let address = format!("{}/__admin/{path}?{}", self.url, pairs.join("&"));
        order(self.http.request(method, address), body).await
    }
}

/// Has the lab do something; its answer.
pub(crate) async fn order(request: reqwest::RequestBuilder, body: Option<&Value>) -> Result<Value> {
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.context("the lab does not answer")?;
    let (status, path) = (response.status(), response.url().path().to_owned());
    let text = response.text().await?;
    ensure!(
        status.is_success(),
        "the lab refused {path}, {status}: {text}"
    );
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

pub(crate) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => anyhow::bail!("the lab answered no list: {other}"),
    }
}

/// For a path whose slashes are its own, or a query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
