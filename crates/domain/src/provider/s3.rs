//! Amazon S3 and S3-compatible stores: settings and credentials.
//!
//! There is no bucket here: the first segment of a sync's source path names it, see [`BucketPath`].

use std::fmt;

use serde_json::{Map, Value};

pub use super::bucket_path::BucketPath;
use super::credentials::{CredentialField, CredentialForm, Part, Values};
use super::grammar::{self, SECRET, TEXT, expect};
use super::{Audience, CredentialType, EndpointUrl, Labels, Scheme, insert};
use crate::input::{Length, Reader};
use crate::secret::SecretString;

/// Settings of a connection to S3 or a compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Config {
    /// The region that requests are signed for; `us-east-1` by default, in whose place a vendor that is known by its
    /// endpoint's host may put its own: `auto`, or the region in the host's name.
    pub region: Region,
    /// Where the store answers; AWS, in the region, when absent.
    pub endpoint_url: Option<EndpointUrl>,
    /// Whether TLS is used. Always agrees with the endpoint's scheme.
    pub use_ssl: bool,
    /// Whether the store's certificate is verified; true by default.
    pub verify_ssl: bool,
    /// What a read repeats.
    pub labels: Labels,
}

impl S3Config {
    pub(super) fn read(reader: &mut Reader, labels: Labels) -> Option<Self> {
        let region = Region::read(reader, "us-east-1");
        let address = reader.string("endpoint_url", TEXT);
        let use_ssl = reader.boolean("use_ssl");
        let verify_ssl = reader.boolean("verify_ssl").unwrap_or(true);
        if address.is_none() && region.as_ref().is_some_and(|region| !region.is_of_aws()) {
            let message =
                "must be an AWS region such as us-east-1, unless endpoint_url names another store";
            reader.reject("region", "invalid_format", message);
        }
        let endpoint_url = address.and_then(|address| read_endpoint(reader, &address));
        let scheme = endpoint_url.as_ref().map(EndpointUrl::scheme);
        match (use_ssl, scheme) {
            (Some(true), Some(Scheme::Http)) => {
                let message = "is true, but endpoint_url starts with http://: write https:// or leave use_ssl out";
                reader.reject("use_ssl", "conflict", message);
            }
            (Some(false), Some(Scheme::Https)) => {
                let message = "is false, but endpoint_url starts with https://: write http:// or leave use_ssl out";
                reader.reject("use_ssl", "conflict", message);
            }
            _ => {}
        }
        let use_ssl = use_ssl.unwrap_or(scheme != Some(Scheme::Http));
        Some(Self {
            region: region?,
            endpoint_url,
            use_ssl,
            verify_ssl,
            labels,
        })
    }

    pub(super) fn write(&self, json: &mut Map<String, Value>) {
        insert(json, "region", Some(self.region.as_str()));
        insert(
            json,
            "endpoint_url",
            self.endpoint_url.as_ref().map(EndpointUrl::to_string),
        );
        insert(json, "use_ssl", Some(self.use_ssl));
        insert(json, "verify_ssl", Some(self.verify_ssl));
    }

    /// The store's address and whether it proves itself. On AWS it is the partition, since every region of one belongs
    /// to the same owner and sees the same accounts.
    pub(super) fn audience(&self) -> Audience {
        let verified = if self.verify_ssl {
            "verified"
        } else {
            "unverified"
        };
        if let Some(endpoint) = &self.endpoint_url {
            let port = endpoint.port().to_string();
            Audience::of(&[
                "s3",
                "endpoint",
                endpoint.scheme().as_str(),
                endpoint.host(),
                &port,
                verified,
            ])
        } else {
            let scheme = if self.use_ssl {
                Scheme::Https
            } else {
                Scheme::Http
            };
            Audience::of(&[
                "s3",
                "aws",
                scheme.as_str(),
                self.region.partition(),
                verified,
            ])
        }
    }
}

/// Parses an endpoint; a mistake is noted in the reader.
pub(super) fn read_endpoint(reader: &mut Reader, address: &str) -> Option<EndpointUrl> {
    EndpointUrl::parse(address)
        .map_err(|error| reader.reject("endpoint_url", "invalid_format", error.to_string()))
        .ok()
}

/// A region's name: 1 to 63 of `a-z 0-9 -`, letter or digit first and last, so that it can stand inside a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Region(String);

impl Region {
    pub(super) fn read(reader: &mut Reader, default: &str) -> Option<Self> {
        let present = reader.string("region", Length::new(0, 1024));
        let text = present.unwrap_or_else(|| default.to_owned());
        let region = Self::parse(&text);
        if region.is_none() {
            let message =
                "must have 1 to 63 lower-case letters, digits and hyphens, as in us-east-1";
            reader.reject("region", "invalid_format", message);
        }
        region
    }

