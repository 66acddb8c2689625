//! Snowflake: settings and credentials.

use std::fmt;

use serde_json::{Map, Value};

use super::credentials::{CredentialField, CredentialForm, Part, Values};
use super::grammar::{self, ID, SECRET};
use super::{Audience, CredentialType, Labels, insert};
use crate::input::{Length, Reader};
use crate::secret::SecretString;

/// Lengths of identifiers inside Snowflake.
const IDENTIFIER: Length = Length::new(1, 255);
/// Most columns of a primary key.
const MAX_KEY_COLUMNS: usize = 32;

/// Settings of a Snowflake connection. Names inside Snowflake have 1 to 255 characters, none of them control characters;
/// whoever sends one quotes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnowflakeConfig {
    /// The account.
    pub account: Account,
    /// The warehouse that queries run in.
    pub warehouse: String,
    /// The default database.
    pub database: Option<String>,
    /// The default schema.
    pub schema: Option<String>,
    /// The role to act in; the user's default when absent.
    pub role: Option<String>,
    /// A column that only grows, by which new rows are told from old.
    pub incremental_column: Option<String>,
    /// The columns that identify a row, at most 32; its content does when there are none.
    pub primary_key_columns: Vec<String>,
    /// How long a query may run: 30 to 3600 seconds, 300 by default.
    pub query_timeout_seconds: u64,
    /// Rows per fetch: 100 to 10000, 1000 by default.
    pub fetch_size: u64,
    /// What a read repeats.
    pub labels: Labels,
}

impl SnowflakeConfig {
    pub(super) fn read(reader: &mut Reader, labels: Labels) -> Option<Self> {
        let account = reader
            .require("account")
            .then(|| Account::read(reader))
            .flatten();
        let warehouse = reader
            .require("warehouse")
            .then(|| name(reader, "warehouse"))
            .flatten();
        let database = name(reader, "database");
        let schema = name(reader, "schema");
        let role = name(reader, "role");
        let incremental_column = name(reader, "incremental_column");
        let primary_key_columns = key_columns(reader);
        let query_timeout_seconds = reader
            .integer("query_timeout_seconds", 30, 3600)
            .unwrap_or(300);
        let fetch_size = reader.integer("fetch_size", 100, 10_000).unwrap_or(1000);
        Some(Self {
            account: account?,
            warehouse: warehouse?,
            database,
            schema,
            role,
            incremental_column,
            primary_key_columns,
            query_timeout_seconds,
            fetch_size,
            labels,
        })
    }

    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        insert(json, "account", Some(self.account.as_str()));
        insert(json, "warehouse", Some(self.warehouse.as_str()));
        insert(json, "database", self.database.as_deref());
        insert(json, "schema", self.schema.as_deref());
        insert(json, "role", self.role.as_deref());
        insert(
            json,
            "incremental_column",
            self.incremental_column.as_deref(),
        );
        let columns = &self.primary_key_columns;
        insert(
            json,
            "primary_key_columns",
            (!columns.is_empty()).then(|| columns.clone()),
        );
        insert(
            json,
            "query_timeout_seconds",
            Some(self.query_timeout_seconds),
        );
        insert(json, "fetch_size", Some(self.fetch_size));
    }

    /// The account's host. The user is part of the credentials' identity.
    pub(super) fn audience(&self) -> Audience {
        Audience::of(&["snowflake", &self.account.host()])
    }
}

fn name(reader: &mut Reader, key: &'static str) -> Option<String> {
    grammar::text(reader, key, IDENTIFIER, grammar::one_line)
}

fn key_columns(reader: &mut Reader) -> Vec<String> {
    let columns = reader
        .strings("primary_key_columns", IDENTIFIER, MAX_KEY_COLUMNS)
        .unwrap_or_default();
    for (i, column) in columns.iter().enumerate() {
        if let Err(message) = grammar::one_line(column) {
            reader.reject(
                &format!("primary_key_columns.{i}"),
                "invalid_format",
                message,
            );
        }
    }
    columns
}

/// A Snowflake account: `organization-account`, or a locator with its region and cloud (`xy12345.eu-west-1.aws`).
///
/// Spaces around it and `.snowflakecomputing.com` are taken off. `.snowflakecomputing.cn` stays, since it is all that
/// tells an account in China from one elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account(String);

const GLOBAL_DOMAIN: &str = ".snowflakecomputing.com";
const CHINESE_DOMAIN: &str = ".snowflakecomputing.cn";

impl Account {
    fn read(reader: &mut Reader) -> Option<Self> {
        let account = Self::parse(&reader.string("account", Length::new(1, 256))?);
        if account.is_none() {
            let message = "must be an account identifier without scheme or path, as in organization-account or \
                           xy12345.eu-west-1.aws";
            reader.reject("account", "invalid_format", message);
        }
        account
    }

