//! The token service: one form goes in, one small document comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;
use url::form_urlencoded::Serializer;
use wharf_domain::Timestamp;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::secret::SecretString;
use wharf_egress::{Body, Client, Guard, TlsMode};
use wharf_ports::Clock;
use zeroize::{Zeroize, Zeroizing};

use super::fault::{self, Denied, SignIn};
use super::{Token, is_sound};
use crate::error::{self, Fault};
use crate::wire::{OWN_NAME, date, is_html, retry_after};

/// An answer has a few hundred bytes, with an identity token a few thousand.
const LARGEST_ANSWER: usize = 64 * 1024;

/// How long the whole exchange may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Tokens that claim to hold longer are renewed earlier.
const LONGEST_LIFE: u32 = 24 * 3600;

/// What the token service gave.
pub(crate) struct Granted {
    pub(crate) token: Token,
    pub(crate) expires_at: Timestamp,
    /// What future tokens are had for; rarely another one than before.
    pub(crate) refresh_token: Option<SecretString>,
    /// What the token is good for, where that is told.
    pub(crate) scope: Option<String>,
}

/// Google's token service, or what an operator put in its place.
#[derive(Clone)]
pub(crate) struct TokenService {
    url: Url,
    http: Client,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u32,
    token_type: String,
    refresh_token: Option<String>,
    scope: Option<String>,
}

impl TokenService {
    pub(crate) fn new(url: Url, guard: Arc<Guard>, clock: Arc<dyn Clock>) -> Self {
        let http = Client::new(guard, TlsMode::Verified);
        Self { url, http, clock }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks for a token. Who signs in decides what a refusal means.
    pub(crate) async fn ask(
        &self,
        form: &[(&str, &str)],
        sign_in: &SignIn<'_>,
    ) -> Result<Granted, Fault> {
        timeout(WITHIN, self.exchange(form, sign_in))
            .await
            .unwrap_or_else(|_| {
                Err(Fault::new(
                    ErrorCode::NetworkTimeout,
                    "the token service took too long",
                ))
            })
            .map_err(Fault::of_sign_in)
    }

    async fn exchange(
        &self,
        form: &[(&str, &str)],
        sign_in: &SignIn<'_>,
    ) -> Result<Granted, Fault> {
        let request = Request::post(self.url.as_str())
            .header(USER_AGENT, OWN_NAME)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(written(form)))
            .map_err(|_| Fault::new(ErrorCode::Internal, "the request could not be made"))?;
        let answer = self.http.send(request).await.map_err(error::of_silence)?;
        let (head, body) = answer.into_parts();
        let body = read(body).await?;
        if head.status.is_success() {
            return self.granted(&head.headers, &body);
        }
        let denied = Denied::of(
            head.status.as_u16(),
            &body,
            date(&head.headers).map(|theirs| self.clock.now() - theirs),
            retry_after(&head.headers),
            is_html(&head.headers, &body),
        );
        Err(fault::of(&denied, sign_in))
    }

    fn granted(&self, headers: &HeaderMap, body: &[u8]) -> Result<Granted, Fault> {
        let unreadable = |words: &str| {
            Fault::new(ErrorCode::ProtocolUnexpectedResponse, words).remedied(error::ADDRESSES)
        };
        let answer: Answer = serde_json::from_slice(body).map_err(|_| {
            unreadable(if is_html(headers, body) {
                "a page for people came back, not an answer of the token service"
            } else {
                "the answer is none of the token service's"
            })
        })?;
        let token = Token::new(SecretString::new(answer.access_token))
            .ok_or_else(|| unreadable("the token service gave a token that is none"))?;
        let refresh_token = answer.refresh_token.map(SecretString::new);
        if !answer.token_type.eq_ignore_ascii_case("bearer") || answer.expires_in == 0 {
            return Err(unreadable("the token service gave a token of another kind"));
        }
        let life = TimeDelta::seconds(answer.expires_in.min(LONGEST_LIFE).into());
        Ok(Granted {
            token,
            expires_at: self.clock.now() + life,
            refresh_token: refresh_token.filter(|token| is_sound(token.expose())),
            scope: answer.scope,
        })
    }
}

/// The form, in memory that is wiped when it has been sent.
fn written(form: &[(&str, &str)]) -> Bytes {
    // Escaped, a text is three times as long at most: no smaller memory is left behind on the way.
    let room = form
        .iter()
        .map(|(name, value)| 3 * (name.len() + value.len()) + 2)
        .sum();
    let mut written = Serializer::new(String::with_capacity(room));
    written.extend_pairs(form);
    Bytes::from_owner(Zeroizing::new(written.finish().into_bytes()))
}

/// Reads an answer whole into memory that is wiped.
async fn read(mut body: Body) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut whole = Zeroizing::new(Vec::with_capacity(LARGEST_ANSWER));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(error::of_silence)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if whole.len() + piece.len() > LARGEST_ANSWER {
            whole.zeroize();
            return Err(Fault::new(
                ErrorCode::ProtocolUnexpectedResponse,
                "the answer is larger than any of the token service's",
            )
            .remedied(error::ADDRESSES));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}
