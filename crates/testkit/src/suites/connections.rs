//! What [`ConnectionRepository`](wharf_ports::ConnectionRepository) promises.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::connection::{
    AttemptResult, Connection, ConnectionFilter, ConnectionIdentifier, Edit, Event, Health, Intent,
    NewConnection, PublicStatus, SealedCredentials, TRIP_AFTER, TransitionError,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::ConnectionId;
use wharf_domain::job::JobStatus;
use wharf_domain::page::PageRequest;
use wharf_domain::provider::{CredentialType, Provider};
use wharf_domain::sync::SyncState;
use wharf_ports::{ApplyError, InsertError, RunError};

use crate::{Harness, LONG, Tenant, build, paging};

fn by_id(connection: &Connection) -> ConnectionIdentifier {
    ConnectionIdentifier::Id(connection.id.clone())
}

fn by_name(name: &str) -> ConnectionIdentifier {
    ConnectionIdentifier::Name(build::connection_name(name))
}

fn rename(name: &str) -> Event {
    Event::Edit(Box::new(Edit {
        name: Some(build::connection_name(name)),
        ..Edit::default()
    }))
}

async fn insert(h: &Harness, tenant: &Tenant<'_>, name: &str) -> Result<Connection, InsertError> {
    let new = build::connection(&h.ids, &tenant.organization, &tenant.admin, name);
    h.repositories
        .connections
        .insert(new, h.audit(Action::ConnectionCreated))
        .await
}

async fn try_apply(
    h: &Harness,
    tenant: &Tenant<'_>,
    connection: &ConnectionId,
    if_revision: Option<u64>,
    events: Vec<Event>,
) -> Result<Connection, ApplyError> {
    let audit = vec![h.audit(Action::ConnectionUpdated)];
    let connections = &h.repositories.connections;
    let applied = connections
        .apply(&tenant.organization, connection, if_revision, events, audit)
        .await;
    applied.map(|transition| transition.connection)
}

pub async fn a_connection_is_read_back_unchanged(h: Harness) {
    let acme = h.tenant("acme").await;
    let new = NewConnection {
        write_enabled: true,
        ..build::connection(
            &h.ids,
            &acme.organization,
            &acme.admin,
            "Café / 'store' \"1\"; --",
        )
    };
    let connections = &h.repositories.connections;
    let stored = connections
        .insert(new.clone(), h.audit(Action::ConnectionCreated))
        .await
        .unwrap();
    assert_eq!(stored, Connection::create(new, stored.created_at));
    assert_eq!(
        connections
            .find(&acme.organization, &by_id(&stored))
            .await
            .unwrap()
            .as_ref(),
        Some(&stored)
    );
    let named = ConnectionIdentifier::Name(stored.name.clone());
    assert_eq!(
        connections
            .find(&acme.organization, &named)
            .await
            .unwrap()
            .as_ref(),
        Some(&stored)
    );
    assert_eq!(acme.audited(Action::ConnectionCreated).await, 1);
}

pub async fn a_name_is_unique_among_connections_that_are_not_archived(h: Harness) {
    let acme = h.tenant("acme").await;
    let first = insert(&h, &acme, "store").await.unwrap();
    let refused = insert(&h, &acme, "store").await;
    assert!(
        matches!(refused, Err(InsertError::NameTaken)),
        "{refused:?}"
    );
    assert_eq!(
        acme.audited(Action::ConnectionCreated).await,
        1,
        "the refused one brings no audit row"
    );
    insert(&h, &acme, "Store")
        .await
        .expect("names are compared exactly");
    acme.apply(&first, vec![Event::Archive]).await;
    let second = insert(&h, &acme, "store")
        .await
        .expect("the name of an archived connection is free");
    acme.apply(&second, vec![Event::Archive]).await;
    insert(&h, &acme, "store")
        .await
        .expect("any number of archived connections may have had the name");
}

