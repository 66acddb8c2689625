//! Sound values with nothing special about them. Change the public fields that a test is about.

use std::time::Duration;

use serde_json::{Map, Value, json};
use wharf_domain::access::{ApiKeyHash, Email, Grant, Permission, Role, UserProfile, UserStatus};
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::bucket::{BucketName, NewBucket};
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::{
    AttemptOutcome, AttemptResult, Connection, ConnectionName, Event, NewConnection,
    SealedCredentials,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::event::{EventCursor, EventType};
use wharf_domain::filter::FileFilters;
use wharf_domain::health::{CheckCause, LONGEST_BACKOFF, NewCheckRecord};
use wharf_domain::idempotency::Claim;
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId, UserId};
use wharf_domain::job::JobPhase;
use wharf_domain::mapping::Mapped;
use wharf_domain::namespace::{NamespaceName, NewNamespace};
use wharf_domain::object::{BlobKey, Content, SourceFacts, SourceId};
use wharf_domain::provider::{
    CredentialType, NewProviderConfig, Provider, ProviderConfig, parse_new,
};
use wharf_domain::run::catalogue::Span;
use wharf_domain::run::commit::{Commit, FailedFile, Put};
use wharf_domain::run::deletes::LetGo;
use wharf_domain::sync::{Checkpoint, Cursor, NewSync, Order, PassKind, Pipeline, SyncSettings};
use wharf_domain::webhook::{
    Delivery, DeliveryHealth, SealedChannels, Settlement, WebhookSettings,
};
use wharf_domain::{Metadata, Timestamp};
use wharf_ports::{IdSource, NewApiKey, NewOrganization, NewUser};

use crate::SeededIds;
use crate::trail::outcome_of;

/// The authority that [`source`] names.
pub const AUTHORITY: &str = "s3.example.test";

/// An organization with its admin and namespace `default`.
pub fn organization(ids: &SeededIds, name: &str) -> NewOrganization {
    NewOrganization {
        id: ids.id(),
        name: name.to_owned(),
        admin: user(ids, "admin@example.test", Role::Admin),
        default_namespace: ids.id(),
    }
}

/// A user.
pub fn user(ids: &SeededIds, email: &str, role: Role) -> NewUser {
    NewUser {
        id: ids.id(),
        email: address(email),
        profile: UserProfile {
            name: email.to_owned(),
            avatar_url: None,
            role,
            status: UserStatus::Active,
            metadata: Metadata::new(),
        },
    }
}

/// An e-mail address.
pub fn address(text: &str) -> Email {
    Email::parse(text).expect("a good address")
}

/// An admin key without an end.
pub fn api_key(ids: &SeededIds, user: &UserId, name: &str) -> NewApiKey {
    let mut hash = [0; 32];
    ids.fill(&mut hash);
    NewApiKey {
        id: ids.id(),
        user: user.clone(),
        name: name.to_owned(),
        prefix: "whk_abcdef".to_owned(),
        hash: ApiKeyHash(hash),
        description: String::new(),
        grant: Grant::of(Permission::Admin),
        principal_id: None,
        created_by: "operator".to_owned(),
    }
}

/// A namespace.
pub fn namespace(ids: &SeededIds, name: &str) -> NewNamespace {
    NewNamespace {
        id: ids.id(),
        name: NamespaceName::parse(name).expect("a good name"),
        description: Some("What a test needs.".to_owned()),
    }
}

/// A bucket.
pub fn bucket(ids: &SeededIds, namespace: &NamespaceId, name: &str) -> NewBucket {
    NewBucket {
        id: ids.id(),
        namespace: namespace.clone(),
        name: BucketName::parse(name).expect("a good name"),
        description: Some("What a test needs.".to_owned()),
        schema: json!({"properties": {"title": {"type": "string"}}}),
        metadata: metadata(),
    }
}

/// A connection to S3.
pub fn connection(
    ids: &SeededIds,
    organization: &OrganizationId,
    user: &UserId,
    name: &str,
) -> NewConnection {
    NewConnection {
        id: ids.id(),
        organization: organization.clone(),
        name: connection_name(name),
        description: Some("What a test needs.".to_owned()),
        config: provider_config(),
        credential_type: CredentialType::AccessKey,
        sealed: SealedCredentials(vec![0, 1, 2, 253, 254, 255]),
        write_enabled: false,
        metadata: metadata(),
        created_by: user.clone(),
        first_check_in: Duration::from_mins(5),
    }
}

/// A connection's name.
pub fn connection_name(text: &str) -> ConnectionName {
    ConnectionName::parse(text).expect("a good name")
}

/// Settings of a connection to S3.
pub fn provider_config() -> ProviderConfig {
    s3().config
}

/// Settings of a connection to S3 with an access key, which opens a
/// [`FakeProviderFactory`](crate::provider::FakeProviderFactory).
pub fn s3() -> NewProviderConfig {
    let fields = object(json!({
        "region": "eu-central-1",
        "credentials": {
            "type": "access_key",
            "access_key_id": "AKIAEXAMPLEEXAMPLE00",
            "secret_access_key": "example-secret-that-opens-nothing",
        },
    }));
    parse_new(Provider::S3, fields, "provider_config").expect("a good configuration")
}

