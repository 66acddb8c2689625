//! Dead letters.

use std::collections::BTreeMap;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::dead_letter::{
    DISPOSAL, DeadLetter, DeadLetterFilter, DisposalReason, HEALING_PAUSE, MOST_TRIES,
};
use wharf_domain::ids::{DeadLetterId, JobId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::run::commit::FailedFile;
use wharf_domain::sync::{Sync, SyncState, SyncStatus};
use wharf_ports::{DeadLetterRepository, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, State, all_owned, at_most};

fn is_of(wanted: Option<&[String]>, letter: &DeadLetter) -> bool {
    wanted.is_none_or(|codes| codes.contains(&letter.error_type))
}

fn first_failure(sync: &Sync, job: &JobId, failed: &FailedFile, now: Timestamp) -> DeadLetter {
    DeadLetter {
        id: failed.new_id.clone(),
        sync: sync.id.clone(),
        bucket: sync.bucket.clone(),
        namespace: sync.namespace.clone(),
        job: job.clone(),
        source_object: failed.object.clone(),
        path: failed.path.clone(),
        version: failed.version.clone(),
        error_type: failed.error_type.clone(),
        error_message: failed.error_message.clone(),
        tries: 1,
        exhausted: MOST_TRIES <= 1,
        first_seen_at: now,
        last_seen_at: now,
        last_reattempt_at: None,
        requeued_at: None,
        resolved_at: None,
        disposal_reason: None,
    }
}

/// One more failure of the same version.
fn fail_again(letter: &mut DeadLetter, job: &JobId, failed: &FailedFile, now: Timestamp) {
    if letter.exhausted {
        letter.last_reattempt_at = Some(now);
        return;
    }
    letter.job = job.clone();
    letter.path.clone_from(&failed.path);
    letter.error_type.clone_from(&failed.error_type);
    letter.error_message.clone_from(&failed.error_message);
    letter.tries += 1;
    letter.exhausted = letter.tries >= MOST_TRIES;
    letter.last_seen_at = now;
}

/// Why the dead letters of a sync that does not run any more are closed; `None` while it runs.
fn disposal(sync: &Sync) -> Option<DisposalReason> {
    if sync.state == SyncState::ConnectionArchived {
        return Some(DisposalReason::ConnectionArchived);
    }
    (sync.status() != SyncStatus::Active).then_some(DisposalReason::SyncDeactivated)
}

impl State {
    pub(crate) fn open_dead_letter(&self, sync: &SyncId, object: &str) -> Option<&DeadLetter> {
        self.dead_letters
            .values()
            .map(|owned| &owned.row)
            .find(|letter| {
                letter.resolved_at.is_none()
                    && letter.sync == *sync
                    && letter.source_object == object
            })
    }

    fn open_dead_letter_mut(&mut self, sync: &SyncId, object: &str) -> Option<&mut DeadLetter> {
        let id = self.open_dead_letter(sync, object)?.id.clone();
        self.dead_letters.get_mut(&id).map(|owned| &mut owned.row)
    }

    /// Closes the open dead letter of a source object, if there is one: it was copied or need not be.
    pub(crate) fn resolve(&mut self, sync: &SyncId, object: &str, now: Timestamp) {
        if let Some(letter) = self.open_dead_letter_mut(sync, object) {
            letter.resolved_at = Some(now);
        }
    }

    /// Notes a file that could not be copied.
    pub(crate) fn fail(
        &mut self,
        organization: &OrganizationId,
        sync: &Sync,
        job: &JobId,
        failed: &FailedFile,
        now: Timestamp,
    ) {
        let first = first_failure(sync, job, failed, now);
        match self.open_dead_letter_mut(&sync.id, &failed.object) {
            Some(letter) if letter.version == failed.version => {
                fail_again(letter, job, failed, now);
            }
            Some(letter) => {
                *letter = DeadLetter {
                    id: letter.id.clone(),
                    ..first
                };
            }
            None => {
                let row = Owned {
                    organization: organization.clone(),
                    row: first,
                };
                self.dead_letters.insert(failed.new_id.clone(), row);
            }
        }
    }

    /// Closes exhausted dead letters of syncs that do not run any more. How many.
    pub(crate) fn dispose_dead_letters(&mut self, limit: usize, now: Timestamp) -> u64 {
        let mut disposed = 0;
        for owned in self.dead_letters.values_mut() {
            let letter = &mut owned.row;
            let due = letter.resolved_at.is_none()
                && letter.exhausted
                && letter.last_tried_at() + DISPOSAL <= now;
            let stored = self.syncs.get(&letter.sync).filter(|_| due);
            let Some(reason) = stored.and_then(|stored| disposal(&stored.row.sync)) else {
                continue;
            };
            if disposed == limit {
                break;
            }
            letter.resolved_at = Some(now);
            letter.disposal_reason = Some(reason);
            disposed += 1;
        }
        disposed as u64
    }

    /// The sync's open dead letters.
    fn open_dead_letters<'a>(
        &'a self,
        organization: &'a OrganizationId,
        sync: &'a SyncId,
    ) -> impl Iterator<Item = &'a DeadLetter> {
        all_owned(&self.dead_letters, organization)
            .filter(move |letter| letter.sync == *sync && letter.resolved_at.is_none())
    }

    /// Changes the sync's open dead letters that are meant. How many.
    fn change_dead_letters(
        &mut self,
        organization: &OrganizationId,
        sync: &SyncId,
        meant: impl Fn(&DeadLetter) -> bool,
        change: impl Fn(&mut DeadLetter),
    ) -> u64 {
        let open = self.open_dead_letters(organization, sync);
        let ids: Vec<DeadLetterId> = open
            .filter(|letter| meant(letter))
            .map(|letter| letter.id.clone())
            .collect();
        for id in &ids {
            if let Some(owned) = self.dead_letters.get_mut(id) {
                change(&mut owned.row);
            }
        }
        ids.len() as u64
    }
}