pub async fn of_many_callers_at_once_one_gets_the_name(h: Harness) {
    let acme = h.tenant("acme").await;
    let tasks = (0..8).map(|_| {
        let connections = h.repositories.connections.clone();
        let new = build::connection(&h.ids, &acme.organization, &acme.admin, "store");
        let audit = h.audit(Action::ConnectionCreated);
        tokio::spawn(async move { connections.insert(new, audit).await.is_ok() })
    });
    let won = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(
        won.into_iter().filter(|won| *won.as_ref().unwrap()).count(),
        1
    );
}

pub async fn names_of_two_organizations_do_not_clash(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (first, second) = (
        insert(&h, &acme, "store").await.unwrap(),
        insert(&h, &other, "store").await.unwrap(),
    );
    for (tenant, connection) in [(&acme, first), (&other, second)] {
        let found = h
            .repositories
            .connections
            .find(&tenant.organization, &by_name("store"))
            .await
            .unwrap();
        assert_eq!(found, Some(connection));
    }
}

pub async fn a_connection_needs_an_organization(h: Harness) {
    let acme = h.tenant("acme").await;
    let new = build::connection(&h.ids, &h.ids.id(), &acme.admin, "store");
    let refused = h
        .repositories
        .connections
        .insert(new, h.audit(Action::ConnectionCreated))
        .await;
    assert!(
        matches!(refused, Err(InsertError::ParentMissing)),
        "{refused:?}"
    );
}

pub async fn an_archived_connection_is_found_by_identifier_only(h: Harness) {
    let acme = h.tenant("acme").await;
    let old = acme.connection("store").await;
    acme.apply(&old, vec![Event::Archive]).await;
    let connections = &h.repositories.connections;
    assert_eq!(
        connections
            .find(&acme.organization, &by_name("store"))
            .await
            .unwrap(),
        None
    );
    let found = connections
        .find(&acme.organization, &by_id(&old))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.status(), PublicStatus::Archived);
    let new = acme.connection("store").await;
    assert_eq!(
        connections
            .find(&acme.organization, &by_name("store"))
            .await
            .unwrap(),
        Some(new)
    );
}

pub async fn another_organization_neither_sees_nor_changes_a_connection(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let connection = acme.connection("store").await;
    let connections = &h.repositories.connections;
    for identifier in [by_id(&connection), by_name("store")] {
        assert_eq!(
            connections
                .find(&other.organization, &identifier)
                .await
                .unwrap(),
            None
        );
    }
    let filter = ConnectionFilter::default();
    let page = PageRequest {
        include_total: true,
        ..PageRequest::first(10)
    };
    let listed = connections
        .list(&other.organization, &filter, &page)
        .await
        .unwrap();
    assert_eq!((listed.items.len(), listed.total), (0, 0));
    for event in [Event::Suspend, Event::Archive, rename("mine")] {
        let refused = try_apply(&h, &other, &connection.id, None, vec![event]).await;
        assert!(matches!(refused, Err(ApplyError::NotFound)), "{refused:?}");
    }
    assert_eq!(acme.stored_connection(&connection).await, connection);
    assert_eq!(other.audited(Action::ConnectionUpdated).await, 0);
    let unknown = try_apply(&h, &acme, &h.ids.id(), None, vec![Event::Suspend]).await;
    assert!(matches!(unknown, Err(ApplyError::NotFound)), "{unknown:?}");
}

/// One connection in every state, named after it, and one at Tigris.
async fn one_in_every_state(h: &Harness, tenant: &Tenant<'_>) {
    let suspended = tenant.connection("suspended").await;
    tenant.apply(&suspended, vec![Event::Suspend]).await;
    let failed = tenant.connection("failed").await;
    let denied = AttemptResult::Failure {
        code: ErrorCode::PermDenied,
        message: "not allowed".to_owned(),
    };
    tenant
        .apply(&failed, vec![build::outcome(&failed, denied)])
        .await;
    let archived = tenant.connection("archived").await;
    tenant.apply(&archived, vec![Event::Archive]).await;
    let tripped = tenant.connection("tripped").await;
    tenant
        .apply(&tripped, vec![build::network_failure(&tripped); 5])
        .await;
    let failing = tenant.connection("failing").await;
    tenant
        .apply(&failing, vec![build::network_failure(&failing); 4])
        .await;
    let tigris = NewConnection {
        config: build::tigris_config(),
        ..build::connection(&h.ids, &tenant.organization, &tenant.admin, "tigris")
    };
    h.repositories
        .connections
        .insert(tigris, h.audit(Action::ConnectionCreated))
        .await
        .unwrap();
}

