//! The organization itself.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::access::{Organization, OrganizationProfile};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_ports::AccessError;

use crate::audit;
use crate::clock::micros;
use crate::error::{Failure, Fault, changing};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

macro_rules! organization_columns {
    () => {
        "id, name, logo_url, billing_email, notifications_email, metadata, rate_limits, created_at, updated_at"
    };
}
pub(crate) use organization_columns;

pub(crate) fn read_organization(row: &SqliteRow) -> Result<Organization, Fault> {
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

pub(super) async fn find_organization(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Option<Organization>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        organization_columns!(),
        " FROM organizations WHERE id = $1"
    ))
    .bind(organization.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(read_organization)
    .transpose()
}

impl Store {
    pub(super) async fn change_organization(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: &NewAuditRow,
    ) -> Result<Organization, Failure<AccessError>> {
        let found = find_organization(tx, organization).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        if stored.profile == profile {
            return Ok(stored);
        }
        if stored.profile != *read {
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
        .bind(micros(now))
        .execute(&mut **tx)
        .await
        .map_err(|error| changing(error))?;
        audit::store(tx, organization, audit, now);
        Ok(Organization {
            profile,
            updated_at: now,
            ..stored
        })
    }
}
