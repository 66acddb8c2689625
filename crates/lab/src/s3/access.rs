//! Who may do what: keys, session tokens and restrictions to buckets. Signatures themselves are
//! verified by the protocol crate, with the secret found here.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use url::form_urlencoded;

use crate::identity::Principal;
use crate::world::World;

const TOKEN_HEADER: &str = "x-amz-security-token";
const TOKEN_PARAMETER: &str = "X-Amz-Security-Token";

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
        let bucket = request.s3_path().get_bucket_name();
        authorize(
            &self.0,
            request.credentials(),
            request.headers(),
            request.uri(),
            bucket,
        )
    }
}

/// Refuses a request whose signature is right but whose key may not make it.
pub(crate) fn authorize(
    world: &World,
    credentials: Option<&Credentials>,
    headers: &HeaderMap,
    uri: &Uri,
    bucket: Option<&str>,
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
    match (&principal.key.only_buckets, bucket) {
        (None, _) => Ok(()),
        (Some(allowed), Some(bucket)) if allowed.iter().any(|name| name == bucket) => Ok(()),
        (Some(_), _) => Err(s3_error!(AccessDenied, "Access Denied")),
    }
}

fn principal(world: &World, access_key: &str) -> S3Result<Principal> {
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
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, _)| name == TOKEN_PARAMETER)
        .map(|(_, value)| value.into_owned())
}
