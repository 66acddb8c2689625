use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::EventId;
use wharf_domain::ids::{OrganizationId, WebhookId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::webhook::{Delivery, Settlement, Webhook, WebhookSettings};

use crate::{InsertError, RepositoryError};

/// Which webhooks a list should contain; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookFilter {
    /// Told of this type.
    pub event_type: Option<String>,
    /// Active or not.
    pub is_active: Option<bool>,
}

/// The right to deliver to a webhook, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookLease {
    /// Which webhook.
    pub webhook: WebhookId,
    /// Grows with every lease of that webhook.
    pub fence: u64,
}

/// Why a webhook could not be changed. Nothing was stored.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// There is no such webhook.
    #[error("there is no such webhook")]
    NotFound,
    /// Its sealed form was changed since it was read.
    #[error("the webhook was changed meanwhile")]
    Conflict,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Webhooks of an organization.
#[async_trait]
pub trait WebhookRepository: Send + Sync {
    /// Adds a webhook, which is told of what happens from now on: its cursor stands at the end of the organization's order, its own
    /// creation included.
    async fn insert(
        &self,
        organization: &OrganizationId,
        id: WebhookId,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, InsertError>;

    /// A webhook.
    async fn find(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, RepositoryError>;

    /// The organization's webhooks that match, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &WebhookFilter,
        page: &PageRequest,
    ) -> Result<Page<Webhook>, RepositoryError>;

    /// Replaces the settings, if the stored `secret_version` still is `read_version`. Becoming active, or being active with another
    /// `secret_version`, clears the health and the attempts, ends a round that is under way, and is due at once; the cursor stays, so
    /// that what happened meanwhile is told then.
    async fn replace(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        read_version: u64,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, WebhookError>;

    /// Removes a webhook with its deliveries. Whether there was one.
    async fn remove(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Asks for events to be delivered once more, active or not; due at once, or once the round under way has ended, whatever its
    /// pause. What is asked for again during a round is delivered again after it. Whether there is such a webhook.
    async fn redeliver(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        events: &[EventId],
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Stores what a round of deliveries amounts to and ends the lease; with a pause of a webhook that was active until now, `paused`
    /// is stored. Redeliveries that were asked for since the lease stay. Whether the lease was still held: if not, nothing is stored.
    async fn settle(
        &self,
        organization: &OrganizationId,
        lease: &WebhookLease,
        settlement: Settlement,
        paused: Option<NewAuditRow>,
    ) -> Result<bool, RepositoryError>;

    /// The webhook's attempts, newest first.
    async fn deliveries(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, RepositoryError>;
}
