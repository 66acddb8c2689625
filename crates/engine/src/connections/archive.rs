use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::{Connection, Event};
use wharf_ports::ApplyError;

use crate::error::apply_failed;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Archives a connection for good, with `if_revision` only if it has that one: its credentials are shredded and its syncs stop.
    /// Archiving twice is no error.
    pub async fn archive_connection(
        &self,
        caller: &Caller,
        identifier: &str,
        if_revision: Option<u64>,
    ) -> Result<Connection, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        EngineError::refuse_other_revision("connection", if_revision, connection.revision)?;
        let resource = (ResourceType::Connection, connection.id.as_str());
        let changes = json!({"name": connection.name.as_str(), "credentials": "shredded"});
        let audit = caller.audit(self.ids(), Action::ConnectionDeleted, resource, changes);
        let applied = self
            .repositories()
            .connections
            .apply(
                caller.organization(),
                &connection.id,
                if_revision,
                vec![Event::Archive],
                vec![audit],
            )
            .await;
        match applied {
            Ok(transition) => Ok(transition.connection),
            Err(ApplyError::RevisionConflict) => {
                let id = connection.id.as_str();
                let current = self.connection(caller, id).await?.revision;
                let resource = "connection";
                Err(EngineError::RevisionMismatch { resource, current })
            }
            Err(error) => Err(apply_failed(error, identifier)),
        }
    }
}
