//! What promises look at in chains, outboxes and histories.

use std::time::Duration;

use wharf_domain::access::{Role, User};
use wharf_domain::audit::{Action, AuditHash, AuditRow, ChainHead, NewAuditRow, link_bytes};
use wharf_domain::connection::{AttemptOutcome, AttemptResult, Connection, Event, NewConnection};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::event::{EventType, OutboxEntry};
use wharf_domain::health::{CheckRecord, NewCheckRecord};
use wharf_domain::ids::{OrganizationId, UserId};
use wharf_domain::page::PageRequest;
use wharf_domain::webhook::{Settlement, Webhook, WebhookSettings};
use wharf_ports::{AuditSeal, ChainedRow, DueCheck, DueWebhook, NewApiKey, WebhookLease};

use crate::{Harness, Tenant, TestSeal, build};

/// Follows a chain from one of its places on; panics where it is broken.
fn follow(organization: &OrganizationId, from: ChainHead, rows: &[ChainedRow]) {
    let mut before = from;
    for chained in rows {
        let row = chained.row.as_ref().expect("the row reads as one");
        let hash: AuditHash = TestSeal.link(&link_bytes(organization, &before, row.at, &row.row));
        let expected = ChainHead {
            position: before.position + 1,
            hash,
        };
        assert_eq!(chained.link, expected, "the link of {}", chained.id);
        assert_eq!(
            (row.link, row.row.id.as_str(), &row.organization),
            (chained.link, chained.id.as_str(), organization)
        );
        assert_eq!(
            row.row.origin.claim, None,
            "a claim is no part of the trail"
        );
        before = expected;
    }
}

