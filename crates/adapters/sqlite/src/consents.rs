//! Consents under way.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_ports::{ConsentError, ConsentRepository, MOST_CONSENTS, StoredConsent};

use crate::clock::{micros, span};
use crate::error::{Failure, Fault};
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};

/// Those of an organization that have expired.
pub(crate) const PRUNE: &str = "DELETE FROM consents WHERE organization = $1 AND expires_at <= $2";

/// How many an organization has under way.
pub(crate) const COUNT: &str = "SELECT COUNT(*) FROM consents WHERE organization = $1";

/// All that have expired.
pub(crate) const PRUNE_ALL: &str = "DELETE FROM consents WHERE expires_at <= $1";

/// Takes one out.
pub(crate) const TAKE: &str = "DELETE FROM consents WHERE state_sha256 = $1 AND expires_at > $2 \
     RETURNING state_sha256, organization, user_id, api_key, sealed, expires_at";

fn read(row: &SqliteRow) -> Result<StoredConsent, Fault> {
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
        tx: &mut Tx,
        consent: StoredConsent,
        ttl: Duration,
    ) -> Result<StoredConsent, Failure<ConsentError>> {
        let now = self.now(tx).await?;
        sqlx::query(PRUNE)
            .bind(consent.organization.as_str())
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
        let under_way: i64 = sqlx::query_scalar(COUNT)
            .bind(consent.organization.as_str())
            .fetch_one(&mut **tx)
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
        .bind(micros(now) + span(ttl))
        .fetch_one(&mut **tx)
        .await?;
        Ok(read(&stored)?)
    }

    /// Takes a consent out, and those away that have expired.
    pub(crate) async fn take_consent_out(
        &self,
        tx: &mut Tx,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, Fault> {
        let now = self.now(tx).await?;
        sqlx::query(PRUNE_ALL)
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
        sqlx::query(TAKE)
            .bind(state_sha256)
            .bind(micros(now))
            .fetch_optional(&mut **tx)
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
        in_transaction!(self, tx => self.begin_consent(&mut tx, consent, ttl))
            .map_err(Failure::into_port)
    }
}