pub async fn all_conditions_of_a_filter_must_hold(h: Harness) {
    let acme = h.tenant("acme").await;
    one_in_every_state(&h, &acme).await;
    let names = async |filter: ConnectionFilter| {
        let page = PageRequest {
            include_total: true,
            ..PageRequest::first(100)
        };
        let listed = h
            .repositories
            .connections
            .list(&acme.organization, &filter, &page)
            .await
            .unwrap();
        assert_eq!(
            listed.total,
            listed.items.len() as u64,
            "the total counts matches only"
        );
        let mut names: Vec<_> = listed
            .items
            .iter()
            .map(|c| c.name.as_str().to_owned())
            .collect();
        names.sort();
        names
    };
    let everything = ConnectionFilter::default();
    let everyone = [
        "archived",
        "failed",
        "failing",
        "suspended",
        "tigris",
        "tripped",
    ];
    assert_eq!(
        names(everything.clone()).await,
        everyone,
        "archived ones included"
    );
    let of = |status| ConnectionFilter {
        status: Some(status),
        ..ConnectionFilter::default()
    };
    assert_eq!(names(of(PublicStatus::Active)).await, ["failing", "tigris"]);
    assert_eq!(
        names(of(PublicStatus::Suspended)).await,
        ["suspended", "tripped"]
    );
    assert_eq!(names(of(PublicStatus::Failed)).await, ["failed"]);
    assert_eq!(names(of(PublicStatus::Archived)).await, ["archived"]);
    let active = |is_active| ConnectionFilter {
        is_active: Some(is_active),
        ..ConnectionFilter::default()
    };
    assert_eq!(names(active(true)).await, ["failing", "tigris"]);
    assert_eq!(
        names(active(false)).await,
        ["archived", "failed", "suspended", "tripped"]
    );
    let provider = ConnectionFilter {
        provider: Some(Provider::Tigris),
        ..everything
    };
    assert_eq!(names(provider.clone()).await, ["tigris"]);
    assert_eq!(
        names(ConnectionFilter {
            is_active: Some(false),
            ..provider
        })
        .await,
        [""; 0]
    );
    assert_eq!(
        names(ConnectionFilter {
            is_active: Some(true),
            ..of(PublicStatus::Failed)
        })
        .await,
        [""; 0]
    );
}

pub async fn connections_are_listed_newest_first_in_pages(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    other.connection("theirs").await;
    for name in ["one", "two", "three", "four", "five"] {
        h.moment().await;
        acme.connection(name).await;
    }
    let filter = ConnectionFilter {
        provider: Some(Provider::S3),
        ..ConnectionFilter::default()
    };
    paging::walk(5, async |page| {
        h.repositories
            .connections
            .list(&acme.organization, &filter, &page)
            .await
            .unwrap()
    })
    .await;
}

pub async fn events_are_folded_in_order_as_one_step(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    h.moment().await;
    let events = vec![
        Event::Suspend,
        rename("renamed"),
        Event::Activate { tested: false },
        Event::Suspend,
    ];
    let applied = acme.apply(&connection, events).await;
    assert!(applied.changed);
    let first_and_last = Some((PublicStatus::Active, PublicStatus::Suspended));
    assert_eq!(
        applied.status_change, first_and_last,
        "the first status and the last"
    );
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        stored, applied.connection,
        "what is returned is what is stored"
    );
    assert_eq!(
        (stored.name.as_str(), stored.intent),
        ("renamed", Intent::Suspended)
    );
    assert_eq!(
        (stored.epoch, stored.revision),
        (connection.epoch + 3, connection.revision + 4)
    );
    assert!(
        stored.updated_at > connection.updated_at,
        "stamped by the database's clock"
    );
    assert_eq!(acme.audited(Action::ConnectionUpdated).await, 1);
    assert_eq!(
        acme.trail().await[0].changes["status"],
        json!({"from": "ACTIVE", "to": "SUSPENDED"}),
        "the audit row tells the change"
    );

    let events = vec![Event::Activate { tested: false }, Event::Suspend];
    let there_and_back = acme.apply(&connection, events).await;
    assert_eq!(
        (there_and_back.changed, there_and_back.status_change),
        (true, None)
    );
    assert_eq!(there_and_back.connection.epoch, stored.epoch + 2);
}

