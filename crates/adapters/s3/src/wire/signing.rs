//! Where the SDK gets its keys from: from here alone, never from its surroundings, and asked for every single request.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_s3::config::{IdentityCache, SharedIdentityCache};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef, InterceptorContext,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::retry::{ErrorKind, ReconnectMode, RetryConfig};

use super::AccessKey;
use super::ambient::Ambient;
use crate::error::Fault;
use crate::roles::Access;

/// The signatures of a client.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    pub(super) credentials: SharedCredentialsProvider,
    pub(super) cache: SharedIdentityCache,
}

impl Signer {
    /// An account's, with whatever its access gives at the time.
    pub(crate) fn of_account(access: Access) -> Self {
        Self {
            credentials: SharedCredentialsProvider::new(OfAccount(access)),
            cache: IdentityCache::no_cache(),
        }
    }

    /// A fixed key's.
    pub(crate) fn of_key(key: &AccessKey) -> Self {
        Self {
            credentials: SharedCredentialsProvider::new(credentials(key)),
            cache: IdentityCache::no_cache(),
        }
    }

    /// Those of the machine that Wharf runs on. Nothing is looked up before the first signature.
    pub(crate) fn ambient() -> Self {
        Self {
            credentials: SharedCredentialsProvider::new(Ambient::default()),
            cache: IdentityCache::lazy().build(),
        }
    }
}

fn credentials(key: &AccessKey) -> Credentials {
    let token = key
        .session_token
        .as_ref()
        .map(|token| token.expose().to_owned());
    Credentials::new(&key.id, key.secret.expose(), token, None, "wharf")
}

struct OfAccount(Access);

impl fmt::Debug for OfAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfAccount")
    }
}

impl ProvideCredentials for OfAccount {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            match self.0.key().await {
                Ok(key) => Ok(credentials(&key)),
                Err(fault) => Err(CredentialsError::provider_error(NotSignedIn(fault))),
            }
        })
    }
}

/// A fault on its way through the SDK.
#[derive(Debug, thiserror::Error)]
#[error("not signed in")]
pub(super) struct NotSignedIn(Fault);

impl NotSignedIn {
    /// The fault behind an error of the SDK, if it is one of signing in.
    pub(super) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Fault> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(Self(fault)) = error.downcast_ref() {
                return Some(fault);
            }
            cause = error.source();
        }
        None
    }
}

/// Requests are tried once, and under a role once more when the store says that the session is over.
pub(super) fn attempts(access: &Access) -> RetryConfig {
    let config = if access.is_renewable() {
        RetryConfig::standard()
            .with_max_attempts(2)
            .with_initial_backoff(Duration::ZERO)
    } else {
        RetryConfig::disabled()
    };
    config.with_reconnect_mode(ReconnectMode::ReuseAllConnections)
}

/// Has a session replaced that the store no longer accepts, and the request tried again.
#[derive(Clone)]
pub(super) struct SessionOver(pub(super) Access);

impl fmt::Debug for SessionOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionOver")
    }
}

/// The id of the key that the request at hand is signed with.
#[derive(Debug)]
struct SignedWith(String);

impl Storable for SignedWith {
    type Storer = StoreReplace<Self>;
}

impl Intercept for SessionOver {
    fn name(&self) -> &'static str {
        "SessionOver"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let signature = context.request().headers().get("authorization");
        let key = signature
            .and_then(|signature| signature.split_once("Credential="))
            .and_then(|(_, credential)| credential.split('/').next());
        if let Some(id) = key {
            config
                .interceptor_state()
                .store_put(SignedWith(id.to_owned()));
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(SignedWith(id)) = config.load::<SignedWith>()
            && context.response().is_some_and(says_session_is_over)
        {
            self.0.reject(id);
        }
        Ok(())
    }
}

impl ClassifyRetry for SessionOver {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        if context.response().is_some_and(says_session_is_over) {
            RetryAction::retryable_error(ErrorKind::ClientError)
        } else {
            RetryAction::RetryForbidden
        }
    }

    fn name(&self) -> &'static str {
        "SessionOver"
    }

    // Before all others, none of which is heeded when it forbids.
    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_before(RetryClassifierPriority::http_status_code_classifier())
    }
}

fn says_session_is_over(answer: &HttpResponse) -> bool {
    const CODES: [&str; 4] = [
        "<Code>ExpiredToken</Code>",
        "<Code>InvalidToken</Code>",
        "<Code>TokenRefreshRequired</Code>",
        "<Code>InvalidAccessKeyId</Code>",
    ];
    let text = answer
        .body()
        .bytes()
        .filter(|_| answer.status().is_client_error())
        .and_then(|body| std::str::from_utf8(body).ok());
    text.is_some_and(|text| CODES.iter().any(|code| text.contains(code)))
}
