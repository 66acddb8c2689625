//! One pass over a source: list, plan, fetch, commit, page by page from the checkpoint on; then let go of what vanished.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, JobPhase};
use wharf_domain::object::SourceId;
use wharf_domain::plan::{PagePlan, plan_page};
use wharf_domain::sync::{Checkpoint, Cursor, Lease, Sync, SyncMode};
use wharf_ports::{Commit, LetGo, ListingPage, OpenProvider, ProviderError, Put, Retry};

use super::fetch::{Copied, Copier};
use super::retry::with_retries;
use super::stop::{Stop, concerns_file_only};
use crate::caller::audit_row;
use crate::{Engine, EngineError};

/// Most entries asked for at once.
const PAGE: u32 = 1000;
/// Copied files are published when this many wait …
const BATCH: usize = 100;
/// … or when the last commit is this long ago.
const BATCH_AGE: Duration = Duration::from_secs(2);
/// Passes that an initial sync makes in addition for files that failed or changed.
const EXTRA_PASSES: u32 = 2;
/// So many files in a row that the provider fails to deliver are not the files' fault.
const TOO_MANY: usize = 5;
/// Vanished files let go in one step.
const LET_GO: u32 = 500;

/// How a pass ended, when nothing went wrong.
pub(super) struct PassEnd {
    /// Why it is not complete; `None` when it is.
    pub(super) incomplete: Option<&'static str>,
}

