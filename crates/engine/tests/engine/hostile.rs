//! Providers that never come to an end: the engine does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use wharf_domain::check::CheckReport;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_domain::sync::{Cursor, SyncMode, SyncSettings};
use wharf_engine::Worker;
use wharf_ports::{
    CheckRequest, FetchWish, Fetched, ListingPage, Located, Looked, OpenProvider, ProviderError,
    ProviderFactory, Sessions, StorageProvider,
};
use wharf_testkit::build;

use crate::world::World;

/// What is wrong with a provider.
#[derive(Clone, Copy)]
enum Vice {
    /// Its listing leads from one place to another and back.
    Circles,
    /// Its listing leads to ever new places and never shows a file.
    Endless,
    /// Its one file arrives a byte every twenty seconds.
    Drips,
}

struct Hostile {
    vice: Vice,
    lists: AtomicU64,
}

impl Hostile {
    fn new(vice: Vice) -> Arc<Self> {
        Arc::new(Self {
            vice,
            lists: AtomicU64::new(0),
        })
    }
}

#[async_trait]
impl StorageProvider for Hostile {
    fn authority(&self) -> String {
        build::AUTHORITY.to_owned()
    }

    async fn check(&self, _request: CheckRequest<'_>) -> CheckReport {
        CheckReport { checks: Vec::new() }
    }

    async fn list(
        &self,
        _source_path: &str,
        _cursor: Option<&Cursor>,
        _limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        let n = self.lists.fetch_add(1, Ordering::SeqCst);
        let (entries, next) = match self.vice {
            Vice::Circles => (Vec::new(), Some(Cursor((n % 2).to_string()))),
            Vice::Endless => (Vec::new(), Some(Cursor(n.to_string()))),
            Vice::Drips => {
                let entry = Entry {
                    object: "media/drip".to_owned(),
                    path: "media/drip".to_owned(),
                    version: "v1".to_owned(),
                    size_bytes: Some(1_000_000),
                    modified_at: None,
                    unreadable: None,
                    lineage: String::new(),
                };
                (vec![entry], None)
            }
        };
        Ok(ListingPage {
            entries,
            next,
            denied: Vec::new(),
        })
    }

    async fn fetch(&self, _entry: &Entry, _wish: FetchWish) -> Result<Fetched, ProviderError> {
        let drops = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok(Bytes::from_static(b"."))
        });
        Ok(Fetched {
            bytes: drops.boxed(),
            content_type: None,
            metadata: serde_json::Map::new(),
            tags: serde_json::Map::new(),
            version_id: None,
        })
    }

    async fn look(
        &self,
        _source_path: &str,
        _object: &str,
    ) -> Result<Option<Looked>, ProviderError> {
        Ok(None)
    }
}

struct Factory(Arc<Hostile>);

#[async_trait]
impl ProviderFactory for Factory {
    fn supports(&self, _provider: Provider) -> bool {
        true
    }

    fn vet(&self, _config: &ProviderConfig) -> Result<(), InvalidInput> {
        Ok(())
    }

    fn vet_source_path(&self, _provider: Provider, _source_path: &str) -> Result<(), InvalidInput> {
        Ok(())
    }

    fn scope(
        &self,
        _provider: Provider,
        source_path: &str,
        _filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        Ok(source_path.to_owned())
    }

    fn locate(&self, _provider: Provider, _source_path: &str, _source: &str) -> Option<Located> {
        None
    }

    fn relative_path<'a>(
        &self,
        _provider: Provider,
        _source_path: &str,
        entry_path: &'a str,
    ) -> &'a str {
        entry_path
    }

    fn folder_path<'a>(&self, _provider: Provider, _entry_path: &'a str) -> &'a str {
        ""
    }

    fn open(
        &self,
        _connection: &ConnectionId,
        _config: &ProviderConfig,
        _credentials: Credentials,
        _sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        Ok(self.0.clone())
    }

    async fn setup(
        &self,
        _provider: Provider,
        _request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        Ok(SetupKit::default())
    }
}

/// The job of one run over such a provider.
async fn run_over(hostile: &Arc<Hostile>, settings: SyncSettings) -> Job {
    let world = World::new().await;
    let connection = world.connect("store").await;
    let sync = world
        .sync_with(&connection, SyncMode::Continuous, settings)
        .await;
    let engine = world.engine_with(Arc::new(Factory(hostile.clone())));
    Worker::new(engine, "worker")
        .run_once(&CancellationToken::new())
        .await
        .unwrap();
    world.last_job(&sync).await
}

#[tokio::test]
async fn a_listing_that_goes_in_circles_ends_the_run() {
    let hostile = Hostile::new(Vice::Circles);
    let job = run_over(&hostile, build::sync_settings()).await;
    assert_eq!(job.status, JobStatus::Failed);
    assert!(job.error.is_some_and(|error| error.contains("in circles")));
    assert_eq!(hostile.lists.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_listing_without_end_uses_up_what_one_run_may_do() {
    let hostile = Hostile::new(Vice::Endless);
    let settings = SyncSettings {
        max_objects_per_run: 50,
        ..build::sync_settings()
    };
    let job = run_over(&hostile, settings).await;
    assert_eq!(
        job.incomplete_reason.as_deref(),
        Some("max_objects_per_run")
    );
    assert_eq!(hostile.lists.load(Ordering::SeqCst), 50);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_drips_is_given_up() {
    let hostile = Hostile::new(Vice::Drips);
    let job = run_over(&hostile, build::sync_settings()).await;
    assert_eq!((job.status, job.counters.failed), (JobStatus::Completed, 1));
    assert_eq!(job.counters.failed_by["network.timeout"], 1);
}