    /// Reads an account, if the text is one: letters, digits, `_` and `-`, then up to two segments of lower-case
    /// letters, digits and `-` after dots.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(' ');
        let text = text.strip_suffix(GLOBAL_DOMAIN).unwrap_or(text);
        let bare = text.strip_suffix(CHINESE_DOMAIN).unwrap_or(text);
        let mut segments = bare.split('.');
        let first = segments.next()?;
        let rest: Vec<&str> = segments.collect();
        let sound = is_label(first, |b| {
            b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
        }) && rest.len() <= 2
            && rest.iter().all(|segment| {
                is_label(segment, |b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
                })
            });
        sound.then(|| Self(text.to_owned()))
    }

    /// The account as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that answers for the account: lower case, hyphens for underscores.
    pub fn host(&self) -> String {
        let host = self.0.to_ascii_lowercase().replace('_', "-");
        if host.ends_with(CHINESE_DOMAIN) {
            host
        } else if host
            .split('.')
            .skip(1)
            .any(|segment| segment.starts_with("cn-"))
        {
            host + CHINESE_DOMAIN
        } else {
            host + GLOBAL_DOMAIN
        }
    }
}

/// Whether a segment becomes a sound label of a host name.
fn is_label(segment: &str, inner: impl Fn(u8) -> bool) -> bool {
    (1..=63).contains(&segment.len())
        && segment.bytes().all(inner)
        && segment.starts_with(|c: char| c.is_ascii_alphanumeric())
        && segment.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Credentials of a Snowflake connection.
pub enum SnowflakeCredentials {
    /// A private key.
    KeyPair {
        /// The user's login name.
        username: String,
        /// The key in PEM form, encrypted or not.
        private_key: SecretString,
        /// What an encrypted key is opened with.
        private_key_passphrase: Option<SecretString>,
    },
    /// A password.
    UsernamePassword {
        /// The user's login name.
        username: String,
        /// The password.
        password: SecretString,
    },
}

pub(super) const FORMS: &[CredentialForm] = &[
    CredentialForm {
        kind: CredentialType::KeyPair,
        fields: &[
            CredentialField::new("username", Part::Identity, ID, grammar::one_line),
            CredentialField::new("private_key", Part::Proof, SECRET, grammar::private_key)
                .normalised(grammar::with_line_breaks),
            CredentialField::new(
                "private_key_passphrase",
                Part::Companion,
                SECRET,
                grammar::one_line,
            ),
        ],
    },
    CredentialForm {
        kind: CredentialType::UsernamePassword,
        fields: &[
            CredentialField::new("username", Part::Identity, ID, grammar::one_line),
            CredentialField::new("password", Part::Proof, SECRET, grammar::one_line),
        ],
    },
];

impl SnowflakeCredentials {
    /// Their kind.
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::KeyPair { .. } => CredentialType::KeyPair,
            Self::UsernamePassword { .. } => CredentialType::UsernamePassword,
        }
    }

    pub(super) fn from_values(kind: CredentialType, values: &mut Values) -> Option<Self> {
        let username = values.text("username")?;
        match kind {
            CredentialType::KeyPair => Some(Self::KeyPair {
                username,
                private_key: values.secret("private_key")?,
                private_key_passphrase: values.companion("private_key_passphrase"),
            }),
            CredentialType::UsernamePassword => Some(Self::UsernamePassword {
                username,
                password: values.secret("password")?,
            }),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::KeyPair {
                username,
                private_key,
                private_key_passphrase,
            } => {
                let mut fields = vec![
                    ("username", username.as_str()),
                    ("private_key", private_key.expose()),
                ];
                let passphrase = private_key_passphrase.as_ref();
                fields.extend(
                    passphrase.map(|passphrase| ("private_key_passphrase", passphrase.expose())),
                );
                fields
            }
            Self::UsernamePassword { username, password } => {
                vec![("username", username), ("password", password.expose())]
            }
        }
    }
}

