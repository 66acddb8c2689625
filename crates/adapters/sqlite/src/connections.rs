use std::panic::resume_unwind;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use tracing::Instrument;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{
    Connection, ConnectionFilter, ConnectionIdentifier, ConnectionName, Event, Health, Intent,
    NewConnection, PublicStatus, SealedCredentials, Transition,
};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::provider::{Provider, ProviderConfig};
use wharf_ports::{ApplyError, ConnectionRepository, InsertError, RepositoryError};

use crate::clock::{micros, micros_of};
use crate::error::{Failure, Fault, changing, inserting};
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction, truncate_log};
use crate::{audit, sessions, syncs};

macro_rules! columns {
    () => {
        "organization, id, name, description, provider, config, credential_type, sealed, credential_version, \
         write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, last_error, \
         last_used_at, last_failure_at, status_changed_at, created_by, created_at, updated_at, next_check_at, expires_at, \
         expiry_warned"
    };
}
pub(crate) use columns;

/// Writes what events have made of a connection, if it still is what they were applied to.
pub(crate) const UPDATE: &str = "UPDATE connections SET name = $3, description = $4, provider = $5, config = $6, credential_type = $7, \
     sealed = $8, credential_version = $9, write_enabled = $10, metadata = $11, intent = $12, \
     consecutive_failures = $13, definite_failure = $14, epoch = $15, revision = $16, last_error = $17, \
     last_used_at = $18, last_failure_at = $19, status_changed_at = $20, updated_at = $21, next_check_at = $22, \
     expires_at = $23, expiry_warned = $24 \
     WHERE organization = $1 AND id = $2 AND epoch = $25 AND credential_version = $26 AND consecutive_failures = $27 \
     AND revision = $28";

macro_rules! matching {
    () => {
        " FROM connections WHERE organization = $1 AND ($2 IS NULL OR provider = $2) \
         AND ($3 IS NULL OR status = $3) AND ($4 IS NULL OR (status = 'ACTIVE') = $4)"
    };
}

