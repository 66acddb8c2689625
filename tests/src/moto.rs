//! Moto's identities: users and roles with policies that it enforces.

use anyhow::Result;
use serde_json::Value;

use crate::bucket::server_of;
use crate::signed::{Keys, Signer, element};

/// The server's service for identities.
#[derive(Debug)]
pub struct Moto {
    administrator: Signer,
    url: String,
}

impl Moto {
    /// The one that the environment tells of. `None` when this run has left it out.
    pub fn find() -> Result<Option<Self>> {
        let found = server_of("MOTO")?;
        Ok(found.map(|(url, administrator)| Self { administrator, url }))
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key pair of a new user, who may do what the policy says.
    pub async fn user(&self, name: &str, policy: Option<&Value>) -> Result<Keys> {
        let name = format!("{name}-{}", std::process::id());
        let user = ("UserName", name.as_str());
        self.iam("CreateUser", &[user]).await?;
        if let Some(policy) = policy {
            let policy = policy.to_string();
            let given = [
                user,
                ("PolicyName", "given"),
                ("PolicyDocument", policy.as_str()),
            ];
            self.iam("PutUserPolicy", &given).await?;
        }
        let pair = self.iam("CreateAccessKey", &[user]).await?;
        Ok(Keys {
            id: element(&pair, "AccessKeyId")?,
            secret: element(&pair, "SecretAccessKey")?,
            token: None,
        })
    }

    /// The ARN of a new role.
    pub async fn role(&self, name: &str, trust: &Value, policy: &Value) -> Result<String> {
        let (trust, policy) = (trust.to_string(), policy.to_string());
        let name = format!("{name}-{}", std::process::id());
        let role = ("RoleName", name.as_str());
        let trusting = [role, ("AssumeRolePolicyDocument", trust.as_str())];
        let created = self.iam("CreateRole", &trusting).await?;
        let given = [
            role,
            ("PolicyName", "given"),
            ("PolicyDocument", policy.as_str()),
        ];
        self.iam("PutRolePolicy", &given).await?;
        element(&created, "Arn")
    }

    async fn iam(&self, action: &str, fields: &[(&str, &str)]) -> Result<String> {
        let fields = [&[("Action", action), ("Version", "2010-05-08")], fields].concat();
        self.administrator.form("iam", &self.url, &fields).await
    }
}