impl fmt::Debug for SnowflakeCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnowflakeCredentials({})", self.credential_type())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Provider;
    use super::super::tests::{
        assert_accepted, assert_refused, assert_shown, audience, shown_by_default,
    };
    use super::*;

    const PROVIDER: Provider = Provider::Snowflake;
    const KEY: CredentialType = CredentialType::KeyPair;
    const PASSWORD: CredentialType = CredentialType::UsernamePassword;

    #[test]
    fn defaults_are_shown() {
        let required = json!({"account": "org-account", "warehouse": "WH"});
        let shown = json!({"account": "org-account", "warehouse": "WH", "query_timeout_seconds": 300, "fetch_size": 1000});
        for kind in [KEY, PASSWORD] {
            assert_eq!(shown_by_default(PROVIDER, kind, required.clone()), shown);
        }
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        assert_shown(
            PROVIDER,
            KEY,
            &[
                (
                    "account",
                    json!(" xy12345.eu-west-1.aws.snowflakecomputing.com "),
                    json!("xy12345.eu-west-1.aws"),
                ),
                ("account", json!("My_Org-Acct"), json!("My_Org-Acct")),
                (
                    "account",
                    json!("a-b.snowflakecomputing.cn"),
                    json!("a-b.snowflakecomputing.cn"),
                ),
                (
                    "warehouse",
                    json!("it's \"quoted\"; DROP"),
                    json!("it's \"quoted\"; DROP"),
                ),
                ("primary_key_columns", json!([]), json!(null)),
                ("query_timeout_seconds", json!(30), json!(30)),
                ("query_timeout_seconds", json!(3600), json!(3600)),
                ("fetch_size", json!(100), json!(100)),
                ("fetch_size", json!(10000), json!(10000)),
            ],
        );
        let mut refused = vec![
            ("account", json!(null)),
            ("warehouse", json!(null)),
            ("query_timeout_seconds", json!(29)),
            ("query_timeout_seconds", json!(3601)),
            ("query_timeout_seconds", json!(60.5)),
            ("fetch_size", json!(99)),
            ("fetch_size", json!(10001)),
            ("fetch_size", json!("500")),
            ("primary_key_columns", json!("id")),
            ("primary_key_columns", json!(vec!["c"; 33])),
            ("var_schema", json!("PUBLIC")),
        ];
        for key in [
            "warehouse",
            "database",
            "schema",
            "role",
            "incremental_column",
        ] {
            refused.extend([
                (key, json!("")),
                (key, json!("a".repeat(256))),
                (key, json!("a\nb")),
                (key, json!("a\0")),
            ]);
        }
        for hostile in [
            "",
            " ",
            "https://org-account.snowflakecomputing.com",
            "org-account.snowflakecomputing.com/x",
            "a/b",
            "a?b",
            "a#b",
            "a@b",
            "a:443",
            "a\\b",
            "a%2fb",
            "..",
            "a..b",
            ".a",
            "a.",
            "a.b.c.d",
            "a.EU-WEST-1",
            "a\r\n",
            "a\0",
            "a。b",
            "-a",
            "a-",
            "_a",
        ] {
            refused.push(("account", json!(hostile)));
        }
        assert_refused(PROVIDER, KEY, &refused);
    }

    #[test]
    fn a_mistake_in_a_key_column_names_the_column() {
        for (columns, path) in [
            (json!(["id", "a\nb"]), "primary_key_columns.1"),
            (json!(["", "b"]), "primary_key_columns.0"),
        ] {
            let sample = super::super::tests::with(
                super::super::tests::sample(PROVIDER, KEY),
                "primary_key_columns",
                columns,
            );
            let error = super::super::tests::parse(PROVIDER, sample).unwrap_err();
            assert_eq!(error.0[0].path(), format!("provider_config.{path}"));
        }
    }

    #[test]
    fn credentials_are_checked_field_by_field() {
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nabc\n-----END ENCRYPTED PRIVATE KEY-----";
        assert_accepted(
            PROVIDER,
            KEY,
            &[
                ("credentials.private_key", json!(encrypted)),
                ("credentials.private_key_passphrase", json!(null)),
            ],
        );
        assert_refused(
            PROVIDER,
            KEY,
            &[
                ("credentials.username", json!("a".repeat(257))),
                ("credentials.username", json!("a\nb")),
                ("credentials.private_key", json!("MIIEvQ")),
                ("credentials.private_key_passphrase", json!("a\nb")),
                ("credentials.password", json!("x")),
            ],
        );
        assert_refused(
            PROVIDER,
            PASSWORD,
            &[
                ("credentials.password", json!("a\nb")),
                ("credentials.private_key", json!("x")),
            ],
        );
    }

    #[test]
    fn the_host_is_made_from_the_account() {
        for (account, host) in [
            ("Org-My_Account", "org-my-account.snowflakecomputing.com"),
            (
                "xy12345.eu-west-1.aws",
                "xy12345.eu-west-1.aws.snowflakecomputing.com",
            ),
            (
                "xy12345.west-europe.privatelink",
                "xy12345.west-europe.privatelink.snowflakecomputing.com",
            ),
            (
                "xy12345.cn-northwest-1.aws",
                "xy12345.cn-northwest-1.aws.snowflakecomputing.cn",
            ),
            (
                "org-acct.snowflakecomputing.cn",
                "org-acct.snowflakecomputing.cn",
            ),
            (
                "org-acct.snowflakecomputing.com",
                "org-acct.snowflakecomputing.com",
            ),
        ] {
            assert_eq!(Account::parse(account).expect(account).host(), host);
        }
    }

    #[test]
    fn the_audience_is_the_account_s_host() {
        let sample = audience(PROVIDER, "warehouse", json!("OTHER"));
        assert_eq!(
            sample,
            audience(
                PROVIDER,
                "account",
                json!("ORG-ACCOUNT.snowflakecomputing.com")
            )
        );
        assert_eq!(sample, audience(PROVIDER, "role", json!("OTHER")));
        assert_ne!(sample, audience(PROVIDER, "account", json!("org-account2")));
    }
}
