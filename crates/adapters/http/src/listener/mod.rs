//! The door of the API: takes connections in and looks after them, so that slow and greedy ones cost the others nothing.

mod answer;
mod connection;
mod doors;
mod pulse;
mod requests;
mod stream;

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::limits::Limits;
use doors::Doors;

/// How long nobody is let in after the system refused a connection, for instance because there are no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Serves connections until `shutdown` comes, then lets the requests at hand end. Whoever does not want to wait for the slowest of
/// them drops the future, which cuts what is left.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: impl Future<Output = ()>,
) {
    let doors = Doors::new(limits);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let room = doors.room().await;
            (room, accept(&listener).await)
        };
        let (room, (stream, peer)) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        while connections.try_join_next().is_some() {}
        let Some(place) = doors.enter(room, peer.ip()) else {
            metrics::counter!("wharf_http_connections_refused_total").increment(1);
            continue;
        };
        let (router, stopped) = (router.clone(), stopped.clone());
        connections.spawn(async move {
            connection::look_after(stream, peer, router, stopped).await;
            drop(place);
        });
    }
    drop(listener);
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// The next connection. What is wrong with one of them, or with the system for now, ends nothing.
async fn accept(listener: &TcpListener) -> (TcpStream, std::net::SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                tracing::trace!(peer = %accepted.1, "a connection was taken in");
                return accepted;
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken in at the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
