//! Credentials of every kind: how they are read, completed, sealed and read back.
//!
//! Each provider lists its kinds of credentials as [`CredentialForm`]s; everything here follows those lists. No text
//! made here contains a value.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::google_drive::{self, GoogleDriveCredentials};
use super::grammar::Check;
use super::s3::{self, S3Credentials};
use super::sharepoint::{self, SharePointCredentials};
use super::snowflake::{self, SnowflakeCredentials};
use super::tigris::{self, TigrisCredentials};
use super::{Provider, listed};
use crate::input::{InvalidInput, Length, Reader};
use crate::secret::{self, SecretBytes, SecretString};

/// A kind of credentials; on the wire the `type` inside `credentials`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialType {
    /// Google Drive: a service account's key.
    ServiceAccount,
    /// Google Drive: a refresh token that a person consented to.
    #[serde(rename = "oauth")]
    OAuth,
    /// S3 and Tigris: an access key.
    AccessKey,
    /// S3: a role that Wharf's own identity assumes.
    IamRole,
    /// Snowflake: a private key.
    KeyPair,
    /// Snowflake: a password.
    UsernamePassword,
    /// `SharePoint`: an application's own secret.
    ClientCredentials,
    /// `SharePoint`: a refresh token that a person consented to.
    Delegated,
}

/// A text that names no kind of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is no credential type; accepted: {}", listed(CredentialType::ALL.iter().map(|kind| kind.as_str())))]
pub struct UnknownCredentialType;

impl CredentialType {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::ServiceAccount,
        Self::OAuth,
        Self::AccessKey,
        Self::IamRole,
        Self::KeyPair,
        Self::UsernamePassword,
        Self::ClientCredentials,
        Self::Delegated,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "service_account",
            Self::OAuth => "oauth",
            Self::AccessKey => "access_key",
            Self::IamRole => "iam_role",
            Self::KeyPair => "key_pair",
            Self::UsernamePassword => "username_password",
            Self::ClientCredentials => "client_credentials",
            Self::Delegated => "delegated",
        }
    }
}

impl fmt::Display for CredentialType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CredentialType {
    type Err = UnknownCredentialType;

    fn from_str(text: &str) -> Result<Self, UnknownCredentialType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownCredentialType)
    }
}

/// Complete credentials of one provider, in the open.
///
/// They exist between the moment they are received or unsealed and the moment they are sealed or sent to their audience.
/// There is no `Clone` and no `Serialize`; `Debug` shows provider and type only; secrets are wiped when dropped.
pub enum Credentials {
    /// For Google Drive.
    GoogleDrive(GoogleDriveCredentials),
    /// For S3 and compatible stores.
    S3(S3Credentials),
    /// For Snowflake.
    Snowflake(SnowflakeCredentials),
    /// For `SharePoint` and `OneDrive`.
    SharePoint(SharePointCredentials),
    /// For Tigris.
    Tigris(TigrisCredentials),
}

impl Credentials {
    /// The provider they belong to.
    pub fn provider(&self) -> Provider {
        match self {
            Self::GoogleDrive(_) => Provider::GoogleDrive,
            Self::S3(_) => Provider::S3,
            Self::Snowflake(_) => Provider::Snowflake,
            Self::SharePoint(_) => Provider::SharePoint,
            Self::Tigris(_) => Provider::Tigris,
        }
    }

