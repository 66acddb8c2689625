//! A person's consent: the page to send the browser to, and what its answer is exchanged for.

use async_trait::async_trait;
use url::Url;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::secret::SecretString;
use wharf_ports::{ConsentAnswer, ConsentClient, ConsentFlow, ProviderError};

use super::fault::SignIn;
use super::{SCOPE, SUFFICIENT, TokenService};
use crate::error::{Call, Fault};

/// Google's consent, at its pages or at an operator's.
pub(crate) struct GoogleConsent {
    pages: Url,
    service: TokenService,
}

impl GoogleConsent {
    pub(crate) fn new(pages: Url, service: TokenService) -> Self {
        Self { pages, service }
    }

    async fn granted(
        &self,
        client: ConsentClient<'_>,
        answer: ConsentAnswer<'_>,
    ) -> Result<SecretString, Fault> {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client.client_id),
            ("client_secret", client.client_secret.expose()),
            ("code", answer.code.expose()),
            ("code_verifier", answer.verifier.expose()),
            ("redirect_uri", answer.redirect_uri),
        ];
        let granted = self.service.ask(&form, &SignIn::Consenting).await?;
        let sufficient = |scopes: &String| {
            let mut scopes = scopes.split(' ');
            scopes.any(|scope| SUFFICIENT.contains(&scope))
        };
        // A person may untick what an application asks for.
        if !granted.scope.as_ref().is_none_or(sufficient) {
            let words = format!("the person did not allow {SCOPE}");
            return Err(Fault::new(ErrorCode::PermScopeInsufficient, words).remedied(
                "Begin the consent again, and tick the box that lets the application see the files in Google Drive.",
            ));
        }
        granted.refresh_token.ok_or_else(|| {
            let words = "Google gave no refresh token";
            Fault::new(ErrorCode::ProtocolUnexpectedResponse, words).remedied(
                "Remove the application from the Google account (Security, third-party connections) and begin the consent \
                 again.",
            )
        })
    }
}

#[async_trait]
impl ConsentFlow for GoogleConsent {
    fn address(&self, client_id: &str, redirect_uri: &str, state: &str, challenge: &str) -> String {
        let mut url = self.pages.clone();
        url.query_pairs_mut().extend_pairs([
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("response_type", "code"),
            ("scope", SCOPE),
            ("state", state),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256"),
            // A refresh token, even if the person has consented before.
            ("access_type", "offline"),
            ("prompt", "consent"),
        ]);
        url.into()
    }

    async fn exchange(
        &self,
        client: ConsentClient<'_>,
        answer: ConsentAnswer<'_>,
    ) -> Result<SecretString, ProviderError> {
        self.granted(client, answer)
            .await
            .map_err(|fault| fault.during(&Call::sign_in()))
    }
}
