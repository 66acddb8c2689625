//! Opening accounts at S3, at compatible stores and at Tigris.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use url::Url;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::{ExportFormats, ProviderFilters};
use wharf_domain::ids::ConnectionId;
use wharf_domain::input::InvalidInput;
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{
    BucketPath, Credentials, EndpointUrl, Provider, ProviderConfig, S3Credentials,
    TigrisCredentials,
};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_egress::{Client, Guard, Origin, TlsMode};
use wharf_ports::{
    Clock, IdSource, Located, OpenProvider, ProviderError, ProviderFactory, Sessions,
};

use crate::provider::Account;
use crate::roles::{Access, Aws, Own, Role, Session, Trust};
use crate::setup::Aim;
use crate::store::Store;
use crate::vet::vet;
use crate::wire::{AccessKey, StsPlace, Wire};

/// Opens accounts at S3, at compatible stores and at Tigris.
#[derive(Clone)]
pub struct S3 {
    /// What tenants name is reached through this one.
    guard: Arc<Guard>,
    sts: Office,
    store: Office,
    roles: Option<Roles>,
}

/// A service of AWS that an operator may have put another one in the place of.
#[derive(Clone)]
struct Office {
    stand_in: Option<EndpointUrl>,
    /// Trusts the stand-in, which the guard of what tenants name does not.
    guard: Arc<Guard>,
}

impl Office {
    fn new(guard: &Guard, stand_in: Option<EndpointUrl>) -> Self {
        let origin = stand_in
            .as_ref()
            .and_then(|url| Origin::of(&Url::parse(&url.to_string()).ok()?));
        Self {
            stand_in,
            guard: Arc::new(guard.trusting(origin)),
        }
    }
}

/// What roles are assumed with.
#[derive(Clone)]
struct Roles {
    own: Arc<Own>,
    trust: Arc<Trust>,
}

impl S3 {
    /// Without roles. All requests pass this guard.
    pub fn new(guard: Arc<Guard>) -> Self {
        Self {
            sts: Office::new(&guard, None),
            store: Office::new(&guard, None),
            roles: None,
            guard,
        }
    }

    /// With what an operator decided about AWS. All requests pass this guard, or one like it that also trusts the
    /// operator's own addresses; only the credentials of an ambient identity are looked up past it.
    pub fn with_aws(
        guard: Arc<Guard>,
        aws: Aws,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        let roles = aws.identity.map(|identity| Roles {
            own: Arc::new(Own::new(identity)),
            trust: Arc::new(Trust::new(aws.require_external_id, clock, ids)),
        });
        Self {
            sts: Office::new(&guard, aws.sts_url),
            store: Office::new(&guard, aws.s3_url),
            roles,
            guard,
        }
    }

    fn sts_in(&self, region: Region) -> StsPlace {
        StsPlace {
            region,
            stand_in: self.sts.stand_in.clone(),
            http: Client::new(Arc::clone(&self.sts.guard), TlsMode::Verified),
        }
    }

    fn access(
        &self,
        connection: &ConnectionId,
        region: &Region,
        credentials: Credentials,
    ) -> Result<Access, ProviderError> {
        let sts = self.sts_in(region.clone());
        let key = match credentials {
            Credentials::S3(S3Credentials::IamRole {
                role_arn,
                external_id,
            }) => {
                let role = Role {
                    arn: role_arn,
                    external_id,
                    session_name: connection.to_string(),
                };
                return self.role(region, role, sts);
            }
            Credentials::S3(S3Credentials::AccessKey {
                access_key_id,
                secret_access_key,
                session_token,
            }) => AccessKey {
                id: access_key_id,
                secret: secret_access_key,
                session_token,
            },
            Credentials::Tigris(TigrisCredentials {
                access_key_id,
                secret_access_key,
            }) => AccessKey {
                id: access_key_id,
                secret: secret_access_key,
                session_token: None,
            },
            other => {
                return Err(ProviderError::permanent(
                    ErrorCode::AdapterMissing,
                    not_ours(other.provider()),
                ));
            }
        };
        Ok(Access::by_key(key, sts))
    }

    fn role(&self, region: &Region, role: Role, sts: StsPlace) -> Result<Access, ProviderError> {
        let invalid = |message| Err(ProviderError::permanent(ErrorCode::ConfigInvalid, message));
        let Some(roles) = &self.roles else {
            // The operator's to mend, so that no connection is to blame.
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                NO_IDENTITY,
            ));
        };
        let partition = role.arn.split(':').nth(1).unwrap_or_default();
        if partition != region.partition() {
            return invalid(format!(
                "provider_config.credentials.role_arn is of the partition {partition}, but provider_config.region \
                 ({region}) of {}: they must be of the same",
                region.partition()
            ));
        }
        if sts.stand_in.is_none() && !region.is_of_aws() {
            return invalid(format!(
                "provider_config.region is {region}, where AWS assumes no roles: name one of its regions, or use \
                 provider_config.credentials of the type access_key"
            ));
        }
        let session = Session::new(
            role,
            roles.own.sts(&sts),
            Arc::clone(&roles.own),
            Arc::clone(&roles.trust),
        );
        Ok(Access::by_role(session, sts))
    }
}

