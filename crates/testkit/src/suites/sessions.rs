//! What [`SessionRepository`](wharf_ports::SessionRepository) promises.

use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::connection::{Connection, Edit, Event, SealedCredentials};
use wharf_domain::ids::OrganizationId;
use wharf_domain::provider::CredentialType;
use wharf_ports::{RIGHT, RefreshRight, StoredSession, StoredToken, TokenWish};

use crate::{Harness, Tenant, build};

const HOUR: Duration = Duration::from_hours(1);

/// A connection as somebody has opened it.
struct Opened<'a> {
    h: &'a Harness,
    organization: &'a OrganizationId,
    connection: &'a Connection,
}

impl<'a> Opened<'a> {
    fn of(tenant: &'a Tenant<'_>, connection: &'a Connection) -> Self {
        Self {
            h: tenant.harness,
            organization: &tenant.organization,
            connection,
        }
    }

    async fn take(&self, wish: TokenWish) -> StoredSession {
        let Connection {
            id,
            credential_version,
            ..
        } = self.connection;
        let sessions = &self.h.repositories.sessions;
        sessions
            .take(self.organization, id, *credential_version, wish)
            .await
            .unwrap()
    }

    /// The right to get the next token; it must be free.
    async fn right(&self, wish: TokenWish) -> RefreshRight {
        match self.take(wish).await {
            StoredSession::Refresh(right) => right,
            other => panic!("{other:?} is no right"),
        }
    }

    async fn keep(
        &self,
        right: RefreshRight,
        token: StoredToken,
        rotated: Option<SealedCredentials>,
    ) -> bool {
        let Connection {
            id,
            credential_version,
            ..
        } = self.connection;
        let sessions = &self.h.repositories.sessions;
        sessions
            .keep(
                self.organization,
                id,
                *credential_version,
                right,
                token,
                rotated,
            )
            .await
            .unwrap()
    }

    async fn let_go(&self, right: RefreshRight) {
        let sessions = &self.h.repositories.sessions;
        sessions
            .let_go(self.organization, &self.connection.id, right)
            .await
            .unwrap();
    }
}

async fn now(h: &Harness) -> Timestamp {
    h.repositories.across.now().await.unwrap()
}

fn token(serial: u64, renew_at: Timestamp) -> StoredToken {
    StoredToken {
        sealed: vec![0, 255, u8::try_from(serial).unwrap()],
        renew_at,
        serial,
    }
}

fn sealed(byte: u8) -> SealedCredentials {
    SealedCredentials(vec![byte; 40])
}

async fn change_credentials(tenant: &Tenant<'_>, connection: &Connection) -> Connection {
    let edit = Edit {
        config: Some((
            build::provider_config(),
            CredentialType::AccessKey,
            sealed(7),
        )),
        ..Edit::default()
    };
    let events = vec![Event::Edit(Box::new(edit))];
    tenant.apply(connection, events).await.connection
}

