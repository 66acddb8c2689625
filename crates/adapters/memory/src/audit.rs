//! The audit trail.

use async_trait::async_trait;
use wharf_domain::audit::{AuditFilter, AuditRow, AuditSettings, ChainHead, NewAuditRow};
use wharf_domain::ids::{AuditId, OrganizationId};
use wharf_ports::{AuditPage, AuditRepository, ChainedRow, RepositoryError};

use crate::MemoryStore;
use crate::state::at_most;
use crate::trail::Trail;

impl Trail {
    /// The organization's rows, oldest first.
    fn of<'a>(
        &'a self,
        organization: &'a OrganizationId,
    ) -> impl DoubleEndedIterator<Item = &'a AuditRow> {
        let rows = self.rows.iter();
        rows.filter(move |stored| stored.organization == *organization)
    }
}

#[async_trait]
impl AuditRepository for MemoryStore {
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&row])?;
        state.trail.record(organization, now, row);
        Ok(())
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
    ) -> Result<Option<AuditRow>, RepositoryError> {
        let (state, _) = self.open();
        let mut rows = state.trail.of(organization);
        Ok(rows.find(|stored| stored.row.id == *id).cloned())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, RepositoryError> {
        let (state, _) = self.open();
        let rows = state.trail.of(organization).rev();
        let matching: Vec<_> = rows.filter(|stored| filter.matches(stored)).collect();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(AuditPage {
            total: matching.len() as u64,
            rows: matching
                .into_iter()
                .skip(skip)
                .take(at_most(limit))
                .cloned()
                .collect(),
        })
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, RepositoryError> {
        let (state, _) = self.open();
        let rows = state.trail.of(organization).rev();
        let before = |stored: &&AuditRow| {
            position.is_none_or(|position| stored.link.position < position)
                && filter.matches(stored)
        };
        Ok(rows.filter(before).take(at_most(limit)).cloned().collect())
    }

    async fn settings(
        &self,
        organization: &OrganizationId,
    ) -> Result<AuditSettings, RepositoryError> {
        let (state, _) = self.open();
        let settings = state.trail.settings.get(organization);
        Ok(settings.copied().unwrap_or_default())
    }

    async fn change_settings(
        &self,
        organization: &OrganizationId,
        settings: AuditSettings,
        audit: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = state.trail.settings.entry(organization.clone());
        let stored = stored.or_default();
        if *stored != settings {
            *stored = settings;
            state.trail.record(organization, now, audit);
        }
        Ok(())
    }

    async fn head(&self, organization: &OrganizationId) -> Result<ChainHead, RepositoryError> {
        Ok(self.open().0.trail.head(organization))
    }

    async fn chain(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, RepositoryError> {
        let (state, _) = self.open();
        let rows = state.trail.of(organization);
        let behind = rows.filter(|stored| stored.link.position > after);
        let chained = behind.map(|stored| ChainedRow {
            id: stored.row.id.to_string(),
            link: stored.link,
            row: Some(stored.clone()),
        });
        Ok(chained.take(at_most(limit)).collect())
    }
}
