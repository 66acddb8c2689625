//! The official SDK over plain TCP to one lab, whatever host the URL names, with retries off.

use std::fmt;
use std::net::SocketAddr;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use http::Uri;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use wharf_lab::Lab;

struct Plain<C>(legacy::Client<C, SdkBody>);

impl<C> fmt::Debug for Plain<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpConnector for Plain<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let response = client
                .request(request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Connects to this address whatever host a URL names.
pub(crate) fn connector(address: SocketAddr) -> SharedHttpConnector {
    let connect = tower::service_fn(move |_: Uri| {
        Box::pin(async move { TcpStream::connect(address).await.map(TokioIo::new) })
    });
    SharedHttpConnector::new(Plain(
        legacy::Client::builder(TokioExecutor::new()).build(connect),
    ))
}

pub(crate) fn builder(address: SocketAddr) -> Builder {
    let connector = connector(address);
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .http_client(http_client_fn(move |_, _| connector.clone()))
}

/// A client with these credentials.
pub(crate) fn client_with(lab: &Lab, id: &str, secret: &str, token: Option<&str>) -> Client {
    let credentials = Credentials::new(id, secret, token.map(ToOwned::to_owned), None, "test");
    Client::from_conf(
        builder(lab.address())
            .credentials_provider(credentials)
            .build(),
    )
}

/// A client with the lab's own key.
pub(crate) fn client(lab: &Lab) -> Client {
    client_with(lab, lab.access_key_id(), lab.secret_access_key(), None)
}

pub(crate) async fn start() -> Lab {
    Lab::start(wharf_lab::LabConfig::default()).await.unwrap()
}

/// The error code and status of a refused call.
pub(crate) fn refusal<T: fmt::Debug, E: ProvideErrorMetadata + fmt::Debug>(
    result: Result<T, SdkError<E, HttpResponse>>,
) -> (u16, String) {
    let error = result.unwrap_err();
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    (status, error.code().unwrap_or_default().to_owned())
}

pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
