//! What a run of a sync would do: its listing, followed to its end or as far as the time reaches, against the catalogue.
//! Nothing is written.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::estimate::{PageOfPlan, Plan, Planner, Premises};
use wharf_domain::ids::{BucketId, OrganizationId, SyncId};
use wharf_domain::input::InvalidInput;
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::run::catalogue::{Known, KnownCopy, Recall, Recalled};
use wharf_domain::run::decision::Terms;
use wharf_domain::run::page::ListingPage;
use wharf_domain::sync::{Sync, SyncSettings};
use wharf_ports::{OpenProvider, ProviderError, RepositoryError, Retry};

use crate::account::AccountError;
use crate::explain::rules;
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

/// A plan under way.
struct Planning<'a> {
    engine: &'a Engine,
    organization: &'a OrganizationId,
    connection: &'a Connection,
    account: OpenProvider,
    memory: Memory<'a>,
    until: Instant,
}

impl Engine {
    /// Plans a sync that is there, for at most `budget`.
    pub async fn plan_sync(
        &self,
        caller: &Caller,
        sync: &Sync,
        budget: Duration,
    ) -> Result<Plan, EngineError> {
        let connection = self.connection_of_sync(caller, &sync.connection).await?;
        let held = sync.held_deletes.as_ref().map_or(0, |held| held.count);
        let memory = Memory::Catalogue(sync);
        self.plan(caller, &connection, &sync.id, &sync.settings, memory, held, budget)
            .await
    }

    /// Plans a sync that is not there yet, for at most `budget`. It is read as a new one is, and not stored.
    pub async fn plan_new_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        new: &CreateSync,
        budget: Duration,
    ) -> Result<Plan, EngineError> {
        let connection = self.connection_of_sync(caller, &new.connection).await?;
        let all = ObjectFilter {
            search: None,
            include_deleted: true,
        };
        let objects = &self.repositories().objects;
        let any = objects
            .list(caller.organization(), &bucket.id, &all, &PageRequest::first(1))
            .await?;
        let memory = if any.items.is_empty() {
            Memory::Nothing
        } else {
            Memory::Objects(&bucket.id)
        };
        let id: SyncId = self.ids().id();
        self.plan(caller, &connection, &id, &new.settings, memory, 0, budget)
            .await
    }
}
