use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{Event, PublicStatus, Transition};
use wharf_domain::error_code::Counting;
use wharf_domain::health::{
    Availability, AvailabilitySummary, CheckCause, CheckRecord, NewCheckRecord,
};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::time_text;
use wharf_ports::{CheckLease, CheckRepository, RecordError, RepositoryError};

use crate::clock::{DAY, micros};
use crate::error::{Failure, Fault};
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};
use crate::{audit, connections};

/// How many checks a connection has.
pub(crate) const COUNT: &str =
    "SELECT COUNT(*) FROM connection_checks WHERE organization = $1 AND connection = $2";

/// A page of them.
pub(crate) const LIST: &str = "SELECT id, connection, cause, started_at, ms, report, status, at FROM connection_checks \
     WHERE organization = $1 AND connection = $2 AND (at, id) < ($3, $4) ORDER BY at DESC, id DESC LIMIT $5 OFFSET $6";

macro_rules! counted {
    ($name:literal, $outcome:literal, $since:literal) => {
        concat!(
            "COUNT(*) FILTER (WHERE outcome = '",
            $outcome,
            "' AND at > ",
            $since,
            ") AS ",
            $outcome,
            "_",
            $name
        )
    };
}

macro_rules! stretch {
    ($name:literal, $since:literal) => {
        concat!(
            counted!($name, "passed", $since),
            ", ",
            counted!($name, "failed", $since),
            ", ",
            counted!($name, "undecided", $since),
            ", "
        )
    };
}

/// What the history amounts to: of the day, of the week and of the month.
pub(crate) const AVAILABILITY: &str = concat!(
    "SELECT ",
    stretch!("day", "$3"),
    stretch!("week", "$4"),
    stretch!("month", "$5"),
    "MAX(at) FILTER (WHERE outcome = 'passed') AS last_passed_at, \
     MAX(at) FILTER (WHERE outcome = 'failed') AS last_failed_at \
     FROM connection_checks WHERE organization = $1 AND connection = $2"
);

/// The word for what a check says of its connection, whatever is wrong with a path.
fn outcome(report: &CheckReport) -> &'static str {
    match report.of_connection().counting() {
        None => "passed",
        Some(Counting::Uncounted) => "undecided",
        Some(Counting::Definite | Counting::Transient) => "failed",
    }
}

fn read(row: &SqliteRow) -> Result<CheckRecord, Fault> {
    let columns = Columns::of("connection_checks", row);
    Ok(CheckRecord {
        check: NewCheckRecord {
            id: columns.parse("id")?,
            cause: columns.read("cause", CheckCause::parse)?,
            started_at: columns.time("started_at")?,
            ms: columns.number("ms")?,
            report: columns.json("report")?,
        },
        connection: columns.parse("connection")?,
        at: columns.time("at")?,
        status: columns.read("status", PublicStatus::parse)?,
    })
}

/// A check that is to be recorded, and what goes with it.
struct Recording<'a> {
    connection: &'a ConnectionId,
    lease: Option<&'a CheckLease>,
    check: NewCheckRecord,
    event: Event,
    tested: NewAuditRow,
    expiring: NewAuditRow,
}

