//! Carries out what the protocol of a run asks for, effect by effect, and tells it what happened.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_domain::run::catalogue::Recall;
use wharf_domain::run::commit::{Commit, Standing};
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
    pub(super) stop: &'a CancellationToken,
    pub(super) committed: Instant,
}

impl Drive<'_> {
    /// How the run ended; `None` when everything is to be left as it is.
    pub(super) async fn run(
        mut self,
        context: RunContext,
        checkpoint: Option<Checkpoint>,
    ) -> Option<Ending> {
        let stop = self.stop;
        let (mut run, mut effect) = Run::start(context, checkpoint);
        loop {
            let event = match effect {
                Effect::End(ending) => return Some(ending),
                Effect::GiveUp => return None,
                Effect::Commit(commit) => self.commit(&commit).await,
                effect => match self.perform(effect, stop).await {
                    Some(event) => event,
                    None => Event::Shutdown,
                },
            };
            effect = run.on(event);
        }
    }

    /// What came of an effect that can be left undone; `None` when the process is about to stop. What writes is not cut off.
    async fn perform(&mut self, effect: Effect, stop: &CancellationToken) -> Option<Event> {
        if stop.is_cancelled() {
            return None;
        }
        Some(match effect {
            Effect::List { cursor, limit } => {
                stop.run_until_cancelled(self.list(cursor.as_ref(), limit))
                    .await?
            }
            Effect::Recall { pass, recall } => {
                stop.run_until_cancelled(self.recall(pass, &recall)).await?
            }
            Effect::Copy(orders) => {
                self.copies.start(orders);
                stop.run_until_cancelled(self.file_or_tick()).await?
            }
            Effect::Await => stop.run_until_cancelled(self.file_or_tick()).await?,
            Effect::MarkMissing(step) => {
                let (organization, lease) = (self.organization, self.lease);
                let marked = self
                    .runs()
                    .mark_missing(organization, lease, self.standing, &step);
                Event::Marked(marked.await.map_err(refusal))
            }
            Effect::Survey { pass, denied } => {
                let (organization, lease) = (self.organization, self.lease);
                let surveyed = self.runs().survey(organization, lease, pass, &denied);
                Event::Surveyed(surveyed.await.map_err(refusal))
            }
            Effect::Hold(step) => {
                let (organization, lease) = (self.organization, self.lease);
                let audit = self.audit(json!({"reason": step.reason}));
                let held = self
                    .runs()
                    .hold(organization, lease, self.standing, &step, audit);
                Event::Held(held.await.map_err(refusal))
            }
            Effect::LetGo(step) => {
                let (organization, lease) = (self.organization, self.lease);
                let audit = self.audit(json!({}));
                let gone = self
                    .runs()
                    .let_go(organization, lease, self.standing, &step, audit);
                Event::LetGone(gone.await.map_err(refusal))
            }
            Effect::Commit(commit) => self.commit(&commit).await,
            Effect::End(_) | Effect::GiveUp => return None,
        })
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
            self.audit(json!({"objects": commit.puts.len(), "bytes": commit.counters.bytes}))
        });
        let committed = self
            .runs()
            .commit(self.organization, self.lease, self.standing, commit, audit)
            .await;
        self.committed = Instant::now();
        Event::Committed(committed.map_err(refusal))
    }

    fn runs(&self) -> &dyn RunRepository {
        &*self.engine.repositories().runs
    }

    fn audit(&self, changes: Value) -> NewAuditRow {
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

fn refusal(error: RunError) -> Refusal {
    match error {
        RunError::LeaseLost => Refusal::LeaseLost,
        RunError::ConnectionChanged => Refusal::ConnectionChanged,
        RunError::Repository(error) => Refusal::Ours(super::logged(&error.into())),
    }
}
