//! The words that fields of bodies are one of, for the document. What reads them also takes other letter cases where that is
//! said.

use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// An object without fields.
pub(crate) struct Nothing;

impl PartialSchema for Nothing {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .max_properties(Some(0))
            .into()
    }
}

impl ToSchema for Nothing {}

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident as $case:literal: $($word:ident),+;)+) => {$(
        $(#[$meta])*
        #[derive(ToSchema)]
        #[schema(rename_all = $case)]
        #[expect(dead_code, reason = "documents words that are read as text")]
        pub(crate) enum $name { $($word),+ }
    )+};
}

words! {
    /// A kind of provider.
    ProviderType as "snake_case": GoogleDrive, S3, Snowflake, Sharepoint, Tigris;
    /// What a connection can be.
    ConnectionStatus as "SCREAMING_SNAKE_CASE": Active, Suspended, Failed, Archived;
    /// What a person can make of a connection.
    ConnectionWish as "SCREAMING_SNAKE_CASE": Active, Suspended, Archived;
    /// What a sync can be.
    SyncStatus as "SCREAMING_SNAKE_CASE": Active, Suspended, Completed, Archived, Failed;
    /// What a person can make of a sync.
    SyncWish as "SCREAMING_SNAKE_CASE": Active, Suspended, Paused;
    /// Whether a sync ends after its first pass.
    SyncMode as "snake_case": InitialOnly, Continuous;
    /// How a job stands.
    JobStatus as "snake_case": Running, Completed, Failed, Interrupted, Skipped;
    /// What a user's keys may allow at most.
    Role as "snake_case": Admin, Member, Viewer;
    /// How a user stands.
    UserStatus as "snake_case": Active, Suspended, Pending;
    /// What a person can make of a key.
    KeyWish as "snake_case": Active, Revoked;
    /// What a key may do.
    Permission as "snake_case": Read, Write, Delete, Admin;
}
