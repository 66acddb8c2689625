//! Requests of one connection, passed to the router.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use tower::ServiceExt;

use super::answer::Answer;
use super::pulse::Pulse;
use super::stream::Protocol;

pub(super) struct Requests {
    pub(super) router: Router,
    pub(super) peer: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) pulse: Arc<Pulse>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let at_hand = self.pulse.asked();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let router = self.router.clone();
        let protocol = self.protocol;
        Box::pin(async move {
            let response = router.oneshot(request).await?;
            Ok(response.map(|body| Answer::new(body, at_hand, protocol)))
        })
    }
}
