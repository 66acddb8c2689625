use wharf_domain::connection::{Connection, ConnectionFilter, ConnectionIdentifier};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::provider::Provider;

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

    /// Refuses to browse a connection whose provider has no folders to browse.
    ///
    /// # Errors
    /// Always, as long as no adapter can browse: `NotFound` or `NotSupported`.
    pub async fn refuse_browsing(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Provider, EngineError> {
        let provider = self.connection(caller, identifier).await?.provider();
        Err(EngineError::NotSupported(format!(
            "Folders and files cannot be browsed through {} connections.",
            provider.as_str()
        )))
    }
}
