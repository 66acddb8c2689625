//! The time the lab goes by.

use chrono::{DateTime, Utc};

#[expect(
    clippy::disallowed_methods,
    reason = "a provider dates what it is given and ends sessions by its own clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
