//! Carries out what the protocol of a run asks for, effect by effect, and tells it what happened.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_domain::run::catalogue::Recall;
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkMissing};
use wharf_domain::run::ending::Ending;
use wharf_domain::run::machine::{Effect, Event, Refusal, Run, RunContext};
use wharf_domain::sync::{Checkpoint, Cursor, Lease};
use wharf_ports::{OpenProvider, RunError, RunRepository};

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
