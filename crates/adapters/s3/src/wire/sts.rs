//! STS, the service that hands out sessions: two calls.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::{BehaviorVersion, Region as SdkRegion, StalledStreamProtectionConfig};
use aws_smithy_types::retry::{ReconnectMode, RetryConfig};
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::DateTime;
use wharf_aws::PlainManners;
use wharf_domain::Timestamp;
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_domain::secret::SecretString;
use wharf_egress as egress;

use super::{AccessKey, Failure, Signer, failure};

/// Where STS answers.
#[derive(Debug, Clone)]
pub(crate) struct StsPlace {
    pub(crate) region: Region,
    /// What stands in AWS's place.
    pub(crate) stand_in: Option<EndpointUrl>,
    pub(crate) http: egress::Client,
}

/// STS in one region, asked by one identity.
#[derive(Debug, Clone)]
pub(crate) struct Sts(Client);

/// What role is to be assumed, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AssumeRole<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) session_name: &'a str,
    pub(crate) seconds: i32,
}

impl Sts {
    pub(crate) fn new(place: &StsPlace, signer: Signer) -> Self {
        let tls = place
            .stand_in
            .as_ref()
            .is_none_or(|url| url.scheme() == Scheme::Https);
        let mut config = aws_sdk_sts::Config::builder();
        config.set_endpoint_url(place.stand_in.as_ref().map(ToString::to_string));
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(SdkRegion::new(place.region.as_str().to_owned()))
            .credentials_provider(signer.credentials)
            .identity_cache(signer.cache)
            .http_client(wharf_aws::http_client(place.http.clone(), tls))
            .retry_config(
                RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections),
            )
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(PlainManners);
        Self(Client::from_conf(config.build()))
    }

    /// `AssumeRole`: a session's key and when it ends.
    pub(crate) async fn assume_role(
        &self,
        wanted: AssumeRole<'_>,
    ) -> Result<(AccessKey, Timestamp), Failure> {
        let call = self
            .0
            .assume_role()
            .role_arn(wanted.role_arn)
            .set_external_id(wanted.external_id.map(ToOwned::to_owned))
            .role_session_name(wanted.session_name)
            .duration_seconds(wanted.seconds);
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        let session = answer
            .credentials
            .ok_or(Failure::Unreadable { html: false })?;
        let end = session.expiration;
        let end = DateTime::from_timestamp(end.secs(), end.subsec_nanos())
            .ok_or(Failure::Unreadable { html: false })?;
        let key = AccessKey {
            id: session.access_key_id,
            secret: SecretString::new(session.secret_access_key),
            session_token: Some(SecretString::new(session.session_token)),
        };
        Ok((key, end))
    }

    /// `GetCallerIdentity`: the ARN of whoever asks.
    pub(crate) async fn caller_identity(&self) -> Result<String, Failure> {
        let call = self.0.get_caller_identity();
        let answer = call.send().await.map_err(|error| failure::of(&error))?;
        let arn = answer.arn.filter(|arn| is_arn(arn));
        arn.ok_or(Failure::Unreadable { html: false })
    }
}

/// Whether a text can be the ARN of a user, a role or an account. It is shown to people, so nothing else may pass for one.
fn is_arn(text: &str) -> bool {
    let of_an_arn = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/:".contains(&b);
    let parts = text.splitn(6, ':').collect::<Vec<_>>();
    matches!(parts[..], ["arn", _, "iam" | "sts", "", account, _] if account.len() == 12)
        && text.len() <= 2048
        && text.bytes().all(of_an_arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_an_arn_passes_for_one() {
        for arn in [
            "arn:aws:iam::123456789012:user/team/wharf",
            "arn:aws-cn:sts::123456789012:assumed-role/wharf/i-0abc",
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::123456789012:federated-user/a+b=c,d.e@f",
        ] {
            assert!(is_arn(arn), "{arn}");
        }
        for other in [
            "",
            "arn",
            "arn:aws:iam::123456789012",
            "arn:aws:s3:::media",
            "arn:aws:iam::123:root",
            "arn:aws:iam::123456789012:user/a b",
            "arn:aws:iam::123456789012:user/<script>",
            "arn:aws:iam::123456789012:user/a\nb",
            "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/sts/aws4_request",
        ] {
            assert!(!is_arn(other), "{other}");
        }
        let long = format!("arn:aws:iam::123456789012:user/{}", "a".repeat(2048));
        assert!(!is_arn(&long));
    }
}