impl S3 {
    /// Who Wharf is at AWS, if it is anyone and STS can tell in time. Most of a kit is of use without it.
    async fn principal(&self, request: &SetupRequest) -> Option<String> {
        let roles = self.roles.as_ref()?;
        let region = match &request.connection {
            Some((ProviderConfig::S3(config), _)) if config.region.is_of_aws() => {
                config.region.clone()
            }
            _ => Region::parse(ANY_REGION)?,
        };
        let sts = roles.own.sts(&self.sts_in(region));
        match timeout(PRINCIPAL_WITHIN, roles.own.principal(&sts)).await {
            Ok(Ok(principal)) => Some(principal.to_owned()),
            _ => None,
        }
    }
}

/// Where STS is asked who Wharf is, when no connection says which part of AWS is meant.
const ANY_REGION: &str = "us-east-1";

/// How long a setup kit waits for that.
const PRINCIPAL_WITHIN: Duration = Duration::from_secs(5);

const NO_IDENTITY: &str = "provider_config.credentials.type: this server has no identity of its own to assume roles with; \
                           its operator can give it one in providers.aws.identity";

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ProviderFactory for S3 {
    fn supports(&self, provider: Provider) -> bool {
        matches!(provider, Provider::S3 | Provider::Tigris)
    }

    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput> {
        match Store::of(config) {
            Some(store) => vet(&store, self.guard.policy()),
            None => Err(InvalidInput::one(
                "provider_type",
                "unsupported",
                not_ours(config.provider()),
            )),
        }
    }

    fn vet_source_path(&self, provider: Provider, source_path: &str) -> Result<(), InvalidInput> {
        if !self.supports(provider) {
            return Err(InvalidInput::one(
                "source_path",
                "unsupported",
                not_ours(provider),
            ));
        }
        BucketPath::parse(source_path, "source_path").map(|_| ())
    }

    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        self.vet_source_path(provider, source_path)?;
        if filters.export_formats != ExportFormats::default() {
            let message =
                format!("is for google_drive: a connection to {provider} has no native documents");
            return Err(InvalidInput::one(
                "provider_filters.export_formats",
                "unexpected",
                message,
            ));
        }
        let Some(prefix) = &filters.prefix else {
            return Ok(source_path.to_owned());
        };
        let path = BucketPath::parse(source_path, "source_path")?;
        let narrowed = path.narrowed(prefix, "provider_filters.prefix")?;
        Ok(narrowed.to_string())
    }

    fn locate(&self, _: Provider, source_path: &str, source: &str) -> Option<Located> {
        let path = BucketPath::parse(source_path, "source_path").ok()?;
        let object = path.locate(source)?;
        Some(Located {
            in_scope: path.covers(&object),
            object,
        })
    }

    fn relative_path<'a>(&self, _: Provider, source_path: &str, entry_path: &'a str) -> &'a str {
        BucketPath::parse(source_path, "source_path")
            .map_or(entry_path, |path| path.relative(entry_path))
    }

    fn folder_path<'a>(&self, _: Provider, entry_path: &'a str) -> &'a str {
        BucketPath::folders_of(entry_path)
    }

    fn open(
        &self,
        connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        _: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        let Some(store) = Store::of(config) else {
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                not_ours(config.provider()),
            ));
        };
        if credentials.provider() != config.provider() {
            let message = format!(
                "provider_config.credentials: they are for {}, the configuration is for {}",
                credentials.provider(),
                config.provider()
            );
            return Err(ProviderError::permanent(ErrorCode::ConfigInvalid, message));
        }
        let access = self.access(connection, &store.region, credentials)?;
        let tls = if store.verified {
            TlsMode::Verified
        } else {
            TlsMode::Unverified
        };
        let (guard, stand_in) = match &store.endpoint {
            None => (&self.store.guard, self.store.stand_in.as_ref()),
            Some(_) => (&self.guard, None),
        };
        let client = Client::new(Arc::clone(guard), tls);
        let wire = Wire::new(&store, stand_in, &access, client);
        Ok(Arc::new(Account::new(store, access, wire)))
    }

    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        if !self.supports(provider) {
            return Err(ProviderError::permanent(
                ErrorCode::AdapterMissing,
                not_ours(provider),
            ));
        }
        let aim = Aim::of(provider, request, self.roles.is_some());
        let principal = if aim.wants_principal() {
            self.principal(request).await
        } else {
            None
        };
        Ok(aim.with_principal(principal).kit())
    }
}

fn not_ours(provider: Provider) -> String {
    format!("{provider} does not speak the S3 protocol")
}
