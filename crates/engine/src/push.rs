//! Channels through which providers push news of changes, so that a sync need not wait for its next look.
//!
//! They come and go behind complete runs. What fails about them is in the log and costs nobody a run: looking from time to time
//! is what a sync relies on. The channel of a sync that stops just runs out.

use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::ids::{Alphabet, OrganizationId};
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_domain::secret::SecretString;
use wharf_domain::sync::{Lease, PushChannel};
use wharf_ports::{OpenProvider, RunError, WatchRequest};

use crate::ring::sha256;
use crate::{Engine, EngineError};

/// How long a channel is to live; the provider may make it shorter.
const TERM: Duration = Duration::from_hours(7 * 24);

/// A channel's name and word have that many characters of a hex alphabet.
const CHANNEL: usize = 32;
const WORD: usize = 64;

/// Whose run it is, and what it reads.
pub(crate) struct Watched<'a> {
    pub(crate) organization: &'a OrganizationId,
    pub(crate) lease: &'a Lease,
    pub(crate) account: &'a OpenProvider,
    pub(crate) scope: &'a str,
    pub(crate) credential_version: u64,
}

impl Engine {
    /// Sees to it that the sync has a channel with time ahead, for what it reads and as whom it reads now, if the provider keeps any and can reach this server.
    pub(crate) async fn keep_watching(&self, watched: Watched<'_>, before: Option<PushChannel>) {
        let Some(public_url) = self.parts.settings.public_url.as_ref() else {
            return;
        };
        if !is_reached(public_url) {
            return;
        }
        let sync = &watched.lease.sync;
        match self.renew_channel(&watched, public_url, before).await {
            Ok(()) => {}
            Err(PushError::Provider(error)) => {
                tracing::warn!(%error, %sync, "the provider opens no channel for news of changes");
            }
            Err(PushError::Ours(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    %sync,
                    "a channel for news of changes is not kept"
                );
            }
        }
    }

    async fn renew_channel(
        &self,
        watched: &Watched<'_>,
        public_url: &EndpointUrl,
        before: Option<PushChannel>,
    ) -> Result<(), PushError> {
        let now = self.repositories().across.now().await;
        let now = now.map_err(EngineError::from)?;
        let alive = before.filter(|channel| channel.expires_at > now);
        if alive.as_ref().is_some_and(|channel| {
            channel.scope == watched.scope
                && channel.credential_version == watched.credential_version
                && !channel.is_ending(now)
        }) {
            return Ok(());
        }
        let Some(channel) = self.open_channel(watched, public_url, now).await? else {
            return Ok(());
        };
        let (name, resource) = (channel.channel.clone(), channel.resource.clone());
        let kept = self
            .repositories()
            .runs
            .keep_channel(watched.organization, watched.lease, Some(channel))
            .await;
        // Nobody would answer on a channel that is not kept.
        let over = match &kept {
            Err(_) => Some((name, resource)),
            Ok(()) => alive.map(|old| (old.channel, old.resource)),
        };
        if let Some((channel, resource)) = over {
            watched.account.unwatch(&channel, &resource).await?;
        }
        kept.map_err(PushError::from)
    }

    async fn open_channel(
        &self,
        watched: &Watched<'_>,
        public_url: &EndpointUrl,
        now: Timestamp,
    ) -> Result<Option<PushChannel>, PushError> {
        let name = grouped(&self.ids().token(Alphabet::Hex, CHANNEL));
        let word = SecretString::new(self.ids().token(Alphabet::Hex, WORD));
        let request = WatchRequest {
            channel: &name,
            address: &format!("{public_url}/v1/hooks/{name}"),
            token: &word,
            ttl: TERM,
        };
        let watching = watched.account.watch(watched.scope, &request).await?;
        Ok(watching.map(|watching| PushChannel {
            token_sha256: sha256(word.expose()),
            resource: watching.resource,
            scope: watched.scope.to_owned(),
            credential_version: watched.credential_version,
            began_at: now,
            expires_at: watching.expires_at,
            channel: name.clone(),
        }))
    }
}

/// Whether a provider may call there: only over TLS, or on this very machine, where simulators are.
fn is_reached(public_url: &EndpointUrl) -> bool {
    let host = public_url.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    public_url.scheme() == Scheme::Https || host == "localhost" || is_loopback
}

/// The groups of a UUID.
fn grouped(hex: &str) -> String {
    let mut groups = String::with_capacity(hex.len() + 4);
    for (at, digit) in hex.char_indices() {
        if matches!(at, 8 | 12 | 16 | 20) {
            groups.push('-');
        }
        groups.push(digit);
    }
    groups
}

/// Why a channel is not kept.
enum PushError {
    Provider(wharf_ports::ProviderError),
    Ours(EngineError),
}

impl From<wharf_ports::ProviderError> for PushError {
    fn from(error: wharf_ports::ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<EngineError> for PushError {
    fn from(error: EngineError) -> Self {
        Self::Ours(error)
    }
}

impl From<RunError> for PushError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Repository(error) => Self::Ours(error.into()),
            lost => Self::Ours(EngineError::Internal(lost.into())),
        }
    }
}
