//! The five providers: their public configurations, their credentials, and the reading of both from untrusted input.
//!
//! [`parse_new`] reads the `provider_config` of a create request, [`parse_patch`] that of an update; both report every
//! mistake with its full path. What comes out is split in two: a [`ProviderConfig`] that may be shown to anyone who may
//! read the connection, and [`Credentials`] that go nowhere but into the envelope and to their [`Audience`].
//!
//! This module must not know how a provider is spoken to, nor whether an address may be dialled.

mod audience;
mod bucket_path;
mod credentials;
mod endpoint;
pub mod google_drive;
mod grammar;
mod patch;
pub mod s3;
pub mod sharepoint;
pub mod snowflake;
pub mod tigris;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

pub use self::audience::Audience;
pub use self::bucket_path::BucketPath;
use self::credentials::GivenCredentials;
pub use self::credentials::{CredentialType, Credentials, UnknownCredentialType};
pub use self::endpoint::{EndpointUrl, InvalidEndpoint, Scheme};
pub use self::google_drive::{GoogleDriveConfig, GoogleDriveCredentials};
pub use self::patch::{PatchError, ProviderConfigPatch, parse_patch};
pub use self::s3::{S3Config, S3Credentials};
pub use self::sharepoint::{SharePointConfig, SharePointCredentials};
pub use self::snowflake::{SnowflakeConfig, SnowflakeCredentials};
pub use self::tigris::{TigrisConfig, TigrisCredentials};
use crate::input::{InvalidInput, Length, Reader};

/// An external storage provider; on the wire `provider_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Google Drive, shared drives included.
    GoogleDrive,
    /// Amazon S3 and every S3-compatible store.
    S3,
    /// Snowflake tables.
    Snowflake,
    /// `SharePoint` and `OneDrive`.
    #[serde(rename = "sharepoint")]
    SharePoint,
    /// Tigris.
    Tigris,
}

/// A text that names no provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no supported provider; accepted: {}", listed(Provider::ALL.iter().map(|provider| provider.as_str())))]
pub struct UnknownProvider;

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 5] = [
        Self::GoogleDrive,
        Self::S3,
        Self::Snowflake,
        Self::SharePoint,
        Self::Tigris,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoogleDrive => "google_drive",
            Self::S3 => "s3",
            Self::Snowflake => "snowflake",
            Self::SharePoint => "sharepoint",
            Self::Tigris => "tigris",
        }
    }

    /// Whether a listing silently leaves out what this identity may not see, so that what it does not name may be there all the
    /// same.
    pub fn listings_hide(self) -> bool {
        self == Self::GoogleDrive
    }

    /// Whether a listing may show less than what was written before it began, as of a store whose regions follow each other.
    pub fn listings_lag(self) -> bool {
        self == Self::Tigris
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or(UnknownProvider)
    }
}

/// What a connection's configuration says besides its credentials. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderConfig {
    /// For Google Drive.
    GoogleDrive(GoogleDriveConfig),
    /// For S3 and compatible stores.
    S3(S3Config),
    /// For Snowflake.
    Snowflake(SnowflakeConfig),
    /// For `SharePoint` and `OneDrive`.
    SharePoint(SharePointConfig),
    /// For Tigris.
    Tigris(TigrisConfig),
}

impl ProviderConfig {
    /// The provider it configures.
    pub fn provider(&self) -> Provider {
        match self {
            Self::GoogleDrive(_) => Provider::GoogleDrive,
            Self::S3(_) => Provider::S3,
            Self::Snowflake(_) => Provider::Snowflake,
            Self::SharePoint(_) => Provider::SharePoint,
            Self::Tigris(_) => Provider::Tigris,
        }
    }