    /// Reads a region's name, if the text is one.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let sound = (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        sound.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name has the form that AWS gives its regions, such as `eu-central-1` or `us-gov-west-1`.
    pub fn is_of_aws(&self) -> bool {
        let parts: Vec<&str> = self.0.split('-').collect();
        let [land, words @ .., number] = parts.as_slice() else {
            return false;
        };
        let word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        (land.len() == 2 || *land == "eusc")
            && word(land)
            && !words.is_empty()
            && words.iter().all(word)
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    }

    /// The AWS partition that a region of this name belongs to.
    pub fn partition(&self) -> &'static str {
        const OTHERS: [(&str, &str); 7] = [
            ("cn-", "aws-cn"),
            ("us-gov-", "aws-us-gov"),
            ("us-iso-", "aws-iso"),
            ("us-isob-", "aws-iso-b"),
            ("eu-isoe-", "aws-iso-e"),
            ("us-isof-", "aws-iso-f"),
            ("eusc-", "aws-eusc"),
        ];
        OTHERS
            .iter()
            .find(|(start, _)| self.0.starts_with(start))
            .map_or("aws", |(_, partition)| partition)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Credentials of a connection to S3 or a compatible store.
pub enum S3Credentials {
    /// An access key, permanent or of a session.
    AccessKey {
        /// The key's public half.
        access_key_id: String,
        /// The key's secret half.
        secret_access_key: SecretString,
        /// What a temporary key needs; it expires and cannot be renewed.
        session_token: Option<SecretString>,
    },
    /// A role that Wharf's own identity assumes. There is no secret in it.
    IamRole {
        /// The role.
        role_arn: String,
        /// The external id that the role's trust policy asks for.
        external_id: String,
    },
}

pub(super) const FORMS: &[CredentialForm] = &[
    CredentialForm {
        kind: CredentialType::AccessKey,
        fields: &[
            CredentialField::new(
                "access_key_id",
                Part::Identity,
                Length::new(1, 128),
                grammar::token,
            ),
            CredentialField::new("secret_access_key", Part::Proof, SECRET, grammar::one_line),
            CredentialField::new(
                "session_token",
                Part::Companion,
                Length::new(1, 8 * 1024),
                grammar::token,
            ),
        ],
    },
    CredentialForm {
        kind: CredentialType::IamRole,
        fields: &[
            CredentialField::new("role_arn", Part::Identity, Length::new(1, 2048), role_arn),
            CredentialField::new("external_id", Part::Proof, Length::new(8, 128), external_id),
        ],
    },
];

impl S3Credentials {
    /// Their kind.
    pub fn credential_type(&self) -> CredentialType {
        match self {
            Self::AccessKey { .. } => CredentialType::AccessKey,
            Self::IamRole { .. } => CredentialType::IamRole,
        }
    }

    pub(super) fn from_values(kind: CredentialType, values: &mut Values) -> Option<Self> {
        match kind {
            CredentialType::AccessKey => Some(Self::AccessKey {
                access_key_id: values.text("access_key_id")?,
                secret_access_key: values.secret("secret_access_key")?,
                session_token: values.companion("session_token"),
            }),
            CredentialType::IamRole => Some(Self::IamRole {
                role_arn: values.text("role_arn")?,
                external_id: values.text("external_id")?,
            }),
            _ => None,
        }
    }

    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::AccessKey {
                access_key_id,
                secret_access_key,
                session_token,
            } => {
                let mut fields = vec![
                    ("access_key_id", access_key_id.as_str()),
                    ("secret_access_key", secret_access_key.expose()),
                ];
                fields.extend(
                    session_token
                        .as_ref()
                        .map(|token| ("session_token", token.expose())),
                );
                fields
            }
            Self::IamRole {
                role_arn,
                external_id,
            } => vec![("role_arn", role_arn), ("external_id", external_id)],
        }
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Credentials({})", self.credential_type())
    }
}

/// `arn:{partition}:iam::{account}:role/{path and name}`; the partition later picks a host, hence the closed list.
fn role_arn(text: &str) -> Result<(), &'static str> {
    let sound = || {
        let (partition, rest) = text.strip_prefix("arn:")?.split_once(":iam::")?;
        let (account, role) = rest.split_once(":role/")?;
        let known = [
            "aws",
            "aws-cn",
            "aws-us-gov",
            "aws-eusc",
            "aws-iso",
            "aws-iso-b",
            "aws-iso-e",
            "aws-iso-f",
        ]
        .contains(&partition);
        let name = role.rsplit('/').next()?;
        let of_a_path = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
        let sound = known
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && !name.is_empty()
            && role.bytes().all(of_a_path);
        sound.then_some(())
    };
    expect(
        sound().is_some(),
        "must be the ARN of a role, as in arn:aws:iam::123456789012:role/path/name",
    )
}

