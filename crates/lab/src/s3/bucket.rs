//! What is peculiar about a bucket.

use serde::Deserialize;

pub(crate) const DEFAULT_REGION: &str = "us-east-1";

/// What is peculiar about a bucket: where it stands, who pays and whether it keeps versions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BucketSettings {
    /// Its region; with one, requests signed for another are refused. Without, any region will do and
    /// `us-east-1` is what the bucket says.
    pub(crate) region: Option<String>,
    pub(crate) wrong_region: WrongRegion,
    pub(crate) requester_pays: bool,
    pub(crate) versioning: Versioning,
}

/// Whether a bucket keeps the versions of its objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    /// It never did.
    #[default]
    Off,
    /// It does, and names every one.
    Enabled,
    /// It did: what comes is called `null` and replaces what is called so.
    Suspended,
}

/// How a request signed for another region is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrongRegion {
    /// 301 `PermanentRedirect` with `x-amz-bucket-region` and an endpoint.
    #[default]
    Redirect,
    /// 400 `AuthorizationHeaderMalformed`, the region in the document alone.
    Malformed,
}

impl BucketSettings {
    /// A bucket like any other.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stands in this region; requests signed for another are redirected.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Refuses requests signed for another region in this way.
    #[must_use]
    pub fn wrong_region(mut self, answer: WrongRegion) -> Self {
        self.wrong_region = answer;
        self
    }

    /// Answers `AccessDenied` unless the request says that its sender pays.
    #[must_use]
    pub fn requester_pays(mut self) -> Self {
        self.requester_pays = true;
        self
    }

    /// Keeps versions of its objects, or does so no longer.
    #[must_use]
    pub fn versioning(mut self, versioning: Versioning) -> Self {
        self.versioning = versioning;
        self
    }

    pub(crate) fn region_name(&self) -> &str {
        self.region.as_deref().unwrap_or(DEFAULT_REGION)
    }
}
