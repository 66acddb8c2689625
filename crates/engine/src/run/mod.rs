//! Runs: a worker leases a due sync and carries it through one job.
//!
//! The protocol of a run is a pure state machine in the domain ([`wharf_domain::run`]); this is what drives
//! it. Every await here can be the last thing the process does. What a run did is in the database up to its last commit;
//! what it fetched after that is fetched again, under other blob keys.

mod attempt;
mod copies;
mod drive;
mod fetch;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_domain::ids::JobId;
use wharf_domain::run::machine::Cause;
use wharf_ports::DueSync;

use crate::{Engine, EngineError};

/// How often an idle worker looks for work that nobody rang for: another replica's, or what the clock made due.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// One worker: runs one sync at a time.
#[derive(Debug, Clone)]
pub struct Worker {
    engine: Engine,
    name: Arc<str>,
}

impl Worker {
    /// A worker of this engine. The name shows in a sync's lock fields.
    pub fn new(engine: Engine, name: impl Into<Arc<str>>) -> Self {
        Self {
            engine,
            name: name.into(),
        }
    }

    /// Leases the sync that is due and runs it to its end; returns whether there was one. When `stop` is cancelled in
    /// the middle, the job ends as interrupted and goes on from its last commit later.
    ///
    /// # Errors
    /// When no sync could be leased because the database is away. What goes wrong in a run is told by its job.
    pub async fn run_once(&self, stop: &CancellationToken) -> Result<bool, EngineError> {
        let new_job: JobId = self.engine.ids().id();
        let ttl = self.engine.parts.settings.lease_ttl;
        let across = &self.engine.repositories().across;
        let Some(DueSync {
            organization,
            lease,
        }) = across
            .lease_due_sync(&self.name, ttl, &new_job, &self.engine.ids().id())
            .await?
        else {
            return Ok(false);
        };
        attempt::Attempt::new(&self.engine, organization, lease)
            .carry_through(stop)
            .await;
        Ok(true)
    }

    /// Runs due syncs until `stop` is cancelled; then ends its run and returns.
    pub async fn work(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.engine.beat.beat();
            let pause = match self.run_once(stop).await {
                Ok(true) => continue,
                Ok(false) => IDLE_LOOK,
                Err(error) => {
                    tracing::warn!(%error, "could not look for due syncs");
                    IDLE_LOOK
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.engine.work_arrived.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// What a fault of our own means for a run. The whole of it is in the log.
fn ours(error: &EngineError) -> Cause {
    Cause::Ours(logged(error))
}

fn logged(error: &EngineError) -> String {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "a run failed by our own fault"
    );
    error.to_string()
}
