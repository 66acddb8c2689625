use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use wharf_domain::secret::SecretString;
use wharf_ports::{ConsentAnswer, ConsentClient, ConsentFlow, ProviderError};

use super::Failure;

/// What was brought to a [`FakeConsent`] for a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The application's identifier.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
    /// The code.
    pub code: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// Our address.
    pub redirect_uri: String,
}

#[derive(Debug, Default)]
struct Inner {
    exchanges: Vec<Exchange>,
    failures: VecDeque<Failure>,
}

/// A consent flow that gives a grant for every code, named after it: the code `c` is worth `grant-for-c`. Clones share what
/// happened.
#[derive(Debug, Clone, Default)]
pub struct FakeConsent(Arc<Mutex<Inner>>);

impl FakeConsent {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next exchange fails; may be said several times, for several exchanges.
    pub fn next_failure(&self, failure: Failure) {
        self.lock().failures.push_back(failure);
    }

    /// What was brought so far, failed exchanges included.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }
}

#[async_trait]
impl ConsentFlow for FakeConsent {
    fn address(&self, client_id: &str, redirect_uri: &str, state: &str, challenge: &str) -> String {
        format!(
            "https://consent.example/ask?client_id={client_id}&redirect_uri={redirect_uri}&state={state}&code_challenge={challenge}"
        )
    }

    async fn exchange(
        &self,
        client: ConsentClient<'_>,
        answer: ConsentAnswer<'_>,
    ) -> Result<SecretString, ProviderError> {
        let code = answer.code.expose();
        let mut inner = self.lock();
        inner.exchanges.push(Exchange {
            client_id: client.client_id.to_owned(),
            client_secret: client.client_secret.expose().to_owned(),
            code: code.to_owned(),
            verifier: answer.verifier.expose().to_owned(),
            redirect_uri: answer.redirect_uri.to_owned(),
        });
        match inner.failures.pop_front() {
            Some(failure) => Err(failure.error()),
            None => Ok(SecretString::new(format!("grant-for-{code}"))),
        }
    }
}
