//! Events: what an organization's subscribers are told. Every event follows from an audit row, has its identifier from that row, and
//! is stored in the same transaction: nothing happens without its event, and no event without what it tells.

mod announce;

pub use announce::announce;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Timestamp;
use crate::audit::{ChainHead, ResourceType};
use crate::ids::{AuditId, BucketId, Id, JobId, ObjectId, OrganizationId, SyncId};
use crate::input::InvalidInput;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),* $(,)?) => {
        /// What an event tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum EventType { $($(#[$doc])* #[serde(rename = $text)] $variant),* }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

event_types! {
    /// An object arrived.
    ObjectCreated => "object.created",
    /// Objects arrived, told together.
    ObjectsCreatedBatch => "objects.created.batch",
    /// An object has other bytes.
    ObjectUpdated => "object.updated",
    /// An object became a tombstone.
    ObjectDeleted => "object.deleted",
    /// A tombstone became an object again.
    ObjectRestored => "object.restored",
    /// A connection was created.
    ConnectionCreated => "storage_connection.created",
    /// A connection was changed by a person.
    ConnectionUpdated => "storage_connection.updated",
    /// A person suspended a connection.
    ConnectionSuspended => "storage_connection.suspended",
    /// A person brought a connection back.
    ConnectionReactivated => "storage_connection.reactivated",
    /// A connection was archived.
    ConnectionArchived => "storage_connection.archived",
    /// A connection fails for a definite reason.
    ConnectionFailed => "storage_connection.failed",
    /// A connection failed five times in a row and is not tried any more.
    ConnectionTripped => "storage_connection.tripped",
    /// A failing connection works again.
    ConnectionRecovered => "storage_connection.recovered",
    /// A connection's credentials or certificate run out soon.
    ConnectionExpiring => "storage_connection.expiring",
    /// A sync was created.
    SyncCreated => "sync.created",
    /// A sync was changed.
    SyncUpdated => "sync.updated",
    /// A sync was paused.
    SyncPaused => "sync.paused",
    /// A sync was resumed.
    SyncResumed => "sync.resumed",
    /// A run of a sync was asked for.
    SyncTriggered => "sync.triggered",
    /// A sync was deleted.
    SyncDeleted => "sync.deleted",
    /// A run holds deletes back.
    DeletesHeld => "sync.deletes_held",
    /// A person approved held deletes.
    DeletesApproved => "sync.deletes_approved",
    /// A person discarded held deletes.
    DeletesDiscarded => "sync.deletes_discarded",
    /// A run began.
    JobStarted => "sync_job.started",
    /// A run ended, with or without dead letters.
    JobCompleted => "sync_job.completed",
    /// A run failed.
    JobFailed => "sync_job.failed",
    /// A run was cut off; another one goes on from there.
    JobInterrupted => "sync_job.interrupted",
    /// A run did not take place.
    JobSkipped => "sync_job.skipped",
    /// A bucket was deleted, with its syncs and objects.
    BucketDeleted => "bucket.deleted",
    /// A namespace was deleted, with its buckets, their syncs and objects.
    NamespaceDeleted => "namespace.deleted",
    /// A webhook was paused after deliveries had failed again and again.
    WebhookPaused => "webhook.paused",
}

impl EventType {
    /// Whether the published SDK's list of event types has it; reading another one fails there.
    pub fn is_known_to_sdk(self) -> bool {
        matches!(
            self,
            Self::ObjectCreated
                | Self::ObjectsCreatedBatch
                | Self::ObjectUpdated
                | Self::ObjectDeleted
        )
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| {
            let message = "is no event type; see GET /v1/organizations/events/types";
            InvalidInput::one("event_types", "enum", message)
        })
    }
}

/// An event's identifier, by which whoever gets it twice can tell: `evt_` and the audit row's hex digits, and for one of several
/// events of one row a dot and its number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EventId {
    text: String,
}

impl EventId {
    fn of(row: &AuditId, item: Option<u32>) -> Self {
        let digits = &row.as_str()[AuditId::PREFIX.len()..];
        let text = match item {
            None => format!("evt_{digits}"),
            Some(item) => format!("evt_{digits}.{item}"),
        };
        Self { text }
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The audit row that it follows from.
    pub fn audit_id(&self) -> AuditId {
        let digits = &self.text[4..20];
        format!("{}{digits}", AuditId::PREFIX)
            .parse()
            .expect("an event's digits are its audit row's")
    }
}

impl FromStr for EventId {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let refused = || {
            let message =
                "must be evt_ + 16 hex digits, and a dot and a number where there are several";
            InvalidInput::one("event_id", "string_pattern", message)
        };
        let rest = text.strip_prefix("evt_").ok_or_else(refused)?;
        let (digits, item) = match rest.split_once('.') {
            None => (rest, None),
            Some((digits, item)) => {
                let number: u32 = item.parse().map_err(|_| refused())?;
                (digits, Some(number))
            }
        };
        let row: AuditId = format!("{}{digits}", AuditId::PREFIX)
            .parse()
            .map_err(|_| refused())?;
        Ok(Self::of(&row, item))
    }
}

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectFate {
    /// It arrived, or came back from a tombstone by a run.
    Created,
    /// It has other bytes.
    Updated,
    /// It became a tombstone.
    Deleted,
    /// A person made it live again.
    Restored,
}

/// A change of one object, as the step that stored it knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChange {
    /// Which object.
    pub object_id: ObjectId,
    /// What became of it.
    pub fate: ObjectFate,
    /// Where it lies at the source.
    pub source_path: String,
    /// How large it is.
    pub size_bytes: u64,
}

