use serde_json::{Value, json};

use super::{Announcement, EventType, ObjectChange, Told};
use crate::audit::{Action, NewAuditRow};
use crate::ids::{BucketId, JobId, SyncId};

/// What the storing of an audit row announces: `None` where subscribers are told nothing. `bucket` and `objects` are the changes of
/// objects that the same transaction makes; what the row itself tells comes behind them.
pub fn announce(
    row: &NewAuditRow,
    bucket: Option<&BucketId>,
    objects: Vec<ObjectChange>,
) -> Option<Announcement> {
    let own = event_type(row).map(|event_type| Told {
        event_type,
        facts: facts(row),
    });
    if let Some(bucket) = bucket
        && !objects.is_empty()
    {
        let named = |key: &str| row.changes.get(key).and_then(Value::as_str);
        return Some(Announcement::Objects {
            bucket_id: bucket.clone(),
            sync_config_id: named("sync_config_id").and_then(|id| id.parse::<SyncId>().ok()),
            sync_job_id: named("sync_job_id").and_then(|id| id.parse::<JobId>().ok()),
            changes: objects,
            own,
        });
    }
    let Told { event_type, facts } = own?;
    Some(Announcement::One { event_type, facts })
}

/// The particulars of what a row tells.
fn facts(row: &NewAuditRow) -> Value {
    let mut facts = match &row.changes {
        Value::Object(changes) => changes.clone(),
        _ => serde_json::Map::new(),
    };
    if let Some(reason) = &row.origin.reason {
        facts.insert("reason".to_owned(), json!(reason));
    }
    facts.insert("actor_id".to_owned(), json!(row.origin.actor.id()));
    Value::Object(facts)
}

fn event_type(row: &NewAuditRow) -> Option<EventType> {
    let status_now = row.changes.pointer("/status/to").and_then(Value::as_str);
    Some(match row.action {
        Action::ConnectionCreated => EventType::ConnectionCreated,
        Action::ConnectionDeleted => EventType::ConnectionArchived,
        Action::ConnectionExpiring => EventType::ConnectionExpiring,
        Action::ConnectionUpdated => match status_now {
            Some("ACTIVE") => EventType::ConnectionReactivated,
            Some("SUSPENDED") => EventType::ConnectionSuspended,
            Some("ARCHIVED") => EventType::ConnectionArchived,
            _ => EventType::ConnectionUpdated,
        },
        // Outcomes: of checks, tests and runs. Those that change nothing for anybody are not told.
        Action::ConnectionTested | Action::ConnectionFailed => match status_now {
            Some("ACTIVE") => EventType::ConnectionRecovered,
            Some("FAILED") => EventType::ConnectionFailed,
            Some("SUSPENDED") => EventType::ConnectionTripped,
            _ => return None,
        },
        Action::SyncCreated => EventType::SyncCreated,
        Action::SyncUpdated => EventType::SyncUpdated,
        Action::SyncPaused => EventType::SyncPaused,
        Action::SyncResumed => EventType::SyncResumed,
        Action::SyncTriggered => EventType::SyncTriggered,
        Action::SyncDeleted => EventType::SyncDeleted,
        Action::DeletesHeld => EventType::DeletesHeld,
        Action::DeletesApproved => EventType::DeletesApproved,
        Action::DeletesDiscarded => EventType::DeletesDiscarded,
        Action::JobStarted => EventType::JobStarted,
        Action::JobFinished => match row.changes.get("status").and_then(Value::as_str) {
            Some("completed") => EventType::JobCompleted,
            Some("failed") => EventType::JobFailed,
            Some("interrupted") => EventType::JobInterrupted,
            Some("skipped") => EventType::JobSkipped,
            _ => return None,
        },
        Action::BucketDeleted => EventType::BucketDeleted,
        Action::NamespaceDeleted => EventType::NamespaceDeleted,
        Action::WebhookPaused => EventType::WebhookPaused,
        _ => return None,
    })
}