pub(super) struct Pass<'a> {
    engine: &'a Engine,
    organization: &'a OrganizationId,
    lease: &'a Lease,
    sync: Sync,
    epoch: u64,
    credential_version: u64,
    copier: Copier,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        organization: &'a OrganizationId,
        lease: &'a Lease,
        sync: Sync,
        connection: &Connection,
        provider: OpenProvider,
    ) -> Self {
        let copier = Copier {
            engine: engine.clone(),
            organization: organization.clone(),
            bucket: sync.bucket.clone(),
            provider_type: connection.provider(),
            provider,
            source_path: sync.settings.source_path.as_str().into(),
        };
        Self {
            engine,
            organization,
            lease,
            sync,
            epoch: connection.epoch,
            credential_version: connection.credential_version,
            copier,
        }
    }

    pub(super) async fn run(mut self) -> Result<PassEnd, Stop> {
        let mut checkpoint = match self.sync.checkpoint.take() {
            Some(checkpoint) if self.can_go_on(&checkpoint) => checkpoint,
            Some(checkpoint) => self.begin(checkpoint.pass, checkpoint.extra_passes).await?,
            None => self.begin(self.sync.last_pass, 0).await?,
        };
        let mut restarted = false;
        let mut budget = self.sync.settings.max_objects_per_run;
        let mut places = Places::default();
        loop {
            let limit = u32::try_from(budget).unwrap_or(PAGE).min(PAGE);
            let page = match self.list(&checkpoint, limit).await {
                Ok(page) => page,
                Err(Stop::Provider(error)) if error.retry == Retry::Restart && !restarted => {
                    restarted = true;
                    checkpoint = self.begin(checkpoint.pass, checkpoint.extra_passes).await?;
                    places = Places::default();
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            // An empty page costs something too: a listing that never ends must not hold a worker for ever.
            budget = budget.saturating_sub(page.entries.len().max(1) as u64);
            let last = page.next.is_none();
            if page.next.as_ref().is_some_and(|next| !places.is_new(next)) {
                let message = "the listing goes in circles: it came to the same place twice";
                let code = ErrorCode::ProtocolUnexpectedResponse;
                return Err(Stop::Provider(ProviderError::permanent(code, message)));
            }
            checkpoint = self.deal_with(page, checkpoint).await?;
            if last {
                break;
            }
            if budget == 0 {
                return Ok(PassEnd {
                    incomplete: Some("max_objects_per_run"),
                });
            }
        }
        if self.sync.settings.reconcile.on_delete {
            self.let_go_of_vanished(checkpoint.pass).await?;
        }
        // A continuous sync looks again in its next pass. An initial one gets some more passes for what was not copied
        // as it was listed; a file that fails in each of them does not keep it from its end.
        let once = self.sync.mode == SyncMode::InitialOnly;
        if once && checkpoint.unsettled > 0 && checkpoint.extra_passes < EXTRA_PASSES {
            self.begin(checkpoint.pass, checkpoint.extra_passes + 1)
                .await?;
            return Ok(PassEnd {
                incomplete: Some("files_failed_or_changed"),
            });
        }
        Ok(PassEnd { incomplete: None })
    }

    /// Whether the pass can be continued where it stands: it has come somewhere, and under the same credentials. What was
    /// seen through others says nothing about this account.
    fn can_go_on(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.cursor.is_some() && checkpoint.credential_version == self.credential_version
    }

    /// Starts a new pass. Its number is stored before anything is listed, so that a pass which begins again after a
    /// crash never shares the marks of an earlier listing.
    async fn begin(&self, last_pass: u64, extra_passes: u32) -> Result<Checkpoint, Stop> {
        let checkpoint = Checkpoint {
            extra_passes,
            ..Checkpoint::start(last_pass, self.credential_version)
        };
        self.commit(
            checkpoint.pass,
            Batch {
                checkpoint: Some(checkpoint.clone()),
                ..Batch::default()
            },
        )
        .await?;
        Ok(checkpoint)
    }

    async fn list(&self, checkpoint: &Checkpoint, limit: u32) -> Result<ListingPage, Stop> {
        let path = &self.sync.settings.source_path;
        let provider = &self.copier.provider;
        let cursor = checkpoint.cursor.as_ref();
        let page = with_retries(self.engine.ids(), || provider.list(path, cursor, limit));
        page.await.map_err(Stop::Provider)
    }

    /// Plans and carries out one page; returns the checkpoint behind it, which is stored by then.
    async fn deal_with(
        &self,
        page: ListingPage,
        checkpoint: Checkpoint,
    ) -> Result<Checkpoint, Stop> {
        let listed = page.entries.len() as u64;
        let sources: Vec<SourceId> = page
            .entries
            .iter()
            .map(|entry| self.copier.source_id(entry.object.clone()))
            .collect();
        let known = self
            .engine
            .repositories()
            .runs
            .known(self.organization, self.lease, &sources)
            .await?;
        drop(sources);
        let PagePlan {
            fetch,
            verified,
            skipped,
        } = plan_page(page.entries, known, &self.sync.settings.reconcile);

        let mut batch = Batch::default();
        for object in verified {
            batch.counters.verified += 1;
            batch.seen.push(self.copier.source_id(object));
        }
        for (object, reason) in skipped {
            batch.counters.skip(reason);
            batch.seen.push(self.copier.source_id(object));
        }

        // Each copy is a task of its own, so that hashing and writing use every core; dropping the stream, by an error
        // or a shutdown, ends the tasks.
        let copies = stream::iter(fetch)
            .map(|(entry, known)| {
                AbortOnDropHandle::new(tokio::spawn(self.copier.clone().copy(entry, known)))
            })
            .buffer_unordered(usize::try_from(self.sync.settings.sync_concurrency).unwrap_or(1));
        let mut copies = std::pin::pin!(copies);
        let mut committed = Instant::now();
        let mut unsettled = checkpoint.unsettled;
        let mut troubles = Troubles::default();
        loop {
            let due = if batch.puts.len() >= BATCH {
                Instant::now()
            } else {
                committed + BATCH_AGE
            };
            // A file that takes long does not keep back the others: bytes that wait for a day are swept.
            let task = tokio::select! {
                biased;
                () = sleep_until(due), if !batch.puts.is_empty() => {
                    self.commit(checkpoint.pass, std::mem::take(&mut batch)).await?;
                    committed = Instant::now();
                    continue;
                }
                task = copies.next() => task,
            };
            let Some(task) = task else { break };
            let outcome =
                task.unwrap_or_else(|panic| Err(Stop::Ours(EngineError::Internal(panic.into()))));
            match outcome {
                Ok(file) => {
                    unsettled += u64::from(file.is_unsettled());
                    troubles.note(&file);
                    batch.note(file);
                }
                Err(stop) => {
                    // What has been copied already is not copied again by the next run.
                    self.commit(checkpoint.pass, batch).await?;
                    return Err(stop);
                }
            }
            if let Some(error) = troubles.too_many() {
                self.commit(checkpoint.pass, batch).await?;
                return Err(Stop::Provider(error));
            }
        }

        let next = Checkpoint {
            pass: checkpoint.pass,
            cursor: page.next,
            objects_processed: checkpoint.objects_processed + listed,
            unsettled,
            extra_passes: checkpoint.extra_passes,
            credential_version: checkpoint.credential_version,
        };
        batch.checkpoint = Some(next.clone());
        self.commit(checkpoint.pass, batch).await?;
        Ok(next)
    }

    async fn commit(&self, pass: u64, batch: Batch) -> Result<(), Stop> {
        let Batch {
            puts,
            seen,
            mut counters,
            checkpoint,
        } = batch;
        counters.discovered =
            counters.synced + counters.verified + counters.skipped + counters.failed;
        let phase = if counters.discovered == 0 {
            JobPhase::Discovering
        } else {
            JobPhase::Downloading
        };
        let audit = (!puts.is_empty())
            .then(|| self.audit(json!({"objects": puts.len(), "bytes": counters.bytes})));
        let commit = Commit {
            epoch: self.epoch,
            credential_version: self.credential_version,
            pass,
            puts,
            seen,
            counters,
            checkpoint,
            phase,
            audit,
        };
        self.engine
            .repositories()
            .runs
            .commit(self.organization, self.lease, commit)
            .await?;
        Ok(())
    }

    async fn let_go_of_vanished(&self, pass: u64) -> Result<(), Stop> {
        let runs = &self.engine.repositories().runs;
        loop {
            let step = LetGo {
                epoch: self.epoch,
                credential_version: self.credential_version,
                pass,
                limit: LET_GO,
                audit: self.audit(json!({})),
            };
            let gone = runs.let_go(self.organization, self.lease, step).await?;
            if gone == 0 {
                return Ok(());
            }
        }
    }

    fn audit(&self, changes: serde_json::Value) -> NewAuditRow {
        let resource = (ResourceType::Job, self.lease.job.as_str());
        audit_row(
            self.engine.ids(),
            &Origin::system(),
            Action::ObjectsCommitted,
            resource,
            changes,
        )
    }
}

/// Files in a row whose failure may be the provider's rather than their own.
#[derive(Default)]
struct Troubles {
    in_a_row: usize,
    last: Option<ProviderError>,
}

impl Troubles {
    fn note(&mut self, copied: &Copied) {
        match copied {
            Copied::Failed(_, error) if !concerns_file_only(error.code) => {
                self.in_a_row += 1;
                let again = ProviderError::permanent(error.code, error.message.clone());
                self.last = Some(ProviderError {
                    retry: error.retry,
                    ..again
                });
            }
            Copied::Failed(..) | Copied::LeftOut(..) => {}
            Copied::Stored(_) => self.in_a_row = 0,
        }
    }

    fn too_many(&mut self) -> Option<ProviderError> {
        self.last.take_if(|_| self.in_a_row >= TOO_MANY)
    }
}

/// The places that a listing has come to, as hashes: eight bytes a page.
#[derive(Default)]
struct Places {
    hashing: RandomState,
    seen: HashSet<u64>,
}

impl Places {
    fn is_new(&mut self, cursor: &Cursor) -> bool {
        self.seen.insert(self.hashing.hash_one(&cursor.0))
    }
}

/// What waits to be committed together.
#[derive(Default)]
struct Batch {
    puts: Vec<Put>,
    seen: Vec<SourceId>,
    counters: Counters,
    checkpoint: Option<Checkpoint>,
}

impl Batch {
    fn note(&mut self, copied: Copied) {
        match copied {
            Copied::Stored(put) => {
                self.counters.synced += 1;
                self.counters.bytes += put.content.size_bytes;
                self.puts.push(*put);
            }
            Copied::LeftOut(source, code) => {
                self.counters.skip(code.as_str());
                self.seen.push(source);
            }
            Copied::Failed(source, error) => {
                tracing::warn!(code = %error.code, file = %source.object, "a file could not be copied");
                self.counters.fail(error.code.as_str());
                self.seen.push(source);
            }
        }
    }
}
