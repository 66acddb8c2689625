//! Users of the organization.

mod create;
mod delete;
mod get;
mod list;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_domain::input::{Length, Reader};

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, update::update, delete::delete))
}

/// A name that people see.
const NAME: Length = Length::new(2, 100);
/// An address of a picture.
const URL: Length = Length::new(0, 2048);

const ROLES: &str = "admin, member, viewer";
const STATUSES: &str = "active, suspended, pending";

/// Refuses control characters in a text for people.
fn plain(reader: &mut Reader, key: &'static str, text: Option<String>) -> Option<String> {
    let text = text?;
    if text.chars().any(char::is_control) {
        reader.reject(key, "string_pattern", "must not contain control characters");
        return None;
    }
    Some(text)
}

#[cfg(test)]
pub(crate) use {create::CreateUserRequest, update::UpdateUserRequest};
