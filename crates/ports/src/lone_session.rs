use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::secret::SecretString;

use crate::{AccessToken, Clock, RIGHT, RefreshRight, SessionError, Sessions, Taken, TokenWish};

/// The access token of a connection that nobody shares: one that is not stored yet. It is kept in memory, by this process's clock.
pub struct LoneSession {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    rotated: Option<SecretString>,
    /// The right that is out, and when it ends.
    right: Option<(RefreshRight, Timestamp)>,
    serial: u64,
    fence: u64,
}

struct Token {
    secret: SecretString,
    renew_at: Timestamp,
}

impl LoneSession {
    /// Without a token yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LoneSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoneSession")
    }
}

#[async_trait]
impl Sessions for LoneSession {
    async fn take(&self, wish: TokenWish) -> Result<Taken, SessionError> {
        let now = self.clock.now();
        let mut state = self.state();
        let after = match wish {
            TokenWish::Any => 0,
            TokenWish::After(serial) => serial,
        };
        if let Some(token) = &state.token
            && state.serial > after
            && token.renew_at > now
        {
            return Ok(Taken::Token(AccessToken {
                secret: token.secret.duplicate(),
                renew_at: token.renew_at,
                serial: state.serial,
            }));
        }
        if state.right.is_some_and(|(_, ends_at)| ends_at > now) {
            return Ok(Taken::Busy);
        }
        state.fence += 1;
        let right = RefreshRight {
            serial: state.serial + 1,
            fence: state.fence,
        };
        state.right = Some((right, now + RIGHT));
        Ok(Taken::Refresh(right))
    }

    async fn keep(
        &self,
        right: RefreshRight,
        secret: SecretString,
        renew_at: Timestamp,
        rotated: Option<SecretString>,
    ) -> Result<(), SessionError> {
        let mut state = self.state();
        if right.serial <= state.serial {
            return Ok(());
        }
        if rotated.is_some() {
            state.rotated = rotated;
        }
        state.serial = right.serial;
        state.token = Some(Token { secret, renew_at });
        state.right = None;
        Ok(())
    }

    async fn let_go(&self, right: RefreshRight) -> Result<(), SessionError> {
        let mut state = self.state();
        if state.right.is_some_and(|(out, _)| out == right) {
            state.right = None;
        }
        Ok(())
    }

    async fn rotated(&self) -> Result<Option<SecretString>, SessionError> {
        let state = self.state();
        Ok(state.rotated.as_ref().map(SecretString::duplicate))
    }
}
