//! Syncs: what a person does with them, and what they tell about themselves.

mod create;
mod dead_letters;
mod deletes;
mod jobs;
mod lifecycle;
mod metrics;
mod read;
mod update;

use wharf_domain::access::Permission;
use wharf_domain::audit::{Action, NewAuditRow, ResourceType};
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{Connection, ConnectionIdentifier, PublicStatus};
use wharf_domain::error_code::Counting;
use wharf_domain::ids::{ConnectionId, SyncId};
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::Provider;
use wharf_domain::scope::Place;
use wharf_domain::sync::{Sync, SyncSettings};

pub use create::{CreateSync, CreatedSync};
pub use lifecycle::{RunWish, Triggered};
pub use metrics::MeasuredSync;
pub use update::UpdateSync;

use crate::{Caller, Engine, EngineError, Mandate, connections};

/// A sync's identifier; what does not have the form of one names no sync.
fn parsed(id: &str) -> Result<SyncId, EngineError> {
    id.parse().map_err(|_| missing(id))
}

fn missing(id: &str) -> EngineError {
    EngineError::not_found("sync", id)
}

fn connection_archived() -> EngineError {
    let message = "The sync's connection is archived, so it will never run again.";
    EngineError::conflict("connection_archived", message)
}

/// Why a connection cannot be read through now, if that is so.
pub(crate) fn connection_inactive(connection: &Connection) -> Option<EngineError> {
    let reason = connection.status_reason()?;
    let status = connection.status();
    let way_back = match status {
        PublicStatus::Archived => return Some(connection_archived()),
        PublicStatus::Failed => "a test that passes brings it back",
        PublicStatus::Active | PublicStatus::Suspended => {
            "set its status to ACTIVE to bring it back"
        }
    };
    let message = format!(
        "The connection is {status} ({}): {way_back}.",
        reason.as_str()
    );
    Some(EngineError::conflict("connection_inactive", message))
}

/// Refuses a mapping from what the provider does not have, such as columns of a table.
fn refuse_foreign_sources(settings: &SyncSettings, provider: Provider) -> Result<(), InvalidInput> {
    match &settings.schema_mapping {
        None => Ok(()),
        Some(mapping) => mapping.check_for(provider, "schema_mapping"),
    }
}

impl Engine {
    fn audit_sync(
        &self,
        caller: &Caller,
        action: Action,
        id: &str,
        changes: serde_json::Value,
    ) -> NewAuditRow {
        caller.audit(self.ids(), action, (ResourceType::Sync, id), changes)
    }

    /// The connection of a sync. Whoever reaches the sync may know of it, whatever their key's scopes say about connections.
    pub async fn connection_of(
        &self,
        caller: &Caller,
        sync: &Sync,
    ) -> Result<Connection, EngineError> {
        self.connection_row(caller, &sync.connection).await
    }

    /// A sync's connection, archived or not.
    pub(crate) async fn connection_row(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<Connection, EngineError> {
        let identifier = ConnectionIdentifier::Id(id.clone());
        let connections = &self.repositories().connections;
        let found = connections.find(caller.organization(), &identifier).await?;
        found.ok_or_else(|| EngineError::not_found("connection", id.as_str()))
    }

    /// The connection of a sync that is to run.
    pub(crate) async fn connection_of_sync(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<Connection, EngineError> {
        let connection = self.connection_row(caller, id).await?;
        if connection.sealed.is_none() {
            let message = "The connection is archived; create a new one.";
            return Err(EngineError::conflict("connection_archived", message));
        }
        Ok(connection)
    }

    /// The connection of a sync that is not there yet. Whoever adds a sync reads through its connection from then on, so their key must
    /// reach it.
    pub async fn connection_of_new_sync(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<Connection, EngineError> {
        let identifier = ConnectionIdentifier::Id(id.clone());
        let rows = &self.repositories().connections;
        let found = rows.find(caller.organization(), &identifier).await?;
        let place = match &found {
            Some(connection) => connections::place(connection),
            None => Place::as_told(ResourceType::Connection, id.as_str()),
        };
        caller.may_to(Permission::Read, ("connection", id.as_str()), &[place])?;
        self.connection_of_sync(caller, id).await
    }

    /// Refuses settings of a new sync that can never work with this provider; dials nothing.
    pub(crate) fn vet_new(
        &self,
        provider: Provider,
        settings: &SyncSettings,
    ) -> Result<(), InvalidInput> {
        let providers = &self.parts.providers;
        if !providers.supports(provider) {
            let message = format!(
                "this server has no adapter for {} connections",
                provider.as_str()
            );
            return Err(InvalidInput::one(
                "connection_id",
                "adapter_missing",
                message,
            ));
        }
        providers.vet_source_path(provider, &settings.source_path)?;
        refuse_foreign_sources(settings, provider)
    }

    /// Reads what a sync would list and, while the connection is in use, tests it. What stays wrong until a person acts
    /// refuses it; what may change by itself is only told.
    async fn test_scope(
        &self,
        caller: &Caller,
        connection: &Connection,
        settings: &SyncSettings,
    ) -> Result<Option<CheckReport>, EngineError> {
        let provider = connection.provider();
        let providers = &self.parts.providers;
        let scope = providers.scope(
            provider,
            &settings.source_path,
            &settings.provider_filters.clone().unwrap_or_default(),
        )?;
        if !connection.is_active() {
            return Ok(None);
        }
        let report = self.check_stored(connection, Some(&scope)).await?;
        if report.counting() == Some(Counting::Definite) {
            self.tell_of_unsaved(caller, &connection.id, &report)
                .await?;
            return Err(EngineError::ConnectionTestFailed(report));
        }
        Ok(Some(report))
    }
}
