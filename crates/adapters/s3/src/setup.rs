//! The setup kit: the least that the other side must grant, as words, IAM documents and Terraform.
//!
//! Everything is derived from how the adapter asks: listings by the prefix of a source path, byte for byte, and objects
//! below it. Names are data in every document, whatever they contain.

mod iam;
mod steps;
mod terraform;

use std::fmt::Write;

use wharf_domain::provider::{BucketPath, CredentialType, Provider, ProviderConfig};
use wharf_domain::setup::{Grant, SetupDocument, SetupFormat, SetupKit, SetupRequest};

/// Stands for a bucket that nobody has named yet.
const UNNAMED_BUCKET: &str = "REPLACE-WITH-YOUR-BUCKET";

/// What the kit is made for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aim {
    provider: Provider,
    partition: &'static str,
    /// Whether AWS itself answers.
    on_aws: bool,
    /// None where no source path names one.
    path: Option<BucketPath>,
    way: Way,
}

/// How the connection signs in.
#[derive(Debug, Clone, PartialEq)]
enum Way {
    Key,
    Role {
        principal: Option<String>,
        external_id: Option<String>,
    },
}

impl Aim {
    /// Reads a request. Without a connection, roles are preferred where Wharf `has_identity` to assume them with.
    pub(crate) fn of(provider: Provider, request: &SetupRequest, has_identity: bool) -> Self {
        let (region, on_aws) = match &request.connection {
            Some((ProviderConfig::S3(config), _)) => {
                (Some(&config.region), config.endpoint_url.is_none())
            }
            _ => (None, provider == Provider::S3),
        };
        let by_role = match &request.connection {
            Some((_, kind)) => *kind == CredentialType::IamRole,
            None => provider == Provider::S3 && has_identity,
        };
        let way = if by_role {
            Way::Role {
                principal: None,
                external_id: request.external_id.as_ref().map(ToString::to_string),
            }
        } else {
            Way::Key
        };
        let path = request
            .source_path
            .as_ref()
            .and_then(|path| BucketPath::parse(path, "source_path").ok());
        Self {
            provider,
            partition: region.map_or("aws", |region| region.partition()),
            on_aws,
            path,
            way,
        }
    }

    /// Whether it matters who Wharf is.
    pub(crate) fn wants_principal(&self) -> bool {
        matches!(self.way, Way::Role { .. })
    }

    /// The same, knowing who Wharf is.
    pub(crate) fn with_principal(mut self, known: Option<String>) -> Self {
        if let Way::Role { principal, .. } = &mut self.way {
            *principal = known;
        }
        self
    }

    /// The kit.
    pub(crate) fn kit(&self) -> SetupKit {
        let steps = steps::of(self);
        let mut documents = self.documents();
        documents.push(SetupDocument {
            name: "steps",
            format: SetupFormat::Text,
            purpose: "The steps, for whoever sets up the other side.".to_owned(),
            content: numbered(&steps),
        });
        SetupKit {
            principal: self.principal().map(ToOwned::to_owned),
            steps,
            grants: self.grants(),
            documents,
        }
    }

    fn documents(&self) -> Vec<SetupDocument> {
        if self.provider == Provider::Tigris {
            return Vec::new();
        }
        let json = |name, purpose: &str, document: &serde_json::Value| SetupDocument {
            name,
            format: SetupFormat::Json,
            purpose: purpose.to_owned(),
            content: format!("{}\n", ascii(&format!("{document:#}"))),
        };
        let mut documents = vec![json(
            "permission_policy",
            "The IAM policy of the role or user that Wharf reads with.",
            &iam::permissions(self),
        )];
        if let Way::Role {
            principal: Some(principal),
            external_id: Some(external_id),
        } = &self.way
        {
            documents.push(json(
                "trust_policy",
                "The trust policy of the role: who may assume it, and with which external id.",
                &iam::trust(principal, external_id),
            ));
        }
        if self.on_aws {
            documents.push(SetupDocument {
                name: "terraform",
                format: SetupFormat::Terraform,
                purpose: "The same for Terraform, with the values of the connection's credentials as outputs."
                    .to_owned(),
                content: terraform::of(self),
            });
        }
        documents
    }

    fn grants(&self) -> Vec<Grant> {
        let grant = |action: &str, resource: String, purpose: &str, optional| Grant {
            action: action.to_owned(),
            resource,
            purpose: purpose.to_owned(),
            optional,
        };
        if self.provider == Provider::Tigris {
            let purpose = "to list the bucket and read its objects";
            return vec![grant("ReadOnly", self.bucket().to_owned(), purpose, false)];
        }
        let objects = || iam::objects(self).join(", ");
        vec![
            grant(
                "s3:ListBucket",
                iam::bucket(self),
                "to see which objects there are, and which have changed or gone",
                false,
            ),
            grant("s3:GetObject", objects(), "to read the objects", false),
            grant(
                "s3:GetObjectTagging",
                objects(),
                "to read the objects' tags",
                true,
            ),
            grant(
                "kms:Decrypt",
                "the keys of objects that are encrypted with SSE-KMS".to_owned(),
                "to read objects that are encrypted with a key of the account's own; the key's policy must allow it, too",
                true,
            ),
        ]
    }

    fn bucket(&self) -> &str {
        self.path
            .as_ref()
            .map_or(UNNAMED_BUCKET, BucketPath::bucket)
    }

    fn prefix(&self) -> &str {
        self.path.as_ref().map_or("", BucketPath::list_prefix)
    }

    fn principal(&self) -> Option<&str> {
        match &self.way {
            Way::Role { principal, .. } => principal.as_deref(),
            Way::Key => None,
        }
    }
}

/// The same JSON in ASCII, beyond which IAM accepts little.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String succeeds.
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

fn numbered(steps: &[String]) -> String {
    let lines = steps.iter().enumerate();
    let lines = lines.map(|(index, step)| format!("{}. {step}\n", index + 1));
    lines.collect::<Vec<_>>().concat()
}