    /// Their kind, the one thing about them that a response shows.
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::GoogleDrive(credentials) => credentials.credential_type(),
            Self::S3(credentials) => credentials.credential_type(),
            Self::Snowflake(credentials) => credentials.credential_type(),
            Self::SharePoint(credentials) => credentials.credential_type(),
            Self::Tigris(credentials) => credentials.credential_type(),
        }
    }

    /// The external id that a role is assumed with, for credentials that are a role.
    pub fn external_id(&self) -> Option<&str> {
        match self {
            Self::S3(S3Credentials::IamRole { external_id, .. }) => Some(external_id),
            _ => None,
        }
    }

    /// What access tokens are had for, of credentials that are a person's consent.
    pub fn refresh_token(&self) -> Option<&SecretString> {
        match self {
            Self::GoogleDrive(GoogleDriveCredentials::OAuth { refresh_token, .. })
            | Self::SharePoint(SharePointCredentials::Delegated { refresh_token, .. }) => {
                Some(refresh_token)
            }
            _ => None,
        }
    }

    /// The same with the refresh token that the provider gave in place of theirs. Others stay as they are.
    #[must_use]
    pub fn rotated(mut self, token: SecretString) -> Self {
        if let Self::GoogleDrive(GoogleDriveCredentials::OAuth { refresh_token, .. })
        | Self::SharePoint(SharePointCredentials::Delegated { refresh_token, .. }) = &mut self
        {
            *refresh_token = token;
        }
        self
    }

    /// The plaintext to seal: a JSON object with `type` first, the fields in a fixed order, no spaces.
    pub fn to_secret_bytes(&self) -> SecretBytes {
        let fields = self.fields();
        // JSON needs at most six bytes for one byte of text. A buffer that never grows leaves no copies behind.
        let most: usize = fields
            .iter()
            .map(|(name, text)| name.len() + 6 * text.len() + 6)
            .sum();
        let mut json = Zeroizing::new(Vec::with_capacity(most + 64));
        json.extend_from_slice(b"{\"type\":");
        append_text(&mut json, self.credential_type().as_str());
        for (name, text) in fields {
            json.push(b',');
            append_text(&mut json, name);
            json.push(b':');
            append_text(&mut json, text);
        }
        json.push(b'}');
        SecretBytes::new(std::mem::take(&mut *json))
    }

    /// The inverse of [`to_secret_bytes`](Self::to_secret_bytes).
    ///
    /// # Errors
    /// Bytes that are no credentials of this provider.
    pub fn from_secret_bytes(
        provider: Provider,
        bytes: &SecretBytes,
    ) -> Result<Self, InvalidInput> {
        // The parser's own words may quote the text.
        let fields: Map<String, Value> = serde_json::from_slice(bytes.expose()).map_err(|_| {
            InvalidInput::one("credentials", "invalid_format", "must be a JSON object")
        })?;
        GivenCredentials::read_whole(provider, fields, "credentials")?.complete("credentials")
    }

    /// The fields that say whose they are, and prove nothing.
    pub fn identity(&self) -> BTreeMap<&'static str, String> {
        let forms = self.provider().forms();
        let form = forms
            .iter()
            .find(|form| form.kind == self.credential_type());
        let says_whose = |name: &str| {
            form.is_some_and(|form| {
                let mut fields = form.fields.iter();
                fields.any(|field| field.name == name && field.part == Part::Identity)
            })
        };
        self.fields()
            .into_iter()
            .filter(|(name, _)| says_whose(name))
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    /// The fields that are there, by name, in the order of their form.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::GoogleDrive(credentials) => credentials.fields(),
            Self::S3(credentials) => credentials.fields(),
            Self::Snowflake(credentials) => credentials.fields(),
            Self::SharePoint(credentials) => credentials.fields(),
            Self::Tigris(credentials) => credentials.fields(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Credentials({} {})",
            self.provider(),
            self.credential_type()
        )
    }
}

fn append_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("writing a text to memory cannot fail");
}

/// What a field is to its credentials, which decides what a `PATCH` may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Says whose credentials they are. Another value makes them other credentials, of which nothing may be kept.
    Identity,
    /// Proves it; must be there.
    Proof,
    /// Goes with the proof and may be missing. An empty text means that there is none.
    Companion,
}

/// One field of a kind of credentials.
#[derive(Debug)]
pub(super) struct CredentialField {
    pub(super) name: &'static str,
    pub(super) part: Part,
    pub(super) length: Length,
    pub(super) check: Check,
    /// Brings a value into its one form, before the check.
    pub(super) normalise: Option<fn(&str) -> SecretString>,
}

impl CredentialField {
    pub(super) const fn new(name: &'static str, part: Part, length: Length, check: Check) -> Self {
        Self {
            name,
            part,
            length,
            check,
            normalise: None,
        }
    }

    pub(super) const fn normalised(self, normalise: fn(&str) -> SecretString) -> Self {
        Self {
            normalise: Some(normalise),
            ..self
        }
    }

    /// Reads and checks this field; mistakes are noted in the reader.
    fn read(&self, reader: &mut Reader, whole: bool) -> Option<SecretString> {
        let text = match self.part {
            Part::Companion => reader.secret(self.name, Length::new(0, self.length.max)),
            _ if whole => reader.required_secret(self.name, self.length),
            _ => reader.secret(self.name, self.length),
        }?;
        let text = self
            .normalise
            .map(|normalise| normalise(text.expose()))
            .unwrap_or(text);
        match (self.check)(text.expose()) {
            Ok(()) => Some(text),
            Err(message) => {
                reader.reject(self.name, "invalid_format", message);
                None
            }
        }
    }
}

/// A kind of credentials and its fields.
#[derive(Debug)]
pub(super) struct CredentialForm {
    pub(super) kind: CredentialType,
    pub(super) fields: &'static [CredentialField],
}

impl Provider {
    /// The kinds of credentials that this provider accepts.
    pub fn credential_types(self) -> impl Iterator<Item = CredentialType> {
        self.forms().iter().map(|form| form.kind)
    }

    pub(super) fn forms(self) -> &'static [CredentialForm] {
        match self {
            Self::GoogleDrive => google_drive::FORMS,
            Self::S3 => s3::FORMS,
            Self::Snowflake => snowflake::FORMS,
            Self::SharePoint => sharepoint::FORMS,
            Self::Tigris => tigris::FORMS,
        }
    }
}

/// Field values of credentials by name, on their way into their own type.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, SecretString>);

impl Values {
    /// Takes a value that is not secret.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).map(|value| value.expose().to_owned())
    }

    /// Takes a secret.
    pub(super) fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.0.remove(name)
    }

    /// Takes a secret that may be missing; an empty one is.
    pub(super) fn companion(&mut self, name: &str) -> Option<SecretString> {
        self.0
            .remove(name)
            .filter(|value| !value.expose().is_empty())
    }
}

