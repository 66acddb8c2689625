use async_trait::async_trait;
use wharf_domain::ids::{OrganizationId, SyncId};
use wharf_domain::run::catalogue::{Recall, Recalled};

use crate::RepositoryError;

/// What a sync knows of its source, for reading. Writes go through [`RunRepository`](crate::RunRepository).
#[async_trait]
pub trait CatalogueRepository: Send + Sync {
    /// What is known of one page of a listing. Reading changes nothing and takes no lock: what is decided on the answer is
    /// checked again by the commit. Memory stays bounded by the page, however many rows its span has. `pass` is the pass
    /// whose marks do not count as vanished again. What is known of a source is told once, in any order. Nothing is known of the
    /// sources of a sync that is not there.
    async fn recall(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        pass: u64,
        recall: &Recall,
    ) -> Result<Recalled, RepositoryError>;
}
