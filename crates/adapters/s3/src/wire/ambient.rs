//! The identity of the machine that Wharf runs on: environment, profiles, container or instance, in the SDK's own order.
//!
//! It is read over a client that serves nothing else, and only where the operator wrote `ambient`. Nothing that a tenant
//! configures gets here, and nothing else of Wharf looks at any of these places.

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::config::BehaviorVersion;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;

#[derive(Debug, Default)]
pub(super) struct Ambient {
    chain: OnceCell<SharedCredentialsProvider>,
}

impl Ambient {
    async fn chain(&self) -> Result<&SharedCredentialsProvider, CredentialsError> {
        self.chain
            .get_or_try_init(|| async {
                let http = aws_smithy_http_client::Builder::new()
                    .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                    .build_https();
                let surroundings = aws_config::defaults(BehaviorVersion::latest())
                    .http_client(http)
                    .load()
                    .await;
                surroundings
                    .credentials_provider()
                    .ok_or_else(CredentialsError::not_loaded_no_source)
            })
            .await
    }
}

impl ProvideCredentials for Ambient {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.chain().await?.provide_credentials().await })
    }
}
