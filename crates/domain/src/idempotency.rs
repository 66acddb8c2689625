//! Requests that may be sent again: what a request claims with its `Idempotency-Key`, and what became of it.

use crate::audit::ResourceType;

/// A request's claim on its key. Whoever holds it may take effect; taking effect and noting it on the claim are one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which key, of which caller, on which route: 64 hex digits of a keyed hash over all of these.
    pub id: String,
    /// Which of the attempts with that key, in order; a claim that was taken over is worth nothing any more.
    pub attempt: u64,
}

/// An answer that was given, to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status, 200 to 299.
    pub status: u16,
    /// The body, JSON text without any secret.
    pub body: String,
}

/// What a request with a key finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody was here before, or nothing came of it: go on.
    Granted(Claim),
    /// The first request is still at work.
    Running,
    /// The key was used for something else.
    OtherRequest,
    /// It was answered.
    Answered(StoredAnswer),
    /// It took effect, but its answer is not kept: it holds a secret, is too large, or the process ended before it was stored.
    TookEffect {
        /// What kind of thing it was done to.
        resource_type: ResourceType,
        /// To which one.
        resource_id: String,
    },
}
