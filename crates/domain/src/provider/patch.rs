//! A changed `provider_config`: which of the stored credentials it may keep.
//!
//! The settings are always replaced whole. Credential fields that were left out are kept only while nothing changes
//! whose credentials they are or where they are sent, so that nobody can aim a secret that they do not know at a host,
//! account or tenant of their choice.

use serde_json::{Map, Value};
use thiserror::Error;

use super::credentials::GivenCredentials;
use super::{
    Audience, CredentialType, Credentials, NewProviderConfig, Provider, ProviderConfig, finish,
};
use crate::input::{InvalidInput, Reader};

/// A parsed `provider_config` of an update request: new settings, and credentials that may be partial or absent.
#[derive(Debug)]
pub struct ProviderConfigPatch {
    /// The settings that replace the stored ones.
    pub config: ProviderConfig,
    credentials: Option<GivenCredentials>,
    path: String,
}

/// Why a patch cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// Settings and credentials do not go together.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// Stored credentials may not be kept, and fields are missing from the given ones. On the wire: 422
    /// `credentials_reentry_required`.
    #[error("{why}: enter {} again", fields.join(", "))]
    ReentryRequired {
        /// The full paths of the missing fields.
        fields: Vec<String>,
        /// What forbids keeping them, in our own words.
        why: String,
    },
}

/// Reads the `provider_config` of an update request, which stands at `path`.
///
/// # Errors
/// Every mistake in what was given, each with its path under `path`. What is missing from the credentials shows in
/// [`ProviderConfigPatch::complete`].
pub fn parse_patch(
    provider: Provider,
    fields: Map<String, Value>,
    path: &str,
) -> Result<ProviderConfigPatch, InvalidInput> {
    let mut reader = Reader::new(path, fields);
    let credentials_path = reader.path_of("credentials");
    let credentials = reader
        .object("credentials")
        .map(|fields| GivenCredentials::read_partial(provider, fields, &credentials_path))
        .transpose();
    let config = ProviderConfig::read(provider, &mut reader);
    let (config, credentials) = finish(config, reader, credentials)?;
    Ok(ProviderConfigPatch {
        config,
        credentials,
        path: path.to_owned(),
    })
}

impl ProviderConfigPatch {
    /// Whether the outcome depends on the stored credentials: something was left out, required or not.
    ///
    /// The caller should then open them for [`complete`](Self::complete). If they cannot be opened, a patch that gives
    /// everything required still completes without them, which is the way out of a lost key.
    pub fn needs_kept(&self) -> bool {
        self.credentials
            .as_ref()
            .is_none_or(GivenCredentials::has_gaps)
    }

