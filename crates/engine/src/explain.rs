//! Why a file of the source is, or is not, in a sync's bucket. The database is asked first, and the provider once at most.

use tokio::time::error::Elapsed;
use tokio::time::timeout;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::{Connection, StatusReason};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::explain::{Explanation, Facts, Look, Need, Present, decide};
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::{Known, Recall};
use wharf_domain::run::feed::{Fate, MissingRow};
use wharf_domain::sync::Sync;
use wharf_ports::{Located, Looked, OpenProvider};

use crate::account::AccountError;
use crate::syncs::connection_inactive;
use crate::terms::rules;
use crate::{Caller, Engine, EngineError};

/// Most objects looked through where an account that cannot be opened does not tell its authority.
const CANDIDATES: u32 = 100;
/// Jobs looked through for the last one that has ended.
const JOBS: u32 = 10;

/// What the provider said, owned.
enum Answer {
    NotAsked,
    Present(Box<Looked>),
    Absent,
    /// It is there, and not where the sync looks.
    Elsewhere,
    Refused(ErrorCode, String),
}

impl Engine {
    /// Explains what became of a file that a person named by its identity, its address or its path from the source path on.
    pub async fn explain(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        sync: &Sync,
        source: &str,
    ) -> Result<Explanation, EngineError> {
        let organization = caller.organization();
        let repositories = self.repositories();
        let connection = self.connection_row(caller, &sync.connection).await?;
        let provider = connection.provider();
        let path = &sync.settings.source_path;
        let account = match self.use_account(caller, &connection, "explain").await {
            Err(AccountError::Ours(error)) => return Err(error),
            account => account,
        };
        let opened = account.as_ref().ok();
        let (located, others) = self
            .locate(organization, bucket, &connection, opened, path, source)
            .await?;
        let object = match &located {
            Some(located) => {
                let account = account.as_ref().ok();
                self.object_at(organization, bucket, &connection, account, located)
                    .await?
            }
            None => None,
        };
        let known = match (&located, &account) {
            (Some(located), Ok(account)) => {
                self.known_at(organization, sync, account, &connection, located)
                    .await?
            }
            _ => None,
        };
        let dead_letter = match &located {
            Some(located) => {
                let letters = &repositories.dead_letters;
                letters
                    .find_by_source(organization, &sync.id, &located.object)
                    .await?
            }
            None => None,
        };
        let last_job = self.last_ended_job(organization, sync).await?;
        let deleted = object.as_ref().filter(|object| !object.purged);
        let restorable_until = deleted
            .and_then(|object| object.deleted)
            .map(|(at, _)| at + self.parts.settings.undo_window);
        let rules = rules(&sync.settings);
        let facts = Facts {
            source,
            located: located.as_ref().map(|l| (l.object.as_str(), l.in_scope)),
            sync,
            rules: &rules,
            connection_stopped: connection.status_reason().map(StatusReason::as_str),
            object: object.as_ref(),
            known: known.as_ref(),
            dead_letter: dead_letter.as_ref(),
            last_job: last_job.as_ref(),
            restorable_until,
            look: Look::NotAsked,
        };
        let need = facts.need();
        let answer = match (&located, need) {
            // The path was asked for, and led to nothing that this connection sees.
            (None, _) if provider.listings_hide() => {
                if let Some(inactive) = connection_inactive(&connection) {
                    return Err(inactive);
                }
                account?;
                Answer::Absent
            }
            (None, _) | (_, Need::Settled) => Answer::NotAsked,
            (Some(located), _) => {
                let asked = self.ask(&connection, account, path, located).await;
                match asked {
                    Err(_) if need == Need::Better => Answer::NotAsked,
                    asked => asked?,
                }
            }
        };
        let elsewhere = matches!(answer, Answer::Elsewhere);
        let look = self.look_of(&answer, provider, path);
        let located = facts
            .located
            .map(|(object, in_scope)| (object, in_scope && !elsewhere));
        let mut explanation = decide(&Facts {
            look,
            located,
            ..facts
        });
        if !others.is_empty() {
            let key = "other_source_object_ids".to_owned();
            explanation.evidence.insert(key, others.into());
        }
        Ok(explanation)
    }

