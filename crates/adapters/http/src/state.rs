//! What every handler works with.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use wharf_domain::connection::Connection;
use wharf_engine::{Caller, Engine};
use wharf_ports::IdSource;

use crate::error::ApiError;
use crate::health::HealthWatch;
use crate::jobs::EventStreams;
use crate::limits::Limits;
use crate::rates::Rates;

/// What the API stands on. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    engine: Engine,
    ids: Arc<dyn IdSource>,
    min_polling_interval: Duration,
    metrics: Option<PrometheusHandle>,
    health: Arc<HealthWatch>,
    event_streams: Arc<EventStreams>,
    rates: Arc<Rates>,
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
            rates: Arc::new(Rates::new(Limits::default())),
        }
    }

    /// The same, with `/metrics` showing what this handle's recorder collects.
    #[must_use]
    pub fn with_metrics(mut self, metrics: PrometheusHandle) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// The same within other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.rates = Arc::new(Rates::new(limits));
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

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Counts a test that a person asks for, of a connection or before there is one; refuses it when there were too many.
    pub(crate) fn count_test(
        &self,
        caller: &Caller,
        connection: Option<&Connection>,
    ) -> Result<(), ApiError> {
        match self.rates.test(caller.organization(), connection) {
            Ok(_) => Ok(()),
            Err(exhausted) => Err(ApiError::too_many_requests(&exhausted)),
        }
    }

    /// Counts a secret that stands for nothing, sent by somebody without an API key; refuses them when there were too many.
    pub(crate) fn count_guess(&self, peer: Option<IpAddr>) -> Result<(), ApiError> {
        match peer.map(|address| self.rates.guess(address)) {
            Some(Err(exhausted)) => Err(ApiError::too_many_requests(&exhausted)),
            _ => Ok(()),
        }
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
