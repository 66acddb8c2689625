//! Who Wharf itself is at AWS.

use tokio::sync::OnceCell;
use wharf_domain::error_code::ErrorCode;

use super::{Identity, fault};
use crate::error::Fault;
use crate::wire::{AccessKey, Signer, Sts, StsPlace};

/// Wharf's own identity, as configured.
pub(crate) struct Own {
    signer: Signer,
    /// Its ARN, once STS has told it.
    principal: OnceCell<String>,
}

impl Own {
    pub(crate) fn new(identity: Identity) -> Self {
        let signer = match identity {
            Identity::Ambient => Signer::ambient(),
            Identity::Key {
                access_key_id,
                secret_access_key,
                session_token,
            } => Signer::of_key(&AccessKey {
                id: access_key_id,
                secret: secret_access_key,
                session_token,
            }),
        };
        Self {
            signer,
            principal: OnceCell::new(),
        }
    }

    /// STS, asked by this identity.
    pub(crate) fn sts(&self, place: &StsPlace) -> Sts {
        Sts::new(place, self.signer.clone())
    }

    /// What a trust policy names: the ARN of the user or role.
    pub(crate) async fn principal(&self, sts: &Sts) -> Result<&str, Fault> {
        let principal = self.principal.get_or_try_init(|| async {
            match sts.caller_identity().await {
                Ok(arn) => Ok(principal_of(&arn)),
                Err(failure) => Err(fault::of_own(failure)),
            }
        });
        principal.await.map(String::as_str)
    }

    /// A denial, with the name of who was denied, if that can be told.
    pub(crate) async fn named_in(&self, fault: Fault, sts: &Sts) -> Fault {
        if fault.code != ErrorCode::AuthAssumeRoleDenied {
            return fault;
        }
        match self.principal(sts).await {
            Ok(principal) => {
                let words = format!("{} (Wharf's identity is {principal})", fault.words);
                fault.worded(words)
            }
            Err(_) => fault,
        }
    }
}

/// The role behind a role's session; anyone else is named as they are. The path of a role shows in neither.
fn principal_of(arn: &str) -> String {
    let role = || {
        let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":sts::")?;
        let (account, session) = rest.split_once(":assumed-role/")?;
        let (role, _) = session.split_once('/')?;
        Some(format!("arn:{partition}:iam::{account}:role/{role}"))
    };
    role().unwrap_or_else(|| arn.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_policy_names_the_role_behind_a_session() {
        for (arn, principal) in [
            (
                "arn:aws:sts::123456789012:assumed-role/wharf/i-0abc",
                "arn:aws:iam::123456789012:role/wharf",
            ),
            (
                "arn:aws-cn:sts::123456789012:assumed-role/wharf/s",
                "arn:aws-cn:iam::123456789012:role/wharf",
            ),
            (
                "arn:aws:iam::123456789012:user/team/wharf",
                "arn:aws:iam::123456789012:user/team/wharf",
            ),
            (
                "arn:aws:iam::123456789012:root",
                "arn:aws:iam::123456789012:root",
            ),
        ] {
            assert_eq!(principal_of(arn), principal);
        }
    }
}