/// What one transaction announces, as the outbox keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Announcement {
    /// One event.
    One {
        /// What it tells.
        event_type: EventType,
        /// The particulars: a JSON object.
        facts: Value,
    },
    /// Changes of objects of one bucket, in the order in which they took effect; several events. Whoever is told of a decision about
    /// them is told behind them, when all of it is done.
    Objects {
        /// The bucket.
        bucket_id: BucketId,
        /// The sync whose run did it.
        #[serde(default)]
        sync_config_id: Option<SyncId>,
        /// The run.
        #[serde(default)]
        sync_job_id: Option<JobId>,
        /// The changes; at least one.
        changes: Vec<ObjectChange>,
        /// What the row itself tells, behind its objects.
        #[serde(default)]
        own: Option<Told>,
    },
}

/// What one event tells, of the thing that its audit row speaks of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What it tells.
    pub event_type: EventType,
    /// The particulars: a JSON object.
    pub facts: Value,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The audit row that it follows from.
    pub audit: AuditId,
    /// Its place in the organization's order, which is the audit chain's, and the chain's head there.
    pub head: ChainHead,
    /// When it happened, by the database's clock.
    pub at: Timestamp,
    /// To what kind of thing.
    pub resource_type: ResourceType,
    /// To which one.
    pub resource_id: String,
    /// What is told.
    pub announcement: Announcement,
}

/// How far a subscriber has come in an organization's order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    /// The entry's place; all before it are done.
    pub position: u64,
    /// How many of that entry's events are done; more than it has means all.
    pub item: u32,
}

impl EventCursor {
    /// Everything up to and with this entry is done.
    pub fn past(position: u64) -> Self {
        Self {
            position,
            item: u32::MAX,
        }
    }
}

/// An event as subscribers get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// To tell repetitions by.
    pub id: EventId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where a subscriber stands who has got it.
    pub cursor: EventCursor,
    /// What it tells.
    pub event_type: EventType,
    /// When it happened.
    pub at: Timestamp,
    /// To what kind of thing.
    pub resource_type: ResourceType,
    /// To which one; events of one thing keep their order.
    pub resource_id: String,
    /// The particulars.
    pub facts: Value,
    /// The head of the organization's audit chain, for whoever wants to verify it later.
    pub head: ChainHead,
}

impl Event {
    /// The event as JSON, the same for every subscriber.
    pub fn body(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "event_type": self.event_type.as_str(),
            "timestamp": crate::time_text(&self.at),
            "internal_id": self.organization,
            "resource_type": self.resource_type.as_str(),
            "resource_id": self.resource_id,
            "data": self.facts,
            "audit_head": self.head.to_string(),
        })
    }
}

impl OutboxEntry {
    /// The events of this entry, in order: where several objects arrived together, first what tells of them together; last what the
    /// row itself tells.
    pub fn events(&self) -> Vec<Event> {
        let event =
            |item: Option<u32>, event_type, resource: (ResourceType, String), facts| Event {
                id: EventId::of(&self.audit, item),
                organization: self.organization.clone(),
                cursor: EventCursor {
                    position: self.head.position,
                    item: item.unwrap_or(0) + 1,
                },
                event_type,
                at: self.at,
                resource_type: resource.0,
                resource_id: resource.1,
                facts,
                head: self.head,
            };
        match &self.announcement {
            Announcement::One { event_type, facts } => {
                let resource = (self.resource_type, self.resource_id.clone());
                vec![event(None, *event_type, resource, facts.clone())]
            }
            Announcement::Objects {
                bucket_id,
                sync_config_id,
                sync_job_id,
                changes,
                own,
            } => {
                let facts_of = |change: &ObjectChange| {
                    json!({
                        "object_id": change.object_id,
                        "bucket_id": bucket_id,
                        "sync_config_id": sync_config_id,
                        "sync_job_id": sync_job_id,
                        "source_path": change.source_path,
                        "size_bytes": change.size_bytes,
                    })
                };
                let created: Vec<&ObjectChange> = changes
                    .iter()
                    .filter(|change| change.fate == ObjectFate::Created)
                    .collect();
                let mut events = Vec::with_capacity(changes.len() + 2);
                let next =
                    |events: &Vec<Event>| u32::try_from(events.len()).unwrap_or(u32::MAX - 1);
                if !created.is_empty() {
                    let objects: Vec<Value> = created.into_iter().map(facts_of).collect();
                    let facts = json!({
                        "bucket_id": bucket_id,
                        "sync_config_id": sync_config_id,
                        "sync_job_id": sync_job_id,
                        "count": objects.len(),
                        "objects": objects,
                    });
                    let bucket = (ResourceType::Bucket, bucket_id.to_string());
                    events.push(event(
                        Some(0),
                        EventType::ObjectsCreatedBatch,
                        bucket,
                        facts,
                    ));
                }
                for change in changes {
                    let event_type = match change.fate {
                        ObjectFate::Created => EventType::ObjectCreated,
                        ObjectFate::Updated => EventType::ObjectUpdated,
                        ObjectFate::Deleted => EventType::ObjectDeleted,
                        ObjectFate::Restored => EventType::ObjectRestored,
                    };
                    let item = Some(next(&events));
                    let object = (ResourceType::Object, change.object_id.to_string());
                    events.push(event(item, event_type, object, facts_of(change)));
                }
                if let Some(Told { event_type, facts }) = own {
                    let item = Some(next(&events));
                    let resource = (self.resource_type, self.resource_id.clone());
                    events.push(event(item, *event_type, resource, facts.clone()));
                }
                events
            }
        }
    }

    /// Those of its events that a subscriber has not got yet.
    pub fn events_after(&self, cursor: EventCursor) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.cursor > cursor);
        events
    }
}
