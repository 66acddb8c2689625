use wharf_domain::connection::{Connection, ConnectionFilter, ConnectionIdentifier};
use wharf_domain::page::{Page, PageRequest};

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// A connection by identifier or name; archived ones by identifier only.
    pub async fn connection(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Connection, EngineError> {
        let missing = || EngineError::not_found("connection", identifier);
        let parsed = ConnectionIdentifier::parse(identifier).ok_or_else(missing)?;
        let found = self
            .repositories()
            .connections
            .find(caller.organization(), &parsed)
            .await?;
        found.ok_or_else(missing)
    }

    /// The organization's connections that match, newest first.
    pub async fn list_connections(
        &self,
        caller: &Caller,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>, EngineError> {
        Ok(self
            .repositories()
            .connections
            .list(caller.organization(), filter, page)
            .await?)
    }

    /// Why a connection's folders and files cannot be browsed: there is no such connection, or its provider has none to
    /// browse, as no adapter of this version has.
    pub async fn browsing_refused(&self, caller: &Caller, identifier: &str) -> EngineError {
        match self.connection(caller, identifier).await {
            Ok(connection) => EngineError::NotSupported(format!(
                "Folders and files cannot be browsed through {} connections.",
                connection.provider().as_str()
            )),
            Err(error) => error,
        }
    }
}
