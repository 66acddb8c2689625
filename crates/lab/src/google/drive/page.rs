//! Pages of a listing: tokens that are good for the same listing only, and what fault rules make of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::call::Call;
use super::super::refusal::Refusal;
use crate::fault::ListingFault;

/// Tokens are good for hours, not for ever.
const TOKEN_SECONDS: i64 = 12 * 3600;

#[derive(Serialize, Deserialize)]
struct Token {
    listing: String,
    /// The id of what was listed last, and how many were before it.
    after: String,
    offset: usize,
    issued: i64,
    /// It comes from a page a rule left empty.
    hollow: bool,
}

impl Token {
    fn encode(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        format!("~!!~{}", URL_SAFE_NO_PAD.encode(text))
    }

    fn decode(text: &str) -> Option<Self> {
        let text = URL_SAFE_NO_PAD.decode(text.strip_prefix("~!!~")?).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Whether a rule loses this id from listings and feeds.
pub(super) fn is_lost(fault: Option<&ListingFault>, id: &str) -> bool {
    match fault {
        Some(ListingFault::Omits(lost)) => lost == id,
        Some(ListingFault::LosesPercent(share)) => {
            let byte = Sha256::digest(id)[0];
            u32::from(byte) * 100 / 256 < u32::from(*share)
        }
        _ => false,
    }
}

/// How many go on a page at most.
pub(super) fn limit(fault: Option<&ListingFault>, asked: usize) -> usize {
    match fault {
        Some(ListingFault::ShortPages(most)) => asked.min((*most).max(1)),
        Some(ListingFault::Duplicates) => (asked / 2).max(1),
        _ => asked,
    }
}

pub(super) struct Page<'a, T> {
    pub(super) entries: Vec<&'a T>,
    pub(super) next: Option<String>,
}

/// The page a call asks for of all there is to list.
pub(super) fn cut<'a, T>(
    call: &Call,
    all: &[&'a T],
    id: impl Fn(&T) -> &str,
    asked: usize,
) -> Result<Page<'a, T>, Refusal> {
    let fault = call.listing.as_ref();
    let listing = listing(call);
    let given = call.text("pageToken");
    let mut start = 0;
    let mut hollow = false;
    if let Some(given) = given {
        let token = Token::decode(given)
            .filter(|token| token.listing == listing)
            .filter(|token| call.now.timestamp().saturating_sub(token.issued) < TOKEN_SECONDS)
            .ok_or_else(|| Refusal::of("invalid").about("pageToken"))?;
        start = all
            .iter()
            .position(|entry| id(entry) == token.after)
            .map_or(token.offset, |last| last + 1);
        hollow = token.hollow;
    }
    let start = start.min(all.len());
    let place = |at: usize, hollow| Token {
        listing: listing.clone(),
        after: at
            .checked_sub(1)
            .map_or_else(String::new, |last| id(all[last]).to_owned()),
        offset: at,
        issued: call.now.timestamp(),
        hollow,
    };
    if fault == Some(&ListingFault::EmptyPage) && !hollow {
        return Ok(Page {
            entries: Vec::new(),
            next: Some(place(start, true).encode()),
        });
    }
    let end = all.len().min(start + limit(fault, asked));
    let mut entries: Vec<_> = all[start..end]
        .iter()
        .copied()
        .filter(|entry| !is_lost(fault, id(entry)))
        .collect();
    let mut next = (end < all.len()).then(|| place(end, false).encode());
    match fault {
        Some(ListingFault::Duplicates) => {
            entries = entries.iter().flat_map(|entry| [*entry, *entry]).collect();
        }
        Some(ListingFault::RepeatedToken) if given.is_some() => {
            next = given.map(ToOwned::to_owned);
        }
        _ => {}
    }
    Ok(Page { entries, next })
}

/// What a token is good for: the same caller and the same question.
fn listing(call: &Call) -> String {
    let mut digest = Sha256::new();
    digest.update(call.who.email.as_bytes());
    digest.update(call.method.id);
    for name in [
        "q",
        "corpora",
        "driveId",
        "teamDriveId",
        "orderBy",
        "spaces",
    ] {
        digest.update([0]);
        digest.update(call.text(name).unwrap_or_default());
    }
    hex::encode(&digest.finalize()[..8])
}
