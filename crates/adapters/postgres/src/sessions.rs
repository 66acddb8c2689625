//! Access tokens of connections, sealed, and the right to get the next one.

use async_trait::async_trait;
use sqlx::PgConnection;
use wharf_domain::connection::SealedCredentials;
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_ports::{
    RIGHT, RefreshRight, RepositoryError, SessionRepository, StoredSession, StoredToken, TokenWish,
};

use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::{Store, in_transaction};

/// Clears what earlier credentials of the connection brought.
pub(crate) async fn clear(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE sessions SET sealed = NULL, renew_at = NULL, right_ends_at = NULL \
         WHERE organization = $1 AND connection = $2",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes what is stored of an archived connection's token.
pub(crate) async fn remove(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM sessions WHERE organization = $1 AND connection = $2")
        .bind(organization.as_str())
        .bind(connection.as_str())
        .execute(tx)
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
    connection: &mut PgConnection,
    opened: Opened<'_>,
    wish: TokenWish,
) -> Result<Option<StoredSession>, Fault> {
    let row = sqlx::query(
        "SELECT c.intent <> 'archived' AND c.credential_version = $3 AS stands, \
         s.sealed, s.renew_at, s.serial, s.right_ends_at, clock_timestamp() AS read_at \
         FROM connections c LEFT JOIN sessions s ON s.organization = c.organization AND s.connection = c.id \
         WHERE c.organization = $1 AND c.id = $2",
    )
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
    let now = columns.time("read_at")?;
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

/// Whether the connection still is what it was when it was opened; it stays so until the transaction ends, and where `changes`
/// says so, nobody else holds on to it meanwhile.
async fn stands(tx: &mut PgConnection, opened: Opened<'_>, changes: bool) -> Result<bool, Fault> {
    macro_rules! locked {
        ($lock:literal) => {
            concat!(
                "SELECT intent <> 'archived' AND credential_version = $3 FROM connections WHERE organization = $1 AND id = $2 ",
                $lock
            )
        };
    }
    let statement = if changes {
        locked!("FOR NO KEY UPDATE")
    } else {
        locked!("FOR SHARE")
    };
    let stands: Option<bool> = sqlx::query_scalar(statement)
        .bind(opened.organization.as_str())
        .bind(opened.connection.as_str())
        .bind(number(opened.credential_version))
        .fetch_optional(tx)
        .await?;
    Ok(stands == Some(true))
}

impl Store {
    /// What is stored says to the wish, without waiting for anybody; `None` if the right is nobody's.
    async fn look_at_session(
        &self,
        opened: Opened<'_>,
        wish: TokenWish,
    ) -> Result<Option<StoredSession>, Fault> {
        let mut connection = self.read(opened.organization).await?;
        look(&mut connection, opened, wish).await
    }

    async fn take_session(
        &self,
        tx: &mut PgConnection,
        opened: Opened<'_>,
        wish: TokenWish,
    ) -> Result<StoredSession, Fault> {
        if !stands(tx, opened, false).await? {
            return Ok(StoredSession::Superseded);
        }
        let now = self.now(tx).await?;
        // Of several callers at once, the first one's row is there when the others' conditions are looked at.
        let claimed = sqlx::query(
            "INSERT INTO sessions AS s (organization, connection, serial, fence, right_ends_at) VALUES ($1, $2, 0, 1, $4) \
             ON CONFLICT (organization, connection) DO UPDATE SET fence = s.fence + 1, right_ends_at = excluded.right_ends_at \
             WHERE (s.right_ends_at IS NULL OR s.right_ends_at <= $3) \
             AND (s.sealed IS NULL OR s.serial <= $5 OR s.renew_at <= $3) RETURNING serial, fence",
        )
        .bind(opened.organization.as_str())
        .bind(opened.connection.as_str())
        .bind(now)
        .bind(now + RIGHT)
        .bind(number(after(wish)))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(claimed) = claimed else {
            let found = look(tx, opened, wish).await?;
            return Ok(found.unwrap_or(StoredSession::Busy));
        };
        let columns = Columns::of("sessions", &claimed);
        Ok(StoredSession::Refresh(RefreshRight {
            serial: columns.number::<u64>("serial")? + 1,
            fence: columns.number("fence")?,
        }))
    }

    async fn keep_session(
        &self,
        tx: &mut PgConnection,
        opened: Opened<'_>,
        right: RefreshRight,
        token: &StoredToken,
        rotated: Option<&SealedCredentials>,
    ) -> Result<bool, Fault> {
        if !stands(tx, opened, rotated.is_some()).await? {
            return Ok(false);
        }
        let kept = sqlx::query(
            "UPDATE sessions SET sealed = $5, renew_at = $6, serial = $3, right_ends_at = NULL \
             WHERE organization = $1 AND connection = $2 AND serial < $3 AND fence = $4 AND right_ends_at IS NOT NULL",
        )
        .bind(opened.organization.as_str())
        .bind(opened.connection.as_str())
        .bind(number(right.serial))
        .bind(number(right.fence))
        .bind(&token.sealed)
        .bind(token.renew_at)
        .execute(&mut *tx)
        .await?
        .rows_affected()
            > 0;
        if let Some(rotated) = rotated {
            // Where this token was not kept, none of its serial may have been kept meanwhile.
            let newest = right.serial - u64::from(!kept);
            sqlx::query(
                "UPDATE connections SET sealed = $3 WHERE organization = $1 AND id = $2 \
                 AND EXISTS (SELECT 1 FROM sessions s WHERE s.organization = $1 AND s.connection = $2 AND s.serial <= $4)",
            )
            .bind(opened.organization.as_str())
            .bind(opened.connection.as_str())
            .bind(&rotated.0)
            .bind(number(newest))
            .execute(&mut *tx)
            .await?;
        }
        Ok(kept)
    }

    async fn let_session_go(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE sessions SET right_ends_at = NULL WHERE organization = $1 AND connection = $2 AND fence = $3",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(number(right.fence))
        .execute(tx)
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
        // Most calls find a token, and lock nothing.
        if let Some(found) = self.look_at_session(opened, wish).await? {
            return Ok(found);
        }
        Ok(in_transaction!(self, organization, tx => self.take_session(&mut tx, opened, wish))?)
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
        Ok(
            in_transaction!(self, organization, tx => self.keep_session(&mut tx, opened, right, &token, rotated.as_ref()))?,
        )
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        right: RefreshRight,
    ) -> Result<(), RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.let_session_go(&mut tx, organization, connection, right))?,
        )
    }
}
