//! A connection's account at its provider: opened with the stored credentials, and behind its gate.

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::connection::Connection;
use wharf_ports::{OpenProvider, ProviderError, Retry};

use crate::connections::CredentialsError;
use crate::{Caller, Engine, EngineError};

/// Why an account cannot be opened or asked.
#[derive(Debug)]
pub(crate) enum AccountError {
    /// The connection or its provider.
    Provider(ProviderError),
    /// Something that Wharf needs is away.
    Ours(EngineError),
}

impl From<AccountError> for EngineError {
    /// How it is answered to a person whose wish needs the provider.
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Ours(error) => error,
            AccountError::Provider(error) => match error.retry {
                Retry::Never | Retry::Restart => Self::conflict(
                    "provider_refused",
                    format!(
                        "The provider could not be asked ({}): {}. Test the connection to see what is wrong.",
                        error.code,
                        error.message.trim_end_matches('.')
                    ),
                ),
                Retry::Later { after } => Self::ProviderAway {
                    code: error.code,
                    message: error.message,
                    after,
                },
            },
        }
    }
}

impl Engine {
    /// Opens a connection's account for something that a person wants to know. That its secrets are used is in the audit trail
    /// before anything is asked with them.
    pub(crate) async fn use_account(
        &self,
        caller: &Caller,
        connection: &Connection,
        purpose: &'static str,
    ) -> Result<OpenProvider, AccountError> {
        let opened = self.open_account(connection).await?;
        let resource = (ResourceType::Connection, connection.id.as_str());
        let changes = json!({"purpose": purpose});
        let row = caller.audit(self.ids(), Action::ConnectionUsed, resource, changes);
        let audit = &self.repositories().audit;
        match audit.record(caller.organization(), row).await {
            Ok(()) => Ok(opened),
            Err(error) => Err(AccountError::Ours(error.into())),
        }
    }

    /// Opens a connection's account; asks nothing of it yet.
    pub(crate) async fn open_account(
        &self,
        connection: &Connection,
    ) -> Result<OpenProvider, AccountError> {
        let credentials = self
            .open_credentials(connection)
            .await
            .map_err(|error| match error {
                CredentialsError::Engine(error) => AccountError::Ours(error),
                error => {
                    let permanent = ProviderError::permanent(error.code(), error.remedy());
                    AccountError::Provider(permanent)
                }
            })?;
        let sessions = self.stored_sessions(connection, &credentials);
        let opened = self
            .parts
            .providers
            .open(&connection.id, &connection.config, credentials, sessions)
            .map_err(AccountError::Provider)?;
        Ok(self
            .gates
            .guard(connection.provider(), &connection.id, opened))
    }
}