/// Credential fields as a person gave them: each is sound, some may be missing.
#[derive(Debug)]
pub(super) struct GivenCredentials {
    provider: Provider,
    form: &'static CredentialForm,
    values: Values,
}

impl GivenCredentials {
    /// None of the fields of a kind of credentials, unless the provider does not know that kind.
    pub(super) fn none_of(provider: Provider, kind: CredentialType) -> Option<Self> {
        let form = provider.forms().iter().find(|form| form.kind == kind)?;
        Some(Self {
            provider,
            form,
            values: Values::default(),
        })
    }

    /// Reads credentials of which everything required must be there.
    pub(super) fn read_whole(
        provider: Provider,
        fields: Map<String, Value>,
        path: &str,
    ) -> Result<Self, InvalidInput> {
        Self::read(provider, fields, path, true)
    }

    /// Reads credentials of which anything but the type may be missing.
    pub(super) fn read_partial(
        provider: Provider,
        fields: Map<String, Value>,
        path: &str,
    ) -> Result<Self, InvalidInput> {
        Self::read(provider, fields, path, false)
    }

    fn read(
        provider: Provider,
        mut fields: Map<String, Value>,
        path: &str,
        whole: bool,
    ) -> Result<Self, InvalidInput> {
        let kind = fields.remove("type");
        let mut reader = Reader::new(path, fields);
        // Asked for so that it counts as an accepted key.
        reader.value("type");
        let form = form_named(provider, kind, path)?;
        let mut values = Values::default();
        for field in form.fields {
            if let Some(value) = field.read(&mut reader, whole) {
                values.0.insert(field.name, value);
            }
        }
        reader.finish()?;
        Ok(Self {
            provider,
            form,
            values,
        })
    }

    /// Their kind.
    pub(super) fn kind(&self) -> CredentialType {
        self.form.kind
    }

    /// Whether anything was left out, required or not.
    pub(super) fn has_gaps(&self) -> bool {
        self.form
            .fields
            .iter()
            .any(|field| !self.values.0.contains_key(field.name))
    }

    /// The required fields that were left out.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let missing = |field: &&CredentialField| {
            field.part != Part::Companion && !self.values.0.contains_key(field.name)
        };
        self.form
            .fields
            .iter()
            .filter(missing)
            .map(|field| field.name)
            .collect()
    }

    /// The first identity field that was given with another value than `kept` has.
    pub(super) fn other_identity_than(&self, kept: &Credentials) -> Option<&'static str> {
        let kept: BTreeMap<_, _> = kept.fields().into_iter().collect();
        let differs = |field: &&CredentialField| {
            let given = self.values.0.get(field.name).map(SecretString::expose);
            field.part == Part::Identity
                && given.is_some()
                && given != kept.get(field.name).copied()
        };
        self.form
            .fields
            .iter()
            .find(differs)
            .map(|field| field.name)
    }

    /// Fills what was left out from kept credentials of the same kind.
    pub(super) fn fill_from(&mut self, kept: &Credentials) {
        for (name, text) in kept.fields() {
            self.values
                .0
                .entry(name)
                .or_insert_with(|| SecretString::new(text.to_owned()));
        }
    }

    /// The credentials, if nothing required is missing.
    pub(super) fn complete(mut self, path: &str) -> Result<Credentials, InvalidInput> {
        let (kind, values) = (self.form.kind, &mut self.values);
        let credentials = match self.provider {
            Provider::GoogleDrive => {
                GoogleDriveCredentials::from_values(kind, values).map(Credentials::GoogleDrive)
            }
            Provider::S3 => S3Credentials::from_values(kind, values).map(Credentials::S3),
            Provider::Snowflake => {
                SnowflakeCredentials::from_values(kind, values).map(Credentials::Snowflake)
            }
            Provider::SharePoint => {
                SharePointCredentials::from_values(kind, values).map(Credentials::SharePoint)
            }
            Provider::Tigris => TigrisCredentials::from_values(values).map(Credentials::Tigris),
        };
        credentials.ok_or_else(|| InvalidInput::one(path, "missing", "lacks required fields"))
    }
}

fn form_named(
    provider: Provider,
    kind: Option<Value>,
    path: &str,
) -> Result<&'static CredentialForm, InvalidInput> {
    let forms = provider.forms();
    let accepted = listed(provider.credential_types().map(CredentialType::as_str));
    let refuse = |kind, message| Err(InvalidInput::one(&format!("{path}.type"), kind, message));
    match (kind.unwrap_or_default(), forms) {
        (Value::Null, [only]) => Ok(only),
        (Value::Null, _) => refuse("missing", format!("is required; accepted: {accepted}")),
        (mut kind, _) => {
            let form = forms
                .iter()
                .find(|form| kind.as_str() == Some(form.kind.as_str()));
            secret::wipe(&mut kind);
            form.map_or_else(
                || {
                    refuse(
                        "unknown_value",
                        format!("is no credential type of {provider}; accepted: {accepted}"),
                    )
                },
                Ok,
            )
        }
    }
}