pub async fn of_many_callers_at_once_exactly_one_gets_the_right(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    // At first there is nothing stored, then there is.
    for serial in 1..3 {
        let tasks = (0..16).map(|_| {
            let sessions = h.repositories.sessions.clone();
            let (organization, id) = (acme.organization.clone(), connection.id.clone());
            tokio::spawn(async move {
                sessions
                    .take(&organization, &id, 1, TokenWish::After(serial - 1))
                    .await
                    .unwrap()
            })
        });
        let taken = futures::future::join_all(tasks.collect::<Vec<_>>()).await;
        let taken: Vec<_> = taken.into_iter().map(Result::unwrap).collect();
        let rights: Vec<_> = taken
            .iter()
            .filter_map(|taken| match taken {
                StoredSession::Refresh(right) => Some(*right),
                StoredSession::Busy => None,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(rights.len(), 1, "{taken:?}");
        assert_eq!(rights[0].serial, serial);
        let renew_at = now(&h).await + HOUR;
        let opened = Opened::of(&acme, &connection);
        assert!(opened.keep(rights[0], token(serial, renew_at), None).await);
    }
}

pub async fn a_kept_token_answers_every_wish_until_it_is_to_be_replaced(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let right = opened.right(TokenWish::Any).await;
    assert_eq!(right.serial, 1);
    assert_eq!(opened.take(TokenWish::Any).await, StoredSession::Busy);
    let first = token(1, now(&h).await + HOUR);
    assert!(opened.keep(right, first.clone(), None).await);
    for _ in 0..2 {
        let taken = opened.take(TokenWish::Any).await;
        assert_eq!(taken, StoredSession::Token(first.clone()));
    }
    let taken = opened.take(TokenWish::After(0)).await;
    assert_eq!(taken, StoredSession::Token(first));

    let right = opened.right(TokenWish::After(1)).await;
    let spent = token(2, now(&h).await);
    assert!(opened.keep(right, spent, None).await);
    assert_eq!(opened.right(TokenWish::Any).await.serial, 3);
}

pub async fn a_token_that_was_refused_is_not_given_to_whoever_wishes_a_later_one(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let right = opened.right(TokenWish::Any).await;
    let first = token(1, now(&h).await + HOUR);
    assert!(opened.keep(right, first.clone(), None).await);
    let right = opened.right(TokenWish::After(1)).await;
    assert_eq!(right.serial, 2);
    assert_eq!(opened.take(TokenWish::After(1)).await, StoredSession::Busy);
    assert_eq!(
        opened.take(TokenWish::Any).await,
        StoredSession::Token(first),
        "whoever has no complaint goes on with it"
    );
    let second = token(2, now(&h).await + HOUR);
    assert!(opened.keep(right, second.clone(), None).await);
    for wish in [TokenWish::Any, TokenWish::After(1)] {
        let taken = opened.take(wish).await;
        assert_eq!(taken, StoredSession::Token(second.clone()));
    }
}

pub async fn a_right_that_was_given_back_or_has_ended_is_given_to_another(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let first = opened.right(TokenWish::Any).await;
    opened.let_go(first).await;
    let second = opened.right(TokenWish::Any).await;
    assert!(second.fence > first.fence);
    assert_eq!(second.serial, first.serial, "there still is no token");
    opened.let_go(first).await;
    assert_eq!(
        opened.take(TokenWish::Any).await,
        StoredSession::Busy,
        "nobody gives back what is somebody else's"
    );
    h.age(RIGHT.checked_sub(Duration::from_secs(10)).unwrap())
        .await;
    assert_eq!(opened.take(TokenWish::Any).await, StoredSession::Busy);
    h.age(Duration::from_secs(11)).await;
    let third = opened.right(TokenWish::Any).await;
    assert!(third.fence > second.fence);
}

pub async fn a_token_comes_with_the_right_to_it_even_when_that_has_ended(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let right = opened.right(TokenWish::Any).await;
    h.age(RIGHT + Duration::from_secs(1)).await;
    let kept = token(1, now(&h).await + HOUR);
    assert!(
        opened.keep(right, kept.clone(), None).await,
        "nobody else has it"
    );
    let taken = opened.take(TokenWish::Any).await;
    assert_eq!(taken, StoredSession::Token(kept));
}

pub async fn what_a_right_brings_that_is_somebody_elses_by_then_is_not_kept_but_what_was_rotated(
    h: Harness,
) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let renew_at = now(&h).await + HOUR;
    let slow = opened.right(TokenWish::Any).await;
    h.age(RIGHT + Duration::from_secs(1)).await;
    let quick = opened.right(TokenWish::Any).await;
    let late = token(1, renew_at);
    assert!(!opened.keep(slow, late.clone(), Some(sealed(1))).await);
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(
        stored.sealed,
        Some(sealed(1)),
        "the old one is worth nothing"
    );
    assert_eq!(opened.take(TokenWish::Any).await, StoredSession::Busy);

    let kept = StoredToken {
        sealed: vec![4; 4],
        ..token(1, renew_at)
    };
    assert!(opened.keep(quick, kept.clone(), Some(sealed(2))).await);
    assert!(!opened.keep(slow, late, Some(sealed(3))).await);
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(stored.sealed, Some(sealed(2)), "a newer one is there");
    let taken = opened.take(TokenWish::Any).await;
    assert_eq!(taken, StoredSession::Token(kept));
}

pub async fn a_right_serves_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let renew_at = now(&h).await + HOUR;
    let right = opened.right(TokenWish::Any).await;
    assert!(
        opened
            .keep(right, token(1, renew_at), Some(sealed(1)))
            .await
    );
    let again = StoredToken {
        sealed: vec![4; 4],
        ..token(1, renew_at)
    };
    assert!(!opened.keep(right, again, Some(sealed(2))).await);
    let taken = opened.take(TokenWish::Any).await;
    assert_eq!(taken, StoredSession::Token(token(1, renew_at)));
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(stored.sealed, Some(sealed(1)));
}