fn external_id(text: &str) -> Result<(), &'static str> {
    let sound = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
    expect(sound, "must consist of letters, digits and _+=,.@:/-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Provider;
    use super::super::tests::{
        assert_accepted, assert_refused, assert_shown, audience, parse, shown_by_default, with,
    };
    use super::*;

    const PROVIDER: Provider = Provider::S3;
    const KEY: CredentialType = CredentialType::AccessKey;
    const ROLE: CredentialType = CredentialType::IamRole;

    #[test]
    fn defaults_are_shown() {
        let defaults = json!({"region": "us-east-1", "use_ssl": true, "verify_ssl": true});
        assert_eq!(shown_by_default(PROVIDER, KEY, json!({})), defaults);
        assert_eq!(
            shown_by_default(PROVIDER, ROLE, json!({"region": null, "use_ssl": null})),
            defaults
        );
    }

    #[test]
    fn settings_are_checked_field_by_field() {
        assert_shown(
            PROVIDER,
            KEY,
            &[
                ("region", json!("auto"), json!("auto")),
                ("region", json!("fra1"), json!("fra1")),
                ("region", json!(null), json!("us-east-1")),
                (
                    "endpoint_url",
                    json!("https://Minio.Example.com:443/"),
                    json!("https://minio.example.com"),
                ),
                ("endpoint_url", json!(null), json!(null)),
                ("use_ssl", json!(null), json!(true)),
                ("verify_ssl", json!(null), json!(true)),
            ],
        );
        let mut refused = vec![
            ("region", json!("a".repeat(64))),
            ("use_ssl", json!(false)),
            ("verify_ssl", json!("yes")),
            ("bucket", json!("photos")),
        ];
        for hostile in [
            "",
            "US-EAST-1",
            "us_east_1",
            "x.evil.com/#",
            "us-east-1/",
            "us-east-1?",
            "us-east-1#",
            "us-east-1@x",
            "a:80",
            "us-east-1\\",
            "..",
            "us-east-1%2f",
            "us-east-1\r\n",
            "us-east-1\0",
            "us-east-1 ",
            "-us",
            "us-",
            "us。east",
            "ü",
        ] {
            refused.push(("region", json!(hostile)));
        }
        for hostile in [
            "",
            "minio.local:9000",
            "ftp://minio.local",
            "https://u:p@minio.local",
            "https://minio.local/bucket",
            "https://minio.local?x",
            "https://minio.local#x",
            "https://",
            "https://minio.local\n",
            "file:///etc/passwd",
        ] {
            refused.push(("endpoint_url", json!(hostile)));
        }
        assert_refused(PROVIDER, KEY, &refused);
    }

    #[test]
    fn without_an_endpoint_the_region_must_be_one_of_aws() {
        let sample = |region: &str| {
            with(
                json!({"region": region}),
                "credentials",
                super::super::tests::sample_credentials(PROVIDER, KEY),
            )
        };
        for region in [
            "us-east-1",
            "eu-central-2",
            "ap-southeast-10",
            "us-gov-west-1",
            "cn-north-1",
            "eusc-de-east-1",
        ] {
            assert!(parse(PROVIDER, sample(region)).is_ok(), "{region}");
        }
        for region in [
            "auto",
            "fra1",
            "us",
            "us-east",
            "us-1",
            "useast-1",
            "us-east-1a",
            "us--1",
        ] {
            let error = parse(PROVIDER, sample(region)).expect_err(region);
            assert_eq!(error.0[0].path(), "provider_config.region");
            assert_eq!(error.0.len(), 1);
        }
    }

    #[test]
    fn tls_follows_the_endpoint_s_scheme_unless_said_otherwise() {
        let settings = |endpoint: Value, use_ssl: Value| {
            let sample = with(
                super::super::tests::sample(PROVIDER, KEY),
                "endpoint_url",
                endpoint,
            );
            parse(PROVIDER, with(sample, "use_ssl", use_ssl))
                .map(|parsed| parsed.config.to_json()["use_ssl"].clone())
        };
        for (endpoint, use_ssl, expected) in [
            (json!("http://minio:9000"), json!(null), Some(false)),
            (json!("http://minio:9000"), json!(false), Some(false)),
            (json!("http://minio:9000"), json!(true), None),
            (json!("https://minio:9000"), json!(null), Some(true)),
            (json!("https://minio:9000"), json!(true), Some(true)),
            (json!("https://minio:9000"), json!(false), None),
            (json!(null), json!(null), Some(true)),
            (json!(null), json!(false), Some(false)),
        ] {
            match (settings(endpoint.clone(), use_ssl.clone()), expected) {
                (Ok(shown), Some(expected)) => {
                    assert_eq!(shown, json!(expected), "{endpoint} {use_ssl}");
                }
                (Err(error), None) => assert_eq!(error.0[0].path(), "provider_config.use_ssl"),
                (result, _) => panic!("{endpoint} {use_ssl}: {result:?}"),
            }
        }
    }

    #[test]
    fn credentials_are_checked_field_by_field() {
        assert_accepted(
            PROVIDER,
            KEY,
            &[
                ("credentials.session_token", json!(null)),
                ("credentials.secret_access_key", json!("a/b+c d")),
            ],
        );
        assert_refused(
            PROVIDER,
            KEY,
            &[
                ("credentials.access_key_id", json!("a".repeat(129))),
                ("credentials.access_key_id", json!("AKIA 1")),
                ("credentials.access_key_id", json!("AKIA\r\nX-Evil: 1")),
                ("credentials.secret_access_key", json!("abc\n")),
                ("credentials.session_token", json!("a b")),
                ("credentials.session_token", json!("a".repeat(8 * 1024 + 1))),
                (
                    "credentials.role_arn",
                    json!("arn:aws:iam::123456789012:role/x"),
                ),
            ],
        );
        let arns = [
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:iam::123456789012:role/team/sub/x",
            "arn:aws-cn:iam::123456789012:role/x",
            "arn:aws-us-gov:iam::123456789012:role/x",
            "arn:aws-iso-b:iam::123456789012:role/x+=,.@-_",
            "arn:aws-eusc:iam::123456789012:role/x",
        ];
        let accepted: Vec<_> = arns
            .iter()
            .map(|arn| ("credentials.role_arn", json!(arn)))
            .collect();
        assert_accepted(PROVIDER, ROLE, &accepted);
        let mut refused = vec![
            ("credentials.external_id", json!("short")),
            ("credentials.external_id", json!("a".repeat(129))),
            ("credentials.external_id", json!("spaced out id")),
            ("credentials.access_key_id", json!("AKIA")),
        ];
        for arn in [
            "x",
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:iam::12345678901:role/x",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/x/",
            "arn:aws-evil.com/:iam::123456789012:role/x",
            "arn:aws-isoX:iam::123456789012:role/x",
            "arn:aws-iso-evil-com:iam::123456789012:role/x",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:iam::12345678901x:role/x",
            "arn:aws:iam::123456789012:role/x\n",
            "arn::iam::123456789012:role/x",
        ] {
            refused.push(("credentials.role_arn", json!(arn)));
        }
        assert_refused(PROVIDER, ROLE, &refused);
    }

    #[test]
    fn the_audience_is_the_store_s_address_and_whether_it_is_verified() {
        let sample = audience(PROVIDER, "region", json!("us-east-1"));
        assert_eq!(sample, audience(PROVIDER, "region", json!("fra1")));
        assert_eq!(sample, audience(PROVIDER, "description", json!("other")));
        assert_eq!(
            sample,
            audience(
                PROVIDER,
                "endpoint_url",
                json!("https://MINIO.example.com:9000/")
            )
        );
        let others = [
            audience(
                PROVIDER,
                "endpoint_url",
                json!("https://minio.example.com:9001"),
            ),
            audience(
                PROVIDER,
                "endpoint_url",
                json!("https://minio2.example.com:9000"),
            ),
            audience(PROVIDER, "endpoint_url", json!(null)),
            audience(PROVIDER, "verify_ssl", json!(true)),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_ne!(*other, sample);
            assert!(!others[i + 1..].contains(other));
        }
    }

    #[test]
    fn on_aws_the_audience_is_the_partition() {
        let aws = |region: &str, use_ssl: bool| {
            let settings = json!({"region": region, "use_ssl": use_ssl});
            let Value::Object(settings) = settings else {
                panic!("an object")
            };
            super::super::ProviderConfig::from_stored(PROVIDER, settings)
                .unwrap()
                .audience()
        };
        assert_eq!(aws("us-east-1", true), aws("eu-west-1", true));
        assert_ne!(aws("us-east-1", true), aws("us-east-1", false));
        let regions = [
            "us-east-1",
            "cn-north-1",
            "us-gov-east-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "us-isof-south-1",
            "eusc-de-east-1",
        ];
        for (i, region) in regions.iter().enumerate() {
            for other in &regions[i + 1..] {
                assert_ne!(aws(region, true), aws(other, true), "{region} {other}");
            }
        }
    }
}
