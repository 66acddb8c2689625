//! Every dial: resolve once, judge all answers, connect to an approved address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use url::Host;

use crate::dialer::{Dialer, TcpDialer};
use crate::endpoint::{Endpoint, Origin};
use crate::error::EgressError;
use crate::policy::Policy;
use crate::refusal::{Reason, Refusal};
use crate::resolver::{MOST_ANSWERS, Resolver, SystemResolver};
use crate::tls::TlsMode;

/// A policy with the hands to carry it out. One guard serves any number of clients.
///
/// Its policy never changes: another policy is another guard, whose clients share no connection with those of
/// this one. So no connection that is open can be one that the policy in force would not have opened.
#[derive(Debug)]
pub struct Guard {
    policy: Policy,
    resolver: Arc<dyn Resolver>,
    dialer: Arc<dyn Dialer>,
}

impl Guard {
    /// A guard on the system's resolver and plain TCP.
    pub fn new(policy: Policy) -> Self {
        Self::with(
            policy,
            Arc::new(SystemResolver::default()),
            Arc::new(TcpDialer),
        )
    }

    /// A guard on a resolver and a dialer of the caller's choice.
    pub fn with(policy: Policy, resolver: Arc<dyn Resolver>, dialer: Arc<dyn Dialer>) -> Self {
        Self {
            policy,
            resolver,
            dialer,
        }
    }

    /// The same guard, that trusts these origins, too: for the requests of the one provider in whose place an operator
    /// put them.
    #[must_use]
    pub fn trusting(&self, origins: impl IntoIterator<Item = Origin>) -> Self {
        let mut policy = self.policy.clone();
        policy.trusted_origins.extend(origins);
        Self {
            policy,
            resolver: Arc::clone(&self.resolver),
            dialer: Arc::clone(&self.dialer),
        }
    }

    /// The policy this guard carries out.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Connects to an endpoint within `limit`, of which the name service gets four fifths at most.
    pub(crate) async fn connect(
        &self,
        endpoint: &Endpoint,
        tls: TlsMode,
        limit: Duration,
    ) -> Result<TcpStream, EgressError> {
        let deadline = Instant::now() + limit;
        let addresses = self.resolve(endpoint.origin(), limit * 4 / 5).await?;
        for addr in &addresses {
            self.policy
                .admit(endpoint, *addr, tls)
                .inspect_err(|refusal| {
                    let (origin, reason) = (endpoint.origin(), refusal.reason());
                    // The address itself is for the operator's eyes only.
                    tracing::info!(%origin, address = %addr, ?reason, "egress refused");
                })?;
        }
        self.dial(endpoint.origin(), &addresses, deadline).await
    }

    async fn resolve(
        &self,
        origin: &Origin,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, EgressError> {
        let port = origin.port();
        let name = match origin.host() {
            Host::Ipv4(v4) => return Ok(vec![(*v4, port).into()]),
            Host::Ipv6(v6) => return Ok(vec![(*v6, port).into()]),
            Host::Domain(name) => name,
        };
        let unresolved = |timed_out| EgressError::Dns {
            host: name.clone(),
            timed_out,
        };
        let answers = timeout(limit, self.resolver.lookup(name, port))
            .await
            .map_err(|_| unresolved(true))?
            .map_err(|_| unresolved(false))?;
        match answers.len() {
            0 => Err(unresolved(false)),
            1..=MOST_ANSWERS => Ok(answers),
            _ => Err(Refusal::new(origin.authority(), Reason::TooManyAnswers(MOST_ANSWERS)).into()),
        }
    }

    /// Tries the addresses in turn, each with its share of the time left, so that a dead first one does not
    /// use up the time of a living second.
    async fn dial(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, EgressError> {
        let target = origin.authority();
        let mut failure = EgressError::ConnectTimeout {
            target: target.clone(),
        };
        let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for addr in addresses {
            let share = deadline.saturating_duration_since(Instant::now()) / untried.max(1);
            untried -= 1;
            failure = match timeout(share, self.dialer.connect(*addr)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => EgressError::connect(&target, error.kind()),
                Err(_) => EgressError::connect(&target, io::ErrorKind::TimedOut),
            };
        }
        Err(failure)
    }
}
