//! One connection from its first byte to its end.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::pulse::{HEAD, IDLE, Pulse, Verdict};
use super::requests::Requests;
use super::stream::{Protocol, Stream};

/// How often signs of life are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// More than the API takes, so that it can say so in its own words; beyond this, hyper answers with a bare status.
const MOST_HEADERS: usize = 256;
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Requests at a time on a connection with HTTP/2.
const STREAMS: u32 = 128;
/// Streams that a client may open and reset in one go.
const RESETS: usize = 64;
/// How often a client with HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// Bytes of a stream that wait to be sent.
const UNSENT: usize = 64 * 1024;

/// Serves a connection until it has ended, or until it is slow or idle for too long.
pub(super) async fn look_after(
    tcp: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    // Small events leave at once.
    let _ = tcp.set_nodelay(true);
    let pulse = Arc::new(Pulse::new(Instant::now()));
    let recognized = tokio::select! {
        recognized = timeout(HEAD, Stream::recognized(tcp, Arc::clone(&pulse))) => recognized,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    let Ok(Ok(stream)) = recognized else { return };
    let protocol = stream.protocol();
    let requests = Requests {
        router,
        peer,
        protocol,
        pulse: Arc::clone(&pulse),
    };
    let io = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .max_headers(MOST_HEADERS)
                .max_header_size(MOST_HEAD_BYTES)
                .max_buf_size(MOST_HEAD_BYTES)
                .serve_connection(io, requests);
            until_its_end(pin!(connection), &pulse, stopped).await;
        }
        Protocol::Http2 => {
            let most = u32::try_from(MOST_HEAD_BYTES).expect("a small number");
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(most)
                .max_pending_accept_reset_streams(RESETS)
                .max_local_error_reset_streams(RESETS)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .max_send_buf_size(UNSENT)
                .serve_connection(io, requests);
            until_its_end(pin!(connection), &pulse, stopped).await;
        }
    }
}

/// A connection that can be told to end when its requests have.
trait Retire: Future {
    fn retire(self: Pin<&mut Self>);
}

impl Retire for http1::Connection<TokioIo<Stream>, Requests> {
    fn retire(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Retire for http2::Connection<TokioIo<Stream>, Requests, TokioExecutor> {
    fn retire(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn until_its_end<C: Retire>(
    mut connection: Pin<&mut C>,
    pulse: &Pulse,
    mut stopped: watch::Receiver<bool>,
) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retired = None;
    loop {
        let is_over = tokio::select! {
            // What went wrong is the client's affair.
            _ = connection.as_mut() => return,
            _ = stopped.wait_for(|stopped| *stopped), if retired.is_none() => true,
            _ = looks.tick() => match pulse.verdict(retired) {
                Verdict::Lives => false,
                Verdict::Retires => true,
                Verdict::IsCut => return,
            },
        };
        if is_over && retired.is_none() {
            connection.as_mut().retire();
            retired = Some(Instant::now());
        }
    }
}
