//! Access tokens of connections, sealed, and the right to get the next one.

use async_trait::async_trait;
use sqlx::SqliteConnection;
use wharf_domain::Timestamp;
use wharf_domain::connection::SealedCredentials;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_ports::{
    RIGHT, RefreshRight, RepositoryError, SessionRepository, StoredSession, StoredToken, TokenWish,
};

use crate::clock::{micros, span};
use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::{Store, Tx, in_transaction, truncate_log};

/// The session of a connection, if there is one, and whether the connection is what it was when it was opened.
pub(crate) const LOOK: &str = "SELECT c.intent <> 'archived' AND c.credential_version = $3 AS stands, \
     s.sealed, s.renew_at, s.serial, s.right_ends_at \
     FROM connections c LEFT JOIN sessions s ON s.organization = c.organization AND s.connection = c.id \
     WHERE c.organization = $1 AND c.id = $2";

/// Gives the right to get the next token, if there is none that answers the wish and nobody has the right.
pub(crate) const CLAIM: &str = "INSERT INTO sessions (organization, connection, serial, fence, right_ends_at) VALUES ($1, $2, 0, 1, $3 + $4) \
     ON CONFLICT (organization, connection) DO UPDATE SET fence = fence + 1, right_ends_at = excluded.right_ends_at \
     WHERE (right_ends_at IS NULL OR right_ends_at <= $3) \
     AND (sealed IS NULL OR serial <= $5 OR renew_at <= $3) RETURNING serial, fence";

/// Stores a token and ends the right that it was got by.
pub(crate) const KEEP: &str = "UPDATE sessions SET sealed = $5, renew_at = $6, serial = $3, right_ends_at = NULL \
     WHERE organization = $1 AND connection = $2 AND serial < $3 AND fence = $4 AND right_ends_at IS NOT NULL";

/// Stores a refresh token that the provider gave in place of the old one, unless a later token than this one is there.
pub(crate) const ROTATE: &str = "UPDATE connections SET sealed = $3 WHERE organization = $1 AND id = $2 \
     AND EXISTS (SELECT 1 FROM sessions s WHERE s.organization = $1 AND s.connection = $2 AND s.serial <= $4)";

pub(crate) const LET_GO: &str = "UPDATE sessions SET right_ends_at = NULL WHERE organization = $1 AND connection = $2 AND fence = $3";