#[async_trait]
impl DeadLetterRepository for MemoryStore {
    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        filter: &DeadLetterFilter,
        request: &PageRequest,
    ) -> Result<Page<DeadLetter>, RepositoryError> {
        let (state, _) = self.open();
        let open = state.open_dead_letters(organization, sync);
        let rows = open.filter(|letter| {
            (letter.exhausted || !filter.only_exhausted)
                && is_of(filter.error_types.as_deref(), letter)
        });
        Ok(page(
            rows,
            |letter| (letter.first_seen_at, letter.id.as_str()),
            request,
        ))
    }

    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        source_object: &str,
    ) -> Result<Option<DeadLetter>, RepositoryError> {
        let (state, _) = self.open();
        let mut open = state.open_dead_letters(organization, sync);
        Ok(open
            .find(|letter| letter.source_object == source_object)
            .cloned())
    }

    async fn due(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, RepositoryError> {
        let (state, now) = self.open();
        let open = state.open_dead_letters(organization, sync);
        let mut due: Vec<&DeadLetter> = open
            .filter(|letter| letter.job != *job)
            .filter(|letter| !letter.exhausted || letter.last_tried_at() + HEALING_PAUSE <= now)
            .collect();
        due.sort_by_key(|letter| (letter.last_tried_at(), letter.id.as_str()));
        Ok(due.into_iter().take(at_most(limit)).cloned().collect())
    }

    async fn count_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
    ) -> Result<BTreeMap<String, u64>, RepositoryError> {
        let (state, _) = self.open();
        let mut counts = BTreeMap::new();
        for letter in state.open_dead_letters(organization, sync) {
            if letter.exhausted {
                *counts.entry(letter.error_type.clone()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    async fn requeue(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let requeued = state.change_dead_letters(
            organization,
            sync,
            |letter| letter.exhausted && is_of(error_types, letter),
            |letter| {
                letter.tries = 0;
                letter.exhausted = false;
                letter.requeued_at = Some(now);
            },
        );
        if requeued > 0 {
            state.record(organization, now, audit.with("requeued", requeued));
        }
        Ok(requeued)
    }

    async fn mark_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: &[String],
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let marked = state.change_dead_letters(
            organization,
            sync,
            |letter| !letter.exhausted && is_of(Some(error_types), letter),
            |letter| letter.exhausted = true,
        );
        if marked > 0 {
            state.record(organization, now, audit.with("marked", marked));
        }
        Ok(marked)
    }
}
