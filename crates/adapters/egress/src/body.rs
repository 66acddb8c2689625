//! Bodies that notice silence: an answer's, which gives up after it, and a request's, which reports progress.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::{EgressError, Waiting};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer. It fails when no byte came for a while, however long the whole may take.
#[derive(Debug)]
pub struct Body(Watched<Incoming>);

impl Body {
    pub(crate) fn new(incoming: Incoming, target: String, idle: Duration) -> Self {
        Self(Watched::new(incoming, target, idle))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A body under an idle limit. The limit runs only while the reader waits: a slow reader is not silence.
#[derive(Debug)]
struct Watched<B> {
    inner: B,
    target: String,
    idle: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> Watched<B> {
    fn new(inner: B, target: String, idle: Duration) -> Self {
        Self {
            inner,
            target,
            idle,
            alarm: None,
            waiting: false,
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let starts = !std::mem::replace(&mut self.waiting, true);
        let deadline = Instant::now() + self.idle;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if starts {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }
}

impl<B> http_body::Body for Watched<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = false;
            return Poll::Ready(
                frame.map(|frame| {
                    frame.map_err(|error| EgressError::exchange(&this.target, &error))
                }),
            );
        }
        ready!(this.poll_alarm(cx));
        Poll::Ready(Some(Err(EgressError::Timeout {
            target: this.target.clone(),
            waiting: Waiting::Body,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// When a request last moved: it was begun, or a piece of its body was taken for sending.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    begun: Instant,
    moved_after_ms: Arc<AtomicU64>,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            moved_after_ms: Arc::default(),
        }
    }

    fn moved(&self) {
        let after = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_after_ms.store(after, Ordering::Relaxed);
    }

    /// Resolves once nothing moved for `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let moved = Duration::from_millis(self.moved_after_ms.load(Ordering::Relaxed));
            let deadline = self.begun + moved + limit;
            if Instant::now() >= deadline {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// Larger pieces of a request are handed on in pieces of this size, so that its progress shows.
const PIECE: usize = 64 * 1024;

/// The body of a request, of whatever kind, on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    inner: UnsyncBoxBody<Bytes, BoxError>,
    /// What is left of a large piece.
    rest: Bytes,
    progress: Progress,
}

impl Outgoing {
    pub(crate) fn new<B>(body: B, progress: Progress) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            inner: body.map_err(Into::into).boxed_unsync(),
            rest: Bytes::new(),
            progress,
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => {
                        this.progress.moved();
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                end => {
                    this.progress.moved();
                    return Poll::Ready(end);
                }
            }
        }
        this.progress.moved();
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{Stream, StreamExt, stream};
    use http_body::Body as _;
    use http_body_util::{Full, StreamBody};
    use tokio::time::sleep;

    use super::*;

    const IDLE: Duration = Duration::from_secs(30);

    fn piece() -> Frame<Bytes> {
        Frame::data(Bytes::from_static(b"x"))
    }

    /// One piece after each pause, then silence for good.
    fn paced(
        pauses: &[u64],
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
        stream::iter(pauses.to_vec())
            .then(|pause| async move {
                sleep(Duration::from_secs(pause)).await;
                Ok(piece())
            })
            .chain(stream::pending())
    }

    fn watched(
        pauses: &[u64],
    ) -> impl http_body::Body<Data = Bytes, Error = EgressError> + Unpin + use<> {
        Watched::new(StreamBody::new(paced(pauses).boxed()), "h:1".into(), IDLE)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_goes_silent_fails_after_the_idle_limit() {
        let begun = Instant::now();
        let mut body = watched(&[]);
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "h:1 went silent in the middle of its answer"
        );
        assert_eq!(begun.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_that_keeps_coming_is_read_to_its_last_piece() {
        let begun = Instant::now();
        let mut body = watched(&[29, 29, 29, 29]);
        for _ in 0..4 {
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(begun.elapsed().as_secs(), 4 * 29);
        body.frame().await.unwrap().unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), 4 * 29 + 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_not_taken_for_a_silent_sender() {
        let mut body = watched(&[1, 1]);
        body.frame().await.unwrap().unwrap();
        sleep(Duration::from_hours(1)).await;
        body.frame().await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_stalls_only_once_its_body_stopped_moving() {
        let progress = Progress::begin();
        let mut upload = Outgoing::new(
            StreamBody::new(paced(&[20, 20, 20]).boxed()),
            progress.clone(),
        );
        let sending = async { while upload.frame().await.is_some() {} };
        tokio::select! {
            () = sending => unreachable!("the body never ends"),
            () = progress.stalled(IDLE) => {}
        }
        assert_eq!(progress.begun.elapsed().as_secs(), 3 * 20 + 30);
    }

    #[tokio::test]
    async fn a_large_piece_of_an_upload_goes_out_in_small_ones() {
        let whole: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 7).collect();
        let body = Full::new(Bytes::from(whole.clone()));
        let mut upload = Outgoing::new(body, Progress::begin());
        let mut together = Vec::new();
        while !upload.is_end_stream() {
            assert_eq!(
                upload.size_hint().exact(),
                Some((whole.len() - together.len()) as u64)
            );
            let piece = upload.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            together.extend_from_slice(&piece);
        }
        assert_eq!(together, whole);
    }
}
