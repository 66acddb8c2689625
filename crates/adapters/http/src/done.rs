//! The answer of operations that have nothing to show.

use serde::Serialize;
use utoipa::ToSchema;

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GenericSuccessResponse)]
pub(crate) struct Done {
    /// What was done.
    #[schema(value_type = String)]
    message: &'static str,
    /// Always true.
    success: bool,
}

impl Done {
    pub(crate) fn told(message: &'static str) -> Self {
        Self {
            message,
            success: true,
        }
    }
}
