use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};
use wharf_domain::bucket::Bucket;
use wharf_domain::ids::JobId;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::secret::SecretString;
use wharf_domain::sync::Sync;
use wharf_engine::{Caller, EngineError};

use super::view::views;
use crate::ApiState;
use crate::authorization::{bearer, still_good};
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// The route of [`events`].
const ROUTE: &str = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}/events";
/// How often the database is looked at, about the job and about the API key.
const LOOK: Duration = Duration::from_secs(1);
/// How often a comment shows that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams at a time.
const MOST: usize = 256;

/// The streams of this process.
pub(crate) struct EventStreams {
    places: Arc<Semaphore>,
}

impl Default for EventStreams {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST)),
        }
    }
}

impl fmt::Debug for EventStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStreams")
    }
}

impl EventStreams {
    /// Ends every stream soon and begins no other one, so that a shutdown need not wait for them.
    pub(crate) fn close(&self) {
        self.places.close();
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = self.places.clone().try_acquire_owned();
        place.map_err(|_| ApiError::too_many_streams())
    }
}

/// Follow a job as it goes on
///
/// Server-sent events, each with the job as its data: `progress` at once and whenever the job has changed, `end` when it has
/// ended, which ends the stream. Comments keep it alive in between. A stream that breaks off is asked for again and begins
/// with the job as it is then. It ends when the API key is no longer good for it.
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}/events",
    operation_id = "stream_sync_job_events",
    tag = "jobs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        ("sync_job_id" = String, Path, description = "Identifier."),
    ),
    responses((
        status = 200,
        description = "The events; the data of each is a `SyncJobModel`.",
        body = Object,
        content_type = "text/event-stream",
    )),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn events(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync, job)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let job = state.engine().job(&caller, &sync, &job).await?;
    let place = state.event_streams().place()?;
    let key = bearer(&headers).ok_or_else(ApiError::unauthorized)?;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let follower = Follower {
        key: SecretString::new(key.to_owned()),
        bucket,
        sync,
        job: job.id,
        told: None,
        looks,
        _place: place,
        state,
        caller,
    };
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(follower.events())
        .keep_alive(alive)
        .into_response();
    // A proxy that collects answers would hold the events back.
    let name = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody who follows a job. It is dropped with the connection.
struct Follower {
    state: ApiState,
    caller: Caller,
    key: SecretString,
    bucket: Bucket,
    sync: Sync,
    job: JobId,
    /// The job as it was told last.
    told: Option<Job>,
    looks: Interval,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(Some(self), |follower| async {
            let mut follower = follower?;
            let event = follower.next().await?;
            let ended = follower.told.as_ref().is_some_and(has_ended);
            Some((Ok(event), (!ended).then_some(follower)))
        })
    }

    /// Waits until the job is another than was told; `None` when there is nothing more to tell to this caller.
    async fn next(&mut self) -> Option<Event> {
        loop {
            self.looks.tick().await;
            if self.state.event_streams().places.is_closed() || !self.is_authorized().await {
                return None;
            }
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(EngineError::NotFound { .. }) => return None,
                // The job goes on, and so does the look-out for it.
                Err(error) => tracing::debug!(%error, "could not look at a job that is followed"),
            }
        }
    }

    /// The event for the job as it is now, if it has changed.
    async fn look(&mut self) -> Result<Option<Event>, EngineError> {
        let engine = self.state.engine();
        let id = self.job.as_str();
        let job = engine.job(&self.caller, &self.sync, id).await?;
        if self.told.as_ref() == Some(&job) {
            return Ok(None);
        }
        // How far a job is depends on its sync, too.
        let id = self.sync.id.as_str();
        self.sync = engine.sync(&self.caller, &self.bucket, id).await?;
        let view = views(&self.state, &self.caller, &self.sync, vec![job.clone()]).await?;
        let name = if has_ended(&job) { "end" } else { "progress" };
        self.told = Some(job);
        let data = serde_json::to_string(&view[0]).expect("a view is JSON");
        Ok(Some(Event::default().event(name).data(data)))
    }

    /// Whether the API key still is good for the route.
    async fn is_authorized(&self) -> bool {
        still_good(self.state.engine(), &self.key, &self.caller, ("GET", ROUTE)).await
    }
}

fn has_ended(job: &Job) -> bool {
    job.status != JobStatus::Running
}
