//! Files that a sync could not copy, for a person to look at, to queue again or to give up.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::dead_letter::{DeadLetter, DeadLetterFilter};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::Sync;

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// The sync's open dead letters, newest first.
    pub async fn list_dead_letters(
        &self,
        caller: &Caller,
        sync: &Sync,
        filter: &DeadLetterFilter,
        page: &PageRequest,
    ) -> Result<Page<DeadLetter>, EngineError> {
        Ok(self
            .repositories()
            .dead_letters
            .list(caller.organization(), &sync.id, filter, page)
            .await?)
    }

    /// Gives exhausted dead letters their tries back, all or those with one of these error codes; returns how many. The next
    /// run tries them.
    pub async fn requeue_dead_letters(
        &self,
        caller: &Caller,
        sync: &Sync,
        error_types: Option<&[String]>,
    ) -> Result<u64, EngineError> {
        let changes = json!({"error_types": error_types});
        let action = Action::DeadLettersRequeued;
        let audit = self.audit_sync(caller, action, sync.id.as_str(), changes);
        Ok(self
            .repositories()
            .dead_letters
            .requeue(caller.organization(), &sync.id, error_types, audit)
            .await?)
    }

    /// Gives dead letters with one of these error codes up before their last try; returns how many.
    pub async fn mark_dead_letters_failed(
        &self,
        caller: &Caller,
        sync: &Sync,
        error_types: &[String],
    ) -> Result<u64, EngineError> {
        let changes = json!({"error_types": error_types});
        let action = Action::DeadLettersMarked;
        let audit = self.audit_sync(caller, action, sync.id.as_str(), changes);
        Ok(self
            .repositories()
            .dead_letters
            .mark_exhausted(caller.organization(), &sync.id, error_types, audit)
            .await?)
    }
}
