//! Consent in a browser: begun by an admin, finished by the browser that comes back from the provider.
//!
//! Nothing of a consent is known by its state alone: only the state's hash is stored, and what is needed to finish it is sealed for
//! that hash. Whoever began it must still be allowed to when it is finished.

mod begin;
mod draft;
mod finish;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use wharf_domain::provider::Provider;
use wharf_domain::secret::SecretString;
use wharf_ports::ConsentFlow;

use crate::ring::sha256;
use crate::{ConfigFields, Engine, EngineError};

pub use begin::{BeginConsent, BegunConsent, ConsentClientFields, ConsentGoal};
pub use finish::{ConsentAnswered, Visitor};

impl Engine {
    /// The provider's own consent flow.
    fn consent_flow(&self, provider: Provider) -> Result<Arc<dyn ConsentFlow>, EngineError> {
        self.parts.providers.consent(provider).ok_or_else(|| {
            EngineError::NotSupported(format!(
                "{provider} connections are not made by consent in a browser; send their credentials to \
                 POST /v1/organizations/connections."
            ))
        })
    }

    /// Where the provider sends the browser back to; registered with the application there.
    fn redirect_uri(&self, provider: Provider) -> Result<String, EngineError> {
        let Some(address) = &self.parts.settings.public_url else {
            return Err(EngineError::conflict(
                "public_url_missing",
                "This server does not know where browsers reach it; an operator must set public_url, such as \
                 https://wharf.example.net, before anybody can give their consent.",
            ));
        };
        Ok(format!("{address}/v1/oauth/{provider}/callback"))
    }

    /// 256 random bits, in 43 characters that an address carries as they are.
    fn random_word(&self) -> SecretString {
        let mut bits = [0; 32];
        self.ids().fill(&mut bits);
        SecretString::new(URL_SAFE_NO_PAD.encode(bits))
    }
}

/// The configuration that a grant makes.
fn config_with(
    mut settings: Map<String, Value>,
    client_id: &str,
    client_secret: &SecretString,
    refresh_token: &SecretString,
) -> ConfigFields {
    let credentials = json!({
        "type": "oauth",
        "client_id": client_id,
        "client_secret": client_secret.expose(),
        "refresh_token": refresh_token.expose(),
    });
    settings.insert("credentials".to_owned(), credentials);
    ConfigFields::new(settings)
}

/// A state's stored form.
fn state_sha256(state: &SecretString) -> String {
    sha256(state.expose())
}
