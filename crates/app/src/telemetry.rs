//! The log on stderr and the metrics registry.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat};

/// Libraries that trace what they send, signed requests and tokens included: nothing of theirs below `info` comes into
/// the log, whatever the level.
const TALKATIVE: [&str; 4] = ["aws_", "h2", "hyper", "rustls"];

/// Starts logging at a level that was checked when the settings were read.
pub(crate) fn log_to_stderr(log: &Log) {
    let filter = EnvFilter::new(&log.level);
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
            .with_span_list(false)
            .finish()
            .with(filter_fn(is_discreet))
            .init(),
    }
}

fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let talkative = TALKATIVE
        .iter()
        .any(|library| metadata.target().starts_with(library));
    *metadata.level() <= Level::INFO || !talkative
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_tells_its_place_and_not_its_message() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, || {
            keep_panics_quiet();
            let secret = "canary-in-a-panic-5f1c8e";
            let panicked = std::panic::catch_unwind(|| panic!("it went wrong with {secret}"));
            drop(std::panic::take_hook());
            assert!(panicked.is_err());
        });
        let log = String::from_utf8(written.0.lock().expect("not poisoned").clone());
        let log = log.expect("the log is text");
        assert!(
            log.contains("a panic") && log.contains("telemetry.rs"),
            "{log}"
        );
        assert!(
            !log.contains("canary") && !log.contains("went wrong"),
            "{log}"
        );
    }

    #[test]
    fn libraries_that_tell_what_they_send_are_heard_from_info_on() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .finish()
            .with(filter_fn(is_discreet));
        tracing::subscriber::with_default(log, || {
            tracing::trace!(target: "aws_sigv4::http_request", "string to sign");
            tracing::debug!(target: "hyper_util::client", "headers sent");
            tracing::info!(target: "rustls", "a warning's sibling");
            tracing::trace!(target: "wharf_engine", "our own");
        });
        let log = String::from_utf8(written.0.lock().expect("not poisoned").clone());
        let log = log.expect("the log is text");
        assert!(
            !log.contains("string to sign") && !log.contains("headers sent"),
            "{log}"
        );
        assert!(log.contains("sibling") && log.contains("our own"), "{log}");
    }
}