async fn insert(
    tx: &mut Tx,
    organization: &OrganizationId,
    record: &CheckRecord,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO connection_checks (organization, id, connection, cause, started_at, ms, outcome, report, status, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(organization.as_str())
    .bind(record.check.id.as_str())
    .bind(record.connection.as_str())
    .bind(record.check.cause.as_str())
    .bind(micros(record.check.started_at))
    .bind(number(record.check.ms))
    .bind(outcome(&record.check.report))
    .bind(json(&record.check.report))
    .bind(record.status.as_str())
    .bind(micros(record.at))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a lease that is still held. Whether it was.
async fn end_lease(
    tx: &mut Tx,
    organization: &OrganizationId,
    lease: &CheckLease,
) -> Result<bool, Fault> {
    let ended = sqlx::query(
        "UPDATE connections SET check_lease_expires_at = NULL WHERE organization = $1 AND id = $2 AND check_fence = $3 \
         AND check_lease_expires_at IS NOT NULL",
    )
    .bind(organization.as_str())
    .bind(lease.connection.as_str())
    .bind(number(lease.fence))
    .execute(&mut **tx)
    .await?;
    Ok(ended.rows_affected() > 0)
}

impl Store {
    async fn record_check(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        recording: Recording<'_>,
    ) -> Result<Transition, Failure<RecordError>> {
        let now = self.now(tx).await?;
        let (id, events) = (recording.connection, vec![recording.event]);
        let (transition, _) = connections::transit(tx, organization, id, None, events, now)
            .await
            .map_err(|failure| failure.map(RecordError::from))?;
        if let Some(lease) = recording.lease
            && !(lease.connection == *id && end_lease(tx, organization, lease).await?)
        {
            return Err(Failure::Refused(RecordError::LeaseLost));
        }
        let record = CheckRecord {
            check: recording.check,
            connection: id.clone(),
            at: now,
            status: transition.connection.status(),
        };
        insert(tx, organization, &record).await?;
        audit::store(tx, organization, &transition.told_in(recording.tested), now);
        if let Some(at) = &transition.expiring {
            let row = recording.expiring.with("expires_at", time_text(at));
            audit::store(tx, organization, &row, now);
        }
        Ok(transition)
    }

    async fn release_check(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &CheckLease,
    ) -> Result<(), Fault> {
        end_lease(tx, organization, lease).await?;
        Ok(())
    }

    async fn list_checks(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        request: &PageRequest,
    ) -> Result<Page<CheckRecord>, Fault> {
        let bounds = Bounds::of(request);
        let mut reader = self.read().await?;
        let total = sqlx::query_scalar(COUNT)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .fetch_one(&mut *reader)
            .await?;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .bind(bounds.at)
            .bind(bounds.id)
            .bind(bounds.limit)
            .bind(bounds.offset)
            .fetch_all(&mut *reader)
            .await?;
        page(request, &rows, total, read, |record| PageCursor {
            created_at: record.at,
            id: record.check.id.to_string(),
        })
    }

    async fn sum_up_checks(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<AvailabilitySummary, Fault> {
        let mut reader = self.read().await?;
        let now: Timestamp = self.now(&mut reader).await?;
        let row = sqlx::query(AVAILABILITY)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .bind(micros(now - DAY))
            .bind(micros(now - 7 * DAY))
            .bind(micros(now - 30 * DAY))
            .fetch_one(&mut *reader)
            .await?;
        let columns = Columns::of("connection_checks", &row);
        let availability = |[passed, failed, undecided]: [&'static str; 3]| {
            Ok::<_, Fault>(Availability {
                passed: columns.number(passed)?,
                failed: columns.number(failed)?,
                undecided: columns.number(undecided)?,
            })
        };
        Ok(AvailabilitySummary {
            day: availability(["passed_day", "failed_day", "undecided_day"])?,
            week: availability(["passed_week", "failed_week", "undecided_week"])?,
            month: availability(["passed_month", "failed_month", "undecided_month"])?,
            last_passed_at: columns.time_optional("last_passed_at")?,
            last_failed_at: columns.time_optional("last_failed_at")?,
        })
    }
}

#[async_trait]
impl CheckRepository for Store {
    async fn record(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        lease: Option<&CheckLease>,
        check: NewCheckRecord,
        event: Event,
        tested: NewAuditRow,
        expiring: NewAuditRow,
    ) -> Result<Transition, RecordError> {
        let recording = Recording {
            connection,
            lease,
            check,
            event,
            tested,
            expiring,
        };
        in_transaction!(self, tx => self.record_check(&mut tx, organization, recording))
            .map_err(Failure::into_port)
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        lease: &CheckLease,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, tx => self.release_check(&mut tx, organization, lease))?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        page: &PageRequest,
    ) -> Result<Page<CheckRecord>, RepositoryError> {
        Ok(self.list_checks(organization, connection, page).await?)
    }

    async fn availability(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<AvailabilitySummary, RepositoryError> {
        Ok(self.sum_up_checks(organization, connection).await?)
    }
}
