//! One stream of bytes out of as many answers as it takes.
//!
//! A body that breaks is asked for again from where it broke, in the version that the first answer gave. What comes is
//! believed only if it says that it is that version and that part of it. Nothing is kept but the piece that is passing.

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use wharf_domain::error_code::ErrorCode;
use wharf_egress::EgressError;
use wharf_ports::{ByteStream, ProviderError};

use super::patience::Patience;
use super::proof::Proof;
use super::source::Source;
use super::version::{another_part, changed, start, total};
use crate::error::{Call, Fault};
use crate::wire::Failure;

/// An object, and the first answer with it.
pub(super) struct Unbroken {
    pub(super) source: Source,
    /// How many bytes there must be, if that is known.
    pub(super) size: Option<u64>,
    pub(super) proof: Proof,
    pub(super) bytes: BoxStream<'static, Result<Bytes, Failure>>,
    pub(super) call: Call,
}

/// An object on its way.
struct Passing {
    object: Unbroken,
    received: u64,
    /// How many of the next bytes have been received before.
    repeated: u64,
    patience: Patience,
}

impl Unbroken {
    /// The bytes, ending in an error unless they are all there and right.
    pub(super) fn stream(self) -> ByteStream {
        let start = Passing {
            object: self,
            received: 0,
            repeated: 0,
            patience: Patience::default(),
        };
        stream::try_unfold(start, Passing::step).boxed()
    }
}

impl Passing {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, ProviderError> {
        match self.next().await {
            Ok(Some(chunk)) => Ok(Some((chunk, self))),
            Ok(None) => match self.object.proof.complaint() {
                None => Ok(None),
                Some(words) => Err(mismatch(words).during(&self.object.call)),
            },
            Err(fault) => Err(fault.during(&self.object.call)),
        }
    }

    /// The next bytes, or nothing after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let fault = match self.object.bytes.next().await {
                Some(Ok(chunk)) => match self.new_in(chunk) {
                    chunk if chunk.is_empty() => continue,
                    chunk => return self.pass(chunk).map(Some),
                },
                // Whatever became of the connection after the last byte.
                Some(Err(_)) if self.object.size == Some(self.received) => return Ok(None),
                Some(Err(failure)) => broken(failure),
                None if self.may_end() => return Ok(None),
                None => cut_short(),
            };
            self.take_up(fault).await?;
        }
    }

    /// What of a chunk was not received before.
    fn new_in(&mut self, mut chunk: Bytes) -> Bytes {
        let length = chunk.len() as u64;
        let repeated = usize::try_from(self.repeated.min(length)).unwrap_or(chunk.len());
        chunk.advance(repeated);
        self.repeated = self.repeated.saturating_sub(length);
        chunk
    }

    fn pass(&mut self, chunk: Bytes) -> Result<Bytes, Fault> {
        self.received += chunk.len() as u64;
        if self.object.size.is_some_and(|size| self.received > size) {
            return Err(mismatch("the object is longer than the listing told"));
        }
        self.object.proof.update(&chunk);
        Ok(chunk)
    }

    fn may_end(&self) -> bool {
        self.repeated == 0 && self.object.size.is_none_or(|size| self.received == size)
    }

    /// Goes on where the stream stopped, after a pause, or gives up with the last of the faults.
    async fn take_up(&mut self, mut fault: Fault) -> Result<(), Fault> {
        // Without anything to recognize the version by, only the very beginning can be asked for again.
        while self.received == 0 || self.object.source.version.is_known() {
            let Some(pause) = self.patience.pause(self.received, &fault) else {
                break;
            };
            tokio::time::sleep(pause).await;
            match self.reopen().await {
                Ok(()) => return Ok(()),
                Err(again) => fault = again,
            }
        }
        Err(fault)
    }

    async fn reopen(&mut self) -> Result<(), Fault> {
        let opened = self.object.source.rest(self.received).await?;
        if !self.object.source.version.is_of(&opened) {
            return Err(changed());
        }
        let total = total(&opened);
        if self.object.size.is_some() && total.is_some() && self.object.size != total {
            return Err(changed());
        }
        self.repeated = match start(&opened) {
            Some(start) if start == self.received => 0,
            // Not every store knows ranges: the whole comes again.
            Some(0) => self.received,
            _ => return Err(another_part()),
        };
        self.object.size = self.object.size.or(total);
        self.object.bytes = opened.bytes;
        Ok(())
    }
}

/// What a body that broke means.
fn broken(failure: Failure) -> Fault {
    let cut = match &failure {
        Failure::Corrupt => return cut_short(),
        failure => matches!(failure, Failure::Egress(EgressError::Broken { .. })),
    };
    let fault = Fault::from(failure);
    let words = format!("{} in the middle of the object", fault.words);
    if cut { fault.worded(words) } else { fault }
}

fn cut_short() -> Fault {
    mismatch("the object was cut short")
}

fn mismatch(words: &str) -> Fault {
    Fault::new(ErrorCode::IntegrityMismatch, words)
}