    /// Every setting as a read shows it: defaults filled in, absent ones left out, without `credentials`.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        match self {
            Self::GoogleDrive(config) => config.write(&mut json),
            Self::S3(config) => config.write(&mut json),
            Self::Snowflake(config) => config.write(&mut json),
            Self::SharePoint(config) => config.write(&mut json),
            Self::Tigris(config) => config.write(&mut json),
        }
        let labels = self.labels();
        if labels.names_provider {
            json.insert("provider_type".into(), self.provider().as_str().into());
        }
        insert(&mut json, "description", labels.description.as_deref());
        json
    }

    /// The inverse of [`to_json`](Self::to_json), for repositories.
    ///
    /// # Errors
    /// What `to_json` did not make.
    pub fn from_stored(
        provider: Provider,
        fields: Map<String, Value>,
    ) -> Result<Self, InvalidInput> {
        let mut reader = Reader::new("provider_config", fields);
        let config = Self::read(provider, &mut reader);
        finish(config, reader, Ok(())).map(|(config, ())| config)
    }

    /// The host and account that the secrets of this configuration may be sent to. Credentials' own identity, such as a
    /// user name or a tenant, is not part of it.
    pub fn audience(&self) -> Audience {
        match self {
            Self::GoogleDrive(config) => config.audience(),
            Self::S3(config) => config.audience(),
            Self::Snowflake(config) => config.audience(),
            Self::SharePoint(config) => config.audience(),
            Self::Tigris(config) => config.audience(),
        }
    }

    /// Reads every public setting; mistakes are noted in the reader, and then there may be no result.
    fn read(provider: Provider, reader: &mut Reader) -> Option<Self> {
        let labels = Labels::read(provider, reader);
        match provider {
            Provider::GoogleDrive => {
                Some(Self::GoogleDrive(GoogleDriveConfig::read(reader, labels)))
            }
            Provider::S3 => S3Config::read(reader, labels).map(Self::S3),
            Provider::Snowflake => SnowflakeConfig::read(reader, labels).map(Self::Snowflake),
            Provider::SharePoint => Some(Self::SharePoint(SharePointConfig::read(reader, labels))),
            Provider::Tigris => TigrisConfig::read(reader, labels).map(Self::Tigris),
        }
    }

    fn labels(&self) -> &Labels {
        match self {
            Self::GoogleDrive(config) => &config.labels,
            Self::S3(config) => &config.labels,
            Self::Snowflake(config) => &config.labels,
            Self::SharePoint(config) => &config.labels,
            Self::Tigris(config) => &config.labels,
        }
    }

    /// What settings and a kind of credentials must agree on.
    fn accepts(&self, kind: CredentialType, path: &str) -> Result<(), InvalidInput> {
        match self {
            Self::GoogleDrive(config) => config.accepts(kind, path),
            _ => Ok(()),
        }
    }
}

/// What may stand in any provider's configuration and changes nothing; kept so that a read shows it again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// Whether `provider_type` was repeated inside the configuration.
    pub names_provider: bool,
    /// A description of up to 500 characters.
    pub description: Option<String>,
}

impl Labels {
    fn read(provider: Provider, reader: &mut Reader) -> Self {
        let named = reader.string("provider_type", Length::new(0, 64));
        match named.as_deref().map(Provider::from_str) {
            Some(Ok(other)) if other != provider => {
                let message =
                    format!("is {other}, but the connection's provider_type is {provider}");
                reader.reject("provider_type", "conflict", message);
            }
            Some(Err(unknown)) => {
                reader.reject("provider_type", "unknown_value", unknown.to_string());
            }
            _ => {}
        }
        let description = grammar::text(reader, "description", Length::new(0, 500), grammar::lines);
        Self {
            names_provider: named.is_some(),
            description,
        }
    }
}

/// A complete and sound `provider_config`.
#[derive(Debug)]
pub struct NewProviderConfig {
    /// What may be shown.
    pub config: ProviderConfig,
    /// What may not.
    pub credentials: Credentials,
}

/// Reads the `provider_config` of a create request, which stands at `path`.
///
/// # Errors
/// Every mistake in settings and credentials, each with its path under `path`.
pub fn parse_new(
    provider: Provider,
    fields: Map<String, Value>,
    path: &str,
) -> Result<NewProviderConfig, InvalidInput> {
    let mut reader = Reader::new(path, fields);
    let credentials_path = reader.path_of("credentials");
    let credentials = reader
        .require("credentials")
        .then(|| reader.object("credentials"))
        .flatten();
    let credentials = credentials
        .map(|fields| GivenCredentials::read_whole(provider, fields, &credentials_path))
        .transpose();
    let config = ProviderConfig::read(provider, &mut reader);
    match finish(config, reader, credentials)? {
        (config, Some(given)) => {
            config.accepts(given.kind(), path)?;
            Ok(NewProviderConfig {
                config,
                credentials: given.complete(&credentials_path)?,
            })
        }
        (_, None) => Err(InvalidInput::one(
            &credentials_path,
            "missing",
            "is required",
        )),
    }
}

/// Settings and credentials, if neither had mistakes; otherwise those of both.
fn finish<T>(
    config: Option<ProviderConfig>,
    mut reader: Reader,
    credentials: Result<T, InvalidInput>,
) -> Result<(ProviderConfig, T), InvalidInput> {
    let unreadable = InvalidInput::one(&reader.path_of(""), "invalid", "cannot be read");
    let credentials = credentials.map_err(|errors| reader.absorb(errors)).ok();
    reader.finish()?;
    config.zip(credentials).ok_or(unreadable)
}

/// Writes a setting that may be absent.
fn insert(json: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        json.insert(key.to_owned(), value.into());
    }
}

/// Words with commas between them, for messages.
fn listed<Word: AsRef<str>>(words: impl IntoIterator<Item = Word>) -> String {
    let mut list = String::new();
    for word in words {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(word.as_ref());
    }
    list
}

#[cfg(test)]
mod tests;
