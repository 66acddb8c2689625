//! Every await can be the last thing the process does: runs that stop at every possible point, and what the next run makes
//! of it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Job, JobEnd, JobStatus, JobTrigger};
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Lease, PushChannel, Sync, SyncMode};
use wharf_engine::Worker;
use wharf_ports::{RunError, RunRepository};

use crate::world::{LEASE, World};

/// Polls a future so many times and then drops it, as a killed process does; whether it ended before.
async fn polled(future: impl Future<Output = ()>, times: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return true;
        }
        // Lets the tasks that copy files go on.
        yield_now().await;
    }
    false
}

/// A database that takes its time: a run can stop before a call takes effect, and after it did but before its answer came.
struct Slow(Arc<dyn RunRepository>);

async fn slowly<T>(call: impl Future<Output = T>) -> T {
    yield_now().await;
    let answer = call.await;
    yield_now().await;
    answer
}

#[async_trait]
impl RunRepository for Slow {
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError> {
        slowly(self.0.load(organization, lease)).await
    }

    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError> {
        slowly(self.0.extend(organization, lease, ttl)).await
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Result<(), RunError> {
        slowly(self.0.commit(organization, lease, standing, commit, audit)).await
    }

    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError> {
        slowly(self.0.mark_missing(organization, lease, standing, step)).await
    }

    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError> {
        slowly(self.0.mark_absent(organization, lease, standing, step)).await
    }

    async fn missing_rows(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MissingRow>, RunError> {
        let rows = self
            .0
            .missing_rows(organization, lease, pass, authority, after, limit);
        slowly(rows).await
    }

    async fn keep_channel(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<PushChannel>,
    ) -> Result<(), RunError> {
        slowly(self.0.keep_channel(organization, lease, channel)).await
    }

    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError> {
        slowly(self.0.survey(organization, lease, pass, denied)).await
    }

    async fn hold(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        slowly(self.0.hold(organization, lease, standing, step, audit)).await
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        slowly(self.0.let_go(organization, lease, standing, step, audit)).await
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        slowly(self.0.finish(organization, lease, end, delay, audit)).await
    }
}

async fn once(world: &World, name: &str) {
    let worker = Worker::new(world.engine.clone(), name);
    worker.run_once(&CancellationToken::new()).await.unwrap();
}

/// A source of three pages, and a second version of it.
async fn world() -> World {
    let world = World::on(|mut repositories| {
        repositories.runs = Arc::new(Slow(repositories.runs));
        repositories
    })
    .await;
    world.source.set_page_size(7);
    // Providers answer after a while; each of these is a point to stop at.
    world.source.before_list(|_| yield_now());
    world.source.before_fetch(|_| yield_now());
    for n in 0..20 {
        world
            .source
            .put(&format!("media/{n:02}"), format!("first {n}"));
    }
    world
}

#[tokio::test]
async fn a_run_stopped_at_any_point_is_finished_by_the_next_with_every_object_exactly_once() {
    let mut stopped = 0;
    for point in 1.. {
        let world = world().await;
        let connection = world.connect("store").await;
        let sync = world.sync(&connection, SyncMode::Continuous).await;
        let ended = polled(once(&world, "killed"), point).await;
        // What the process had in memory is gone; the lease runs out.
        world.clock.advance(LEASE + Duration::from_secs(1));
        if !ended {
            stopped += 1;
            once(&world, "second").await;
        }
        assert_eq!(
            world.contents().await,
            world.source.files(),
            "stopped at poll {point}"
        );
        let jobs = ended_well(&world, &sync, point).await;
        let copied: u64 = jobs.iter().map(|job| job.counters.synced).sum();
        assert_eq!(
            copied, 20,
            "stopped at poll {point}: what was published once is not published again"
        );
        assert_eq!(world.stored(&sync).await.totals.counters.synced, 20);
        if ended {
            break;
        }
    }
    assert!(stopped > 20, "only {stopped} points were tried");
}

#[tokio::test]
async fn a_second_pass_stopped_at_any_point_never_loses_or_revives_an_object() {
    for point in 1.. {
        let world = world().await;
        let connection = world.connect("store").await;
        world.sync(&connection, SyncMode::Continuous).await;
        once(&world, "first").await;
        for n in [3, 9, 15] {
            world
                .source
                .put(&format!("media/{n:02}"), format!("second {n}"));
            world.source.remove(&format!("media/{:02}", n + 1));
        }
        world.source.put("media/99", "new");
        world.clock.advance(Duration::from_secs(301));
        let ended = polled(once(&world, "killed"), point).await;
        world.clock.advance(LEASE + Duration::from_secs(1));
        once(&world, "second").await;
        assert_eq!(
            world.contents().await,
            world.source.files(),
            "stopped at poll {point}"
        );
        if ended {
            break;
        }
    }
}

/// What is true of every job, whatever became of it; and where it stopped.
async fn ended_well(world: &World, sync: &Sync, point: usize) -> Vec<Job> {
    let jobs = world.jobs(sync).await;
    for job in &jobs {
        assert_ne!(job.status, JobStatus::Running, "stopped at poll {point}");
    }
    jobs
}

#[tokio::test]
async fn deletes_stopped_at_any_point_are_made_once_and_nothing_else_goes() {
    for point in 1.. {
        let world = world().await;
        let connection = world.connect("store").await;
        let sync = world.sync(&connection, SyncMode::Continuous).await;
        once(&world, "first").await;
        for n in 0..6 {
            world.source.remove(&format!("media/{n:02}"));
        }
        world.clock.advance(Duration::from_secs(301));
        let ended = polled(once(&world, "killed"), point).await;
        world.clock.advance(LEASE + Duration::from_secs(301));
        once(&world, "second").await;
        assert_eq!(
            world.contents().await,
            world.source.files(),
            "stopped at poll {point}"
        );
        let jobs = ended_well(&world, &sync, point).await;
        let deleted: u64 = jobs.iter().map(|job| job.counters.deleted).sum();
        assert_eq!(deleted, 6, "stopped at poll {point}");
        assert_eq!(world.stored(&sync).await.totals.counters.deleted, 6);
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn held_deletes_stopped_at_any_point_still_need_two_complete_passes() {
    for point in 1.. {
        let world = world().await;
        let connection = world.connect_tigris("store").await;
        let sync = world.sync(&connection, SyncMode::Continuous).await;
        once(&world, "first").await;
        for n in 0..6 {
            world.source.remove(&format!("media/{n:02}"));
        }
        world.clock.advance(Duration::from_secs(301));
        let ended = polled(once(&world, "killed"), point).await;
        assert_eq!(
            world.objects(false).await.len(),
            20,
            "stopped at poll {point}: one pass is not enough"
        );
        for _ in 0..2 {
            world.clock.advance(LEASE + Duration::from_secs(301));
            once(&world, "second").await;
        }
        assert_eq!(
            world.contents().await,
            world.source.files(),
            "stopped at poll {point}"
        );
        assert_eq!(world.stored(&sync).await.held_deletes, None);
        ended_well(&world, &sync, point).await;
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn an_unordered_listing_stopped_at_any_point_loses_nothing() {
    for point in 1.. {
        let world = world().await;
        world.source.list_out_of_order();
        let connection = world.connect("store").await;
        let sync = world.sync(&connection, SyncMode::Continuous).await;
        once(&world, "first").await;
        world.source.remove("media/04");
        world.source.put("media/11", "second");
        world.source.put("media/99", "new");
        world.clock.advance(Duration::from_secs(301));
        let ended = polled(once(&world, "killed"), point).await;
        world.clock.advance(LEASE + Duration::from_secs(301));
        once(&world, "second").await;
        assert_eq!(
            world.contents().await,
            world.source.files(),
            "stopped at poll {point}"
        );
        ended_well(&world, &sync, point).await;
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_after_losing_its_lease_publishes_nothing() {
    let world = world().await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let mut paused = pin!(once(&world, "paused"));
    for _ in 0..15 {
        let polled = paused
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending, "the run is longer than that");
        yield_now().await;
    }
    world.clock.advance(LEASE + Duration::from_secs(1));
    once(&world, "other").await;
    let done = (world.objects(true).await, world.stored(&sync).await.totals);
    assert_eq!(world.contents().await, world.source.files());
    // The paused worker goes on with what it had in memory, and is refused.
    paused.await;
    assert_eq!(
        (world.objects(true).await, world.stored(&sync).await.totals),
        done
    );
}

#[tokio::test]
async fn a_shutdown_interrupts_the_run_and_the_next_worker_resumes_it_at_once() {
    let world = world().await;
    let connection = world.connect("store").await;
    let sync = world.sync(&connection, SyncMode::Continuous).await;
    let stop = CancellationToken::new();
    let (token, pages) = (
        stop.clone(),
        Arc::new(std::sync::atomic::AtomicUsize::new(0)),
    );
    world.source.before_list(move |_| {
        if pages.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            token.cancel();
        }
        yield_now()
    });
    Worker::new(world.engine.clone(), "stopping")
        .run_once(&stop)
        .await
        .unwrap();
    let interrupted = world.last_job(&sync).await;
    assert_eq!(interrupted.status, JobStatus::Interrupted);
    assert_eq!(interrupted.incomplete_reason.as_deref(), Some("shutdown"));
    // Far less than the lease, and enough to tell which job is the younger one.
    world.clock.advance(Duration::from_millis(1));
    assert!(world.run().await, "nobody has to wait for the lease");
    let resumed = world.last_job(&sync).await;
    assert_eq!(
        (resumed.trigger, resumed.resumed_from),
        (JobTrigger::Resume, Some(interrupted.id))
    );
    assert_eq!(world.contents().await, world.source.files());
}
