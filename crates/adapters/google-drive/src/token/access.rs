//! One connection's access tokens: shared by all replicas, got by one at a time, renewed ahead of their end.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{Instant, sleep};
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::secret::SecretString;
use wharf_ports::{IdSource, RIGHT, RefreshRight, Retry, SessionError, Sessions, Taken, TokenWish};

use super::fault::SignIn;
use super::{Assertion, Granted, Token, TokenService};
use crate::error::Fault;

/// How long before its end a token is renewed, unless its life is so short that a quarter of it is less.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// How long a token that could not be renewed ahead is used before the next try.
const PAUSE: TimeDelta = TimeDelta::seconds(20);

/// Between two questions whether somebody else has got the token: at most this long.
const BETWEEN: Duration = Duration::from_millis(400);

/// Somebody else's right ends by itself, so that waiting longer is of no use.
const LONGEST_WAIT: Duration = RIGHT.saturating_add(Duration::from_secs(5));

/// What an account signs in with.
pub(crate) enum Proof {
    /// A service account's key.
    Account {
        assertion: Assertion,
        client_id: String,
    },
    /// A person's consent.
    Person {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
    },
}

/// An account's way in. Clones share it.
#[derive(Clone)]
pub(crate) struct Access(Arc<Parts>);

struct Parts {
    proof: Proof,
    service: TokenService,
    sessions: Arc<dyn Sessions>,
    ids: Arc<dyn IdSource>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The newest token that is not to be used any more.
    spent: u64,
}

struct Held {
    token: Token,
    serial: u64,
    renew_at: Timestamp,
    ends_at: Timestamp,
}

impl Held {
    /// One that was just granted.
    fn granted(token: Token, serial: u64, ends_at: Timestamp, now: Timestamp) -> Self {
        Self {
            token,
            serial,
            renew_at: ends_at - AHEAD.min((ends_at - now) / 4),
            ends_at,
        }
    }

    /// One that is known by the time it is to be replaced at: what is left until then is three quarters of its life at most,
    /// so that it lasts a third of that longer.
    fn known(token: Token, serial: u64, renew_at: Timestamp, now: Timestamp) -> Self {
        Self {
            token,
            serial,
            renew_at,
            ends_at: renew_at + AHEAD.min((renew_at - now) / 3),
        }
    }
}