pub(crate) fn read(row: &SqliteRow) -> Result<Connection, Fault> {
    let columns = Columns::of("connections", row);
    let provider: Provider = columns.parse("provider")?;
    let config = ProviderConfig::from_stored(provider, columns.json("config")?)
        .map_err(|_| columns.corrupt("config", "does not read"))?;
    Ok(Connection {
        id: columns.parse("id")?,
        organization: columns.parse("organization")?,
        name: columns.read("name", |text| ConnectionName::parse(text).ok())?,
        description: columns.get("description")?,
        config,
        credential_type: columns.parse("credential_type")?,
        sealed: columns
            .get::<Option<Vec<u8>>>("sealed")?
            .map(SealedCredentials),
        credential_version: columns.number("credential_version")?,
        write_enabled: columns.get("write_enabled")?,
        metadata: columns.json("metadata")?,
        intent: columns.read("intent", Intent::parse)?,
        health: Health::from_stored(
            columns.number("consecutive_failures")?,
            columns.get("definite_failure")?,
        ),
        epoch: columns.number("epoch")?,
        revision: columns.number("revision")?,
        last_error: columns.get("last_error")?,
        last_used_at: columns.time_optional("last_used_at")?,
        last_failure_at: columns.time_optional("last_failure_at")?,
        status_changed_at: columns.time("status_changed_at")?,
        next_check_at: columns.time_optional("next_check_at")?,
        expires_at: columns.time_optional("expires_at")?,
        expiry_warned: columns.get("expiry_warned")?,
        created_by: columns.parse("created_by")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

async fn insert(tx: &mut Tx, connection: &Connection) -> Result<(), sqlx::Error> {
    sqlx::query(concat!(
        "INSERT INTO connections (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, \
         $24, $25, $26)"
    ))
    .bind(connection.organization.as_str())
    .bind(connection.id.as_str())
    .bind(connection.name.as_str())
    .bind(&connection.description)
    .bind(connection.provider().as_str())
    .bind(json(&connection.config.to_json()))
    .bind(connection.credential_type.as_str())
    .bind(connection.sealed.as_ref().map(|sealed| sealed.0.as_slice()))
    .bind(number(connection.credential_version))
    .bind(connection.write_enabled)
    .bind(json(&connection.metadata))
    .bind(connection.intent.as_str())
    .bind(i64::from(connection.health.consecutive_failures()))
    .bind(connection.health.definite())
    .bind(number(connection.epoch))
    .bind(number(connection.revision))
    .bind(&connection.last_error)
    .bind(micros_of(connection.last_used_at))
    .bind(micros_of(connection.last_failure_at))
    .bind(micros(connection.status_changed_at))
    .bind(connection.created_by.as_str())
    .bind(micros(connection.created_at))
    .bind(micros(connection.updated_at))
    .bind(micros_of(connection.next_check_at))
    .bind(micros_of(connection.expires_at))
    .bind(connection.expiry_warned)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes everything that an event may change, if the row still is what was decided on.
async fn update(
    tx: &mut Tx,
    stored: &Connection,
    connection: &Connection,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query(UPDATE)
        .bind(connection.organization.as_str())
        .bind(connection.id.as_str())
        .bind(connection.name.as_str())
        .bind(&connection.description)
        .bind(connection.provider().as_str())
        .bind(json(&connection.config.to_json()))
        .bind(connection.credential_type.as_str())
        .bind(connection.sealed.as_ref().map(|sealed| sealed.0.as_slice()))
        .bind(number(connection.credential_version))
        .bind(connection.write_enabled)
        .bind(json(&connection.metadata))
        .bind(connection.intent.as_str())
        .bind(i64::from(connection.health.consecutive_failures()))
        .bind(connection.health.definite())
        .bind(number(connection.epoch))
        .bind(number(connection.revision))
        .bind(&connection.last_error)
        .bind(micros_of(connection.last_used_at))
        .bind(micros_of(connection.last_failure_at))
        .bind(micros(connection.status_changed_at))
        .bind(micros(connection.updated_at))
        .bind(micros_of(connection.next_check_at))
        .bind(micros_of(connection.expires_at))
        .bind(connection.expiry_warned)
        .bind(number(stored.epoch))
        .bind(number(stored.credential_version))
        .bind(i64::from(stored.health.consecutive_failures()))
        .bind(number(stored.revision))
        .execute(&mut **tx)
        .await?;
    Ok(updated.rows_affected() > 0)
}

/// What the events, in order, make of the connection as it is stored now; stored, if anything changed, with all that follows
/// from it but the audit rows of the events themselves. Also, whether stored credentials were overwritten.
pub(crate) async fn transit(
    tx: &mut Tx,
    organization: &OrganizationId,
    id: &ConnectionId,
    if_revision: Option<u64>,
    events: Vec<Event>,
    now: Timestamp,
) -> Result<(Transition, bool), Failure<ApplyError>> {
    let stored = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM connections WHERE organization = $1 AND id = $2"
    ))
    .bind(organization.as_str())
    .bind(id.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(stored) = stored.as_ref().map(read).transpose()? else {
        return Err(Failure::Refused(ApplyError::NotFound));
    };
    if if_revision.is_some_and(|revision| revision != stored.revision) {
        return Err(Failure::Refused(ApplyError::RevisionConflict));
    }
    let transition = stored
        .clone()
        .apply_all(events, now)
        .map_err(|error| Failure::Refused(error.into()))?;
    if !transition.changed {
        return Ok((transition, false));
    }
    let connection = &transition.connection;
    let updated = update(tx, &stored, connection)
        .await
        .map_err(|error| changing(error))?;
    if !updated {
        // Nobody else writes while this transaction does.
        return Err(
            Fault::Corrupt("connections: a row that was read is another one".into()).into(),
        );
    }
    if connection.intent == Intent::Archived && stored.intent != Intent::Archived {
        syncs::stop_archived(tx, organization, id, now).await?;
        sessions::remove(tx, organization, id).await?;
    }
    if connection.credential_version != stored.credential_version {
        syncs::forget_found_missing(tx, organization, id).await?;
        sessions::clear(tx, organization, id).await?;
    }
    let overwritten = stored.sealed.is_some() && stored.sealed != connection.sealed;
    Ok((transition, overwritten))
}

impl Store {
    async fn insert_connection(
        &self,
        tx: &mut Tx,
        new: NewConnection,
        audit: &NewAuditRow,
    ) -> Result<Connection, Failure<InsertError>> {
        let now = self.now(tx).await?;
        let connection = Connection::create(new, now);
        insert(tx, &connection)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, &connection.organization, audit, now);
        Ok(connection)
    }

    async fn find_connection(
        &self,
        organization: &OrganizationId,
        identifier: &ConnectionIdentifier,
    ) -> Result<Option<Connection>, Fault> {
        let (query, wanted) = match identifier {
            ConnectionIdentifier::Id(id) => (
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM connections WHERE organization = $1 AND id = $2"
                ),
                id.as_str(),
            ),
            ConnectionIdentifier::Name(name) => (
                concat!(
                    "SELECT ",
                    columns!(),
                    " FROM connections WHERE organization = $1 AND name = $2 AND intent <> 'archived'"
                ),
                name.as_str(),
            ),
        };
        sqlx::query(query)
            .bind(organization.as_str())
            .bind(wanted)
            .fetch_optional(&self.reads)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    async fn list_connections(
        &self,
        organization: &OrganizationId,
        filter: &ConnectionFilter,
        request: &PageRequest,
    ) -> Result<Page<Connection>, Fault> {
        let provider = filter.provider.map(Provider::as_str);
        let status = filter.status.map(PublicStatus::as_str);
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(provider)
            .bind(status)
            .bind(filter.is_active)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (created_at, id) < ($5, $6) ORDER BY created_at DESC, id DESC LIMIT $7 OFFSET $8"
        ))
        .bind(organization.as_str())
        .bind(provider)
        .bind(status)
        .bind(filter.is_active)
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        page(request, &rows, total, read, |it| PageCursor {
            created_at: it.created_at,
            id: it.id.to_string(),
        })
    }

    /// The transition, and whether stored credentials were overwritten.
    async fn apply_events(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        id: &ConnectionId,
        if_revision: Option<u64>,
        events: Vec<Event>,
        audit: &[NewAuditRow],
    ) -> Result<(Transition, bool), Failure<ApplyError>> {
        let now = self.now(tx).await?;
        let (transition, overwritten) =
            transit(tx, organization, id, if_revision, events, now).await?;
        if transition.changed {
            for row in audit {
                audit::store(tx, organization, &transition.told_in(row.clone()), now);
            }
        }
        Ok((transition, overwritten))
    }
}

