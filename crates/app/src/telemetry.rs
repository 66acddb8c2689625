//! The log on stderr and the metrics registry.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Libraries that trace what they send, signatures and tokens included: never below `info`, whatever the level.
const TALKATIVE: [&str; 4] = ["aws=info", "h2=info", "hyper=info", "rustls=info"];

/// Starts logging. An unreadable level falls back to `info`, with a warning.
pub(crate) fn log_to_stderr(log: &Log) {
    let parsed = EnvFilter::builder().parse(&log.level);
    let unreadable = parsed.is_err();
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = TALKATIVE
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let terminal = std::io::stderr().is_terminal();
    let format = log.format.unwrap_or(if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => builder
            .with_ansi(terminal)
            .finish()
            .with(filter_fn(is_discreet))
            .init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .finish()
            .with(filter_fn(is_discreet))
            .init(),
    }
    if unreadable {
        tracing::warn!("log.level cannot be read; info is used");
    }
}

/// What the S3 client says below `info` repeats credentials and signed requests: no setting brings it into the log.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || !metadata.target().starts_with("aws_")
}

/// Lets a panic tell where it happened and no more: its message may quote what was being worked on.
pub(crate) fn keep_panics_quiet() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "a panic");
    }));
}

/// Starts collecting metrics; the handle prints them in Prometheus' format.
pub(crate) fn collect_metrics() -> anyhow::Result<PrometheusHandle> {
    let seconds = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
    ];
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)?;
    Ok(builder.install_recorder()?)
}
