//! The SDK, and the only place that knows its types: three calls, their answers and their failures in our own words.

mod checksum;
mod failure;
mod head;
mod listings;
mod object;
mod page;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::DateTime as SdkTime;
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::DateTime;
use wharf_aws::PlainManners;
use wharf_domain::Timestamp;
use wharf_domain::secret::SecretString;
use wharf_egress as egress;

pub(crate) use self::checksum::Checksum;
pub(crate) use self::failure::{Failure, Hint, Refused};
use self::listings::WholeListings;
pub(crate) use self::object::{Condition, ObjectRequest, Opened};
pub(crate) use self::page::{Listed, Page, PageRequest, Position};
use crate::store::Store;

/// An access key, on its way to the signatures.
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// The three calls, to one store with one key.
pub(crate) struct Wire {
    store: Store,
    by_host: Client,
    by_path: Client,
}

impl Wire {
    pub(crate) fn new(store: &Store, key: AccessKey, http: egress::Client) -> Self {
        let token = key
            .session_token
            .as_ref()
            .map(|token| token.expose().to_owned());
        let credentials = Credentials::new(key.id, key.secret.expose(), token, None, "connection");
        let mut config = aws_sdk_s3::Config::builder();
        config.set_endpoint_url(store.endpoint.as_ref().map(ToString::to_string));
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(store.region.as_str().to_owned()))
            .credentials_provider(credentials)
            .disable_s3_express_session_auth(true)
            .http_client(wharf_aws::http_client(http, store.tls))
            // Whoever calls decides about trying again, and the guarded client knows when to give up.
            .retry_config(
                RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections),
            )
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            // The SDK knows one answer at a time; the whole object, over however many, is verified by whoever reads it.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .interceptor(PlainManners)
            .interceptor(WholeListings);
        Self {
            store: store.clone(),
            by_host: Client::from_conf(config.clone().force_path_style(false).build()),
            by_path: Client::from_conf(config.force_path_style(true).build()),
        }
    }

    /// `ListBuckets`, of which only the success matters.
    pub(crate) async fn list_buckets(&self, most: Option<i32>) -> Result<(), Failure> {
        let call = self.by_path.list_buckets().set_max_buckets(most);
        call.send()
            .await
            .map(|_| ())
            .map_err(|error| failure::of(&error))
    }

    fn client(&self, bucket: &str) -> &Client {
        if self.store.names_bucket_in_path(bucket) {
            &self.by_path
        } else {
            &self.by_host
        }
    }
}

fn timestamp(time: &SdkTime) -> Option<Timestamp> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