#[async_trait]
impl ConnectionRepository for Store {
    async fn insert(
        &self,
        connection: NewConnection,
        audit: NewAuditRow,
    ) -> Result<Connection, InsertError> {
        in_transaction!(self, tx => self.insert_connection(&mut tx, connection, &audit))
            .map_err(Failure::into_port)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &ConnectionIdentifier,
    ) -> Result<Option<Connection>, RepositoryError> {
        Ok(self.find_connection(organization, identifier).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>, RepositoryError> {
        Ok(self.list_connections(organization, filter, page).await?)
    }

    async fn apply(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        if_revision: Option<u64>,
        events: Vec<Event>,
        audit: Vec<NewAuditRow>,
    ) -> Result<Transition, ApplyError> {
        let (store, organization, id) = (self.clone(), organization.clone(), id.clone());
        let apply = async move {
            let applied = in_transaction!(store, tx => store.apply_events(&mut tx, &organization, &id, if_revision, events, &audit));
            if let Ok((_, true)) = applied {
                truncate_log(&store.writes).await;
            }
            applied
        };
        // On its own, so that a caller who goes away does not leave overwritten credentials in the log.
        match tokio::spawn(apply.in_current_span()).await {
            Ok(applied) => applied
                .map(|(transition, _)| transition)
                .map_err(Failure::into_port),
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(stopped) => Err(RepositoryError::Unavailable(stopped.into()).into()),
            },
        }
    }
}