impl Tenant<'_> {
    /// The head of the organization's chain.
    pub async fn head(&self) -> ChainHead {
        let head = self.harness.repositories.audit.head(&self.organization);
        head.await.expect("the database answers")
    }

    /// All rows of the organization's chain, oldest first, after following it from its start to its head.
    pub async fn chain(&self) -> Vec<AuditRow> {
        let audit = &self.harness.repositories.audit;
        let rows = audit
            .chain(&self.organization, 0, 10_000)
            .await
            .expect("the database answers");
        follow(&self.organization, ChainHead::EMPTY, &rows);
        let last = rows.last().map_or(ChainHead::EMPTY, |row| row.link);
        assert_eq!(self.head().await, last, "the head is the last row");
        rows.into_iter().filter_map(|chained| chained.row).collect()
    }

    /// What the organization's subscribers are told, oldest first.
    pub async fn entries(&self) -> Vec<OutboxEntry> {
        self.entries_after(0).await
    }

    /// What they are told behind a place.
    pub async fn entries_after(&self, position: u64) -> Vec<OutboxEntry> {
        let events = &self.harness.repositories.events;
        let entries = events.after(&self.organization, position, 10_000);
        entries.await.expect("the database answers")
    }

    /// The types of the events behind a place, and what each happened to.
    pub async fn told_after(&self, position: u64) -> Vec<(EventType, String)> {
        let entries = self.entries_after(position).await;
        let events = entries.iter().flat_map(OutboxEntry::events);
        events
            .map(|event| (event.event_type, event.resource_id))
            .collect()
    }

    /// Lets something happen that subscribers are told of; its row.
    pub async fn happening(&self) -> NewAuditRow {
        let row = self.harness.audit(Action::SyncCreated);
        self.record(row.clone()).await;
        row
    }

    /// Stores an audit row for what changed nothing else.
    pub async fn record(&self, row: NewAuditRow) {
        let recorded = self
            .harness
            .repositories
            .audit
            .record(&self.organization, row);
        recorded.await.expect("the row is stored");
    }

    /// Stores a user.
    pub async fn user(&self, email: &str, role: Role) -> User {
        let new = build::user(&self.harness.ids, email, role);
        let audit = self.harness.audit(Action::UserCreated);
        let access = &self.harness.repositories.access;
        let stored = access.insert_user(&self.organization, new, audit).await;
        stored.expect("the user is stored")
    }

    /// Stores an admin key of a user.
    pub async fn api_key(&self, user: &UserId, name: &str) -> NewApiKey {
        let new = build::api_key(&self.harness.ids, user, name);
        let audit = self.harness.audit(Action::ApiKeyCreated);
        let access = &self.harness.repositories.access;
        access
            .insert_api_key(&self.organization, new.clone(), audit)
            .await
            .expect("the key is stored");
        new
    }

    /// Stores a webhook that is told of everything.
    pub async fn webhook(&self, name: &str) -> Webhook {
        self.webhook_with(build::webhook(name)).await
    }

    /// Stores a webhook.
    pub async fn webhook_with(&self, settings: WebhookSettings) -> Webhook {
        let audit = self.harness.audit(Action::WebhookCreated);
        let webhooks = &self.harness.repositories.webhooks;
        let id = self.harness.ids.id();
        let stored = webhooks.insert(&self.organization, id, settings, audit);
        stored.await.expect("the webhook is stored")
    }

    /// The webhook as it is stored.
    pub async fn stored_webhook(&self, webhook: &Webhook) -> Webhook {
        let webhooks = &self.harness.repositories.webhooks;
        let found = webhooks.find(&self.organization, &webhook.id).await;
        found
            .expect("the database answers")
            .expect("the webhook is there")
    }

    /// The connection's checks, newest first.
    pub async fn checks(&self, connection: &Connection) -> Vec<CheckRecord> {
        let checks = &self.harness.repositories.checks;
        let page = PageRequest::first(1000);
        let listed = checks.list(&self.organization, &connection.id, &page);
        listed.await.expect("the database answers").items
    }

    /// Stores a connection that is checked first after that time.
    pub async fn connection_to_check(&self, name: &str, first_check_in: Duration) -> Connection {
        let ids = &self.harness.ids;
        let new = NewConnection {
            first_check_in,
            ..build::connection(ids, &self.organization, &self.admin, name)
        };
        let audit = self.harness.audit(Action::ConnectionCreated);
        let connections = &self.harness.repositories.connections;
        let stored = connections.insert(new, audit).await;
        stored.expect("the connection is stored")
    }

    /// Stores a check of the connection as it is stored now that passed, or failed with that code; no further one is planned.
    pub async fn check(
        &self,
        connection: &Connection,
        failure: Option<ErrorCode>,
    ) -> NewCheckRecord {
        let connection = self.stored_connection(connection).await;
        let check = build::check(&self.harness.ids, failure);
        let event = build::checked(&connection, failure);
        let recorded = self.harness.repositories.checks.record(
            &self.organization,
            &connection.id,
            None,
            check.clone(),
            event,
            self.harness.audit(Action::ConnectionTested),
            self.harness.audit(Action::ConnectionExpiring),
        );
        recorded.await.expect("the check is stored");
        check
    }
}

impl Harness {
    /// Leases a check that is due, if one is.
    pub async fn lease_check(&self, ttl: Duration) -> Option<DueCheck> {
        let due = self.repositories.across.lease_due_check(ttl);
        due.await.expect("the database answers")
    }

    /// Leases a webhook that is due, with up to 100 entries.
    pub async fn lease_webhook(&self, ttl: Duration) -> Option<DueWebhook> {
        let due = self.repositories.across.lease_due_webhook(ttl, 100);
        due.await.expect("the database answers")
    }

    /// Ends a round of deliveries after which the next one may begin at once; whether the lease was still held.
    pub async fn settle(
        &self,
        tenant: &Tenant<'_>,
        lease: &WebhookLease,
        settlement: Settlement,
    ) -> bool {
        let webhooks = &self.repositories.webhooks;
        let settled = webhooks.settle(&tenant.organization, lease, settlement, None);
        settled.await.expect("the database answers")
    }
}

/// The outcome of an attempt over a connection as it is now, later than all others.
pub(crate) fn outcome_of(connection: &Connection, result: AttemptResult) -> AttemptOutcome {
    match build::outcome(connection, result) {
        Event::Outcome { outcome, .. } => outcome,
        other => panic!("{other:?} is no outcome"),
    }
}
