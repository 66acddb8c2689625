//! Its users.

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::access::{Email, Role, User, UserProfile, UserStatus};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{OrganizationId, UserId};
use wharf_ports::{AccessError, InsertError, NewUser};

use crate::audit;
use crate::clock::micros;
use crate::error::{Failure, Fault, inserting};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

macro_rules! user_columns {
    () => {
        "id, email, name, avatar_url, role, status, metadata, created_at, updated_at"
    };
}

/// Adds a user within a transaction.
pub(crate) async fn insert_user(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: &NewUser,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO users (organization, id, email, name, avatar_url, role, status, metadata, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(organization.as_str())
    .bind(user.id.as_str())
    .bind(user.email.as_str())
    .bind(&user.profile.name)
    .bind(&user.profile.avatar_url)
    .bind(user.profile.role.as_str())
    .bind(user.profile.status.as_str())
    .bind(json(&user.profile.metadata))
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn read_user(row: &SqliteRow) -> Result<User, Fault> {
    let columns = Columns::of("users", row);
    Ok(User {
        id: columns.parse("id")?,
        email: columns.read("email", |text| Email::parse(text).ok())?,
        profile: UserProfile {
            name: columns.get("name")?,
            avatar_url: columns.get("avatar_url")?,
            role: columns.parse("role")?,
            status: columns.parse("status")?,
            metadata: columns.json("metadata")?,
        },
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// A user that was not removed.
pub(super) async fn find_user(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    user: &UserId,
) -> Result<Option<User>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        user_columns!(),
        " FROM users WHERE organization = $1 AND id = $2 AND removed_at IS NULL"
    ))
    .bind(organization.as_str())
    .bind(user.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(read_user)
    .transpose()
}

/// Refuses what would take the last active admin away.
pub(super) async fn spare_last_admin(
    tx: &mut Tx,
    organization: &OrganizationId,
    user: &User,
) -> Result<(), Failure<AccessError>> {
    if !user.profile.is_active_admin() {
        return Ok(());
    }
    let other = sqlx::query(
        "SELECT 1 FROM users WHERE organization = $1 AND id <> $2 AND removed_at IS NULL AND role = $3 AND status = $4 \
         LIMIT 1",
    )
    .bind(organization.as_str())
    .bind(user.id.as_str())
    .bind(Role::Admin.as_str())
    .bind(UserStatus::Active.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    match other {
        Some(_) => Ok(()),
        None => Err(Failure::Refused(AccessError::LastAdmin)),
    }
}

impl Store {
    pub(super) async fn add_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewUser,
        audit: &NewAuditRow,
    ) -> Result<User, Failure<InsertError>> {
        let now = self.now(tx).await?;
        insert_user(tx, organization, &new, now)
            .await
            .map_err(|error| inserting(error))?;
        audit::store(tx, organization, audit, now);
        Ok(User {
            id: new.id,
            email: new.email,
            profile: new.profile,
            created_at: now,
            updated_at: now,
        })
    }

    pub(super) async fn user_at(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE organization = $1 AND email = $2 AND removed_at IS NULL"
        ))
        .bind(organization.as_str())
        .bind(email.as_str())
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read_user)
        .transpose()
    }

    pub(super) async fn users(&self, organization: &OrganizationId) -> Result<Vec<User>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE organization = $1 AND removed_at IS NULL ORDER BY created_at, id"
        ))
        .bind(organization.as_str())
        .fetch_all(&self.reads)
        .await?
        .iter()
        .map(read_user)
        .collect()
    }

    pub(super) async fn change_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: &NewAuditRow,
    ) -> Result<User, Failure<AccessError>> {
        let found = find_user(tx, organization, user).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        if stored.profile == profile {
            return Ok(stored);
        }
        if stored.profile != *read {
            return Err(Failure::Refused(AccessError::Conflict));
        }
        if !profile.is_active_admin() {
            spare_last_admin(tx, organization, &stored).await?;
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE users SET name = $3, avatar_url = $4, role = $5, status = $6, metadata = $7, updated_at = $8 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(&profile.name)
        .bind(&profile.avatar_url)
        .bind(profile.role.as_str())
        .bind(profile.status.as_str())
        .bind(json(&profile.metadata))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(User {
            profile,
            updated_at: now,
            ..stored
        })
    }

    pub(super) async fn drop_user(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        user: &UserId,
        audit: &NewAuditRow,
    ) -> Result<(), Failure<AccessError>> {
        let found = find_user(tx, organization, user).await?;
        let stored = found.ok_or(Failure::Refused(AccessError::NotFound))?;
        spare_last_admin(tx, organization, &stored).await?;
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE users SET removed_at = $3, updated_at = $3 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "UPDATE api_keys SET revoked_at = $3, revoked_by = $4 \
             WHERE organization = $1 AND user_id = $2 AND revoked_at IS NULL",
        )
        .bind(organization.as_str())
        .bind(user.as_str())
        .bind(micros(now))
        .bind(audit.origin.actor.id())
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(())
    }
}
