//! Who may do what: keys, session tokens and what is denied to them. Signatures themselves are verified
//! by the protocol crate, with the secret found here.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use url::form_urlencoded;

use super::target::Target;
use crate::identity::Principal;
use crate::operation::Operation;
use crate::world::World;

const TOKEN_HEADER: &str = "x-amz-security-token";
const TOKEN_PARAMETER: &str = "X-Amz-Security-Token";
const PAYER_HEADER: &str = "x-amz-request-payer";

pub(crate) struct Gate(pub(crate) Arc<World>);

#[async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(principal(&self.0, access_key)?.key.secret_access_key.into())
    }
}

#[async_trait]
impl S3Access for Gate {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let target = request.extensions_mut().get::<Target>().cloned();
        authorize(
            &self.0,
            request.credentials(),
            request.headers(),
            request.uri(),
            target.as_ref(),
        )
    }
}

/// Refuses a request whose signature is right but whose key may not make it.
pub(crate) fn authorize(
    world: &World,
    credentials: Option<&Credentials>,
    headers: &HeaderMap,
    uri: &Uri,
    target: Option<&Target>,
) -> S3Result<()> {
    let Some(credentials) = credentials else {
        return Err(s3_error!(
            AccessDenied,
            "Anonymous requests are not allowed."
        ));
    };
    let principal = principal(world, &credentials.access_key)?;
    if principal.key.session_token != token(headers, uri) {
        return Err(s3_error!(
            InvalidToken,
            "The provided token is malformed or otherwise invalid."
        ));
    }
    if principal.has_ended() {
        return Err(s3_error!(ExpiredToken, "The provided token has expired."));
    }
    let bucket = target.and_then(|target| target.bucket.as_deref());
    match (&principal.key.only_buckets, bucket) {
        (None, _) => {}
        (Some(allowed), Some(bucket)) if allowed.iter().any(|name| name == bucket) => {}
        (Some(_), _) => return Err(s3_error!(AccessDenied, "Access Denied")),
    }
    let Some(target) = target else {
        return Ok(());
    };
    for resource in resources(target, uri) {
        permit(&principal, target.operation, &resource)?;
    }
    pays(world, target, headers)
}

/// Whether the key that signed may do this to one `bucket` or `bucket/key`.
pub(crate) fn permit(principal: &Principal, operation: Operation, resource: &str) -> S3Result<()> {
    let Some(action) = operation.permission() else {
        return Ok(());
    };
    match principal
        .key
        .denials
        .iter()
        .find(|denial| denial.is_about(action, resource))
    {
        Some(denial) => Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            denial.says(&principal.arn, action, resource),
        )),
        None => Ok(()),
    }
}

/// What a request touches. A listing touches its bucket and what it lists of it.
fn resources(target: &Target, uri: &Uri) -> Vec<String> {
    let bucket = target.bucket.clone().unwrap_or_default();
    match (&target.key, target.operation) {
        (Some(key), _) => vec![format!("{bucket}/{key}")],
        (None, Operation::ListObjects | Operation::ListObjectsV1) => {
            let prefix = parameter(uri, "prefix").unwrap_or_default();
            vec![format!("{bucket}/{prefix}"), bucket]
        }
        (None, _) => vec![bucket],
    }
}

fn pays(world: &World, target: &Target, headers: &HeaderMap) -> S3Result<()> {
    let bucket = target.bucket.as_deref().unwrap_or_default();
    let demanded = world
        .store
        .settings(bucket)
        .is_some_and(|settings| settings.requester_pays);
    let offered = headers
        .get(PAYER_HEADER)
        .is_some_and(|payer| payer == "requester");
    if demanded && !offered {
        Err(s3_error!(AccessDenied, "Access Denied"))
    } else {
        Ok(())
    }
}

pub(crate) fn principal(world: &World, access_key: &str) -> S3Result<Principal> {
    world.identities.principal(access_key).ok_or_else(|| {
        s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        )
    })
}

/// Signed requests carry the token in a header, presigned URLs in the query.
fn token(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    if let Some(value) = headers.get(TOKEN_HEADER) {
        return Some(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    parameter(uri, TOKEN_PARAMETER)
}

fn parameter(uri: &Uri, wanted: &str) -> Option<String> {
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}