/// Settings of a connection to Tigris.
pub fn tigris_config() -> ProviderConfig {
    let fields = object(json!({
        "credentials": { "type": "access_key", "access_key_id": "tid_example", "secret_access_key": "tsec_example" },
    }));
    parse_new(Provider::Tigris, fields, "provider_config")
        .expect("a good configuration")
        .config
}

/// A sync of everything under `media`, every five minutes.
pub fn sync(
    ids: &SeededIds,
    namespace: &NamespaceId,
    bucket: &BucketId,
    connection: &Connection,
    user: &UserId,
) -> NewSync {
    NewSync {
        id: ids.id(),
        bucket: bucket.clone(),
        namespace: namespace.clone(),
        connection: connection.id.clone(),
        settings: sync_settings(),
        created_by: user.clone(),
        first_job: ids.id(),
    }
}

/// Everything under `media`, every five minutes.
pub fn sync_settings() -> SyncSettings {
    let settings = SyncSettings::of("media/".to_owned());
    SyncSettings {
        description: Some("What a test needs.".to_owned()),
        metadata: metadata(),
        pipeline: Pipeline {
            batch_collection_ids: Some(vec!["col_example".to_owned()]),
            ingest_filter: Some(json!({"AND": []})),
            ..settings.pipeline
        },
        ..settings
    }
}

/// A file of the provider S3 under the authority [`AUTHORITY`].
pub fn source(object: &str) -> SourceId {
    SourceId {
        provider: Provider::S3,
        authority: AUTHORITY.to_owned(),
        object: object.to_owned(),
    }
}

