//! The organization itself.

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{Organization, OrganizationProfile};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_ports::AccessError;

use crate::audit;
use crate::error::{Failure, Fault, changing};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

macro_rules! organization_columns {
    () => {
        "id, name, logo_url, billing_email, notifications_email, metadata, rate_limits, created_at, updated_at"
    };
}
pub(crate) use organization_columns;

/// Adds an organization within a transaction.
pub(crate) async fn insert_organization(
    connection: &mut PgConnection,
    id: &OrganizationId,
    profile: &OrganizationProfile,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO organizations (id, name, logo_url, billing_email, notifications_email, metadata, rate_limits, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(id.as_str())
    .bind(&profile.name)
    .bind(&profile.logo_url)
    .bind(&profile.billing_email)
    .bind(&profile.notifications_email)
    .bind(json(&profile.metadata))
    .bind(json(&profile.rate_limits))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) fn read_organization(row: &PgRow) -> Result<Organization, Fault> {
    let columns = Columns::of("organizations", row);
    Ok(Organization {
        id: columns.parse("id")?,
        profile: OrganizationProfile {
            name: columns.get("name")?,
            logo_url: columns.get("logo_url")?,
            billing_email: columns.get("billing_email")?,
            notifications_email: columns.get("notifications_email")?,
            metadata: columns.json("metadata")?,
            rate_limits: columns.json("rate_limits")?,
        },
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// The organization, locked until the transaction ends: of two changes that could each take away an admin, one waits here.
pub(super) async fn find_locked(
    tx: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<Organization, Failure<AccessError>> {
    let found = sqlx::query(concat!(
        "SELECT ",
        organization_columns!(),
        " FROM organizations WHERE id = $1 FOR NO KEY UPDATE"
    ))
    .bind(organization.as_str())
    .fetch_optional(tx)
    .await?;
    let found = found.ok_or(Failure::Refused(AccessError::NotFound))?;
    Ok(read_organization(&found)?)
}

impl Store {
    pub(super) async fn find_organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            organization_columns!(),
            " FROM organizations WHERE id = $1"
        ))
        .bind(organization.as_str())
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read_organization)
        .transpose()
    }

    pub(super) async fn change_organization(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: &NewAuditRow,
    ) -> Result<Organization, Failure<AccessError>> {
        let found = find_locked(tx, organization).await?;
        if found.profile == profile {
            return Ok(found);
        }
        if found.profile != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE organizations SET name = $2, logo_url = $3, billing_email = $4, notifications_email = $5, \
             metadata = $6, rate_limits = $7, updated_at = $8 WHERE id = $1",
        )
        .bind(organization.as_str())
        .bind(&profile.name)
        .bind(&profile.logo_url)
        .bind(&profile.billing_email)
        .bind(&profile.notifications_email)
        .bind(json(&profile.metadata))
        .bind(json(&profile.rate_limits))
        .bind(now)
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Organization {
            profile,
            updated_at: now,
            ..found
        })
    }
}
