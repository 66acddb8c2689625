//! Syncs: what a person does with them, and what they tell about themselves.

mod create;
mod dead_letters;
mod deletes;
mod jobs;
mod lifecycle;
mod metrics;
mod read;
mod update;

use wharf_domain::audit::{Action, NewAuditRow, ResourceType};
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{Connection, ConnectionIdentifier};
use wharf_domain::error_code::Counting;
use wharf_domain::ids::{ConnectionId, SyncId};
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::Provider;
use wharf_domain::sync::SyncSettings;

pub use create::{CreateSync, CreatedSync};
pub use lifecycle::{RunWish, Triggered};
pub use metrics::MeasuredSync;
pub use update::UpdateSync;

use crate::{Caller, Engine, EngineError};

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

    /// The connection of a sync that is to run.
    async fn connection_of_sync(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<Connection, EngineError> {
        let identifier = ConnectionIdentifier::Id(id.clone());
        let found = self
            .repositories()
            .connections
            .find(caller.organization(), &identifier)
            .await?;
        let connection = found.ok_or_else(|| EngineError::not_found("connection", id.as_str()))?;
        if connection.sealed.is_none() {
            let message = "The connection is archived; create a new one.";
            return Err(EngineError::conflict("connection_archived", message));
        }
        Ok(connection)
    }

    /// Reads what a sync would list and, while the connection is in use, tests it. What stays wrong until a person acts
    /// refuses it; what may change by itself is only told.
    async fn test_scope(
        &self,
        connection: &Connection,
        settings: &SyncSettings,
    ) -> Result<Option<CheckReport>, EngineError> {
        let provider = connection.provider();
        let providers = &self.parts.providers;
        let scope = providers.scope(provider, &settings.source_path, settings.prefix())?;
        if !connection.is_active() {
            return Ok(None);
        }
        let report = self.check_stored(connection, Some(&scope)).await?;
        if report.counting() == Some(Counting::Definite) {
            return Err(EngineError::ConnectionTestFailed(report));
        }
        Ok(Some(report))
    }
}
