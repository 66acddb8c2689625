//! Carries out what the protocol of a run asks for, effect by effect, and tells it what happened.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::OrganizationId;
use wharf_domain::run::catalogue::Recall;
use wharf_domain::run::commit::{Commit, FailedFile, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing};
use wharf_domain::run::ending::Ending;
use wharf_domain::run::feed::MissingRow;
use wharf_domain::run::machine::{Cause, Effect, Event, Refusal, Revisited, Run, RunContext};
use wharf_domain::run::trouble::{Concern, Trouble};
use wharf_domain::sync::{Checkpoint, Cursor, Lease};
use wharf_ports::{OpenProvider, ProviderError, RunError, RunRepository};

use super::copies::Copies;
use super::retry::with_retries;
use crate::Engine;
use crate::caller::audit_row;

/// Copied files are published when the last commit is this long ago.
const BATCH_AGE: Duration = Duration::from_secs(2);

pub(super) struct Drive<'a> {
    pub(super) engine: &'a Engine,
    pub(super) organization: &'a OrganizationId,
    pub(super) lease: &'a Lease,
    pub(super) standing: Standing,
    pub(super) provider: OpenProvider,
    pub(super) scope: String,
    pub(super) copies: Copies,
    pub(super) shutdown: &'a CancellationToken,
    pub(super) committed: Instant,
}

