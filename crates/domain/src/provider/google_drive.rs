//! Google Drive: settings and credentials.
//!
//! Token addresses are not part of either: of a service account's key file only the five fields below are taken, so that
//! a pasted `token_uri` cannot name another host to send a signed assertion to.

use std::fmt;

use serde_json::{Map, Value};

use super::credentials::{CredentialField, CredentialForm, Part, Values};
use super::grammar::{self, ID, SECRET};
use super::{Audience, CredentialType, Labels, insert};
use crate::input::{InvalidInput, Length, Reader};
use crate::secret::SecretString;

const EMAIL: Length = Length::new(3, 320);

/// Settings of a Google Drive connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoogleDriveConfig {
    /// The shared drive to read; the account's own drive and what is shared with it when absent. 1 to 256 of
    /// `A-Z a-z 0-9 _ -`.
    pub shared_drive_id: Option<String>,
    /// The user that a service account acts for by domain-wide delegation: an e-mail address.
    pub impersonate_user: Option<String>,
    /// What a read repeats.
    pub labels: Labels,
}

impl GoogleDriveConfig {
    pub(super) fn read(reader: &mut Reader, labels: Labels) -> Self {
        Self {
            shared_drive_id: grammar::text(reader, "shared_drive_id", ID, drive_id),
            impersonate_user: grammar::text(reader, "impersonate_user", EMAIL, grammar::email),
            labels,
        }
    }

    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        insert(json, "shared_drive_id", self.shared_drive_id.as_deref());
        insert(json, "impersonate_user", self.impersonate_user.as_deref());
    }

    /// Google, and whom the account acts for: a key that may act for anyone must be entered again to act for another.
    pub(super) fn audience(&self) -> Audience {
        match &self.impersonate_user {
            None => Audience::of(&["google"]),
            Some(user) => Audience::of(&["google", user]),
        }
    }

    /// Only a service account can act for another user.
    pub(super) fn accepts(&self, kind: CredentialType, path: &str) -> Result<(), InvalidInput> {
        if self.impersonate_user.is_some() && kind != CredentialType::ServiceAccount {
            let path = format!("{path}.impersonate_user");
            return Err(InvalidInput::one(
                &path,
                "conflict",
                "needs credentials of type service_account",
            ));
        }
        Ok(())
    }
}

/// Credentials of a Google Drive connection.
pub enum GoogleDriveCredentials {
    /// A service account's key.
    ServiceAccount {
        /// The account's Google Cloud project.
        project_id: String,
        /// Which of the account's keys this is.
        private_key_id: String,
        /// The key in PEM form.
        private_key: SecretString,
        /// The account's e-mail address.
        client_email: String,
        /// The account's number.
        client_id: String,
    },
    /// A person's consent.
    OAuth {
        /// The application that was consented to.
        client_id: String,
        /// The application's secret.
        client_secret: SecretString,
        /// What access tokens are had for.
        refresh_token: SecretString,
    },
}

pub(super) const FORMS: &[CredentialForm] = &[
    CredentialForm {
        kind: CredentialType::ServiceAccount,
        fields: &[
            CredentialField::new("project_id", Part::Identity, ID, grammar::token),
            CredentialField::new("private_key_id", Part::Identity, ID, grammar::token),
            CredentialField::new("private_key", Part::Proof, SECRET, grammar::private_key)
                .normalised(grammar::with_line_breaks),
            CredentialField::new("client_email", Part::Identity, EMAIL, grammar::email),
            CredentialField::new("client_id", Part::Identity, ID, grammar::token),
        ],
    },
    CredentialForm {
        kind: CredentialType::OAuth,
        fields: &[
            CredentialField::new("client_id", Part::Identity, ID, grammar::token),
            CredentialField::new("client_secret", Part::Proof, SECRET, grammar::one_line),
            CredentialField::new("refresh_token", Part::Proof, SECRET, grammar::token),
        ],
    },
];

impl GoogleDriveCredentials {
    /// Their kind.
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::ServiceAccount { .. } => CredentialType::ServiceAccount,
            Self::OAuth { .. } => CredentialType::OAuth,
        }
    }

    pub(super) fn from_values(kind: CredentialType, values: &mut Values) -> Option<Self> {
        match kind {
            CredentialType::ServiceAccount => Some(Self::ServiceAccount {
                project_id: values.text("project_id")?,
                private_key_id: values.text("private_key_id")?,
                private_key: values.secret("private_key")?,
                client_email: values.text("client_email")?,
                client_id: values.text("client_id")?,
            }),
            CredentialType::OAuth => Some(Self::OAuth {
                client_id: values.text("client_id")?,
                client_secret: values.secret("client_secret")?,
                refresh_token: values.secret("refresh_token")?,
            }),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::ServiceAccount {
                project_id,
                private_key_id,
                private_key,
                client_email,
                client_id,
            } => vec![
                ("project_id", project_id),
                ("private_key_id", private_key_id),
                ("private_key", private_key.expose()),
                ("client_email", client_email),
                ("client_id", client_id),
            ],
            Self::OAuth {
                client_id,
                client_secret,
                refresh_token,
            } => vec![
                ("client_id", client_id),
                ("client_secret", client_secret.expose()),
                ("refresh_token", refresh_token.expose()),
            ],
        }
    }
}

impl fmt::Debug for GoogleDriveCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoogleDriveCredentials({})", self.credential_type())
    }
}

