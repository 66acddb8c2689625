//! Folders and files at a provider, as a person looks for what to sync.

use tokio::time::timeout;
use wharf_domain::Timestamp;
use wharf_domain::connection::{AttemptOutcome, AttemptResult, Connection, Event};
use wharf_ports::{Browse, Browsed};

use crate::account::AccountError;
use crate::syncs::connection_inactive;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// At most `limit` folders or files in a folder, which is named by its path from the root on or by its identity; none where
    /// there is no such folder. That it worked is the connection's latest use.
    ///
    /// # Errors
    /// `NotSupported` for a provider that cannot be browsed; a conflict while the connection is not active.
    pub async fn browse(
        &self,
        caller: &Caller,
        identifier: &str,
        what: Browse,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Browsed>, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        let provider = connection.provider();
        if !self.parts.providers.browses(provider) {
            return Err(EngineError::NotSupported(format!(
                "Folders and files cannot be browsed through {provider} connections."
            )));
        }
        if let Some(inactive) = connection_inactive(&connection) {
            return Err(inactive);
        }
        let started_at = self.repositories().across.now().await?;
        let account = self.use_account(caller, &connection, "browse").await?;
        let browsing = account.browse(what, path, limit);
        let browsed = timeout(self.parts.settings.check_timeout, browsing).await;
        let browsed = browsed
            .map_err(|elapsed| EngineError::Unavailable {
                what: "the provider",
                source: Some(elapsed.into()),
            })?
            .map_err(AccountError::Provider)?;
        self.note_used(&connection, started_at).await;
        Ok(browsed)
    }

    /// Notes that a connection was used and worked. What was found stands, whether or not that can be noted.
    async fn note_used(&self, connection: &Connection, started_at: Timestamp) {
        let outcome = AttemptOutcome {
            epoch: connection.epoch,
            credential_version: connection.credential_version,
            started_at,
            result: AttemptResult::Success { used: true },
        };
        let next = self.next_check(connection, None);
        let events = vec![Event::Outcome { outcome, next }];
        let connections = &self.repositories().connections;
        let noted = connections
            .apply(
                &connection.organization,
                &connection.id,
                None,
                events,
                Vec::new(),
            )
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, connection = %connection.id, "the use of a connection was not noted");
        }
    }
}
