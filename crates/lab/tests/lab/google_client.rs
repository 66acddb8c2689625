//! Plain HTTP to the lab's Google.

use std::fmt::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use wharf_lab::Lab;
use wharf_lab::google::{GoogleLab, NewServiceAccount, Role, ServiceAccountKey};

pub(crate) const READ: &str = "https://www.googleapis.com/auth/drive.readonly";
pub(crate) const ANNA: &str = "anna@harbour.example";
pub(crate) const BEN: &str = "ben@harbour.example";
pub(crate) const BOT: &str = "bot@lab-project.iam.gserviceaccount.com";
pub(crate) const SHARED: &str = "supportsAllDrives=true&includeItemsFromAllDrives=true";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Status and reason of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let reason = self.json()["error"]["errors"][0]["reason"].clone();
        (self.status, reason.as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

pub(crate) async fn send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request.body(Full::new(body.into()))?)
        .await?;
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}

/// An account that calls Drive.
pub(crate) struct Caller {
    url: String,
    token: String,
}

impl Caller {
    pub(crate) fn of(google: &GoogleLab, email: &str) -> Self {
        Self::with(google, &google.access_token(email, &[READ]))
    }

    pub(crate) fn with(google: &GoogleLab, token: &str) -> Self {
        Self {
            url: google.url().to_owned(),
            token: token.to_owned(),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend_from_slice(headers);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}/drive/v3/{path}", self.url)
        };
        send(method, &url, &all, body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &Value::Null).await
    }

    /// What a call answers that is not refused.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()
    }

    pub(crate) async fn refusal(&self, path: &str) -> (u16, String) {
        self.get(path).await.refusal()
    }

    /// The names a listing gives, in alphabetical order.
    pub(crate) async fn names(&self, query: &str) -> Vec<String> {
        let list = self.json(&format!("files?{query}")).await;
        let mut names = texts(&list["files"], "name");
        names.sort_unstable();
        names
    }
}

/// One field of every object of a list.
pub(crate) fn texts(list: &Value, field: &str) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| entry[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Written so that it can stand in a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        write!(escaped, "%{byte:02X}").unwrap();
    }
    escaped
}

/// A lab where Anna organizes a shared drive that the service account reads, and Ben has nothing to do with it.
pub(crate) async fn harbour() -> (Lab, String) {
    let lab = crate::client::start().await;
    let google = lab.google();
    google.add_user(ANNA, "Anna");
    google.add_user(BEN, "Ben");
    google
        .add_service_account(NewServiceAccount {
            email: BOT.to_owned(),
            ..NewServiceAccount::default()
        })
        .unwrap();
    let drive = google
        .add_drive("Team", [(ANNA, Role::Organizer), (BOT, Role::Reader)])
        .unwrap();
    (lab, drive)
}

/// The claims of an assertion that is right.
pub(crate) fn claims(key: &ServiceAccountKey, now: i64) -> Value {
    json!({
        "iss": key.client_email,
        "scope": READ,
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    })
}

pub(crate) fn assertion(key: &ServiceAccountKey, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": key.private_key_id});
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(claims));
    let pem: String = key
        .private_key
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let pair = KeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Asks the token endpoint.
pub(crate) async fn token(google: &GoogleLab, fields: &[(&str, &str)]) -> (u16, Value) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer = send(Method::POST, &google.token_url(), &kind, form)
        .await
        .unwrap();
    (answer.status, answer.json())
}
