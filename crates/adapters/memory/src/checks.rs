//! Histories of checks, and the leases of the health watch.

use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{Connection, Event, Transition};
use wharf_domain::error_code::Counting;
use wharf_domain::health::{Availability, AvailabilitySummary, CheckRecord, NewCheckRecord};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::{Timestamp, time_text};
use wharf_ports::{
    ApplyError, CheckLease, CheckRepository, DueCheck, RecordError, RepositoryError,
};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, State, all_owned};
use crate::store::stored_time;

/// Who may check a connection.
#[derive(Default)]
pub(crate) struct Watch {
    fence: u64,
    held_until: Option<Timestamp>,
}

impl Watch {
    fn is_held_by(&self, lease: &CheckLease) -> bool {
        self.fence == lease.fence && self.held_until.is_some()
    }
}

impl State {
    fn connection_of(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Option<&Connection> {
        let stored = self.connections.get(id);
        stored.filter(|found| found.organization == *organization)
    }

    /// Leases the check that has been due longest.
    pub(crate) fn lease_check(&mut self, ttl: Duration, now: Timestamp) -> Option<DueCheck> {
        let free = |connection: &&Connection| {
            let watch = self.watches.get(&connection.id);
            watch
                .and_then(|watch| watch.held_until)
                .is_none_or(|until| until <= now)
        };
        // What rests has no check planned.
        let due = |connection: &&Connection| connection.next_check_at.is_some_and(|at| at <= now);
        let ready = self.connections.values().filter(due).filter(free);
        let connection = ready
            .min_by_key(|connection| (connection.next_check_at, &connection.id))?
            .clone();
        let watch = self.watches.entry(connection.id.clone()).or_default();
        watch.fence += 1;
        watch.held_until = Some(now + ttl);
        Some(DueCheck {
            organization: connection.organization.clone(),
            lease: CheckLease {
                connection: connection.id.clone(),
                fence: watch.fence,
            },
            connection,
            now,
        })
    }
}

/// Adds the checks of the last so many hours.
fn availability(records: &[&CheckRecord], hours: i64, now: Timestamp) -> Availability {
    let since = now - chrono::Duration::hours(hours);
    let mut sum = Availability::default();
    for record in records.iter().filter(|record| record.at > since) {
        match verdict(record) {
            None => sum.passed += 1,
            Some(Counting::Uncounted) => sum.undecided += 1,
            Some(Counting::Definite | Counting::Transient) => sum.failed += 1,
        }
    }
    sum
}

/// What a check says of its connection, whatever is wrong with a path.
fn verdict(record: &CheckRecord) -> Option<Counting> {
    record.check.report.of_connection().counting()
}

#[async_trait]
impl CheckRepository for MemoryStore {
    async fn record(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        lease: Option<&CheckLease>,
        check: NewCheckRecord,
        event: Event,
        tested: NewAuditRow,
        expiring: NewAuditRow,
    ) -> Result<Transition, RecordError> {
        let (mut state, now) = self.open_for(organization, [&tested, &expiring])?;
        let stored = state.connection_of(organization, id).cloned();
        let before = stored.ok_or(ApplyError::NotFound)?;
        if let Some(lease) = lease {
            let watch = state.watches.get(id).filter(|_| lease.connection == *id);
            if watch.is_none_or(|watch| !watch.is_held_by(lease)) {
                return Err(RecordError::LeaseLost);
            }
        }
        let applied = before.apply(event, now).map_err(ApplyError::from)?;
        if let Some(watch) = state.watches.get_mut(id).filter(|_| lease.is_some()) {
            watch.held_until = None;
        }
        let row = CheckRecord {
            connection: id.clone(),
            at: now,
            status: applied.connection.status(),
            check: NewCheckRecord {
                started_at: stored_time(check.started_at),
                ..check
            },
        };
        state.checks.insert(
            row.check.id.clone(),
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        state.keep_connection(applied.connection.clone());
        state.record(organization, now, applied.told_in(tested));
        if let Some(at) = applied.expiring {
            state.record(
                organization,
                now,
                expiring.with("expires_at", time_text(&at)),
            );
        }
        Ok(applied)
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        lease: &CheckLease,
    ) -> Result<(), RepositoryError> {
        let (mut state, _) = self.open();
        if state
            .connection_of(organization, &lease.connection)
            .is_some()
            && let Some(watch) = state.watches.get_mut(&lease.connection)
            && watch.is_held_by(lease)
        {
            watch.held_until = None;
        }
        Ok(())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        request: &PageRequest,
    ) -> Result<Page<CheckRecord>, RepositoryError> {
        let (state, _) = self.open();
        let rows = all_owned(&state.checks, organization)
            .filter(|record| record.connection == *connection);
        Ok(page(
            rows,
            |record| (record.at, record.check.id.as_str()),
            request,
        ))
    }

    async fn availability(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<AvailabilitySummary, RepositoryError> {
        let (state, now) = self.open();
        let records: Vec<&CheckRecord> = all_owned(&state.checks, organization)
            .filter(|record| record.connection == *connection)
            .collect();
        let last = |wanted: fn(Option<Counting>) -> bool| {
            let those = records.iter().filter(|record| wanted(verdict(record)));
            those.map(|record| record.at).max()
        };
        Ok(AvailabilitySummary {
            day: availability(&records, 24, now),
            week: availability(&records, 7 * 24, now),
            month: availability(&records, 30 * 24, now),
            last_passed_at: last(|counting| counting.is_none()),
            last_failed_at: last(|counting| {
                counting.is_some_and(|counting| counting != Counting::Uncounted)
            }),
        })
    }
}
