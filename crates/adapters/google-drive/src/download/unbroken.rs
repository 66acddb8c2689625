//! One stream of bytes out of as many answers as it takes.
//!
//! A body that breaks is asked for again from where it broke, after a look whether the file is in the same version. Nothing is kept
//! but the piece that is passing.

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};
use wharf_domain::error_code::ErrorCode;
use wharf_ports::{ByteStream, ProviderError};

use super::another_part;
use super::patience::Patience;
use super::proof::Proof;
use super::source::{Source, chunks};
use crate::error::{Call, Fault};
use crate::wire::Failure;

/// A file, and the first answer with it.
pub(super) struct Unbroken {
    pub(super) source: Source,
    /// How many bytes there must be, if that is known.
    pub(super) size: Option<u64>,
    pub(super) proof: Proof,
    pub(super) bytes: BoxStream<'static, Result<Bytes, Failure>>,
    pub(super) call: Call,
}

/// A file on its way.
struct Passing {
    file: Unbroken,
    received: u64,
    /// How many of the next bytes have been received before.
    repeated: u64,
    patience: Patience,
}

impl Unbroken {
    /// The bytes, ending in an error unless they are all there and right.
    pub(super) fn stream(self) -> ByteStream {
        let start = Passing {
            file: self,
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
            Ok(None) => Ok(None),
            Err(fault) => Err(fault.during(&self.file.call)),
        }
    }

    /// The next bytes, or nothing after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let fault = match self.file.bytes.next().await {
                Some(Ok(chunk)) => match self.new_in(chunk) {
                    chunk if chunk.is_empty() => continue,
                    chunk => return self.pass(chunk).await.map(Some),
                },
                // Whatever became of the connection after the last byte.
                Some(Err(_)) if self.file.size == Some(self.received) => {
                    return self.end().await;
                }
                Some(Err(failure)) => Fault::from(failure),
                None if self.may_end() => return self.end().await,
                None => mismatch("the file was cut short"),
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

    async fn pass(&mut self, chunk: Bytes) -> Result<Bytes, Fault> {
        self.received += chunk.len() as u64;
        if self.file.size.is_some_and(|size| self.received > size) {
            self.file.source.expect_same().await?;
            return Err(mismatch("the file is longer than Drive told"));
        }
        self.file.proof.update(&chunk);
        Ok(chunk)
    }

    fn may_end(&self) -> bool {
        self.repeated == 0 && self.file.size.is_none_or(|size| self.received == size)
    }

    /// After the last byte: whether they were the right ones. Where no checksum tells, the version does.
    async fn end(&mut self) -> Result<Option<Bytes>, Fault> {
        let holds = self.file.proof.holds();
        if holds == Some(true) {
            return Ok(None);
        }
        self.file.source.expect_same().await?;
        match holds {
            None => Ok(None),
            Some(_) => Err(mismatch(
                "the bytes do not match the checksum that Drive tells of the file",
            )),
        }
    }

    /// Goes on where the stream stopped, after a pause, or gives up with the last of the faults.
    async fn take_up(&mut self, mut fault: Fault) -> Result<(), Fault> {
        while self.file.source.goes_on(self.received) {
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
        let opened = self.file.source.rest(self.received).await?;
        self.repeated = match opened.range {
            // The whole comes again.
            None => self.received,
            Some(range) if range.from == self.received => 0,
            Some(_) => return Err(another_part()),
        };
        self.file.bytes = chunks(opened.body);
        Ok(())
    }
}

fn mismatch(words: &str) -> Fault {
    Fault::new(ErrorCode::IntegrityMismatch, words)
}
