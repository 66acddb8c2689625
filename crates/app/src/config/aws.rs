//! `providers.aws`: where AWS answers, and who Wharf is there when it assumes roles.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use wharf_domain::provider::EndpointUrl;
use wharf_domain::secret::SecretString;
use wharf_s3::{Aws, Identity};

use super::{ConfigError, secret};

/// Amazon Web Services.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AwsSettings {
    sts_url: Option<String>,
    s3_url: Option<String>,
    identity: AwsIdentity,
    require_external_id: bool,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            sts_url: None,
            s3_url: None,
            identity: AwsIdentity::None,
            require_external_id: true,
        }
    }
}

/// Who Wharf is at AWS: nobody, the machine it runs on, or the owner of an access key.
#[derive(Debug)]
enum AwsIdentity {
    None,
    Ambient,
    Key(AwsKey),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwsKey {
    access_key_id: String,
    #[serde(deserialize_with = "present_secret")]
    secret_access_key: SecretString,
    #[serde(default, deserialize_with = "secret")]
    session_token: Option<SecretString>,
}

impl<'de> Deserialize<'de> for AwsIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrKey;

        impl<'de> Visitor<'de> for WordOrKey {
            type Value = AwsIdentity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "none, ambient, or a table of access_key_id, secret_access_key and perhaps session_token",
                )
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<AwsIdentity, E> {
                match word {
                    "none" => Ok(AwsIdentity::None),
                    "ambient" => Ok(AwsIdentity::Ambient),
                    // What stands here by mistake may be a secret.
                    _ => Err(E::invalid_value(Unexpected::Other("another word"), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AwsIdentity, A::Error> {
                AwsKey::deserialize(MapAccessDeserializer::new(map)).map(AwsIdentity::Key)
            }
        }

        deserializer.deserialize_any(WordOrKey)
    }
}

impl AwsSettings {
    pub(super) fn read(&self) -> Result<Aws, ConfigError> {
        let url = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(EndpointUrl::parse).transpose();
            parsed.map_err(|error| ConfigError(format!("providers.aws.{name}: {error}")))
        };
        let identity = match &self.identity {
            AwsIdentity::None => None,
            AwsIdentity::Ambient => Some(Identity::Ambient),
            AwsIdentity::Key(key) => Some(key.identity()?),
        };
        Ok(Aws {
            sts_url: url("sts_url", &self.sts_url)?,
            s3_url: url("s3_url", &self.s3_url)?,
            identity,
            require_external_id: self.require_external_id,
        })
    }
}

impl AwsKey {
    fn identity(&self) -> Result<Identity, ConfigError> {
        let sound = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let parts = [
            ("access_key_id", self.access_key_id.as_str()),
            ("secret_access_key", self.secret_access_key.expose()),
            (
                "session_token",
                self.session_token
                    .as_ref()
                    .map_or("-", SecretString::expose),
            ),
        ];
        if let Some((name, _)) = parts.into_iter().find(|(_, text)| !sound(text)) {
            return Err(ConfigError(format!(
                "providers.aws.identity.{name} must be printable ASCII characters without spaces"
            )));
        }
        Ok(Identity::Key {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.duplicate(),
            session_token: self.session_token.as_ref().map(SecretString::duplicate),
        })
    }
}

fn present_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::new)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::from_toml;
    use super::*;

    #[test]
    fn the_identity_at_aws_is_none_a_word_or_a_key() {
        let identity = |text: &str| {
            let config = from_toml(&format!("[providers.aws]\n{text}"))?;
            config
                .aws()
                .map(|aws| aws.identity)
                .map_err(|error| error.0)
        };
        assert!(matches!(identity(""), Ok(None)));
        assert!(matches!(identity("identity = \"none\""), Ok(None)));
        assert!(matches!(
            identity("identity = \"ambient\""),
            Ok(Some(Identity::Ambient))
        ));
        let key = "identity = { access_key_id = \"AKIA1\", secret_access_key = \"hunter2\" }";
        let Ok(Some(Identity::Key {
            access_key_id,
            secret_access_key,
            session_token: None,
        })) = identity(key)
        else {
            panic!("a key");
        };
        assert_eq!(
            (access_key_id.as_str(), secret_access_key.expose()),
            ("AKIA1", "hunter2")
        );
        let config = from_toml(&format!("[providers.aws]\n{key}")).expect("parses");
        assert!(!format!("{config:?}").contains("hunter2"));
        for (wrong, told) in [
            (
                "identity = \"hunter2\"",
                "providers.aws.identity: expected none, ambient, or a table",
            ),
            (
                "identity = 7",
                "providers.aws.identity: expected none, ambient, or a table",
            ),
            (
                "identity = { access_key_id = \"A\", secret_access_key = \"hunter2 \" }",
                "providers.aws.identity.secret_access_key must be",
            ),
            (
                "identity = { access_key_id = \"A\", secret = \"hunter2\" }",
                "providers.aws.identity.secret: there is no such setting",
            ),
            (
                "identity = { access_key_id = \"A\" }",
                "providers.aws.identity: missing field `secret_access_key`",
            ),
        ] {
            let error = identity(wrong).expect_err(wrong);
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    #[expect(
        clippy::result_large_err,
        reason = "the closure's type is the jail's own"
    )]
    fn the_identity_at_aws_can_be_given_by_the_environment() {
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            jail.set_env("WHARF_PROVIDERS__AWS__IDENTITY", "ambient");
            jail.set_env("WHARF_PROVIDERS__AWS__STS_URL", "http://127.0.0.1:4566");
            let aws = Config::load(None).expect("loads").aws().expect("usable");
            assert!(matches!(aws.identity, Some(Identity::Ambient)));
            assert_eq!(
                aws.sts_url.map(|url| url.to_string()).as_deref(),
                Some("http://127.0.0.1:4566")
            );
            Ok(())
        });
        figment::Jail::expect_with(|jail| {
            jail.clear_env();
            jail.set_env("WHARF_PROVIDERS__AWS__IDENTITY__ACCESS_KEY_ID", "AKIA1");
            jail.set_env(
                "WHARF_PROVIDERS__AWS__IDENTITY__SECRET_ACCESS_KEY",
                "s3cret",
            );
            jail.set_env("WHARF_PROVIDERS__AWS__REQUIRE_EXTERNAL_ID", "false");
            let aws = Config::load(None).expect("loads").aws().expect("usable");
            assert!(matches!(aws.identity, Some(Identity::Key { .. })));
            assert!(!aws.require_external_id);
            Ok(())
        });
    }

    #[test]
    fn an_operator_s_url_is_an_origin() {
        let config =
            from_toml("[providers.aws]\nsts_url = \"http://sts.internal/path\"").expect("parses");
        let error = config.aws().expect_err("a path").to_string();
        assert!(
            error.starts_with("providers.aws.sts_url: must not contain a path"),
            "{error}"
        );
    }
}
