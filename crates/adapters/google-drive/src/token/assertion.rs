//! What a service account proves itself with: a text signed with its key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::secret::{SecretBytes, SecretString};
use zeroize::Zeroizing;

use super::SCOPE;
use crate::error::Fault;

/// Whom every assertion is for, wherever the token service is asked.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";

/// Google's clock may be behind ours by a little.
const BACKDATED: TimeDelta = TimeDelta::seconds(10);

/// How long an assertion holds; Google takes none that holds longer than an hour.
const LIFE: TimeDelta = TimeDelta::hours(1);

/// A service account that can sign.
pub(crate) struct Assertion {
    /// Read when it is used, some times a day: a connection whose key cannot be read can be stored and mended all the same.
    private_key: SecretString,
    key_id: String,
    email: String,
    /// Whom it acts for.
    user: Option<String>,
}

impl Assertion {
    pub(crate) fn new(
        private_key: SecretString,
        key_id: String,
        email: String,
        user: Option<String>,
    ) -> Self {
        Self {
            private_key,
            key_id,
            email,
            user,
        }
    }

    /// Whether the key can be read.
    pub(crate) fn vet(&self) -> Result<(), Fault> {
        key_of(&self.private_key).map(drop)
    }

    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The signed text, as of now.
    pub(crate) fn sign(&self, now: Timestamp) -> Result<SecretString, Fault> {
        let key = key_of(&self.private_key)?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let issued = now - BACKDATED;
        let mut claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": AUDIENCE,
            "iat": issued.timestamp(),
            "exp": (issued + LIFE).timestamp(),
        });
        if let Some(user) = &self.user {
            claims["sub"] = json!(user);
        }
        let encode = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )
        .map_err(|_| Fault::new(ErrorCode::Internal, "the assertion could not be signed"))?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(SecretString::new(format!("{signed}.{signature}")))
    }
}

/// Reads a key in PEM form, in either of the two ways that RSA keys are written down.
fn key_of(pem: &SecretString) -> Result<KeyPair, Fault> {
    let invalid = |words: &str| {
        Fault::new(ErrorCode::ConfigInvalid, words).remedied(
            "Paste the value of private_key from the service account's JSON key file as a whole, from -----BEGIN PRIVATE \
             KEY----- to -----END PRIVATE KEY-----, into provider_config.credentials.private_key.",
        )
    };
    let der = der_of(pem).ok_or_else(|| {
        invalid("provider_config.credentials.private_key is not a whole key in PEM form")
    })?;
    KeyPair::from_pkcs8(der.expose())
        .or_else(|_| KeyPair::from_der(der.expose()))
        .map_err(|_| invalid("provider_config.credentials.private_key is no RSA key"))
}

/// What stands between the lines that begin and end a key. Pasted line breaks may have become letters.
fn der_of(pem: &SecretString) -> Option<SecretBytes> {
    let text = Zeroizing::new(pem.expose().replace("\\r", "").replace("\\n", "\n"));
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    if !matches!(label, "PRIVATE KEY" | "RSA PRIVATE KEY") {
        return None;
    }
    let (body, rest) = rest.split_once("-----END ")?;
    rest.starts_with(label).then_some(())?;
    let body: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    BASE64_STANDARD
        .decode(body.as_bytes())
        .ok()
        .map(SecretBytes::new)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use chrono::DateTime;
    use serde_json::Value;

    use super::*;

    /// A PKCS#8 document of an RSA key with 2048 bits begins with this many bytes around the PKCS#1 one.
    const WRAPPING: usize = 26;

    fn pem(label: &str, der: &[u8]) -> String {
        let body = BASE64_STANDARD.encode(der);
        let lines: Vec<_> = body.as_bytes().chunks(64).collect();
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    }

    fn assertion(key: &str, user: Option<&str>) -> Assertion {
        Assertion::new(
            SecretString::new(key.to_owned()),
            "key-1".to_owned(),
            "sync@p.iam.gserviceaccount.com".to_owned(),
            user.map(ToOwned::to_owned),
        )
    }

    fn decoded(part: &str) -> Value {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn the_assertion_says_who_for_whom_and_how_long_and_is_signed() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        let key_text = pem("PRIVATE KEY", der.as_ref());
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        for user in [None, Some("ada@example.com")] {
            let signed = assertion(&key_text, user).sign(now).unwrap();
            let parts: Vec<_> = signed.expose().split('.').collect();
            let [header, claims, signature] = parts[..] else {
                panic!("three parts")
            };
            let header = decoded(header);
            assert_eq!(
                header,
                json!({"alg": "RS256", "typ": "JWT", "kid": "key-1"})
            );
            let said = decoded(claims);
            assert_eq!(said["iss"], "sync@p.iam.gserviceaccount.com");
            assert_eq!(
                said["scope"],
                "https://www.googleapis.com/auth/drive.readonly"
            );
            assert_eq!(said["aud"], "https://oauth2.googleapis.com/token");
            assert_eq!(said["iat"], 1_789_999_990);
            assert_eq!(said["exp"], 1_790_003_590);
            assert_eq!(said.get("sub").and_then(Value::as_str), user);
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            let text = format!("{}.{claims}", parts[0]);
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
                .verify(text.as_bytes(), &signature)
                .unwrap();
        }
    }

    #[test]
    fn keys_are_read_in_both_forms_and_however_they_were_pasted() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        let usual = pem("PRIVATE KEY", der.as_ref());
        let older = pem("RSA PRIVATE KEY", &der.as_ref()[WRAPPING..]);
        for text in [&usual, &older] {
            for pasted in [
                text.clone(),
                text.replace('\n', "\\n"),
                text.replace('\n', "\r\n"),
                text.replace('\n', "\\r\\n"),
                format!("  \n{}\n\n", text.replace('\n', "\n   ")),
                text.trim().to_owned(),
            ] {
                assert!(assertion(&pasted, None).vet().is_ok(), "{pasted}");
            }
        }
    }

    #[test]
    fn what_is_no_key_is_told_by_its_field() {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        let whole = pem("PRIVATE KEY", der.as_ref());
        for wrong in [
            "",
            "abc",
            "-----BEGIN PRIVATE KEY-----",
            &whole[..whole.len() / 2],
            &whole.replace("END PRIVATE", "END RSA PRIVATE"),
            &pem("CERTIFICATE", der.as_ref()),
            &pem("PRIVATE KEY", b"no key at all"),
            "-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----",
        ] {
            let Err(fault) = assertion(wrong, None).vet() else {
                panic!("{wrong}")
            };
            assert_eq!(fault.code, ErrorCode::ConfigInvalid);
            let told = "provider_config.credentials.private_key";
            assert!(fault.words.starts_with(told), "{}", fault.words);
        }
    }
}
