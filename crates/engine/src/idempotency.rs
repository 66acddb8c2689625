//! Requests that may be sent again with the same `Idempotency-Key`.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};

use crate::{Caller, Engine, EngineError};

/// How long a claim without an answer holds off others.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a key is remembered.
const KEEP: Duration = Duration::from_hours(24);

/// A request with an `Idempotency-Key`, as far as it is told from others.
pub struct RepeatableRequest<'a> {
    /// The key that the caller chose.
    pub key: &'a str,
    /// Such as `POST`.
    pub method: &'a str,
    /// The path with its query.
    pub target: &'a str,
    /// What stands in the headers and decides what the request means.
    pub headers: &'a [&'a [u8]],
    /// The body; may hold secrets.
    pub body: &'a [u8],
}

impl fmt::Debug for RepeatableRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepeatableRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Claims a request's key for its caller. What changes something under a granted claim carries it in its origin.
    pub async fn claim_request(
        &self,
        caller: &Caller,
        request: &RepeatableRequest<'_>,
    ) -> Result<Claimed, EngineError> {
        let organization = caller.organization().as_str().as_bytes();
        let id = self
            .request_hash(&[
                b"claim",
                organization,
                caller.principal.key.as_str().as_bytes(),
                request.method.as_bytes(),
                request.target.as_bytes(),
                request.key.as_bytes(),
            ])
            .await?;
        // A key that was narrowed since gets no answer that it could not have got now.
        let grant = &caller.principal.grant;
        let allowed = serde_json::to_vec(&(&grant.permissions, &grant.scopes))
            .map_err(|error| EngineError::Internal(error.into()))?;
        let mut parts: Vec<&[u8]> = vec![b"request", organization, request.body, &allowed];
        parts.extend(request.headers);
        let fingerprint = self.request_hash(&parts).await?;
        let claims = &self.repositories().idempotency;
        Ok(claims
            .claim(caller.organization(), &id, &fingerprint, PATIENCE, KEEP)
            .await?)
    }

    /// Keeps an answer to be given again.
    pub async fn keep_answer(
        &self,
        caller: &Caller,
        claim: &Claim,
        answer: StoredAnswer,
    ) -> Result<(), EngineError> {
        let claims = &self.repositories().idempotency;
        Ok(claims.answer(caller.organization(), claim, answer).await?)
    }

    /// Gives a claim up, unless it took effect: the key may be used again at once.
    pub async fn release_claim(&self, caller: &Caller, claim: &Claim) -> Result<(), EngineError> {
        let claims = &self.repositories().idempotency;
        Ok(claims.release(caller.organization(), claim).await?)
    }

    async fn request_hash(&self, parts: &[&[u8]]) -> Result<String, EngineError> {
        let hash = self.parts.key_ring.hash_request(parts).await?;
        let mut text = String::with_capacity(64);
        for byte in hash {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(text)
    }
}
