use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wharf_egress::Guard;
use wharf_engine::{Dispatcher, Engine, Publisher, Swept, Watcher, Worker};
use wharf_events::{GuardedSender, NatsStream};
use wharf_http::ApiState;

use super::say;
use crate::admin_key;
use crate::config::Config;
use crate::stored::{Schema, Unchained, open_engine};
use crate::system::{SystemClock, SystemIds};
use crate::telemetry;

/// How long a shutdown may take; what is not done by then goes on after the next start.
const DRAIN: Duration = Duration::from_secs(25);
/// Webhooks that this process delivers to at the same time.
const DISPATCHERS: usize = 4;
/// How often what has waited long enough is swept.
const SWEEP_EVERY: Duration = Duration::from_hours(6);

/// How to run the server.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which parts to run.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Bring a Postgres database to this version's schema first.
    #[arg(long)]
    migrate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// API and workers.
    All,
    /// The API alone.
    Api,
    /// Workers alone.
    Worker,
}

/// Runs the server until SIGTERM or SIGINT.
pub(crate) async fn run(config: Config, options: Options) -> Result<()> {
    let schema = if options.migrate {
        Schema::Migrate
    } else {
        Schema::Check
    };
    let metrics = telemetry::collect_metrics()?;
    let (engine, database) = open_engine(&config, schema, Unchained::Adopt).await?;
    admin_key::bootstrap(&engine, &config).await?;

    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    if options.role != Role::Worker {
        start_api(&config, &engine, metrics.clone(), &stop, &mut tasks).await?;
    }
    if options.role != Role::Api {
        start_workers(&config, &engine, &stop, &mut tasks);
        start_events(&config, &engine, &stop, &mut tasks).await?;
    }
    tasks.spawn(upkeep(metrics, stop.clone()));

    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let mut ended_early = None;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = tasks.join_next() => ended_early = ended,
    }
    tracing::info!("shutting down");
    stop.cancel();
    let drained =
        tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("some work did not end in time; it goes on after the next start");
    }
    database.close().await;
    match ended_early {
        None => Ok(()),
        Some(ended) => ended?.context("a part of the server ended by itself"),
    }
}

async fn start_api(
    config: &Config,
    engine: &Engine,
    metrics: PrometheusHandle,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<()> {
    allow_many_files();
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let state = ApiState::new(
        engine.clone(),
        Arc::new(SystemIds),
        config.sync.min_polling_interval,
    );
    let state = state
        .with_metrics(metrics)
        .with_limits(config.limits.read());
    let stopped = stop.clone().cancelled_owned();
    tasks.spawn(async move {
        wharf_http::serve(listener, state, stopped).await;
        Ok(())
    });
    say(&format!("listening on http://{address}"));
    Ok(())
}

/// Lets the process open as many files and sockets as it may: what a shell gives by default is little for a server.
fn allow_many_files() {
    const WISH: u64 = 65_536;
    let limit = getrlimit(Resource::Nofile);
    let wish = limit.maximum.map_or(WISH, |most| most.min(WISH));
    if limit.current.is_some_and(|current| current < wish) {
        let raised = Rlimit {
            current: Some(wish),
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the process may not open more files than before");
        }
    }
}

fn start_workers(
    config: &Config,
    engine: &Engine,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Result<()>>,
) {
    let workers = config
        .sync
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    for number in 1..=workers {
        let worker = Worker::new(engine.clone(), format!("{}-{number}", std::process::id()));
        let stop = stop.clone();
        tasks.spawn(async move {
            worker.work(&stop).await;
            Ok(())
        });
    }
    let (watcher, stopped) = (Watcher::new(engine.clone()), stop.clone());
    tasks.spawn(async move {
        watcher.watch(&stopped).await;
        Ok(())
    });
    let (engine, stop) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        while stop
            .run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
            .await
            .is_some()
        {
            match stop.run_until_cancelled(engine.sweep()).await {
                Some(Ok(Swept {
                    tombstones,
                    dead_letters,
                    history,
                    blobs,
                })) => tracing::info!(tombstones, dead_letters, history, blobs, "swept"),
                Some(Err(error)) => {
                    tracing::warn!(%error, "the sweep failed and is tried again later");
                }
                None => {}
            }
        }
        Ok(())
    });
}

/// Events on their way to webhooks and, if one is named, to the stream.
async fn start_events(
    config: &Config,
    engine: &Engine,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let guard = Arc::new(Guard::new(config.egress_policy()?));
    let sender = Arc::new(GuardedSender::new(guard, Arc::new(SystemClock)));
    for _ in 0..DISPATCHERS {
        let dispatcher = Dispatcher::new(engine.clone(), sender.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            dispatcher.work(&stop).await;
            Ok(())
        });
    }
    if let Some(settings) = config.events.nats() {
        let stream = NatsStream::connect(settings)
            .await
            .context("events.nats cannot be used")?;
        let publisher = Publisher::new(engine.clone(), Arc::new(stream));
        let stop = stop.clone();
        tasks.spawn(async move {
            publisher.work(&stop).await;
            Ok(())
        });
    }
    Ok(())
}

/// Keeps the metrics' memory bounded: histograms are folded now and then even if nobody scrapes.
async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) -> Result<()> {
    while stop
        .run_until_cancelled(tokio::time::sleep(Duration::from_secs(5)))
        .await
        .is_some()
    {
        metrics.run_upkeep();
    }
    Ok(())
}
