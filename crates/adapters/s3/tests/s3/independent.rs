//! S3 servers that nobody here wrote, which the environment names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation,
};
use aws_sdk_s3::types::{BucketVersioningStatus, EncodingType, VersioningConfiguration};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;
use wharf_egress::{Guard, TcpDialer, TlsMode};
use wharf_ports::OpenProvider;
use wharf_testkit::{Attached, Place};

use crate::account::{Here, open_with, policy, s3_at};

/// What a run of the tests says about one of its servers.
fn variable(server: &str, what: &str) -> String {
    let name = format!("WHARF_TEST_{server}_{what}");
    match std::env::var(&name) {
        Ok(value) if !value.is_empty() => value,
        _ => {
            let may_be_missing =
                std::env::var("WHARF_TEST_ALLOW_MISSING").is_ok_and(|value| value == "1");
            assert!(
                may_be_missing,
                "{name} is not set: run `cargo xtask test`, which starts a server for the tests"
            );
            eprintln!("not tested: {name} is not set, and may be missing");
            std::process::exit(0);
        }
    }
}

/// What a server has beside buckets of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Has {
    pub(crate) tags: bool,
    pub(crate) versions: bool,
}

/// A bucket of its own at a server.
pub(crate) struct Server {
    has: Has,
    client: Client,
    bucket: String,
    url: String,
    id: String,
    secret: String,
}

impl Server {
    pub(crate) async fn place(server: &str, has: Has) -> Box<dyn Place> {
        static BUCKETS: AtomicU32 = AtomicU32::new(0);
        let (url, id, secret) = (
            variable(server, "URL"),
            variable(server, "ACCESS_KEY_ID"),
            variable(server, "SECRET_ACCESS_KEY"),
        );
        let guard = Guard::with(policy(), Arc::new(Here), Arc::new(TcpDialer));
        let http = wharf_egress::Client::new(Arc::new(guard), TlsMode::Verified);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&url)
            .force_path_style(true)
            .credentials_provider(Credentials::new(&id, &secret, None, None, "tests"))
            .http_client(wharf_aws::http_client(http, false))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        let client = Client::from_conf(config);
        let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
        let bucket = format!("contract-{}-{number}", std::process::id());
        client.create_bucket().bucket(&bucket).send().await.unwrap();
        Box::new(Self {
            has,
            client,
            bucket,
            url,
            id,
            secret,
        })
    }
}

#[async_trait]
impl Place for Server {
    fn scope(&self) -> String {
        self.bucket.clone()
    }

    fn missing_scope(&self) -> String {
        format!("{}-is-elsewhere", self.bucket)
    }

    fn open(&self) -> OpenProvider {
        open_with(policy(), s3_at(&self.url, &self.id, &self.secret))
    }

    fn open_with_wrong_credentials(&self) -> OpenProvider {
        open_with(policy(), s3_at(&self.url, &self.id, "another-secret"))
    }

    /// Whether the server took it and says that it has it under this name. What it has under another one is taken away.
    async fn put(&self, name: &str, bytes: &[u8]) -> bool {
        // Of control characters one shows pictures, and another loses what follows them in pages of one; it also clears
        // empty folders away when it sees fit. Whoever asks sees the same.
        if name.contains(char::is_control) || name.ends_with('/') {
            return false;
        }
        let object = self.client.put_object().bucket(&self.bucket).key(name);
        if object.body(bytes.to_vec().into()).send().await.is_err() {
            return false;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.bytes().all(plain) {
            return true;
        }
        let listed = self.client.list_objects_v2().bucket(&self.bucket);
        let listed = listed
            .encoding_type(EncodingType::Url)
            .send()
            .await
            .unwrap();
        let taken = listed.contents().iter().any(|object| {
            let key = object.key().unwrap_or_default().replace('+', " ");
            percent_decode_str(&key).decode_utf8_lossy() == name
        });
        if !taken {
            let _ = self
                .client
                .delete_object()
                .bucket(&self.bucket)
                .key(name)
                .send()
                .await;
        }
        taken
    }

    async fn put_with(&self, name: &str, bytes: &[u8], attached: &Attached<'_>) -> bool {
        if !attached.tags.is_empty() && !self.has.tags {
            return false;
        }
        let tags = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(attached.tags)
            .finish();
        let mut object = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .body(bytes.to_vec().into())
            .set_content_type(attached.content_type.map(ToOwned::to_owned))
            .set_tagging((!tags.is_empty()).then_some(tags));
        for (name, text) in attached.metadata {
            object = object.metadata(*name, *text);
        }
        object.send().await.unwrap();
        true
    }

    fn metadata_key(&self, name: &str) -> String {
        format!("x-amz-meta-{name}")
    }

    async fn name_versions(&self) -> bool {
        if self.has.versions {
            let status = BucketVersioningStatus::Enabled;
            let enabled = VersioningConfiguration::builder().status(status).build();
            let call = self.client.put_bucket_versioning().bucket(&self.bucket);
            let answer = call.versioning_configuration(enabled).send().await;
            answer.unwrap();
        }
        self.has.versions
    }

    async fn remove(&self, name: &str) {
        let object = self.client.delete_object().bucket(&self.bucket).key(name);
        object.send().await.unwrap();
    }
}
