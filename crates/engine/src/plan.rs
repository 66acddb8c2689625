//! What a run of a sync would do: its listing, followed to its end or as far as the time reaches, against the catalogue.
//! Nothing is written.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::estimate::{PageOfPlan, Plan, Planner, Premises};
use wharf_domain::ids::{BucketId, OrganizationId, SyncId};
use wharf_domain::mapping::SchemaMapping;
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::run::catalogue::{CopyFacts, Known, KnownCopy, Recall, Recalled};
use wharf_domain::run::page::ListingPage;
use wharf_domain::sync::{Cursor, Sync, SyncSettings};
use wharf_ports::{OpenProvider, ProviderError, RepositoryError, Retry};

use crate::account::AccountError;
use crate::syncs::connection_inactive;
use crate::{Caller, CreateSync, Engine, EngineError};

/// Most entries asked for at once, as in a run.
const PAGE: u32 = 1000;
/// How often one page is tried in all.
const ATTEMPTS: u32 = 3;
/// How long a page that failed is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// Objects looked up at a time where there is no catalogue yet.
const LOOKUPS: usize = 16;

/// Why a plan ends before its listing does: its time is up.
const OUT_OF_TIME: &str = "budget_seconds";

/// What a plan is compared with.
enum Memory<'a> {
    /// The catalogue of a sync.
    Catalogue(&'a Sync),
    /// The objects that other syncs have brought into the bucket.
    Objects(&'a BucketId),
    /// Nothing at all: the bucket is empty.
    Nothing,
}

/// A plan to be made.
struct Planning<'a> {
    engine: &'a Engine,
    caller: &'a Caller,
    organization: &'a OrganizationId,
    connection: Connection,
    sync: SyncId,
    settings: &'a SyncSettings,
    memory: Memory<'a>,
}

impl Engine {
    /// Plans a run of a sync over the whole source, for at most `budget`.
    pub async fn plan_sync(
        &self,
        caller: &Caller,
        sync: &Sync,
        budget: Duration,
    ) -> Result<Plan, EngineError> {
        let planning = Planning {
            engine: self,
            caller,
            organization: caller.organization(),
            connection: self.connection_of_sync(caller, &sync.connection).await?,
            sync: sync.id.clone(),
            settings: &sync.settings,
            memory: Memory::Catalogue(sync),
        };
        planning.make(budget).await
    }

    /// Plans a sync that is not there yet, for at most `budget`: what its first run would do.
    pub async fn plan_new_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        new: &CreateSync,
        budget: Duration,
    ) -> Result<Plan, EngineError> {
        let connection = self.connection_of_new_sync(caller, &new.connection).await?;
        self.vet_new(connection.provider(), &new.settings)?;
        let all = ObjectFilter {
            search: None,
            include_deleted: true,
        };
        let objects = &self.repositories().objects;
        let any = objects
            .list(
                caller.organization(),
                &bucket.id,
                &all,
                &PageRequest::first(1),
            )
            .await?;
        let memory = if any.items.is_empty() {
            Memory::Nothing
        } else {
            Memory::Objects(&bucket.id)
        };
        let planning = Planning {
            engine: self,
            caller,
            organization: caller.organization(),
            connection,
            sync: self.ids().id(),
            settings: &new.settings,
            memory,
        };
        planning.make(budget).await
    }
}

