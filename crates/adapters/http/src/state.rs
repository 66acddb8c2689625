//! What every handler works with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use wharf_engine::Engine;
use wharf_ports::IdSource;

use crate::health::HealthWatch;
use crate::jobs::EventStreams;

/// What the API stands on. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    engine: Engine,
    ids: Arc<dyn IdSource>,
    min_polling_interval: Duration,
    metrics: Option<PrometheusHandle>,
    health: Arc<HealthWatch>,
    event_streams: Arc<EventStreams>,
}

impl ApiState {
    /// An API over this engine. `ids` draws request ids; a sync may not poll more often than `min_polling_interval`.
    pub fn new(engine: Engine, ids: Arc<dyn IdSource>, min_polling_interval: Duration) -> Self {
        Self {
            engine,
            ids,
            min_polling_interval,
            metrics: None,
            health: Arc::default(),
            event_streams: Arc::default(),
        }
    }

    /// The same, with `/metrics` showing what this handle's recorder collects.
    #[must_use]
    pub fn with_metrics(mut self, metrics: PrometheusHandle) -> Self {
        self.metrics = Some(metrics);
        self
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn ids(&self) -> &dyn IdSource {
        &*self.ids
    }

    pub(crate) fn min_polling_seconds(&self) -> u64 {
        self.min_polling_interval.as_secs()
    }

    pub(crate) fn metrics(&self) -> Option<&PrometheusHandle> {
        self.metrics.as_ref()
    }

    pub(crate) fn health(&self) -> &HealthWatch {
        &self.health
    }

    pub(crate) fn event_streams(&self) -> &EventStreams {
        &self.event_streams
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("engine", &self.engine)
            .field("min_polling_interval", &self.min_polling_interval)
            .finish_non_exhaustive()
    }
}
