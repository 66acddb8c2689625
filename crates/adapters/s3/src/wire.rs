//! The SDK, and the only place that knows its types: its calls, their answers and their failures in our own words.

mod about;
mod ambient;
mod checksum;
mod failure;
mod head;
mod listings;
mod object;
mod page;
mod paths;
mod probes;
mod signing;
mod sts;
mod tags;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::DateTime as SdkTime;
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::DateTime;
use wharf_aws::PlainManners;
use wharf_domain::Timestamp;
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_domain::secret::SecretString;
use wharf_egress as egress;

pub(crate) use self::about::About;
pub(crate) use self::checksum::Checksum;
pub(crate) use self::failure::{Failure, Hint, Refused};
use self::listings::WholeListings;
pub(crate) use self::object::{Condition, Headed, ObjectRequest, Opened};
pub(crate) use self::page::{Listed, Page, PageRequest, Position};
use self::paths::InPath;
pub(crate) use self::probes::Ahead;
pub(crate) use self::signing::Signer;
pub(crate) use self::sts::{AssumeRole, Sts, StsPlace};
pub(crate) use self::tags::Tagged;
use crate::roles::Access;
use crate::store::Store;

/// An access key, on its way to the signatures.
pub(crate) struct AccessKey {
    pub(crate) id: String,
    pub(crate) secret: SecretString,
    pub(crate) session_token: Option<SecretString>,
}

/// The calls, to one store with one key.
pub(crate) struct Wire {
    store: Store,
    /// Where the store answers, unless that is AWS.
    endpoint: Option<EndpointUrl>,
    http: egress::Client,
    by_host: Client,
    by_path: Client,
}

impl Wire {
    /// `stand_in` answers in AWS's place, and is asked by path only.
    pub(crate) fn new(
        store: &Store,
        stand_in: Option<&EndpointUrl>,
        access: &Access,
        http: egress::Client,
    ) -> Self {
        let session_over = signing::SessionOver(access.clone());
        let endpoint = stand_in.or(store.endpoint.as_ref()).cloned();
        let tls = stand_in.map_or(store.tls, |url| url.scheme() == Scheme::Https);
        let signer = Signer::of_account(access.clone());
        let mut config = aws_sdk_s3::Config::builder();
        config.set_endpoint_url(endpoint.as_ref().map(ToString::to_string));
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(store.region.as_str().to_owned()))
            .credentials_provider(signer.credentials)
            .identity_cache(signer.cache)
            .disable_s3_express_session_auth(true)
            .http_client(wharf_aws::http_client(http.clone(), tls))
            // Whoever calls decides about trying again, and the guarded client knows when to give up.
            .retry_config(signing::attempts(access))
            .retry_classifier(session_over.clone())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            // The SDK knows one answer at a time; the whole object, over however many, is verified by whoever reads it.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .interceptor(PlainManners)
            .interceptor(session_over)
            .interceptor(WholeListings);
        let by_host = Client::from_conf(config.clone().force_path_style(false).build());
        let by_path = match &endpoint {
            Some(endpoint) => config.endpoint_resolver(InPath::at(endpoint)),
            None => config.force_path_style(true),
        };
        let by_path = Client::from_conf(by_path.build());
        Self {
            store: store.clone(),
            by_host: if stand_in.is_some() {
                by_path.clone()
            } else {
                by_host
            },
            by_path,
            http,
            endpoint,
        }
    }

    /// Where the store answers, unless that is AWS.
    pub(crate) fn endpoint(&self) -> Option<&EndpointUrl> {
        self.endpoint.as_ref()
    }

    /// When the certificate runs out that the store has shown, unless that is AWS's own matter.
    pub(crate) fn certificate_expires_at(&self) -> Option<Timestamp> {
        self.endpoint.as_ref()?;
        DateTime::from_timestamp(self.http.certificate_expires_at()?, 0)
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