/// What is published when a file was copied in that version that the bucket does not have.
pub fn put(
    ids: &SeededIds,
    organization: &OrganizationId,
    bucket: &BucketId,
    object: &str,
    version: &str,
) -> Put {
    Put {
        new_id: ids.id(),
        replaces: None,
        source: source(object),
        facts: SourceFacts {
            path: object.to_owned(),
            version: version.to_owned(),
            modified_at: Some(instant(1_700_000_000_123_456)),
            version_id: Some("3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned()),
            metadata: metadata(),
            tags: tags(),
        },
        content: Content {
            blob: blob_key(ids, organization, bucket),
            size_bytes: 5,
            content_type: Some("text/plain".to_owned()),
            sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824".to_owned(),
        },
        mapped: mapped(),
        lineage: String::new(),
    }
}

/// A fresh key of a blob.
pub fn blob_key(ids: &SeededIds, organization: &OrganizationId, bucket: &BucketId) -> BlobKey {
    BlobKey::new(
        organization,
        bucket,
        &ids.token(wharf_domain::ids::Alphabet::Hex, 32),
    )
}

/// A step of a run that publishes nothing.
pub fn commit(pass: u64) -> Commit {
    Commit::empty(pass, AUTHORITY.to_owned(), JobPhase::Downloading)
}

/// A file of [`source`] that could not be copied in that version, for that reason.
pub fn failed(ids: &SeededIds, object: &str, version: &str, error_type: &str) -> FailedFile {
    FailedFile {
        new_id: ids.id(),
        object: object.to_owned(),
        path: object.to_owned(),
        version: version.to_owned(),
        error_type: error_type.to_owned(),
        error_message: format!("Version {version} could not be copied: {error_type}."),
    }
}

/// The stretch of a catalogue after the one and through the other.
pub fn span(after: Option<&str>, through: Option<&str>) -> Span {
    Span {
        after: after.map(str::to_owned),
        through: through.map(str::to_owned),
    }
}

/// Source identities that sort by their bytes as they stand here, and otherwise wherever letters, scripts, case or signs are
/// given a meaning.
pub const ODD_NAMES: [&str; 24] = [
    "\u{1}",
    " a",
    "\"",
    "%",
    "%_",
    "'",
    "''",
    "-a",
    "A",
    "Z",
    "\\",
    "_",
    "a",
    "a ",
    "a%b",
    "a-b",
    "aXb",
    "a_b",
    "ab",
    "cafe\u{301}",
    "caf\u{e9}",
    "z",
    "\u{e4}",
    "\u{10ffff}",
];

/// A step that lets go of up to `limit` rows that the pass found missing.
pub fn let_go(pass: u64, limit: u32) -> LetGo {
    LetGo {
        pass,
        only_agreed: false,
        denied: Vec::new(),
        limit,
    }
}

/// Progress of a pass that is not complete, every field with something in it.
pub fn checkpoint(pass: u64) -> Checkpoint {
    Checkpoint {
        pass,
        scope: "media/ \u{1F4C1} '%_".to_owned(),
        order: Order::Sorted {
            last: Some("media/caf\u{e9}".to_owned()),
        },
        denied: vec!["media/private/".to_owned(), "media/%_'".to_owned()],
        cursor: Some(Cursor("seite 2 ✓".to_owned())),
        objects_processed: 5,
        unsettled: 2,
        extra_passes: 1,
        credential_version: 1,
        kind: PassKind::Changes,
        feed: Some(Cursor("place 7 ✓".to_owned())),
    }
}

/// An audit row by the server itself.
pub fn audit(ids: &SeededIds, action: Action) -> NewAuditRow {
    NewAuditRow {
        id: ids.id(),
        action,
        resource_type: ResourceType::Organization,
        resource_id: "any".to_owned(),
        origin: Origin::system(),
        changes: json!({}),
    }
}

/// The outcome of an attempt over a connection as it is now: a network failure.
pub fn network_failure(connection: &Connection) -> Event {
    outcome(
        connection,
        AttemptResult::Failure {
            code: ErrorCode::NetworkTimeout,
            message: "no answer in time".to_owned(),
        },
    )
}

/// The outcome of an attempt over a connection as it is now.
pub fn outcome(connection: &Connection, result: AttemptResult) -> Event {
    let (epoch, credential_version) = (connection.epoch, connection.credential_version);
    Event::Outcome {
        outcome: AttemptOutcome {
            epoch,
            credential_version,
            // Later than everything, so that failures one after the other all count.
            started_at: instant(4_000_000_000_000_000),
            result,
        },
        next: Some(LONGEST_BACKOFF),
    }
}

/// The same, found by a check of the health watch that plans no other.
pub fn checked(connection: &Connection, failure: Option<ErrorCode>) -> Event {
    let result = match failure {
        None => AttemptResult::Success { used: false },
        Some(code) => AttemptResult::Failure {
            code,
            message: "what the check found".to_owned(),
        },
    };
    Event::Checked {
        outcome: outcome_of(connection, result),
        next: None,
        expires_at: None,
    }
}

/// A check that passed, or failed with that code, every field with something in it.
pub fn check(ids: &SeededIds, failure: Option<ErrorCode>) -> NewCheckRecord {
    let second = match failure {
        None => Check::passed("list", 34),
        Some(code) => {
            let action = Some("s3:ListBucket on média".to_owned());
            Check::failed("list", code, action, "Allow it.", 34)
        }
    };
    NewCheckRecord {
        id: ids.id(),
        cause: CheckCause::Watch,
        started_at: instant(1_767_000_000_123_456),
        ms: 1234,
        report: CheckReport {
            checks: vec![
                Check::passed("configuration", 0),
                second,
                Check::skipped("read").of_path(),
            ],
        },
    }
}

/// A webhook that is told of everything, every field with something in it.
pub fn webhook(name: &str) -> WebhookSettings {
    WebhookSettings {
        name: name.to_owned(),
        event_types: vec![EventType::ObjectCreated, EventType::SyncCreated],
        all: true,
        resource_types: vec!["sync".to_owned(), "object".to_owned()],
        channels: json!([{"channel": "webhook", "configs": {"url": "https://example.test/\u{e4}", "n": 1.5}}]),
        sealed: SealedChannels(vec![0, 1, 2, 253, 254, 255]),
        secret_version: 1,
        is_active: true,
    }
}

/// A round of deliveries to a webhook that has been told everything up to this cursor, without any attempt.
pub fn settlement(cursor: EventCursor) -> Settlement {
    Settlement {
        cursor,
        attempts: 0,
        health: DeliveryHealth::default(),
        deliveries: Vec::new(),
        redelivered: Vec::new(),
        pause: Duration::ZERO,
    }
}

/// An attempt to deliver an event that was accepted.
pub fn delivery(ids: &SeededIds, event: &wharf_domain::event::Event) -> Delivery {
    Delivery {
        id: ids.id(),
        event: event.id.clone(),
        event_type: event.event_type,
        attempt: 1,
        redelivery: false,
        http_status: Some(204),
        error: None,
        ms: 12,
        at: instant(0),
    }
}

/// The same audit row, of a request that holds this claim.
pub fn claimed(row: NewAuditRow, claim: &Claim) -> NewAuditRow {
    let mut row = row;
    row.origin.claim = Some(claim.clone());
    row
}

/// What a mapping made of a file: some fields.
pub fn mapped() -> Mapped {
    serde_json::from_value(json!({"fields": metadata(), "blobs": []})).expect("a sound value")
}

/// Filters that let some files through.
pub fn file_filters() -> FileFilters {
    let fields = json!({"include_patterns": ["**/*.pdf"], "min_size_bytes": 1});
    serde_json::from_value(fields).expect("a sound value")
}

/// Tags of a file: words for words, in several scripts.
pub fn tags() -> Metadata {
    object(json!({"stufe": "höchste", "": "empty key", "empty value": ""}))
}

/// Key-value pairs of every JSON kind, nested and in several scripts.
pub fn metadata() -> Metadata {
    object(
        json!({"team": "média", "n": 7, "ratio": 0.5, "deep": {"list": [true, null, "x"]}, "": "empty key"}),
    )
}

/// An instant by its microseconds since 1970.
pub fn instant(micros: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(micros).expect("within chrono's range")
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
