//! The few calls of the API that the demo makes, as any client would.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::http::Response;
use ureq::{Agent, Body};

pub(super) struct Api {
    agent: Agent,
    url: String,
    authorization: String,
}

/// What a download amounted to.
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Api {
    pub(super) fn new(url: &str, key: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .proxy(None)
            .build();
        Self {
            agent: agent.into(),
            url: url.to_owned(),
            authorization: format!("Bearer {key}"),
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.post_with(path, &[], body)
    }

    /// Every result of a list operation, page by page.
    pub(super) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut results = Vec::new();
        let mut cursor = None;
        loop {
            let mut query = vec![("limit", "1000".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let mut page = self.post_with(path, &query, &json!({}))?;
            let page_results = page["results"]
                .as_array_mut()
                .context("a list has no results")?;
            results.append(page_results);
            cursor = page["pagination"]["next_cursor"]
                .as_str()
                .map(str::to_owned);
            if cursor.is_none() {
                return Ok(results);
            }
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let response = request.header("Authorization", &self.authorization).call();
        let mut response = accepted(path, response)?;
        response
            .body_mut()
            .read_json()
            .with_context(|| format!("{path} answered no JSON"))
    }

    pub(super) fn download(&self, path: &str) -> Result<Content> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let response = request.header("Authorization", &self.authorization).call();
        let response = accepted(path, response)?;
        let mut reader = response.into_body().into_reader();
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).with_context(|| format!("GET {path} broke off")),
            }
        }
        Ok(Content {
            bytes,
            sha256: hex::encode(hasher.finalize()),
        })
    }

    fn post_with(&self, path: &str, query: &[(&str, String)], body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let request = query.iter().fold(request, |request, (name, value)| {
            request.query(*name, value)
        });
        let response = request
            .header("Authorization", &self.authorization)
            .send_json(body);
        let mut response = accepted(path, response)?;
        response
            .body_mut()
            .read_json()
            .with_context(|| format!("{path} answered no JSON"))
    }
}

/// The configuration of a connection to the shared drive that a service account of the lab's Google is a member of.
pub(super) fn google_drive(url: &str, account: &str) -> Result<Value> {
    let lab = Api::new(url, "");
    let mut credentials = lab.get(&format!("/__admin/key-file?email={account}"))?;
    credentials["type"] = json!("service_account");
    let scopes = ["https://www.googleapis.com/auth/drive.readonly"];
    let token = lab.post(
        "/__admin/access-token",
        &json!({"email": account, "scopes": scopes}),
    )?;
    let token = token["access_token"].as_str().context("no access token")?;
    let drives = Api::new(url, token).get("/drive/v3/drives")?;
    Ok(json!({ "credentials": credentials, "shared_drive_id": drives["drives"][0]["id"] }))
}

fn accepted(path: &str, response: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>> {
    let mut response = response.with_context(|| format!("{path} did not answer"))?;
    let status = response.status();
    if !status.is_success() {
        let body = response.body_mut().read_to_string().unwrap_or_default();
        ensure!(status.is_success(), "{path} answered {status}: {body}");
    }
    Ok(response)
}
