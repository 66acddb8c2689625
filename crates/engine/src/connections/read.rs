use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::{Connection, ConnectionFilter, ConnectionIdentifier};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::scope::Place;

use super::place;
use crate::{Caller, Engine, EngineError, Mandate};

impl Engine {
    /// A connection by identifier or name; archived ones by identifier only.
    pub async fn connection(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Connection, EngineError> {
        let found = match ConnectionIdentifier::parse(identifier) {
            Some(parsed) => {
                let connections = &self.repositories().connections;
                connections.find(caller.organization(), &parsed).await?
            }
            None => None,
        };
        let place = match &found {
            Some(connection) => place(connection),
            None => Place::as_told(ResourceType::Connection, identifier),
        };
        caller.may(("connection", identifier), &[place])?;
        found.ok_or_else(|| EngineError::not_found("connection", identifier))
    }

    /// A connection that is shown to a caller, which the trail may want to know.
    pub async fn read_connection(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Connection, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        let resource = (ResourceType::Connection, connection.id.as_str());
        self.note_read(caller, Action::ConnectionAccessed, resource)
            .await?;
        Ok(connection)
    }

    /// The organization's connections that match, newest first.
    pub async fn list_connections(
        &self,
        caller: &Caller,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>, EngineError> {
        let all = Place::all(ResourceType::Connection);
        caller.may(("connection", "*"), &[all])?;
        Ok(self
            .repositories()
            .connections
            .list(caller.organization(), filter, page)
            .await?)
    }
}
