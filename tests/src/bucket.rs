//! Buckets at S3 servers that nobody here wrote, which the environment names.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::client;
use crate::lab::escaped;
use crate::variable;

/// A bucket at a server.
#[derive(Debug)]
pub struct Bucket {
    http: reqwest::Client,
    url: String,
    id: String,
    secret: String,
    name: String,
}

impl Bucket {
    /// A new one at the server that the environment's variables of this name tell of, such as `SEAWEEDFS`. `None` when this
    /// run has left it out.
    pub async fn create(server: &str, name: &str) -> Result<Option<Self>> {
        let variable = |what: &str| variable(&format!("WHARF_TEST_{server}_{what}"));
        let (Some(url), Some(id), Some(secret)) = (
            variable("URL")?,
            variable("ACCESS_KEY_ID")?,
            variable("SECRET_ACCESS_KEY")?,
        ) else {
            return Ok(None);
        };
        let bucket = Self {
            http: client()?,
            url,
            id,
            secret,
            name: format!("{name}-{}", std::process::id()),
        };
        bucket.ask(Method::PUT, "", &[], &[]).await?;
        Ok(Some(bucket))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `provider_config` of a connection to the server.
    pub fn provider_config(&self) -> Value {
        let credentials = json!({
            "type": "access_key",
            "access_key_id": self.id,
            "secret_access_key": self.secret,
        });
        json!({"provider_type": "s3", "endpoint_url": self.url, "credentials": credentials})
    }

    /// Puts an object, with headers that say more of it.
    pub async fn put(&self, key: &str, bytes: &[u8], said: &[(&str, &str)]) -> Result<()> {
        self.ask(Method::PUT, key, said, bytes).await
    }

    /// Takes an object away.
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.ask(Method::DELETE, key, &[], &[]).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a server compares the time of a signature with its own"
    )]
    async fn ask(
        &self,
        method: Method,
        key: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let url = format!("{}/{}/{}", self.url, self.name, escaped(key));
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = aws_sigv4::http_request::PayloadChecksumKind::XAmzSha256;
        let identity = Credentials::new(&self.id, &self.secret, None, None, "tests").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            &url,
            headers.iter().copied(),
            SignableBody::Bytes(body),
        )?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = self.http.request(method, &url).body(body.to_vec());
        for (name, value) in headers.iter().copied().chain(signature.headers()) {
            request = request.header(name, value);
        }
        let response = request.send().await.context("the server does not answer")?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{url} was refused, {status}: {text}");
        Ok(())
    }
}
