//! Buckets at S3 servers that nobody here wrote, which the environment names.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::lab::escaped;
use crate::signed::{Keys, Signer};
use crate::variable;

/// A bucket at a server.
#[derive(Debug)]
pub struct Bucket {
    signer: Signer,
    url: String,
    name: String,
}

impl Bucket {
    /// A new one at the server that the environment's variables of this name tell of, such as `SEAWEEDFS`. `None` when this
    /// run has left it out.
    pub async fn create(server: &str, name: &str) -> Result<Option<Self>> {
        let Some((url, signer)) = server_of(server)? else {
            return Ok(None);
        };
        let name = format!("{name}-{}", std::process::id());
        let bucket = Self { signer, url, name };
        bucket.ask(Method::PUT, "", "", &[], &[]).await?;
        Ok(Some(bucket))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `provider_config` of a connection to the server.
    pub fn provider_config(&self) -> Value {
        let Keys { id, secret, .. } = self.signer.keys();
        let credentials = json!({
            "type": "access_key",
            "access_key_id": id,
            "secret_access_key": secret,
        });
        json!({"provider_type": "s3", "endpoint_url": self.url, "credentials": credentials})
    }

    /// Puts an object, with headers that say more of it.
    pub async fn put(&self, key: &str, bytes: &[u8], said: &[(&str, &str)]) -> Result<()> {
        self.ask(Method::PUT, key, "", said, bytes).await?;
        Ok(())
    }

    /// Takes an object away.
    pub async fn remove(&self, key: &str) -> Result<()> {
        self.ask(Method::DELETE, key, "", &[], &[]).await?;
        Ok(())
    }

    /// Keeps every version of its objects from now on.
    pub async fn keep_versions(&self) -> Result<()> {
        let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let enabled = enabled.as_bytes();
        self.ask(Method::PUT, "", "?versioning=", &[], enabled)
            .await?;
        Ok(())
    }

    /// The text of an object in the version of this name.
    pub async fn version(&self, key: &str, id: &str) -> Result<String> {
        let query = format!("?versionId={}", escaped(id));
        self.ask(Method::GET, key, &query, &[], &[]).await
    }

    /// Gives an object this tag in place of those that it has.
    pub async fn tag(&self, key: &str, name: &str, value: &str) -> Result<()> {
        let tag = format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>");
        let tags = format!("<Tagging><TagSet>{tag}</TagSet></Tagging>");
        self.ask(Method::PUT, key, "?tagging=", &[], tags.as_bytes())
            .await?;
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<String> {
        let url = format!("{}/{}/{}{query}", self.url, self.name, escaped(key));
        self.signer.ask("s3", method, &url, headers, body).await
    }
}

/// Where the server of this name is, and who may do everything there.
pub(crate) fn server_of(server: &str) -> Result<Option<(String, Signer)>> {
    let variable = |what: &str| variable(&format!("WHARF_TEST_{server}_{what}"));
    let (Some(url), Some(id), Some(secret)) = (
        variable("URL")?,
        variable("ACCESS_KEY_ID")?,
        variable("SECRET_ACCESS_KEY")?,
    ) else {
        return Ok(None);
    };
    let token = None;
    Ok(Some((url, Signer::new(Keys { id, secret, token })?)))
}
