//! Requests to S3 servers and to the services for identities beside them, signed with a key pair.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use reqwest::Method;

use crate::api::client;
use crate::lab::escaped;

/// What opens a server: a permanent key pair, or a temporary one with its token.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The session token of a temporary pair.
    pub token: Option<String>,
}

/// Whoever signs.
#[derive(Debug)]
pub(crate) struct Signer {
    http: reqwest::Client,
    keys: Keys,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.id)
    }
}

impl Signer {
    pub(crate) fn new(keys: Keys) -> Result<Self> {
        Ok(Self {
            http: client()?,
            keys,
        })
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What a success says.
    #[expect(
        clippy::disallowed_methods,
        reason = "a server compares the time of a signature with its own"
    )]
    pub(crate) async fn ask(
        &self,
        service: &str,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let Keys { id, secret, token } = &self.keys;
        let identity = Credentials::new(id, secret, token.clone(), None, "tests").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let signable = SignableRequest::new(
            method.as_str(),
            url,
            headers.iter().copied(),
            SignableBody::Bytes(body),
        )?;
        let (signature, _) = sign(signable, &parameters)?.into_parts();
        let mut request = self.http.request(method, url).body(body.to_vec());
        for (name, value) in headers.iter().copied().chain(signature.headers()) {
            request = request.header(name, value);
        }
        let response = request.send().await.context("the server does not answer")?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{url} was refused, {status}: {text}");
        Ok(text)
    }

    /// Has a service that is asked by forms, `iam` or `sts`, do something; its answer.
    pub(crate) async fn form(
        &self,
        service: &str,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", escaped(value).replace('/', "%2F")))
            .collect();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let (url, body) = (format!("{url}/"), fields.join("&"));
        self.ask(service, Method::POST, &url, &[kind], body.as_bytes())
            .await
    }
}

/// The text of an element of an answer.
pub(crate) fn element(answer: &str, name: &str) -> Result<String> {
    let (_, rest) = answer
        .split_once(&format!("<{name}>"))
        .with_context(|| format!("there is no {name} in {answer}"))?;
    Ok(rest.split('<').next().unwrap_or_default().to_owned())
}
