use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use crate::ApiState;
use crate::authorization::drain;
use crate::error::ApiError;
use crate::network::Peer;
use crate::path::Segments;

/// The header that carries the channel's word.
const WORD: &str = "x-goog-channel-token";
/// The header that tells what happened; `sync` is that the channel is open.
const STATE: &str = "x-goog-resource-state";
/// Most characters of a channel's name, and of its word.
const LONGEST: usize = 256;

/// Take news of changes
///
/// For the provider that watches a sync's source. The sync runs at once; what has changed is asked of the provider, and nothing that
/// is sent here is believed.
#[utoipa::path(
    post,
    path = "/v1/hooks/{channel}",
    operation_id = "ring_channel",
    tag = "syncs",
    params(
        ("channel" = String, Path, description = "As the provider was told."),
        ("x-goog-channel-token" = Option<String>, Header, description = "The channel's word."),
        ("x-goog-resource-state" = Option<String>, Header, description = "`sync` is the greeting of a new channel: nothing is due then."),
    ),
    responses((status = 204, description = "The sync is due; or the greeting was heard.")),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn ring(
    State(state): State<ApiState>,
    Segments(channel): Segments<String>,
    Peer(peer): Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    drain(body).await;
    let word = word(&headers).filter(|_| is_name(&channel));
    let engine = state.engine();
    let known = match word {
        None => false,
        Some(word) if greets(&headers) => engine.knows_channel(&channel, word).await?,
        Some(word) => engine.ring_channel(&channel, word).await?,
    };
    if known {
        return Ok(StatusCode::NO_CONTENT);
    }
    state.count_guess(peer)?;
    let message = "There is no such channel, or its word is another one.";
    Err(ApiError::not_found(message, "channel", &channel))
}

/// Whether the provider only says that the channel is open, with no news.
fn greets(headers: &HeaderMap) -> bool {
    headers.get(STATE).is_some_and(|state| state == "sync")
}

/// The word, if it is there once.
fn word(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(WORD).iter();
    let word = given.next()?.to_str().ok()?;
    (given.next().is_none() && (1..=LONGEST).contains(&word.len())).then_some(word)
}

/// Whether there can be a channel of that name.
fn is_name(channel: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    channel.len() <= LONGEST && channel.bytes().all(plain)
}