    /// What the provider said, as a decision takes it.
    fn look_of<'a>(&self, answer: &'a Answer, provider: Provider, source_path: &str) -> Look<'a> {
        match answer {
            Answer::NotAsked | Answer::Elsewhere => Look::NotAsked,
            Answer::Absent => Look::Absent,
            Answer::Refused(code, message) => Look::Refused {
                code: *code,
                message,
            },
            Answer::Present(looked) => {
                let providers = &self.parts.providers;
                let entry = &looked.entry;
                Look::Present(Present {
                    entry,
                    relative_path: providers.relative_path(provider, source_path, &entry.path),
                    content_type: looked.content_type.as_deref(),
                    metadata: &looked.metadata,
                })
            }
        }
    }

    /// The file that a person named, and the others of the same path, where names may repeat. What the bucket has at that very path
    /// comes before what the provider is asked for.
    async fn locate(
        &self,
        organization: &OrganizationId,
        bucket: &Bucket,
        connection: &Connection,
        account: Option<&OpenProvider>,
        source_path: &str,
        source: &str,
    ) -> Result<(Option<Located>, Vec<String>), EngineError> {
        let provider = connection.provider();
        if let Some(located) = self.parts.providers.locate(provider, source_path, source) {
            return Ok((Some(located), Vec::new()));
        }
        let path = source.trim_matches('/');
        let mut named = self
            .objects_named(organization, bucket, connection, path)
            .await?;
        let may_ask = connection_inactive(connection).is_none();
        if let Some(account) = account.filter(|_| named.is_empty() && may_ask) {
            let find = account.find(source_path, path);
            named = match timeout(self.parts.settings.check_timeout, find).await {
                Ok(found) => found.map_err(AccountError::Provider)?,
                Err(elapsed) => return Err(too_late(elapsed)),
            };
        }
        let mut named = named.into_iter();
        let located = named.next().map(|object| Located {
            object,
            in_scope: true,
        });
        Ok((located, named.collect()))
    }

    /// The identities of what the bucket has at that very path.
    async fn objects_named(
        &self,
        organization: &OrganizationId,
        bucket: &Bucket,
        connection: &Connection,
        path: &str,
    ) -> Result<Vec<String>, EngineError> {
        let filter = ObjectFilter {
            search: Some(path.to_owned()),
            include_deleted: true,
        };
        let page = PageRequest::first(CANDIDATES);
        let objects = &self.repositories().objects;
        let found = objects
            .list(organization, &bucket.id, &filter, &page)
            .await?;
        let provider = connection.provider();
        let (live, deleted): (Vec<Object>, Vec<Object>) = found
            .items
            .into_iter()
            .filter(|object| object.source.provider == provider && object.facts.path == path)
            .partition(|object| object.deleted.is_none());
        let named = live.into_iter().chain(deleted);
        Ok(named.map(|object| object.source.object).collect())
    }

    /// The bucket's object of a file. The authority is part of its identity; where the account cannot be opened to tell it,
    /// the newest object with the file's identity is taken.
    async fn object_at(
        &self,
        organization: &OrganizationId,
        bucket: &Bucket,
        connection: &Connection,
        account: Option<&OpenProvider>,
        located: &Located,
    ) -> Result<Option<Object>, EngineError> {
        let objects = &self.repositories().objects;
        let provider = connection.provider();
        if let Some(account) = account {
            let source = SourceId {
                provider,
                authority: account.authority(),
                object: located.object.clone(),
            };
            return Ok(objects
                .find_by_source(organization, &bucket.id, &source)
                .await?);
        }
        let filter = ObjectFilter {
            search: Some(located.object.clone()),
            include_deleted: true,
        };
        let page = PageRequest::first(CANDIDATES);
        let found = objects
            .list(organization, &bucket.id, &filter, &page)
            .await?;
        let mut found = found.items.into_iter();
        Ok(found.find(|object| {
            object.source.provider == provider && object.source.object == located.object
        }))
    }

    async fn known_at(
        &self,
        organization: &OrganizationId,
        sync: &Sync,
        account: &OpenProvider,
        connection: &Connection,
        located: &Located,
    ) -> Result<Option<Known>, EngineError> {
        let recall = Recall {
            provider: connection.provider(),
            authority: account.authority(),
            listed: vec![located.object.clone()],
            span: None,
            facts: true,
        };
        let catalogue = &self.repositories().catalogue;
        let recalled = catalogue
            .recall(organization, &sync.id, sync.last_pass, &recall)
            .await?;
        Ok(recalled.known.into_iter().next())
    }

    async fn last_ended_job(
        &self,
        organization: &OrganizationId,
        sync: &Sync,
    ) -> Result<Option<Job>, EngineError> {
        let page = PageRequest::first(JOBS);
        let jobs = &self.repositories().jobs;
        let newest = jobs.list(organization, &sync.id, None, &page).await?;
        let mut newest = newest.items.into_iter();
        Ok(newest.find(|job| job.status != JobStatus::Running))
    }

    /// Asks the provider about one file, once.
    async fn ask(
        &self,
        connection: &Connection,
        account: Result<OpenProvider, AccountError>,
        path: &str,
        located: &Located,
    ) -> Result<Answer, EngineError> {
        if let Some(inactive) = connection_inactive(connection) {
            return Err(inactive);
        }
        let account = account?;
        let look = account.look(path, &located.object);
        let looked = timeout(self.parts.settings.check_timeout, look).await;
        match looked {
            Ok(Ok(Some(looked))) => Ok(Answer::Present(Box::new(looked))),
            Ok(Ok(None)) if connection.provider().listings_hide() => {
                self.trace(&account, path, located).await
            }
            Ok(Ok(None)) => Ok(Answer::Absent),
            Ok(Err(error)) if speaks_about_the_file(error.code) => {
                Ok(Answer::Refused(error.code, error.message))
            }
            Ok(Err(error)) => Err(AccountError::Provider(error).into()),
            Err(elapsed) => Err(too_late(elapsed)),
        }
    }

    /// Whether a file that the source does not show lies elsewhere.
    async fn trace(
        &self,
        account: &OpenProvider,
        path: &str,
        located: &Located,
    ) -> Result<Answer, EngineError> {
        let row = MissingRow {
            object: located.object.clone(),
            lineage: String::new(),
        };
        let rows = [row];
        let trace = account.trace(path, &rows);
        match timeout(self.parts.settings.check_timeout, trace).await {
            Ok(Ok(fates)) if fates == [Fate::Gone] => Ok(Answer::Elsewhere),
            Ok(Ok(_)) => Ok(Answer::Absent),
            Ok(Err(error)) => Err(AccountError::Provider(error).into()),
            Err(elapsed) => Err(too_late(elapsed)),
        }
    }
}

fn too_late(elapsed: Elapsed) -> EngineError {
    EngineError::Unavailable {
        what: "the provider",
        source: Some(elapsed.into()),
    }
}

fn speaks_about_the_file(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::PermDenied
            | ErrorCode::PermPolicyBlocked
            | ErrorCode::ResourceNotFound
            | ErrorCode::ResourceArchived
            | ErrorCode::ObjectCustomerKey
            | ErrorCode::ObjectRequesterPays
    )
}