/// The identifier of a drive, which later stands inside a query.
fn drive_id(text: &str) -> Result<(), &'static str> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    grammar::expect(plain, "must consist of letters, digits, _ and -")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{
        assert_accepted, assert_refused, assert_shown, audience, shown_by_default,
    };
    use super::super::{Provider, parse_new};
    use super::*;

    const PROVIDER: Provider = Provider::GoogleDrive;

    #[test]
    fn without_settings_there_are_none_to_show() {
        for kind in [CredentialType::ServiceAccount, CredentialType::OAuth] {
            assert_eq!(shown_by_default(PROVIDER, kind, json!({})), json!({}));
        }
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        let account = CredentialType::ServiceAccount;
        assert_shown(
            PROVIDER,
            account,
            &[
                (
                    "shared_drive_id",
                    json!("0AH-Xabc123def456"),
                    json!("0AH-Xabc123def456"),
                ),
                ("shared_drive_id", json!(null), json!(null)),
                (
                    "impersonate_user",
                    json!("admin@company.com"),
                    json!("admin@company.com"),
                ),
            ],
        );
        let mut refused = vec![("shared_drive_id", json!("a".repeat(257)))];
        for hostile in [
            "", "a/b", "a'b", "a or b", "..", "a%2fb", "a?b", "a#b", "a\\b", "a\nb", "a\0", "ä",
        ] {
            refused.push(("shared_drive_id", json!(hostile)));
        }
        for no_email in [
            "",
            "admin",
            "admin@",
            "@company.com",
            "a b@company.com",
            "admin@company.com\r\nx",
        ] {
            refused.push(("impersonate_user", json!(no_email)));
        }
        assert_refused(PROVIDER, account, &refused);
    }

    #[test]
    fn credentials_are_checked_field_by_field() {
        let account = CredentialType::ServiceAccount;
        assert_accepted(
            PROVIDER,
            account,
            &[
                (
                    "credentials.private_key",
                    json!("-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----\n"),
                ),
                (
                    "credentials.private_key",
                    json!(r"-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n"),
                ),
                ("credentials.private_key_id", json!("a1b2c3d4e5f6...")),
            ],
        );
        assert_refused(
            PROVIDER,
            account,
            &[
                ("credentials.private_key", json!("abc")),
                (
                    "credentials.private_key",
                    json!("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"),
                ),
                ("credentials.client_email", json!("sync")),
                ("credentials.project_id", json!("my project")),
                (
                    "credentials.auth_uri",
                    json!("https://accounts.example.com"),
                ),
                ("credentials.token_uri", json!("https://evil.example.com")),
                ("credentials.universe_domain", json!("evil.example.com")),
                ("credentials.refresh_token", json!("1//x")),
            ],
        );
        assert_refused(
            PROVIDER,
            CredentialType::OAuth,
            &[
                ("credentials.refresh_token", json!("1//a\r\nb")),
                ("credentials.client_id", json!("a b")),
                ("credentials.private_key", json!("abc")),
            ],
        );
    }

    #[test]
    fn a_pasted_key_file_is_refused_naming_the_five_accepted_keys() {
        let fields = json!({"credentials": {"type": "service_account", "token_uri": "https://evil.example.com"}});
        let Value::Object(fields) = fields else {
            panic!("an object")
        };
        let error = parse_new(PROVIDER, fields, "provider_config")
            .unwrap_err()
            .to_string();
        assert!(error.contains(
            "accepted keys: client_email, client_id, private_key, private_key_id, project_id, type"
        ));
    }

    #[test]
    fn credentials_tell_whose_they_are_and_nothing_that_proves_it() {
        let parsed = |credentials: Value| {
            let Value::Object(fields) = json!({ "credentials": credentials }) else {
                panic!("an object")
            };
            let parts = parse_new(PROVIDER, fields, "provider_config").unwrap();
            parts.credentials.identity()
        };
        let account = parsed(json!({
            "type": "service_account", "project_id": "p", "private_key_id": "k", "client_email": "a@p.example",
            "client_id": "114",
            "private_key": "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n",
        }));
        let told: Vec<_> = account
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("client_email", "a@p.example"),
                ("client_id", "114"),
                ("private_key_id", "k"),
                ("project_id", "p"),
            ]
        );
        let person = parsed(json!({
            "type": "oauth", "client_id": "114", "client_secret": "s", "refresh_token": "1//x"
        }));
        assert_eq!(
            person.into_iter().collect::<Vec<_>>(),
            [("client_id", "114".to_owned())]
        );
    }

    #[test]
    fn only_a_service_account_acts_for_a_user() {
        let fields = json!({
            "impersonate_user": "admin@company.com",
            "credentials": {"type": "oauth", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
        });
        let Value::Object(fields) = fields else {
            panic!("an object")
        };
        let error = parse_new(PROVIDER, fields, "provider_config").unwrap_err();
        assert_eq!(error.0[0].path(), "provider_config.impersonate_user");
    }

    #[test]
    fn the_audience_is_whom_the_account_acts_for() {
        let plain = audience(PROVIDER, "impersonate_user", json!(null));
        assert_eq!(plain, audience(PROVIDER, "shared_drive_id", json!("other")));
        let admin = audience(PROVIDER, "impersonate_user", json!("admin@company.com"));
        assert_ne!(plain, admin);
        assert_ne!(
            admin,
            audience(PROVIDER, "impersonate_user", json!("other@company.com"))
        );
    }
}
