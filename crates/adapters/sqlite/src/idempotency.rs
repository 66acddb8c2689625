use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::ResourceType;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_domain::ids::OrganizationId;
use wharf_ports::{IdempotencyRepository, RepositoryError};

use crate::clock::{micros, span};
use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::{Store, Tx, in_transaction};

/// The fingerprint of a row whose claim was given up: no request has it.
const NOBODYS: &str = "";

/// A request that claims a key.
struct Request<'a> {
    id: &'a str,
    fingerprint: &'a str,
    patience: Duration,
    keep: Duration,
}

/// What the row of a key says to a request; `None` if it may go on.
fn answer_of(
    row: &SqliteRow,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Option<Claimed>, Fault> {
    let columns = Columns::of("idempotency_claims", row);
    let age = micros(now) - micros(columns.time("claimed_at")?);
    let fingerprint: &str = columns.get("fingerprint")?;
    if fingerprint == NOBODYS || age >= span(request.keep) {
        return Ok(None);
    }
    if fingerprint != request.fingerprint {
        return Ok(Some(Claimed::OtherRequest));
    }
    if let Some(body) = columns.get("body")? {
        let status = columns.number("status")?;
        return Ok(Some(Claimed::Answered(StoredAnswer { status, body })));
    }
    if let Some(resource_type) = columns.read_optional("effect_type", ResourceType::parse)? {
        return Ok(Some(Claimed::TookEffect {
            resource_type,
            resource_id: columns.get("effect_id")?,
        }));
    }
    Ok((age < span(request.patience)).then_some(Claimed::Running))
}

impl Store {
    async fn claim_key(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        request: Request<'_>,
    ) -> Result<Claimed, Fault> {
        let row = sqlx::query(
            "SELECT fingerprint, attempt, claimed_at, effect_type, effect_id, status, body FROM idempotency_claims \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(request.id)
        .fetch_optional(&mut **tx)
        .await?;
        let now = self.now(tx).await?;
        let mut attempt = 1;
        if let Some(row) = &row {
            if let Some(claimed) = answer_of(row, &request, now)? {
                return Ok(claimed);
            }
            // Whoever claimed it before is thereby told from whoever claims it now.
            attempt += Columns::of("idempotency_claims", row).number::<u64>("attempt")?;
        }
        sqlx::query(
            "INSERT INTO idempotency_claims (organization, id, fingerprint, attempt, claimed_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (organization, id) DO UPDATE SET fingerprint = excluded.fingerprint, attempt = excluded.attempt, \
             claimed_at = excluded.claimed_at, effect_type = NULL, effect_id = NULL, status = NULL, body = NULL",
        )
        .bind(organization.as_str())
        .bind(request.id)
        .bind(request.fingerprint)
        .bind(number(attempt))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        Ok(Claimed::Granted(Claim {
            id: request.id.to_owned(),
            attempt,
        }))
    }

    async fn answer_claim(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        claim: &Claim,
        answer: &StoredAnswer,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE idempotency_claims SET status = $4, body = $5 WHERE organization = $1 AND id = $2 AND attempt = $3",
        )
        .bind(organization.as_str())
        .bind(&claim.id)
        .bind(number(claim.attempt))
        .bind(answer.status)
        .bind(&answer.body)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// The row stays, with an attempt more, so that no earlier claim is ever taken for a later one.
    async fn release_claim(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), Fault> {
        sqlx::query(
            "UPDATE idempotency_claims SET fingerprint = $4, attempt = attempt + 1 \
             WHERE organization = $1 AND id = $2 AND attempt = $3 AND effect_type IS NULL AND status IS NULL",
        )
        .bind(organization.as_str())
        .bind(&claim.id)
        .bind(number(claim.attempt))
        .bind(NOBODYS)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl IdempotencyRepository for Store {
    async fn claim(
        &self,
        organization: &OrganizationId,
        id: &str,
        fingerprint: &str,
        patience: Duration,
        keep: Duration,
    ) -> Result<Claimed, RepositoryError> {
        let request = Request {
            id,
            fingerprint,
            patience,
            keep,
        };
        Ok(in_transaction!(self, tx => self.claim_key(&mut tx, organization, request))?)
    }

    async fn answer(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
        answer: StoredAnswer,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, tx => self.answer_claim(&mut tx, organization, claim, &answer))?)
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, tx => self.release_claim(&mut tx, organization, claim))?)
    }
}
