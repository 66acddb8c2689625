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

/// A change's failure: `missing` says what was not there, `taken` what a clash of names means.
fn change_failed(error: AccessError, missing: EngineError, taken: EngineError) -> EngineError {
    match error {
        AccessError::NotFound => missing,
        AccessError::NameTaken => taken,
        AccessError::LastAdmin => EngineError::conflict(
            "last_admin",
            "The user is the organization's last active admin; make another user an admin first.",
        ),
        AccessError::Repository(error) => error.into(),
    }
}
