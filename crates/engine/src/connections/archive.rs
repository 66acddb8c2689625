use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::{Connection, Event};

use crate::error::apply_failed;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Archives a connection for good: its credentials are shredded and its syncs stop. Archiving twice is no error.
    pub async fn archive_connection(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Connection, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        let resource = (ResourceType::Connection, connection.id.as_str());
        let changes = json!({"name": connection.name.as_str(), "credentials": "shredded"});
        let audit = caller.audit(self.ids(), Action::ConnectionDeleted, resource, changes);
        let applied = self
            .repositories()
            .connections
            .apply(
                caller.organization(),
                &connection.id,
                None,
                vec![Event::Archive],
                vec![audit],
            )
            .await;
        applied
            .map(|transition| transition.connection)
            .map_err(|error| apply_failed(error, identifier))
    }
}
