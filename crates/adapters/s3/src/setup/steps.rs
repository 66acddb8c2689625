//! What a person does.

use wharf_domain::provider::Provider;

use super::{Aim, Way};

pub(super) fn of(aim: &Aim) -> Vec<String> {
    let mut steps = Vec::new();
    if aim.path.is_none() {
        steps.push(format!(
            "Decide which bucket Wharf is to read, and put its name in the place of {} below.",
            aim.bucket()
        ));
    }
    match (&aim.way, aim.provider) {
        (_, Provider::Tigris) => steps.extend(tigris(aim)),
        (
            Way::Role {
                principal,
                external_id,
            },
            _,
        ) => steps.extend(role(principal.as_deref(), external_id.as_deref())),
        (Way::Key, _) => steps.extend(key(aim)),
    }
    steps
}

fn tigris(aim: &Aim) -> [String; 2] {
    [
        format!(
            "In the Tigris console, create an access key with the role ReadOnly on the bucket {}.",
            aim.bucket()
        ),
        enter_key(),
    ]
}

fn role(principal: Option<&str>, external_id: Option<&str>) -> Vec<String> {
    let mut steps = Vec::new();
    let who = if let Some(principal) = principal {
        principal
    } else {
        steps.push(
            "Ask the operator of this server who it is at AWS, which it cannot tell at the moment: it needs an identity of \
             its own (providers.aws.identity) that STS accepts."
                .to_owned(),
        );
        "the server's identity"
    };
    let id = external_id.unwrap_or("the one that this server issued to your organization");
    steps.push(format!(
        "Create an IAM role whose trust policy lets {who} assume it, only with the external id {id} (a StringEquals \
         condition on sts:ExternalId). Without it, whoever learns the role's ARN could have Wharf assume it for them."
    ));
    steps.push(format!("Give the role the permission policy. {OPTIONAL}"));
    steps.push(
        "Create a connection with credentials of the type iam_role: the role's ARN as role_arn, and that external id as \
         external_id."
            .to_owned(),
    );
    steps
}

fn key(aim: &Aim) -> [String; 3] {
    let user = if aim.on_aws {
        "Create an IAM user"
    } else {
        "Create a user at the store"
    };
    [
        format!("{user} for Wharf alone and give it the permission policy. {OPTIONAL}"),
        "Create an access key for that user.".to_owned(),
        enter_key(),
    ]
}

const OPTIONAL: &str = "The statement ReadTags is only needed to read tags. Objects that are encrypted with SSE-KMS need \
                        kms:Decrypt on their keys besides.";

fn enter_key() -> String {
    "Create a connection with credentials of the type access_key: the key's access_key_id and secret_access_key.".to_owned()
}
