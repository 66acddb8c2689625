//! Why a file of the source is, or is not, in a sync's bucket. The database is asked first, and the provider once at most.

use tokio::time::timeout;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::{Connection, StatusReason};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::explain::{Explanation, Facts, Look, Need, Present, decide};
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::run::catalogue::{Known, Recall};
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
        let located = self.parts.providers.locate(provider, path, source);
        let account = match self.use_account(caller, &connection, "explain").await {
            Err(AccountError::Ours(error)) => return Err(error),
            account => account,
        };
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
            (None, _) | (_, Need::Settled) => Answer::NotAsked,
            (Some(located), _) => {
                let asked = self.ask(&connection, account, path, located).await;
                match asked {
                    Err(_) if need == Need::Better => Answer::NotAsked,
                    asked => asked?,
                }
            }
        };
        let look = match &answer {
            Answer::NotAsked => Look::NotAsked,
            Answer::Absent => Look::Absent,
            Answer::Refused(code, message) => Look::Refused {
                code: *code,
                message,
            },
            Answer::Present(looked) => Look::Present(Present {
                entry: &looked.entry,
                relative_path: self.parts.providers.relative_path(
                    provider,
                    path,
                    &looked.entry.path,
                ),
                content_type: looked.content_type.as_deref(),
                metadata: &looked.metadata,
            }),
        };
        Ok(decide(&Facts { look, ..facts }))
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
            Ok(Ok(None)) => Ok(Answer::Absent),
            Ok(Err(error)) if speaks_about_the_file(error.code) => {
                Ok(Answer::Refused(error.code, error.message))
            }
            Ok(Err(error)) => Err(AccountError::Provider(error).into()),
            Err(elapsed) => Err(EngineError::Unavailable {
                what: "the provider",
                source: Some(elapsed.into()),
            }),
        }
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
