use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_domain::ids::OrganizationId;

use crate::RepositoryError;

/// Claims of requests on their `Idempotency-Key`.
///
/// Whoever stores an audit row whose origin carries a claim notes the effect (the row's resource; the first row counts) on the claim in
/// the same transaction. Where the claim is not the newest attempt any more, the transaction fails with
/// [`RepositoryError::ClaimLost`]: of two attempts, one takes effect.
#[async_trait]
pub trait IdempotencyRepository: Send + Sync {
    /// Claims a key. `id` names key, caller and route, `fingerprint` the request (both 64 hex digits of keyed hashes). A claim without
    /// effect or answer is `Running` for `patience` and granted anew after that; a row older than `keep` is as if it were not there.
    async fn claim(
        &self,
        organization: &OrganizationId,
        id: &str,
        fingerprint: &str,
        patience: Duration,
        keep: Duration,
    ) -> Result<Claimed, RepositoryError>;

    /// Stores the answer to a claim that is still the newest attempt.
    async fn answer(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
        answer: StoredAnswer,
    ) -> Result<(), RepositoryError>;

    /// Gives up a claim that took no effect, so that the key can be used at once; one that did take effect stays.
    async fn release(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), RepositoryError>;
}