pub async fn nothing_is_stored_when_nothing_changes(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    h.moment().await;
    let idle = vec![
        Event::Activate { tested: false },
        Event::Edit(Box::default()),
        rename("store"),
    ];
    let applied = acme.apply(&connection, idle).await;
    assert_eq!((applied.changed, applied.status_change), (false, None));
    assert_eq!(applied.connection, connection);
    assert_eq!(
        acme.stored_connection(&connection).await,
        connection,
        "updated_at stays too"
    );
    acme.apply(&connection, vec![Event::Archive]).await;
    assert!(
        !acme.apply(&connection, vec![Event::Archive]).await.changed,
        "archiving again changes nothing"
    );
    assert_eq!(
        acme.audited(Action::ConnectionUpdated).await,
        1,
        "the first archiving's"
    );
}

pub async fn a_refused_event_undoes_the_events_before_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let mut events = vec![build::network_failure(&connection); 5];
    events.push(Event::Activate { tested: false });
    let refused = try_apply(&h, &acme, &connection.id, None, events).await;
    assert!(
        matches!(
            refused,
            Err(ApplyError::Transition(TransitionError::TestRequired))
        ),
        "{refused:?}"
    );
    let refused = try_apply(
        &h,
        &acme,
        &connection.id,
        None,
        vec![Event::Archive, Event::Suspend],
    )
    .await;
    assert!(
        matches!(
            refused,
            Err(ApplyError::Transition(TransitionError::Archived))
        ),
        "{refused:?}"
    );
    assert_eq!(acme.stored_connection(&connection).await, connection);
    assert_eq!(acme.audited(Action::ConnectionUpdated).await, 0);
}

pub async fn a_stale_revision_is_refused(h: Harness) {
    let acme = h.tenant("acme").await;
    let read = acme.connection("store").await;
    let revision = Some(read.revision);
    let changed = try_apply(&h, &acme, &read.id, revision, vec![rename("first")])
        .await
        .unwrap();
    let refused = try_apply(&h, &acme, &read.id, revision, vec![rename("second")]).await;
    assert!(
        matches!(refused, Err(ApplyError::RevisionConflict)),
        "{refused:?}"
    );
    assert_eq!(acme.stored_connection(&read).await, changed);
    assert_eq!(acme.audited(Action::ConnectionUpdated).await, 1);
    try_apply(
        &h,
        &acme,
        &read.id,
        Some(changed.revision),
        vec![rename("second")],
    )
    .await
    .unwrap();
}

pub async fn a_new_name_must_be_free(h: Harness) {
    let acme = h.tenant("acme").await;
    let (store, taken) = (
        acme.connection("store").await,
        acme.connection("taken").await,
    );
    let refused = try_apply(
        &h,
        &acme,
        &store.id,
        None,
        vec![Event::Suspend, rename("taken")],
    )
    .await;
    assert!(matches!(refused, Err(ApplyError::NameTaken)), "{refused:?}");
    assert_eq!(acme.stored_connection(&store).await, store);
    acme.apply(&taken, vec![Event::Archive]).await;
    try_apply(&h, &acme, &store.id, None, vec![rename("taken")])
        .await
        .expect("archived ones free their name");
}

