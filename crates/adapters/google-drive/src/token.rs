//! Signing in: from a service account's key or a person's consent to access tokens.
//!
//! The token service is the operator's constant, whatever a pasted key file says, and sees secrets that nobody else sees.
//! This must never know what a token is used for.

mod access;
mod assertion;
mod consent;
pub(crate) mod fault;
mod service;

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use wharf_domain::secret::SecretString;

pub(crate) use self::access::{Access, Proof};
pub(crate) use self::assertion::Assertion;
pub(crate) use self::consent::GoogleConsent;
pub(crate) use self::service::{Granted, TokenService};

/// What Wharf asks Google for: reading, and nothing else.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/drive.readonly";

/// Scopes that include it.
const SUFFICIENT: [&str; 2] = [SCOPE, "https://www.googleapis.com/auth/drive"];

/// No token of Google's is longer.
const LONGEST: usize = 8 * 1024;

/// An access token of which it is known that a header can carry it.
#[derive(Clone)]
pub(crate) struct Token(Arc<SecretString>);

impl Token {
    pub(crate) fn new(secret: SecretString) -> Option<Self> {
        is_sound(secret.expose()).then(|| Self(Arc::new(secret)))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether it is the same.
    fn is(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        let text = zeroize::Zeroizing::new(format!("Bearer {}", self.expose()));
        let mut value = HeaderValue::try_from(text.as_str()).expect("a token has plain letters");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Whether a text could be a token.
fn is_sound(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}
