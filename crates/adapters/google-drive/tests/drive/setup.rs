//! The setup kit: what to grant, and to whom.

use std::collections::BTreeMap;

use serde_json::json;
use wharf_domain::provider::{CredentialType, Provider};
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_ports::ProviderFactory;

use crate::account::{ADA, SCOPE, SERVICE, by_key, config, factory, lab, service_account};

async fn kit(settings: serde_json::Value, kind: CredentialType, named: bool) -> SetupKit {
    let lab = lab().await;
    let google = lab.google();
    let parts = config(settings, by_key(&service_account(google)));
    let identity = if named {
        parts.credentials.identity()
    } else {
        BTreeMap::new()
    };
    let request = SetupRequest {
        connection: Some((parts.config, kind)),
        identity,
        ..SetupRequest::default()
    };
    let kit = factory(google).setup(Provider::GoogleDrive, &request).await;
    kit.unwrap()
}

#[tokio::test]
async fn a_service_account_on_its_own_is_shared_with() {
    let kit = kit(json!({}), CredentialType::ServiceAccount, true).await;
    assert_eq!(kit.principal.as_deref(), Some(SERVICE));
    let steps = kit.steps.join("\n");
    assert!(
        steps.contains(&format!("with {SERVICE} as a viewer")),
        "{steps}"
    );
    assert!(!steps.contains("Domain Wide Delegation"), "{steps}");
    let permission = kit.documents.iter().find(|each| each.name == "permission");
    let permission: serde_json::Value = serde_json::from_str(&permission.unwrap().content).unwrap();
    assert_eq!(
        permission,
        json!({"type": "user", "role": "reader", "emailAddress": SERVICE})
    );
}

#[tokio::test]
async fn a_delegation_names_the_client_and_exactly_one_scope() {
    let lab = lab().await;
    let client_id = by_key(&service_account(lab.google()))["client_id"].clone();
    let settings = json!({"impersonate_user": ADA});
    let kit = kit(settings, CredentialType::ServiceAccount, true).await;
    let delegation = kit
        .documents
        .iter()
        .find(|document| document.name == "delegation")
        .unwrap();
    let delegation: serde_json::Value = serde_json::from_str(&delegation.content).unwrap();
    assert_eq!(delegation["scopes"], json!([SCOPE]));
    assert!(
        delegation["client_id"].as_str().unwrap().len() > 5,
        "{client_id}"
    );
    let steps = kit.steps.join("\n");
    assert!(
        steps.contains(delegation["client_id"].as_str().unwrap()),
        "{steps}"
    );
    assert!(
        steps.contains(&format!("exactly the scope {SCOPE}")),
        "{steps}"
    );
}

#[tokio::test]
async fn a_shared_drive_is_joined_and_a_manager_sees_more() {
    let settings = json!({"shared_drive_id": "0AB"});
    let kit = kit(settings, CredentialType::ServiceAccount, true).await;
    let steps = kit.steps.join("\n");
    assert!(
        steps.contains(&format!(
            "Add {SERVICE} as a viewer to the shared drive 0AB"
        )),
        "{steps}"
    );
    assert!(
        kit.grants
            .iter()
            .any(|grant| grant.action == "manager" && grant.optional)
    );
}

#[tokio::test]
async fn consent_and_a_connection_yet_to_come_have_their_own_steps() {
    let oauth = kit(json!({}), CredentialType::OAuth, false).await;
    let steps = oauth.steps.join("\n");
    assert!(steps.contains("/v1/oauth/google_drive/start"), "{steps}");
    assert!(steps.contains("Testing"), "{steps}");
    let new = kit(json!({}), CredentialType::ServiceAccount, false).await;
    let steps = new.steps.join("\n");
    assert!(steps.contains("Create a service account"), "{steps}");
    let terraform = new
        .documents
        .iter()
        .find(|document| document.name == "terraform")
        .unwrap();
    hcl::parse(&terraform.content).unwrap();
}
