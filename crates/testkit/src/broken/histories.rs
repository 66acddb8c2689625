//! Checks that anybody records, and events that repeat themselves.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{Event, Transition};
use wharf_domain::event::OutboxEntry;
use wharf_domain::health::{AvailabilitySummary, CheckRecord, NewCheckRecord};
use wharf_domain::ids::{AuditId, ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{
    CheckLease, CheckRepository, EventRepository, RecordError, Repositories, RepositoryError,
};

/// The same repositories, but a check is recorded whoever holds its lease by now.
pub fn without_leases_of_checks(repositories: Repositories) -> Repositories {
    let checks = Arc::new(Unleased(repositories.checks.clone()));
    Repositories {
        checks,
        ..repositories
    }
}

/// The same repositories, but who reads events backwards gets the one again that was read last.
pub fn with_repeated_events(repositories: Repositories) -> Repositories {
    let events = Arc::new(Repeating(repositories.events.clone()));
    Repositories {
        events,
        ..repositories
    }
}

struct Unleased(Arc<dyn CheckRepository>);

#[async_trait]
impl CheckRepository for Unleased {
    async fn record(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        _lease: Option<&CheckLease>,
        check: NewCheckRecord,
        event: Event,
        tested: NewAuditRow,
        expiring: NewAuditRow,
    ) -> Result<Transition, RecordError> {
        self.0
            .record(
                organization,
                connection,
                None,
                check,
                event,
                tested,
                expiring,
            )
            .await
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        lease: &CheckLease,
    ) -> Result<(), RepositoryError> {
        self.0.release(organization, lease).await
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        page: &PageRequest,
    ) -> Result<Page<CheckRecord>, RepositoryError> {
        self.0.list(organization, connection, page).await
    }

    async fn availability(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<AvailabilitySummary, RepositoryError> {
        self.0.availability(organization, connection).await
    }
}

struct Repeating(Arc<dyn EventRepository>);

#[async_trait]
impl EventRepository for Repeating {
    async fn after(
        &self,
        organization: &OrganizationId,
        position: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        self.0.after(organization, position, limit).await
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        let position = position.map(|position| position + 1);
        self.0.before(organization, position, limit).await
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        audit: &AuditId,
    ) -> Result<Option<OutboxEntry>, RepositoryError> {
        self.0.find(organization, audit).await
    }
}