pub async fn every_field_of_an_edit_is_stored(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let sealed = SealedCredentials(vec![9; 300]);
    let edit = Edit {
        name: Some(build::connection_name("renamed")),
        description: Some(None),
        metadata: Some(serde_json::Map::new()),
        write_enabled: Some(true),
        config: Some((
            build::tigris_config(),
            CredentialType::AccessKey,
            sealed.clone(),
        )),
        tested: true,
    };
    acme.apply(&connection, vec![Event::Edit(Box::new(edit))])
        .await;
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        (
            stored.name.as_str(),
            &stored.description,
            stored.write_enabled
        ),
        ("renamed", &None, true)
    );
    assert_eq!(
        (
            stored.metadata.len(),
            stored.sealed,
            stored.credential_version
        ),
        (0, Some(sealed), 2)
    );
    assert_eq!(stored.config, build::tigris_config());
}

pub async fn outcomes_at_the_same_time_are_all_counted(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let tasks = (0..TRIP_AFTER).map(|_| {
        let (connections, organization) = (
            h.repositories.connections.clone(),
            acme.organization.clone(),
        );
        let (id, event) = (connection.id.clone(), build::network_failure(&connection));
        let audit = vec![h.audit(Action::ConnectionFailed)];
        tokio::spawn(async move {
            connections
                .apply(&organization, &id, None, vec![event], audit)
                .await
                .unwrap()
        })
    });
    for applied in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        assert!(applied.unwrap().changed);
    }
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        stored.health,
        Health::Tripped {
            consecutive_failures: TRIP_AFTER
        }
    );
    assert_eq!(stored.last_error.as_deref(), Some("no answer in time"));
    assert_eq!(
        acme.audited(Action::ConnectionFailed).await,
        TRIP_AFTER as usize
    );
}

pub async fn a_definite_failure_and_a_use_are_read_back(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let denied = AttemptResult::Failure {
        code: ErrorCode::PermDenied,
        message: "not allowed".to_owned(),
    };
    let failed = acme
        .apply(&connection, vec![build::outcome(&connection, denied)])
        .await
        .connection;
    let stored = acme.stored_connection(&connection).await;
    assert_eq!((&stored, stored.health.definite()), (&failed, true));
    let used = build::outcome(&failed, AttemptResult::Success { used: true });
    acme.apply(&connection, vec![used]).await;
    let stored = acme.stored_connection(&connection).await;
    assert_eq!((stored.health, stored.last_error), (Health::Healthy, None));
    assert!(stored.last_used_at.is_some());
}

pub async fn archiving_drops_the_credentials(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let applied = acme.apply(&connection, vec![Event::Archive]).await;
    assert_eq!(applied.connection.sealed, None);
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        (stored.status(), stored.sealed),
        (PublicStatus::Archived, None)
    );
}

pub async fn archiving_stops_the_syncs_of_the_connection(h: Harness) {
    let acme = h.tenant("acme").await;
    let at_work = acme.run().await;
    let waiting = acme.sync(&at_work.bucket, &at_work.connection).await;
    let untouched = acme
        .sync(&at_work.bucket, &acme.connection("another").await)
        .await;
    acme.apply(&at_work.connection, vec![Event::Archive]).await;

    for sync in [&at_work.sync, &waiting] {
        let stored = acme.stored_sync(sync).await;
        assert_eq!(stored.state, SyncState::ConnectionArchived);
        assert_eq!(
            (stored.next_run_at, stored.lease, stored.queued_job),
            (None, None, None)
        );
    }
    let skipped = &acme.jobs(&waiting.id).await[0];
    assert_eq!(skipped.status, JobStatus::Skipped);
    assert!(skipped.completed_at.is_some());
    for (job, status) in [
        (&skipped.id, "skipped"),
        (&at_work.lease.job, "interrupted"),
    ] {
        let end = (status.to_owned(), "connection_archived".to_owned());
        assert_eq!(acme.audited_ends(job).await, [end]);
    }
    assert_ne!(
        at_work.job().await.status,
        JobStatus::Running,
        "nobody could end it any more"
    );
    let lost = h
        .repositories
        .runs
        .load(&acme.organization, &at_work.lease)
        .await;
    assert!(
        matches!(lost, Err(RunError::LeaseLost)),
        "leases are void: {lost:?}"
    );

    assert_eq!(
        h.lease(LONG).await.sync,
        untouched.id,
        "a sync through another connection goes on"
    );
    assert_eq!(h.try_lease(LONG).await, None);
}
