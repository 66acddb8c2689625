//! Organizations, their users and their API keys. A caller and an operator do the same things here; what bounds them is in
//! their [`Mandate`](crate::Mandate).

mod api_keys;
mod authenticate;
mod organization;
mod users;

use wharf_ports::AccessError;

use crate::EngineError;

pub use api_keys::{
    BOOTSTRAP_KEY_NAME, CreateApiKey, IssuedApiKey, UpdateApiKey, key_fingerprint, new_api_key,
};
pub(crate) use authenticate::KeyUses;
pub use organization::UpdateOrganization;
pub use users::{CreateUser, UpdateUser, UserFilter};

/// The code of a change that somebody else's came in between of.
const CHANGED: &str = "changed_meanwhile";

/// Tries a change up to three times, each time on what is stored by then.
macro_rules! retried {
    ($attempt:expr) => {{
        let mut tries = 1;
        loop {
            match $attempt.await {
                Err($crate::EngineError::Conflict { code, .. })
                    if code == super::CHANGED && tries < 3 => {}
                done => break done,
            }
            tries += 1;
        }
    }};
}
use retried;

fn last_admin() -> EngineError {
    EngineError::conflict(
        "last_admin",
        "No other active admin would remain with a key to act with; make another user an admin, and issue them an admin key \
         without scopes, first.",
    )
}

/// A change's failure: `missing` says what was not there, `taken` what a clash of names means.
fn change_failed(error: AccessError, missing: EngineError, taken: EngineError) -> EngineError {
    match error {
        AccessError::NotFound => missing,
        AccessError::NameTaken => taken,
        AccessError::LastAdmin => last_admin(),
        AccessError::Conflict => EngineError::conflict(
            CHANGED,
            "It was changed by somebody else at the same time; read it again and repeat the change.",
        ),
        AccessError::Repository(error) => error.into(),
    }
}