    /// Completes the patch with what may be kept.
    ///
    /// Left-out credential fields are taken from `kept` if the credential type and the audience are those of the stored
    /// connection and no identity field (access key id, user name, tenant, …) is given with another value. Otherwise
    /// every required field must have been given; optional ones, such as a session token, are dropped. An empty optional
    /// field removes it.
    ///
    /// # Errors
    /// [`PatchError::ReentryRequired`] when fields are missing that may not be kept, or that cannot be since `kept` is
    /// absent; [`PatchError::Invalid`] when settings and credentials do not go together.
    pub fn complete(
        self,
        kept_type: CredentialType,
        kept_audience: &Audience,
        kept: Option<&Credentials>,
    ) -> Result<NewProviderConfig, PatchError> {
        let Self {
            config,
            credentials,
            path,
        } = self;
        let provider = config.provider();
        let credentials_path = if path.is_empty() {
            "credentials".to_owned()
        } else {
            format!("{path}.credentials")
        };
        let Some(mut given) =
            credentials.or_else(|| GivenCredentials::none_of(provider, kept_type))
        else {
            let why = format!("the stored credentials are not of a type that {provider} accepts");
            return Err(PatchError::ReentryRequired {
                fields: vec![credentials_path],
                why,
            });
        };
        config.accepts(given.kind(), &path)?;

        let kept =
            kept.filter(|kept| kept.provider() == provider && kept.credential_type() == kept_type);
        let refusal = if given.kind() != kept_type {
            Some("the credential type changes".to_owned())
        } else if config.audience() != *kept_audience {
            Some("the host or account that the credentials are sent to changes".to_owned())
        } else if let Some(kept) = kept {
            given
                .other_identity_than(kept)
                .map(|field| format!("{field} changes"))
        } else {
            Some("the stored credentials are not available".to_owned())
        };
        match (kept, refusal) {
            (Some(kept), None) => given.fill_from(kept),
            (_, Some(why)) if !given.missing().is_empty() => {
                let fields = given
                    .missing()
                    .iter()
                    .map(|name| format!("{credentials_path}.{name}"))
                    .collect();
                return Err(PatchError::ReentryRequired { fields, why });
            }
            _ => {}
        }
        Ok(NewProviderConfig {
            config,
            credentials: given.complete(&credentials_path)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::credentials::Part;
    use super::super::tests::{
        form, kinds, object, other_value, parse, sample, sample_credentials, sample_settings,
    };
    use super::*;

    const PATH: &str = "provider_config";

    /// What one field of the credentials is in a patch.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Given {
        Left,
        Same,
        Other,
    }
    use Given::{Left, Other, Same};

    #[derive(Debug, Clone, Copy)]
    struct Case {
        same_type: bool,
        same_audience: bool,
        kept_at_hand: bool,
        identity: Given,
        proof: Given,
        companion: Given,
    }

    fn cases() -> Vec<Case> {
        let flags = [true, false];
        let mut cases = Vec::new();
        for same_type in flags {
            for same_audience in flags {
                for kept_at_hand in flags {
                    for identity in [Left, Same, Other] {
                        for proof in [Left, Other] {
                            for companion in [Left, Other] {
                                cases.push(Case {
                                    same_type,
                                    same_audience,
                                    kept_at_hand,
                                    identity,
                                    proof,
                                    companion,
                                });
                            }
                        }
                    }
                }
            }
        }
        cases
    }

    #[test]
    fn the_patch_matrix_keeps_secrets_only_for_the_same_identity_type_and_audience() {
        let mut completed = 0;
        let mut refused = 0;
        for (provider, kind) in kinds() {
            let other_kind = provider.credential_types().find(|other| *other != kind);
            for case in cases() {
                let kept_kind = if case.same_type {
                    Some(kind)
                } else {
                    other_kind
                };
                let Some(kept_kind) = kept_kind else { continue };
                let kept = parse(provider, sample(provider, kept_kind)).unwrap();
                let here = kept.config.audience();
                let kept_audience = if case.same_audience {
                    here
                } else {
                    Audience::of(&["elsewhere"])
                };

                let whole = object(sample_credentials(provider, kind));
                let mut given = object(json!({"type": kind.as_str()}));
                let mut expected = object(json!({"type": kind.as_str()}));
                let may_keep = case.same_type
                    && case.same_audience
                    && case.kept_at_hand
                    && case.identity != Other;
                let mut missing = Vec::new();
                for field in form(provider, kind).fields {
                    let how = match field.part {
                        Part::Identity => case.identity,
                        Part::Proof => case.proof,
                        Part::Companion => case.companion,
                    };
                    let value = match how {
                        Left => None,
                        Same => Some(whole[field.name].clone()),
                        Other => Some(other_value(field.name)),
                    };
                    match value {
                        Some(value) => {
                            given.insert(field.name.into(), value.clone());
                            expected.insert(field.name.into(), value);
                        }
                        None if may_keep => {
                            expected.insert(field.name.into(), whole[field.name].clone());
                        }
                        None if field.part == Part::Companion => {}
                        None => missing.push(format!("{PATH}.credentials.{}", field.name)),
                    }
                }
                let mut fields = object(sample_settings(provider));
                fields.insert("credentials".into(), Value::Object(given.clone()));
                let patch = parse_patch(provider, fields, PATH)
                    .unwrap_or_else(|error| panic!("{case:?}: {error}"));
                assert_eq!(
                    patch.needs_kept(),
                    given.len() <= form(provider, kind).fields.len()
                );
                let result = patch.complete(
                    kept_kind,
                    &kept_audience,
                    case.kept_at_hand.then_some(&kept.credentials),
                );
                match result {
                    Ok(new) => {
                        let json: Value =
                            serde_json::from_slice(new.credentials.to_secret_bytes().expose())
                                .unwrap();
                        assert!(missing.is_empty(), "{provider} {kind} {case:?}");
                        assert_eq!(json, Value::Object(expected), "{provider} {kind} {case:?}");
                        assert_eq!(
                            Value::Object(new.config.to_json()),
                            sample_settings(provider)
                        );
                        completed += 1;
                    }
                    Err(PatchError::ReentryRequired { fields, why }) => {
                        assert_eq!(fields, missing, "{provider} {kind} {case:?}: {why}");
                        assert!(
                            !missing.is_empty() && !why.is_empty(),
                            "{provider} {kind} {case:?}"
                        );
                        refused += 1;
                    }
                    Err(PatchError::Invalid(error)) => {
                        panic!("{provider} {kind} {case:?}: {error}")
                    }
                }
            }
        }
        assert!(
            completed > 200 && refused > 200,
            "{completed} completed, {refused} refused"
        );
    }

    #[test]
    fn each_identity_field_alone_makes_the_secrets_be_entered_again() {
        for (provider, kind) in kinds() {
            let kept = parse(provider, sample(provider, kind)).unwrap();
            for field in form(provider, kind)
                .fields
                .iter()
                .filter(|field| field.part == Part::Identity)
            {
                let mut fields = object(sample_settings(provider));
                fields.insert(
                    "credentials".into(),
                    json!({"type": kind.as_str(), field.name: other_value(field.name)}),
                );
                let patch = parse_patch(provider, fields, PATH).unwrap();
                let error = patch
                    .complete(kind, &kept.config.audience(), Some(&kept.credentials))
                    .unwrap_err();
                let PatchError::ReentryRequired { fields, why } = error else {
                    panic!("{provider} {kind} {}", field.name)
                };
                assert_eq!(why, format!("{} changes", field.name));
                assert!(
                    !fields.is_empty()
                        && !fields.contains(&format!("{PATH}.credentials.{}", field.name))
                );
            }
        }
    }

    #[test]
    fn settings_alone_keep_everything_and_null_counts_as_left_out() {
        for (provider, kind) in kinds() {
            let kept = parse(provider, sample(provider, kind)).unwrap();
            let mut nulls = object(json!({"type": kind.as_str()}));
            nulls.extend(
                form(provider, kind)
                    .fields
                    .iter()
                    .map(|field| (field.name.to_owned(), Value::Null)),
            );
            for credentials in [None, Some(Value::Null), Some(Value::Object(nulls))] {
                let mut fields = object(sample_settings(provider));
                fields.extend(credentials.map(|value| ("credentials".to_owned(), value)));
                let patch = parse_patch(provider, fields, PATH).unwrap();
                assert!(patch.needs_kept());
                let new = patch
                    .complete(kind, &kept.config.audience(), Some(&kept.credentials))
                    .unwrap();
                let (new, old) = (
                    new.credentials.to_secret_bytes(),
                    kept.credentials.to_secret_bytes(),
                );
                assert_eq!(new.expose(), old.expose());
            }
        }
    }

    #[test]
    fn an_empty_optional_secret_removes_the_kept_one() {
        let (provider, kind) = (Provider::S3, CredentialType::AccessKey);
        let kept = parse(provider, sample(provider, kind)).unwrap();
        let mut fields = object(sample_settings(provider));
        fields.insert(
            "credentials".into(),
            json!({"type": "access_key", "session_token": ""}),
        );
        let patch = parse_patch(provider, fields, PATH).unwrap();
        let new = patch
            .complete(kind, &kept.config.audience(), Some(&kept.credentials))
            .unwrap();
        let json: Value =
            serde_json::from_slice(new.credentials.to_secret_bytes().expose()).unwrap();
        assert_eq!(json.get("session_token"), None);
        assert_eq!(
            json["secret_access_key"],
            sample_credentials(provider, kind)["secret_access_key"]
        );
    }

    #[test]
    fn credentials_of_another_provider_are_never_kept() {
        let kept = parse(
            Provider::Tigris,
            sample(Provider::Tigris, CredentialType::AccessKey),
        )
        .unwrap();
        let patch = parse_patch(Provider::S3, object(sample_settings(Provider::S3)), PATH).unwrap();
        let audience = patch.config.audience();
        let error = patch
            .complete(
                CredentialType::AccessKey,
                &audience,
                Some(&kept.credentials),
            )
            .unwrap_err();
        assert!(matches!(error, PatchError::ReentryRequired { .. }));
        let patch = parse_patch(Provider::S3, object(sample_settings(Provider::S3)), PATH).unwrap();
        let error = patch
            .complete(CredentialType::OAuth, &audience, None)
            .unwrap_err();
        assert!(
            matches!(error, PatchError::ReentryRequired { fields, .. } if fields == ["provider_config.credentials"])
        );
    }

    #[test]
    fn settings_that_the_kept_type_cannot_use_are_invalid() {
        let kept = parse(
            Provider::GoogleDrive,
            sample(Provider::GoogleDrive, CredentialType::OAuth),
        )
        .unwrap();
        let fields = object(json!({"impersonate_user": "admin@company.com"}));
        let patch = parse_patch(Provider::GoogleDrive, fields, PATH).unwrap();
        let error = patch
            .complete(
                CredentialType::OAuth,
                &kept.config.audience(),
                Some(&kept.credentials),
            )
            .unwrap_err();
        let PatchError::Invalid(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.0[0].path(), "provider_config.impersonate_user");
    }
}