impl Drive<'_> {
    /// How the run ended; `None` when everything is to be left as it is.
    pub(super) async fn run(
        mut self,
        context: RunContext,
        checkpoint: Option<Checkpoint>,
    ) -> Option<Ending> {
        let shutdown = self.shutdown;
        let (mut run, mut effect) = Run::start(context, checkpoint);
        loop {
            // What writes is not cut off; everything else gives way to a shutdown.
            let event = match effect {
                Effect::End(ending) => return Some(ending),
                Effect::GiveUp => return None,
                Effect::Commit(commit) => Some(self.commit(&commit).await),
                _ if shutdown.is_cancelled() => None,
                Effect::List { cursor, limit } => {
                    let listed = self.list(cursor.as_ref(), limit);
                    shutdown.run_until_cancelled(listed).await
                }
                Effect::FeedStart => shutdown.run_until_cancelled(self.feed_start()).await,
                Effect::Changes { cursor, limit } => {
                    let changed = self.changes(&cursor, limit);
                    shutdown.run_until_cancelled(changed).await
                }
                Effect::MarkAbsent(step) => Some(self.mark_absent(&step).await),
                Effect::Revisit { limit } => {
                    let revisited = self.revisit(limit);
                    shutdown.run_until_cancelled(revisited).await
                }
                Effect::Gather { pass, after, limit } => {
                    let gathered = self.gather(pass, after.as_deref(), limit);
                    shutdown.run_until_cancelled(gathered).await
                }
                Effect::Trace(rows) => {
                    let traced = self.trace(&rows);
                    shutdown.run_until_cancelled(traced).await
                }
                Effect::Recall { pass, recall } => {
                    let recalled = self.recall(pass, &recall);
                    shutdown.run_until_cancelled(recalled).await
                }
                Effect::Copy(orders) => {
                    self.copies.start(orders);
                    shutdown.run_until_cancelled(self.file_or_tick()).await
                }
                Effect::Await => shutdown.run_until_cancelled(self.file_or_tick()).await,
                Effect::MarkMissing(step) => Some(self.mark_missing(&step).await),
                Effect::Survey { pass, denied } => Some(self.survey(pass, &denied).await),
                Effect::Hold(step) => Some(self.hold(&step).await),
                Effect::LetGo(step) => Some(self.let_go(&step).await),
            };
            effect = run.on(event.unwrap_or(Event::Shutdown));
        }
    }

    async fn list(&self, cursor: Option<&Cursor>, limit: u32) -> Event {
        let listed = with_retries(self.engine.ids(), || {
            self.provider.list(&self.scope, cursor, limit)
        });
        Event::Listed(listed.await.map_err(Into::into))
    }

    async fn changes(&self, cursor: &Cursor, limit: u32) -> Event {
        let changed = with_retries(self.engine.ids(), || {
            self.provider.changes(&self.scope, cursor, limit)
        });
        Event::Changed(changed.await.map_err(Into::into))
    }

    async fn mark_absent(&self, step: &MarkAbsent) -> Event {
        let marked = self
            .runs()
            .mark_absent(self.organization, self.lease, self.standing, step)
            .await;
        Event::Absent(marked.map_err(refusal))
    }

    async fn feed_start(&self) -> Event {
        let start = with_retries(self.engine.ids(), || self.provider.feed_start(&self.scope));
        Event::FeedStart(start.await.map_err(Into::into))
    }

    /// Looks again at what failed in earlier runs.
    async fn revisit(&self, limit: u32) -> Event {
        let letters = &self.engine.repositories().dead_letters;
        let (sync, job) = (&self.lease.sync, &self.lease.job);
        let due = match letters.due(self.organization, sync, job, limit).await {
            Ok(due) => due,
            Err(error) => return Event::Revisited(Err(super::ours(&error.into()))),
        };
        let mut revisited = Revisited::default();
        for letter in due {
            let object = &letter.source_object;
            let looked = with_retries(self.engine.ids(), || {
                self.provider.look(&self.scope, object)
            });
            let trouble = match looked.await {
                Ok(Some(looked)) => {
                    revisited.entries.push(looked.entry);
                    continue;
                }
                Ok(None) => {
                    let message = "the file is not in the source any more, or not visible";
                    Trouble::permanent(ErrorCode::ResourceNotFound, message)
                }
                Err(error) => match self.of_file(error).await {
                    Ok(trouble) => trouble,
                    Err(cause) => return Event::Revisited(Err(cause)),
                },
            };
            revisited.failed.push(FailedFile {
                new_id: self.engine.ids().id(),
                object: letter.source_object,
                path: letter.path,
                version: letter.version,
                error_type: trouble.code.as_str().to_owned(),
                error_message: trouble.message.chars().take(1000).collect(),
            });
        }
        Event::Revisited(Ok(revisited))
    }

    /// What is wrong with one file, unless it is the provider that is away or refuses us.
    async fn of_file(&self, error: ProviderError) -> Result<Trouble, Cause> {
        match Concern::of(error.code, error.retry) {
            Concern::Run => Err(Cause::Provider(error.into())),
            Concern::Skipped | Concern::File => Ok(error.into()),
            Concern::Unclear => match self.provider.list(&self.scope, None, 1).await {
                Ok(_) => Ok(error.into()),
                Err(answer) => Err(Cause::Provider(answer.into())),
            },
        }
    }

    async fn gather(&self, pass: u64, after: Option<&str>, limit: u32) -> Event {
        let authority = self.provider.authority();
        let rows = self.runs().missing_rows(
            self.organization,
            self.lease,
            pass,
            &authority,
            after,
            limit,
        );
        Event::Gathered(rows.await.map_err(refusal))
    }

    async fn trace(&self, rows: &[MissingRow]) -> Event {
        let traced = with_retries(self.engine.ids(), || self.provider.trace(&self.scope, rows));
        Event::Traced(traced.await.map_err(Into::into))
    }

    async fn recall(&self, pass: u64, recall: &Recall) -> Event {
        let catalogue = &self.engine.repositories().catalogue;
        let recalled = catalogue.recall(self.organization, &self.lease.sync, pass, recall);
        Event::Recalled(recalled.await.map_err(|error| refusal(error.into())))
    }

    /// A file that takes long does not keep back the others: bytes that wait for a day are swept.
    async fn file_or_tick(&mut self) -> Event {
        tokio::select! {
            biased;
            () = sleep_until(self.committed + BATCH_AGE) => {
                self.committed = Instant::now();
                Event::Tick
            }
            Some(event) = self.copies.next() => event,
        }
    }

    async fn commit(&mut self, commit: &Commit) -> Event {
        let audit = (!commit.puts.is_empty()).then(|| {
            let changes = json!({"objects": commit.puts.len(), "bytes": commit.counters.bytes});
            self.audit(Action::ObjectsCommitted, changes)
        });
        let committed = self
            .runs()
            .commit(self.organization, self.lease, self.standing, commit, audit)
            .await;
        self.committed = Instant::now();
        Event::Committed(committed.map_err(refusal))
    }

    async fn mark_missing(&self, step: &MarkMissing) -> Event {
        let marked = self
            .runs()
            .mark_missing(self.organization, self.lease, self.standing, step)
            .await;
        Event::Marked(marked.map_err(refusal))
    }

    async fn survey(&self, pass: u64, denied: &[String]) -> Event {
        let surveyed = self
            .runs()
            .survey(self.organization, self.lease, pass, denied)
            .await;
        Event::Surveyed(surveyed.map_err(refusal))
    }

    async fn hold(&self, step: &Hold) -> Event {
        let audit = self.audit(Action::DeletesHeld, json!({"reason": step.reason}));
        let held = self
            .runs()
            .hold(self.organization, self.lease, self.standing, step, audit)
            .await;
        Event::Held(held.map_err(refusal))
    }

    async fn let_go(&self, step: &LetGo) -> Event {
        let audit = self.audit(Action::ObjectsCommitted, json!({}));
        let gone = self
            .runs()
            .let_go(self.organization, self.lease, self.standing, step, audit)
            .await;
        Event::LetGone(gone.map_err(refusal))
    }

    fn runs(&self) -> &dyn RunRepository {
        &*self.engine.repositories().runs
    }

    fn audit(&self, action: Action, changes: Value) -> NewAuditRow {
        let resource = (ResourceType::Job, self.lease.job.as_str());
        audit_row(
            self.engine.ids(),
            &Origin::system(),
            action,
            resource,
            changes,
        )
        .with("sync_config_id", self.lease.sync.as_str())
        .with("sync_job_id", self.lease.job.as_str())
    }
}

fn refusal(error: RunError) -> Refusal {
    match error {
        RunError::LeaseLost => Refusal::LeaseLost,
        RunError::ConnectionChanged => Refusal::ConnectionChanged,
        RunError::Repository(error) => Refusal::Ours(super::logged(&error.into())),
    }
}
