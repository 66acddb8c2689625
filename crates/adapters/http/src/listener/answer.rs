//! An answer's body on its way out.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use super::pulse::AtHand;
use super::stream::Protocol;

/// Most bytes of a piece where it is looked at whether pieces are taken.
const PIECE: usize = 16 * 1024;

/// A body that keeps its request at hand until it is sent.
pub(super) struct Answer {
    body: Body,
    at_hand: AtHand,
    /// HTTP/2 holds a stream back whose client takes nothing, while others go on: whether pieces are taken shows it.
    in_pieces: bool,
    rest: Bytes,
}

impl Answer {
    pub(super) fn new(body: Body, at_hand: AtHand, protocol: Protocol) -> Self {
        Self {
            body,
            at_hand,
            in_pieces: protocol == Protocol::Http2,
            rest: Bytes::new(),
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.in_pieces {
            return Pin::new(&mut self.body).poll_frame(cx);
        }
        self.at_hand.taken();
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let end = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(end);
        self.at_hand.handed();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