/// Clears what earlier credentials of the connection brought.
pub(crate) async fn clear(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE sessions SET sealed = NULL, renew_at = NULL, right_ends_at = NULL \
         WHERE organization = $1 AND connection = $2",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes what is stored of an archived connection's token.
pub(crate) async fn remove(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM sessions WHERE organization = $1 AND connection = $2")
        .bind(organization.as_str())
        .bind(connection.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A connection as somebody has opened it.
#[derive(Clone, Copy)]
struct Opened<'a> {
    organization: &'a OrganizationId,
    connection: &'a ConnectionId,
    credential_version: u64,
}

/// The serial after which a token is wished for.
fn after(wish: TokenWish) -> u64 {
    match wish {
        TokenWish::Any => 0,
        TokenWish::After(serial) => serial,
    }
}

/// What is stored says to the wish; `None` if the right is nobody's.
async fn look(
    connection: &mut SqliteConnection,
    opened: Opened<'_>,
    wish: TokenWish,
    now: Timestamp,
) -> Result<Option<StoredSession>, Fault> {
    let row = sqlx::query(LOOK)
        .bind(opened.organization.as_str())
        .bind(opened.connection.as_str())
        .bind(number(opened.credential_version))
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else {
        return Ok(Some(StoredSession::Superseded));
    };
    let columns = Columns::of("sessions", &row);
    if !columns.get::<bool>("stands")? {
        return Ok(Some(StoredSession::Superseded));
    }
    if let Some(sealed) = columns.get("sealed")? {
        let token = StoredToken {
            sealed,
            renew_at: columns.time("renew_at")?,
            serial: columns.number("serial")?,
        };
        if token.serial > after(wish) && token.renew_at > now {
            return Ok(Some(StoredSession::Token(token)));
        }
    }
    let right_ends_at = columns.time_optional("right_ends_at")?;
    let is_out = right_ends_at.is_some_and(|ends_at| ends_at > now);
    Ok(is_out.then_some(StoredSession::Busy))
}

impl Store {
    /// What is stored says to the wish, without waiting for the writer; `None` if the right is nobody's.
    async fn look_at_session(
        &self,
        opened: Opened<'_>,
        wish: TokenWish,
    ) -> Result<Option<StoredSession>, Fault> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        look(&mut connection, opened, wish, now).await
    }

    async fn take_session(
        &self,
        tx: &mut Tx,
        opened: Opened<'_>,
        wish: TokenWish,
    ) -> Result<StoredSession, Fault> {
        let now = self.now(tx).await?;
        if let Some(found) = look(tx, opened, wish, now).await? {
            return Ok(found);
        }
        let claimed = sqlx::query(CLAIM)
            .bind(opened.organization.as_str())
            .bind(opened.connection.as_str())
            .bind(micros(now))
            .bind(span(RIGHT))
            .bind(number(after(wish)))
            .fetch_optional(&mut **tx)
            .await?;
        let Some(claimed) = claimed else {
            return Ok(StoredSession::Busy);
        };
        let columns = Columns::of("sessions", &claimed);
        Ok(StoredSession::Refresh(RefreshRight {
            serial: columns.number::<u64>("serial")? + 1,
            fence: columns.number("fence")?,
        }))
    }

    async fn keep_session(
        &self,
        tx: &mut Tx,
        opened: Opened<'_>,
        right: RefreshRight,
        token: &StoredToken,
        rotated: Option<&SealedCredentials>,
    ) -> Result<bool, Fault> {
        let stands: Option<bool> = sqlx::query_scalar(
            "SELECT intent <> 'archived' AND credential_version = $3 FROM connections WHERE organization = $1 AND id = $2",
        )
        .bind(opened.organization.as_str())
        .bind(opened.connection.as_str())
        .bind(number(opened.credential_version))
        .fetch_optional(&mut **tx)
        .await?;
        if stands != Some(true) {
            return Ok(false);
        }
        let kept = sqlx::query(KEEP)
            .bind(opened.organization.as_str())
            .bind(opened.connection.as_str())
            .bind(number(right.serial))
            .bind(number(right.fence))
            .bind(&token.sealed)
            .bind(micros(token.renew_at))
            .execute(&mut **tx)
            .await?
            .rows_affected()
            > 0;
        if let Some(rotated) = rotated {
            // Where this token was not kept, none of its serial may have been kept meanwhile.
            let newest = right.serial - u64::from(!kept);
            sqlx::query(ROTATE)
                .bind(opened.organization.as_str())
                .bind(opened.connection.as_str())
                .bind(&rotated.0)
                .bind(number(newest))
                .execute(&mut **tx)
                .await?;
        }
        Ok(kept)
    }

    async fn let_session_go(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), Fault> {
        sqlx::query(LET_GO)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .bind(number(right.fence))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl SessionRepository for Store {
    async fn take(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        wish: TokenWish,
    ) -> Result<StoredSession, RepositoryError> {
        let opened = Opened {
            organization,
            connection,
            credential_version,
        };
        // Most calls find a token, which costs no writer anything.
        if let Some(found) = self.look_at_session(opened, wish).await? {
            return Ok(found);
        }
        Ok(in_transaction!(self, tx => self.take_session(&mut tx, opened, wish))?)
    }

    async fn keep(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credential_version: u64,
        right: RefreshRight,
        token: StoredToken,
        rotated: Option<SealedCredentials>,
    ) -> Result<bool, RepositoryError> {
        let opened = Opened {
            organization,
            connection,
            credential_version,
        };
        let kept = in_transaction!(self, tx => self.keep_session(&mut tx, opened, right, &token, rotated.as_ref()))?;
        if rotated.is_some() {
            truncate_log(&self.writes).await;
        }
        Ok(kept)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.let_session_go(&mut tx, organization, connection, right))?,
        )
    }
}