impl Planning<'_> {
    async fn make(self, budget: Duration) -> Result<Plan, EngineError> {
        let until = Instant::now() + budget;
        if let Some(inactive) = connection_inactive(&self.connection) {
            return Err(inactive);
        }
        let providers = &self.engine.parts.providers;
        let path = &self.settings.source_path;
        let provider = self.connection.provider();
        let scope = providers.scope(provider, path, &self.settings.pushed_down())?;
        let engine = self.engine;
        let account = engine
            .use_account(self.caller, &self.connection, "plan")
            .await?;
        let mut planner = Planner::new(self.premises(), scope);
        let mut listing = Duration::ZERO;
        let incomplete = loop {
            let asked = Instant::now();
            let checkpoint = planner.checkpoint();
            let list = list(&account, &checkpoint.scope, checkpoint.cursor.as_ref());
            let page = match timeout_at(until, list).await {
                Ok(Ok(page)) => page,
                // Nothing was listed yet, so there is nothing to tell but this.
                Ok(Err(error)) if checkpoint.cursor.is_none() => {
                    return Err(AccountError::Provider(error).into());
                }
                Ok(Err(error)) => break Some(error.code.as_str().to_owned()),
                Err(_) => break Some(OUT_OF_TIME.to_owned()),
            };
            listing += asked.elapsed();
            let Some(page) = planner.listed(page) else {
                break Some(ErrorCode::ProtocolUnexpectedResponse.as_str().to_owned());
            };
            match timeout_at(until, self.recall(&account, &page)).await {
                Ok(recalled) => planner.recalled(page, recalled?),
                Err(_) => break Some(OUT_OF_TIME.to_owned()),
            }
            if planner.checkpoint().cursor.is_none() {
                break None;
            }
        };
        Ok(planner.finish(incomplete, listing))
    }

    fn premises(&self) -> Premises {
        let settings = self.settings;
        let provider = self.connection.provider();
        let terms = self.engine.terms(&self.sync, settings, provider);
        let mapping = settings.schema_mapping.as_ref();
        let held = match self.memory {
            Memory::Catalogue(sync) => sync.held_deletes.as_ref().map_or(0, |held| held.count),
            Memory::Objects(_) | Memory::Nothing => 0,
        };
        Premises {
            wishes_tags: terms.rules.needs_tags() || mapping.is_some_and(SchemaMapping::needs_tags),
            terms,
            concurrency: settings.sync_concurrency,
            max_objects_per_run: settings.max_objects_per_run,
            polling_interval: Duration::from_secs(settings.polling_interval_seconds.into()),
            provider,
            threshold: self.engine.parts.settings.delete_threshold,
            held_before: held,
        }
    }

    /// What is known of a page.
    async fn recall(
        &self,
        account: &OpenProvider,
        page: &PageOfPlan,
    ) -> Result<Recalled, RepositoryError> {
        let provider = self.connection.provider();
        let repositories = self.engine.repositories();
        let entries = page.entries.iter();
        let names: Vec<String> = entries.map(|entry| entry.object.clone()).collect();
        match self.memory {
            Memory::Nothing => Ok(Recalled::default()),
            Memory::Catalogue(sync) => {
                let recall = Recall {
                    provider,
                    authority: account.authority(),
                    listed: names,
                    span: page.span.clone(),
                    facts: true,
                };
                // As the pass that comes next: marks of the passes before it count again.
                let pass = sync.last_pass + 1;
                let catalogue = &repositories.catalogue;
                catalogue
                    .recall(self.organization, &sync.id, pass, &recall)
                    .await
            }
            Memory::Objects(bucket) => {
                let authority = account.authority();
                let known = stream::iter(names)
                    .map(|object| {
                        let source = SourceId {
                            provider,
                            authority: authority.clone(),
                            object,
                        };
                        async move {
                            let objects = &repositories.objects;
                            objects
                                .find_by_source(self.organization, bucket, &source)
                                .await
                        }
                    })
                    .buffer_unordered(LOOKUPS)
                    .try_filter_map(async |object| Ok(object.map(known)))
                    .try_collect()
                    .await?;
                Ok(Recalled { known, vanished: 0 })
            }
        }
    }
}

/// What a sync that is not there yet would know of an object.
fn known(object: Object) -> Known {
    Known {
        object: object.source.object,
        copy: Some(KnownCopy {
            id: object.id,
            version: object.facts.version,
            path: object.facts.path,
            blob: object.content.blob,
            deleted: object.deleted.map(|(_, by)| by),
            copied_by: object.copied_by.map(|(sync, _)| sync),
            facts: Some(Box::new(CopyFacts {
                content_type: object.content.content_type,
                metadata: object.facts.metadata,
                tags: object.facts.tags,
            })),
        }),
        held: false,
        left_out: None,
        dead_letter: None,
        missing: false,
        lineage: String::new(),
    }
}

/// Lists a page, trying again what may pass. How long a throttled account is left alone is its gate's matter.
async fn list(
    account: &OpenProvider,
    scope: &str,
    cursor: Option<&Cursor>,
) -> Result<ListingPage, ProviderError> {
    let mut attempt = 1;
    loop {
        let error = match account.list(scope, cursor, PAGE).await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        if attempt == ATTEMPTS || !matches!(error.retry, Retry::Later { .. }) {
            return Err(error);
        }
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}
