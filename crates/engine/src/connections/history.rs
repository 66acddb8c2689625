use wharf_domain::health::{AvailabilitySummary, CheckRecord};
use wharf_domain::page::{Page, PageRequest};

use crate::{Caller, Engine, EngineError};

/// How a connection has been.
#[derive(Debug)]
pub struct CheckHistory {
    /// Its checks, newest first.
    pub checks: Page<CheckRecord>,
    /// What all of them amount to.
    pub availability: AvailabilitySummary,
}

impl Engine {
    /// A connection's checks, those of the watch and those that people asked for.
    pub async fn check_history(
        &self,
        caller: &Caller,
        identifier: &str,
        page: &PageRequest,
    ) -> Result<CheckHistory, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        let checks = &self.repositories().checks;
        let organization = caller.organization();
        Ok(CheckHistory {
            checks: checks.list(organization, &connection.id, page).await?,
            availability: checks.availability(organization, &connection.id).await?,
        })
    }
}
