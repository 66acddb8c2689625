//! Consents under way.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_ports::{ConsentError, ConsentRepository, MOST_CONSENTS, StoredConsent};

use crate::clock::span;
use crate::error::{Failure, Fault};
use crate::row::Columns;
use crate::store::{Store, in_transaction};

/// Those that have expired; what somebody else takes away at this moment is left to them.
macro_rules! prune {
    ($whose:literal) => {
        concat!(
            "DELETE FROM consents WHERE state_sha256 IN (SELECT state_sha256 FROM consents WHERE expires_at <= $1",
            $whose,
            " FOR UPDATE SKIP LOCKED)"
        )
    };
}

fn read(row: &PgRow) -> Result<StoredConsent, Fault> {
    let columns = Columns::of("consents", row);
    Ok(StoredConsent {
        state_sha256: columns.get("state_sha256")?,
        organization: columns.parse("organization")?,
        user: columns.parse("user_id")?,
        api_key: columns.parse("api_key")?,
        sealed: columns.get("sealed")?,
        expires_at: columns.time("expires_at")?,
    })
}

impl Store {
    async fn begin_consent(
        &self,
        tx: &mut PgConnection,
        consent: &StoredConsent,
        ttl: Duration,
    ) -> Result<StoredConsent, Failure<ConsentError>> {
        // Of two callers at once, the second waits here and then counts what the first one began.
        sqlx::query("SELECT 1 FROM organizations WHERE id = $1 FOR NO KEY UPDATE")
            .bind(consent.organization.as_str())
            .execute(&mut *tx)
            .await?;
        let now = self.now(tx).await?;
        sqlx::query(prune!(" AND organization = $2"))
            .bind(now)
            .bind(consent.organization.as_str())
            .execute(&mut *tx)
            .await?;
        let under_way: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM consents WHERE organization = $1 AND expires_at > $2",
        )
        .bind(consent.organization.as_str())
        .bind(now)
        .fetch_one(&mut *tx)
        .await?;
        if under_way >= i64::from(MOST_CONSENTS) {
            return Err(Failure::Refused(ConsentError::TooMany));
        }
        let stored = sqlx::query(
            "INSERT INTO consents (state_sha256, organization, user_id, api_key, sealed, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        )
        .bind(&consent.state_sha256)
        .bind(consent.organization.as_str())
        .bind(consent.user.as_str())
        .bind(consent.api_key.as_str())
        .bind(&consent.sealed)
        .bind(now + span(ttl))
        .fetch_one(&mut *tx)
        .await?;
        Ok(read(&stored)?)
    }

    /// Takes a consent out, and those away that have expired.
    pub(crate) async fn take_consent_out(
        &self,
        tx: &mut PgConnection,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, Fault> {
        let now = self.now(tx).await?;
        sqlx::query(prune!("")).bind(now).execute(&mut *tx).await?;
        sqlx::query(
            "DELETE FROM consents WHERE state_sha256 = $1 AND expires_at > $2 \
             RETURNING state_sha256, organization, user_id, api_key, sealed, expires_at",
        )
        .bind(state_sha256)
        .bind(now)
        .fetch_optional(&mut *tx)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }
}

#[async_trait]
impl ConsentRepository for Store {
    async fn begin(
        &self,
        consent: StoredConsent,
        ttl: Duration,
    ) -> Result<StoredConsent, ConsentError> {
        in_transaction!(self, &consent.organization, tx => self.begin_consent(&mut tx, &consent, ttl))
            .map_err(Failure::into_port)
    }
}