impl Access {
    pub(crate) fn new(
        proof: Proof,
        service: TokenService,
        sessions: Arc<dyn Sessions>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self(Arc::new(Parts {
            proof,
            service,
            sessions,
            ids,
            state: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether there is something to sign in with.
    pub(crate) fn vet(&self) -> Result<(), Fault> {
        match &self.0.proof {
            Proof::Account { assertion, .. } => assertion.vet(),
            Proof::Person { .. } => Ok(()),
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.service.now()
    }

    /// A token to send a request with. One caller gets a new one when that is due; the others wait for it.
    pub(crate) async fn token(&self) -> Result<Token, Fault> {
        let mut state = self.0.state.lock().await;
        let now = self.0.service.now();
        if let Some(held) = &state.held
            && now < held.renew_at
        {
            return Ok(held.token.clone());
        }
        let wish = match state.spent {
            0 => TokenWish::Any,
            spent => TokenWish::After(spent),
        };
        // Nothing waits for somebody else's renewal as long as there is a token that holds.
        let patience = match &state.held {
            Some(held) if now < held.ends_at => Duration::ZERO,
            _ => LONGEST_WAIT,
        };
        let fault = match self.next(wish, patience).await {
            Ok(held) => {
                let token = held.token.clone();
                state.held = Some(held);
                return Ok(token);
            }
            Err(fault) => fault,
        };
        match &mut state.held {
            // What may pass is waited for as long as the token lasts.
            Some(held) if matches!(fault.retry, Retry::Later { .. }) && now < held.ends_at => {
                held.renew_at = (now + PAUSE).min(held.ends_at);
                Ok(held.token.clone())
            }
            _ => Err(fault),
        }
    }

    /// Has the token replaced, which Google no longer accepts, unless it has been already.
    pub(crate) async fn reject(&self, token: &Token) {
        let mut state = self.0.state.lock().await;
        if let Some(held) = &state.held
            && held.token.is(token)
        {
            state.spent = held.serial;
            state.held = None;
        }
    }

    /// Signs in as if for the first time.
    pub(crate) async fn sign_in_anew(&self) -> Result<(), Fault> {
        let mut state = self.0.state.lock().await;
        let known = match self.0.take(TokenWish::Any).await? {
            Taken::Token(known) => known.serial,
            Taken::Refresh(right) => {
                state.held = Some(self.renew(right).await?);
                return Ok(());
            }
            // Whoever is at it signs in as well as we could.
            Taken::Busy => state.spent,
        };
        let held = self.next(TokenWish::After(known), LONGEST_WAIT).await?;
        state.held = Some(held);
        Ok(())
    }

    /// The token that answers a wish, got by ourselves or, within some time, by somebody else.
    async fn next(&self, wish: TokenWish, patience: Duration) -> Result<Held, Fault> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.take(wish).await? {
                Taken::Token(known) => {
                    if let Some(token) = Token::new(known.secret) {
                        let now = self.now();
                        return Ok(Held::known(token, known.serial, known.renew_at, now));
                    }
                    return Err(Fault::new(ErrorCode::Internal, "the stored token is none"));
                }
                Taken::Refresh(right) => return self.renew(right).await,
                Taken::Busy if Instant::now() < deadline => sleep(self.0.pause()).await,
                Taken::Busy => {
                    let words = "another replica is signing in, and does not finish";
                    return Err(Fault::new(ErrorCode::NetworkTimeout, words).of_sign_in());
                }
            }
        }
    }

    /// Gets a token and keeps it for everyone, even if whoever wants it stops waiting: a refresh token that was given in
    /// place of another must not be lost.
    async fn renew(&self, right: RefreshRight) -> Result<Held, Fault> {
        let parts = Arc::clone(&self.0);
        tokio::spawn(async move { parts.renew(right).await })
            .await
            .unwrap_or_else(|_| Err(Fault::new(ErrorCode::Internal, "signing in was broken off")))
    }
}

impl Parts {
    async fn renew(&self, right: RefreshRight) -> Result<Held, Fault> {
        let granted = match self.sign_in().await {
            Ok(granted) => granted,
            Err(fault) => {
                // The right ends by itself if it cannot be given back.
                if let Err(error) = self.sessions.let_go(right).await {
                    tracing::debug!(%error, "the right to sign in was not given back");
                }
                return Err(fault);
            }
        };
        let Granted {
            token,
            expires_at,
            refresh_token,
            ..
        } = granted;
        let held = Held::granted(token, right.serial, expires_at, self.service.now());
        let is_rotated = refresh_token.is_some();
        let secret = SecretString::new(held.token.expose().to_owned());
        let kept = self
            .sessions
            .keep(right, secret, held.renew_at, refresh_token)
            .await;
        match kept {
            // What is not shared still serves us, as long as nothing is lost with it.
            Err(SessionError::Unavailable(_)) if !is_rotated => {}
            kept => kept.map_err(|error| of_session(&error))?,
        }
        Ok(held)
    }

    async fn sign_in(&self) -> Result<Granted, Fault> {
        match &self.proof {
            Proof::Account {
                assertion,
                client_id,
            } => {
                let signed = assertion.sign(self.service.now())?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", signed.expose()),
                ];
                let sign_in = SignIn::Account {
                    client_id,
                    email: assertion.email(),
                    user: assertion.user(),
                };
                self.service.ask(&form, &sign_in).await
            }
            Proof::Person {
                client_id,
                client_secret,
                refresh_token,
            } => {
                let ask = |token: SecretString| async move {
                    let form = [
                        ("grant_type", "refresh_token"),
                        ("client_id", client_id),
                        ("client_secret", client_secret.expose()),
                        ("refresh_token", token.expose()),
                    ];
                    let answer = self.service.ask(&form, &SignIn::Person).await;
                    (answer, token)
                };
                let current = self.current(refresh_token).await?;
                let (answer, used) = ask(current).await;
                match answer {
                    // A grant is dead only if nobody has put another in its place meanwhile.
                    Err(fault) if fault.code == ErrorCode::AuthReauthorizationRequired => {
                        let current = self.current(refresh_token).await?;
                        if current.expose() == used.expose() {
                            return Err(fault);
                        }
                        ask(current).await.0
                    }
                    answer => answer,
                }
            }
        }
    }

    /// The refresh token as it is now.
    async fn current(&self, opened_with: &SecretString) -> Result<SecretString, Fault> {
        let rotated = self
            .sessions
            .rotated()
            .await
            .map_err(|error| of_session(&error))?;
        Ok(rotated.unwrap_or_else(|| opened_with.duplicate()))
    }

    async fn take(&self, wish: TokenWish) -> Result<Taken, Fault> {
        self.sessions
            .take(wish)
            .await
            .map_err(|error| of_session(&error))
    }

    /// A random time, so that those who wait do not ask in step.
    fn pause(&self) -> Duration {
        let mut chance = [0; 2];
        self.ids.fill(&mut chance);
        let most = u64::try_from(BETWEEN.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(20 + u64::from(u16::from_le_bytes(chance)) * most / (1 << 16))
    }
}

fn of_session(error: &SessionError) -> Fault {
    Fault::new(ErrorCode::Internal, error.to_string())
        .retried(Retry::Later { after: None })
        .of_sign_in()
}