pub async fn a_rotated_refresh_token_changes_the_sealed_credentials_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let right = opened.right(TokenWish::Any).await;
    let (head, renew_at) = (acme.trail().await, now(&h).await + HOUR);
    assert!(
        opened
            .keep(right, token(1, renew_at), Some(sealed(5)))
            .await
    );
    let expected = Connection {
        sealed: Some(sealed(5)),
        ..connection.clone()
    };
    assert_eq!(acme.stored_connection(&connection).await, expected);
    assert_eq!(acme.trail().await, head, "a machine's matter");
    // What was decided on the connection as it was before still is stored, and loses nothing.
    acme.apply(&connection, vec![build::network_failure(&connection)])
        .await;
    let stored = acme.stored_connection(&connection).await;
    assert_eq!(stored.sealed, Some(sealed(5)));
}

pub async fn what_earlier_credentials_brought_answers_no_wish(h: Harness) {
    let acme = h.tenant("acme").await;
    let before = acme.connection("drive").await;
    let old = Opened::of(&acme, &before);
    let renew_at = now(&h).await + HOUR;
    let right = old.right(TokenWish::Any).await;
    assert!(old.keep(right, token(1, renew_at), None).await);
    let out = old.right(TokenWish::After(1)).await;

    let after = change_credentials(&acme, &before).await;
    assert_eq!(after.credential_version, 2);
    assert_eq!(old.take(TokenWish::Any).await, StoredSession::Superseded);
    assert!(!old.keep(out, token(2, renew_at), Some(sealed(1))).await);
    let stored = acme.stored_connection(&before).await;
    assert_eq!(stored.sealed, after.sealed, "the new ones stay");

    let new = Opened::of(&acme, &after);
    let right = new.right(TokenWish::Any).await;
    assert!(
        right.serial > 1 && right.fence > out.fence,
        "the old right keeps nobody waiting, and the counters go on: {right:?}"
    );
    let second = token(right.serial, renew_at);
    assert!(new.keep(right, second.clone(), None).await);
    assert_eq!(new.take(TokenWish::Any).await, StoredSession::Token(second));
}

pub async fn an_archived_connection_has_no_token(h: Harness) {
    let acme = h.tenant("acme").await;
    let connection = acme.connection("drive").await;
    let opened = Opened::of(&acme, &connection);
    let renew_at = now(&h).await + HOUR;
    let right = opened.right(TokenWish::Any).await;
    assert!(opened.keep(right, token(1, renew_at), None).await);
    let right = opened.right(TokenWish::After(1)).await;
    let archived = acme.apply(&connection, vec![Event::Archive]).await;
    for connection in [&connection, &archived.connection] {
        let opened = Opened::of(&acme, connection);
        assert_eq!(opened.take(TokenWish::Any).await, StoredSession::Superseded);
        assert!(
            !opened
                .keep(right, token(2, renew_at), Some(sealed(1)))
                .await
        );
    }
    opened.let_go(right).await;
    assert_eq!(acme.stored_connection(&connection).await.sealed, None);
}

pub async fn tokens_are_their_own_connections_and_organizations_alone(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let (one, two) = (acme.connection("one").await, acme.connection("two").await);
    let renew_at = now(&h).await + HOUR;
    let opened = Opened::of(&acme, &one);
    let right = opened.right(TokenWish::Any).await;
    let theirs = Opened::of(&other, &one);
    assert_eq!(theirs.take(TokenWish::Any).await, StoredSession::Superseded);
    assert!(
        !theirs
            .keep(right, token(1, renew_at), Some(sealed(1)))
            .await
    );
    theirs.let_go(right).await;
    assert_eq!(opened.take(TokenWish::Any).await, StoredSession::Busy);
    assert_eq!(acme.stored_connection(&one).await, one);

    let beside = Opened::of(&acme, &two);
    assert_eq!(beside.right(TokenWish::Any).await.serial, 1);
    assert!(opened.keep(right, token(1, renew_at), None).await);
    assert_eq!(beside.take(TokenWish::Any).await, StoredSession::Busy);
}
