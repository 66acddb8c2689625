//! Connections.

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{
    Connection, ConnectionFilter, ConnectionIdentifier, ConnectionName, Event, Intent,
    NewConnection, Transition,
};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::job::JobEnd;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::SyncState;
use wharf_ports::{ApplyError, ConnectionRepository, InsertError, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{State, end_alone};
use crate::store::stored_time;

const ARCHIVED: &str = "connection_archived";

impl State {
    /// Stores a connection in place of what it was; returns it as it is stored.
    pub(crate) fn keep_connection(&mut self, connection: Connection) -> Connection {
        let stored = Connection {
            next_check_at: connection.next_check_at.map(stored_time),
            expires_at: connection.expires_at.map(stored_time),
            ..connection
        };
        self.connections.insert(stored.id.clone(), stored.clone());
        stored
    }

    /// The organization's connection of that name that is not archived.
    fn named(&self, organization: &OrganizationId, name: &ConnectionName) -> Option<&Connection> {
        self.connections.values().find(|connection| {
            connection.organization == *organization
                && connection.name == *name
                && connection.intent != Intent::Archived
        })
    }

    /// What was found missing through other credentials agrees with nothing that is found through these.
    fn forget_found_missing(&mut self, connection: &ConnectionId) {
        let syncs = self.syncs.values_mut().map(|owned| &mut owned.row);
        for stored in syncs.filter(|stored| stored.sync.connection == *connection) {
            stored.sync.held_deletes = None;
            for row in stored.catalogue.values_mut() {
                row.missing_since = None;
            }
        }
    }

    /// Stops the syncs of an archived connection. What was at work can commit nothing and end nothing any more, so its
    /// job is ended here.
    fn stop_syncs(&mut self, connection: &ConnectionId, now: Timestamp) {
        for (sync, owned) in self
            .syncs
            .iter_mut()
            .filter(|(_, owned)| owned.row.sync.connection == *connection)
        {
            let stored = &mut owned.row;
            stored.sync.state = SyncState::ConnectionArchived;
            stored.sync.next_run_at = None;
            stored.sync.updated_at = now;
            stored.resume_of = None;
            let at_work = stored
                .lease
                .take()
                .map(|lease| (lease.holder.job, JobEnd::interrupted(ARCHIVED)));
            let queued = stored
                .sync
                .queued_job
                .take()
                .map(|job| (job, JobEnd::skipped(ARCHIVED)));
            for (job, end) in at_work.into_iter().chain(queued) {
                end_alone(&mut self.jobs, &mut self.trail, &job, sync, end, now);
            }
        }
    }
}

#[async_trait]
impl ConnectionRepository for MemoryStore {
    async fn insert(
        &self,
        new: NewConnection,
        audit: NewAuditRow,
    ) -> Result<Connection, InsertError> {
        let (mut state, now) = self.open_for(&new.organization, [&audit])?;
        if !state.organizations.contains_key(&new.organization) {
            return Err(InsertError::ParentMissing);
        }
        if state.named(&new.organization, &new.name).is_some() {
            return Err(InsertError::NameTaken);
        }
        let connection = state.keep_connection(Connection::create(new, now));
        state.record(&connection.organization, now, audit);
        Ok(connection)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &ConnectionIdentifier,
    ) -> Result<Option<Connection>, RepositoryError> {
        let (state, _) = self.open();
        let found = match identifier {
            ConnectionIdentifier::Id(id) => state
                .connections
                .get(id)
                .filter(|connection| connection.organization == *organization),
            ConnectionIdentifier::Name(name) => state.named(organization, name),
        };
        Ok(found.cloned())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &ConnectionFilter,
        request: &PageRequest,
    ) -> Result<Page<Connection>, RepositoryError> {
        let (state, _) = self.open();
        let of_organization = state
            .connections
            .values()
            .filter(|found| found.organization == *organization);
        let rows = of_organization.filter(|connection| filter.matches(connection));
        Ok(page(
            rows,
            |connection| (connection.created_at, connection.id.as_str()),
            request,
        ))
    }

    async fn apply(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        if_revision: Option<u64>,
        events: Vec<Event>,
        audit: Vec<NewAuditRow>,
    ) -> Result<Transition, ApplyError> {
        let (mut state, now) = self.open_for(organization, &audit)?;
        let stored = state
            .connections
            .get(id)
            .filter(|found| found.organization == *organization);
        let before = stored.cloned().ok_or(ApplyError::NotFound)?;
        if if_revision.is_some_and(|revision| revision != before.revision) {
            return Err(ApplyError::RevisionConflict);
        }
        let was_archived = before.intent == Intent::Archived;
        let had = before.credential_version;
        let applied = before.apply_all(events, now)?;
        let after = &applied.connection;
        let archived = after.intent == Intent::Archived;
        if !archived
            && state
                .named(organization, &after.name)
                .is_some_and(|other| other.id != *id)
        {
            return Err(ApplyError::NameTaken);
        }
        if applied.changed {
            state.keep_connection(after.clone());
            if archived && !was_archived {
                state.stop_syncs(id, now);
                state.sessions.remove(id);
            }
            if after.credential_version != had {
                state.forget_found_missing(id);
                state.forget_token(id);
            }
            for row in audit {
                state.record(organization, now, applied.told_in(row));
            }
        }
        Ok(applied)
    }
}
