use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;
use wharf_engine::{ComponentHealth, Engine, SchedulerBeat};

/// How long an answer is good for. Anybody may ask, so asking must cost nothing.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// How long the parts may take to answer before they count as away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the parts that Wharf stands on, at most once at a time and once a second.
#[derive(Debug, Default)]
pub(crate) struct HealthWatch(Mutex<Option<(Instant, ComponentHealth)>>);

impl HealthWatch {
    /// How the parts are, as of the last second.
    pub(crate) async fn look(&self, engine: &Engine) -> ComponentHealth {
        let mut last = self.0.lock().await;
        if let Some((at, health)) = *last
            && at.elapsed() < GOOD_FOR
        {
            return health;
        }
        let away = ComponentHealth {
            database: false,
            blob_store: false,
            key_ring: false,
            scheduler: engine
                .scheduler_beat()
                .age()
                .is_none_or(|age| age < SchedulerBeat::STALE_AFTER),
        };
        let health = timeout(PATIENCE, engine.component_health())
            .await
            .unwrap_or(away);
        *last = Some((Instant::now(), health));
        health
    }
}
