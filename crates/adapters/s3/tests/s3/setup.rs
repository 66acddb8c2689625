//! Setup kits: every document is read back by an independent reader, whatever names are in it.

use std::sync::Arc;

use async_trait::async_trait;
use hcl::eval::{Context, Evaluate};
use serde_json::{Value, json};
use wharf_domain::ids::{Alphabet, ExternalId};
use wharf_domain::provider::{CredentialType, EndpointUrl, Provider};
use wharf_domain::secret::SecretString;
use wharf_domain::setup::{SetupFormat, SetupKit, SetupRequest};
use wharf_egress::{Guard, Policy, TcpDialer};
use wharf_lab::{Lab, Operation};
use wharf_ports::{CheckRequest, Clock, IdSource, ProviderFactory};
use wharf_s3::{Aws, Identity, S3};

use crate::account::{Here, WHOLE, config, factory, lab, list_all, open, policy, read};

const PLACEHOLDER: &str = "REPLACE-WITH-YOUR-BUCKET";

struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> wharf_domain::Timestamp {
        wharf_domain::Timestamp::UNIX_EPOCH
    }
}

impl IdSource for Still {
    fn token(&self, _: Alphabet, length: usize) -> String {
        "0".repeat(length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn issued() -> ExternalId {
    format!("wharf-{}", "a".repeat(32)).parse().unwrap()
}

fn with_identity(lab: &Lab) -> S3 {
    let aws = Aws {
        sts_url: Some(EndpointUrl::parse(&lab.endpoint()).unwrap()),
        identity: Some(Identity::Key {
            access_key_id: lab.access_key_id().to_owned(),
            secret_access_key: SecretString::new(lab.secret_access_key().to_owned()),
            session_token: None,
        }),
        ..Aws::default()
    };
    let guard = Guard::with(Policy::default(), Arc::new(Here), Arc::new(TcpDialer));
    S3::with_aws(Arc::new(guard), aws, Arc::new(Still), Arc::new(Still))
}

fn request(source_path: Option<&str>) -> SetupRequest {
    SetupRequest {
        external_id: Some(issued()),
        source_path: source_path.map(ToOwned::to_owned),
        ..SetupRequest::default()
    }
}

fn for_connection(settings: Value, kind: CredentialType, source_path: &str) -> SetupRequest {
    let key = json!({"type": "access_key", "access_key_id": "AKIA1", "secret_access_key": "s"});
    let parts = config(Provider::S3, settings, key);
    SetupRequest {
        connection: Some((parts.config, kind)),
        ..request(Some(source_path))
    }
}

fn content<'a>(kit: &'a SetupKit, name: &str) -> Option<&'a str> {
    let document = kit.documents.iter().find(|document| document.name == name);
    document.map(|document| document.content.as_str())
}

fn policy_in(kit: &SetupKit, name: &str) -> Value {
    serde_json::from_str(content(kit, name).unwrap()).unwrap()
}

fn statement<'a>(policy: &'a Value, action: &str) -> &'a Value {
    let statements = policy["Statement"].as_array().unwrap();
    statements
        .iter()
        .find(|statement| statement["Action"] == action)
        .unwrap()
}

/// The blocks of a Terraform document as `kind.label.label`.
fn blocks(document: &str) -> Vec<(String, hcl::Body)> {
    let body: hcl::Body = hcl::parse(document).unwrap();
    body.into_blocks()
        .map(|block| {
            let labels = block.labels.iter().map(hcl::BlockLabel::as_str);
            let name = std::iter::once(block.identifier.as_str())
                .chain(labels)
                .collect::<Vec<_>>()
                .join(".");
            (name, block.body)
        })
        .collect()
}

/// What `jsonencode` is given in an attribute, as it evaluates.
fn encoded(document: &str, block: &str, attribute: &str, context: &Context<'_>) -> Value {
    let (_, body) = blocks(document)
        .into_iter()
        .find(|(name, _)| name == block)
        .unwrap();
    let attribute = body
        .into_attributes()
        .find(|found| found.key.as_str() == attribute)
        .unwrap();
    let hcl::Expression::FuncCall(call) = attribute.expr else {
        panic!("a call")
    };
    assert_eq!(call.name.name.as_str(), "jsonencode");
    let value = call.args[0].evaluate(context).unwrap();
    serde_json::to_value(value).unwrap()
}

#[tokio::test]
async fn a_role_s_kit_names_wharf_the_issued_id_and_the_least_there_is() {
    let lab = lab().await;
    let factory = with_identity(&lab);
    let kit = factory
        .setup(Provider::S3, &request(Some("media/photos")))
        .await
        .unwrap();
    let principal = kit.principal.clone().unwrap();
    assert!(principal.starts_with("arn:aws:iam::"), "{principal}");

    let trust = policy_in(&kit, "trust_policy");
    assert_eq!(trust["Version"], "2012-10-17");
    let statement_of_trust = statement(&trust, "sts:AssumeRole");
    assert_eq!(statement_of_trust["Principal"], json!({"AWS": principal}));
    assert_eq!(
        statement_of_trust["Condition"],
        json!({"StringEquals": {"sts:ExternalId": issued().as_str()}})
    );

    let permissions = policy_in(&kit, "permission_policy");
    let list = statement(&permissions, "s3:ListBucket");
    assert_eq!(list["Resource"], "arn:aws:s3:::media");
    assert_eq!(
        list["Condition"],
        json!({"StringLike": {"s3:prefix": ["photos", "photos/*"]}})
    );
    let objects = json!(["arn:aws:s3:::media/photos", "arn:aws:s3:::media/photos/*"]);
    assert_eq!(statement(&permissions, "s3:GetObject")["Resource"], objects);
    assert_eq!(
        statement(&permissions, "s3:GetObjectTagging")["Resource"],
        objects
    );
    assert_eq!(permissions["Statement"].as_array().unwrap().len(), 3);

    let terraform = content(&kit, "terraform").unwrap();
    let context = Context::new();
    let role = "resource.aws_iam_role.wharf";
    assert_eq!(
        encoded(terraform, role, "assume_role_policy", &context),
        trust
    );
    let role_policy = "resource.aws_iam_role_policy.wharf";
    assert_eq!(
        encoded(terraform, role_policy, "policy", &context),
        permissions
    );
    let names: Vec<String> = blocks(terraform)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, [role, role_policy, "output.role_arn"]);

    let needed: Vec<&str> = kit
        .grants
        .iter()
        .filter(|grant| !grant.optional)
        .map(|grant| grant.action.as_str())
        .collect();
    assert_eq!(needed, ["s3:ListBucket", "s3:GetObject"]);
    assert!(kit.steps.iter().any(|step| step.contains(&principal)));
    assert!(
        kit.steps
            .iter()
            .any(|step| step.contains(issued().as_str()))
    );

    factory.setup(Provider::S3, &request(None)).await.unwrap();
    let asked = lab.journal().into_iter();
    let asked = asked.filter(|entry| entry.operation == Operation::GetCallerIdentity);
    assert_eq!(asked.count(), 1, "who we are is asked once");
}

#[tokio::test]
async fn without_an_identity_the_kit_is_one_for_access_keys() {
    let kit = factory(policy())
        .setup(Provider::S3, &request(Some("media")))
        .await
        .unwrap();
    assert_eq!(kit.principal, None);
    assert_eq!(content(&kit, "trust_policy"), None);
    let permissions = policy_in(&kit, "permission_policy");
    assert_eq!(
        statement(&permissions, "s3:ListBucket").get("Condition"),
        None
    );
    let terraform = content(&kit, "terraform").unwrap();
    let user_policy = "resource.aws_iam_user_policy.wharf";
    assert_eq!(
        encoded(terraform, user_policy, "policy", &Context::new()),
        permissions
    );
    let names: Vec<String> = blocks(terraform)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "resource.aws_iam_user.wharf",
            user_policy,
            "resource.aws_iam_access_key.wharf",
            "output.access_key_id",
            "output.secret_access_key",
        ]
    );
}

#[tokio::test]
async fn a_role_s_kit_without_a_known_principal_asks_for_it() {
    let request = for_connection(json!({}), CredentialType::IamRole, "media");
    let kit = factory(policy())
        .setup(Provider::S3, &request)
        .await
        .unwrap();
    assert_eq!(
        (&kit.principal, content(&kit, "trust_policy")),
        (&None, None)
    );
    assert!(kit.steps[0].contains("providers.aws.identity"));
    let terraform = content(&kit, "terraform").unwrap();
    let mut context = Context::new();
    context.declare_var(
        "var",
        hcl::value!({ wharf_principal = "arn:aws:iam::1:role/w" }),
    );
    let trust = encoded(
        terraform,
        "resource.aws_iam_role.wharf",
        "assume_role_policy",
        &context,
    );
    assert_eq!(
        statement(&trust, "sts:AssumeRole")["Principal"]["AWS"],
        "arn:aws:iam::1:role/w"
    );
    assert_eq!(blocks(terraform)[0].0, "variable.wharf_principal");
}

#[tokio::test]
async fn the_partition_is_that_of_the_connection_s_region() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let settings = json!({"region": region});
        let request = for_connection(settings, CredentialType::AccessKey, "media/x/");
        let kit = factory(policy())
            .setup(Provider::S3, &request)
            .await
            .unwrap();
        let permissions = policy_in(&kit, "permission_policy");
        assert_eq!(
            statement(&permissions, "s3:GetObject")["Resource"],
            json!([format!("arn:{partition}:s3:::media/x/*")])
        );
        assert_eq!(
            statement(&permissions, "s3:ListBucket")["Condition"],
            json!({"StringLike": {"s3:prefix": ["x/", "x/*"]}})
        );
    }
}

#[tokio::test]
async fn without_a_source_path_the_bucket_is_left_to_be_named() {
    let kit = factory(policy())
        .setup(Provider::S3, &request(None))
        .await
        .unwrap();
    let permissions = policy_in(&kit, "permission_policy");
    assert_eq!(
        statement(&permissions, "s3:ListBucket")["Resource"],
        format!("arn:aws:s3:::{PLACEHOLDER}")
    );
    assert!(kit.steps[0].contains(PLACEHOLDER));
    let terraform = content(&kit, "terraform").unwrap();
    assert_eq!(blocks(terraform)[0].0, "variable.bucket");
    assert!(!terraform.contains(PLACEHOLDER));
    let mut context = Context::new();
    context.declare_var("var", hcl::value!({ bucket = "media" }));
    let user_policy = "resource.aws_iam_user_policy.wharf";
    let named = encoded(terraform, user_policy, "policy", &context);
    assert_eq!(
        statement(&named, "s3:GetObject")["Resource"],
        json!(["arn:aws:s3:::media/*"])
    );
}

#[tokio::test]
async fn names_are_data_in_every_document_whatever_they_contain() {
    for (prefix, pattern) in [
        (r#"a"b\c"#, r#"a"b\c"#),
        ("x\"}]}\n}", "x\"}]}\n}"),
        ("${var.secret}", "${$}{var.secret}"),
        ("%{ if true }x%{ endif }", "%{ if true }x%{ endif }"),
        ("$${twice}", "${$}${$}{twice}"),
        ("%%{twice}", "%%{twice}"),
        ("$", "${$}"),
        ("100%", "100%"),
        ("any*thing?", "any${*}thing${?}"),
        ("${aws:username}", "${$}{aws:username}"),
        (
            "tab\t\r\u{1}\u{7f}\u{85}\u{2028}\u{202e}ü\u{1f4f7}",
            "tab\t\r\u{1}\u{7f}\u{85}\u{2028}\u{202e}ü\u{1f4f7}",
        ),
        ("<<EOT\nEOT", "<<EOT\nEOT"),
        ("/* no */ # no // no", "/${*} no ${*}/ # no // no"),
        (PLACEHOLDER, PLACEHOLDER),
        ("\\u0041\\n", "\\u0041\\n"),
    ] {
        let kit = factory(policy())
            .setup(Provider::S3, &request(Some(&format!("media/{prefix}"))))
            .await
            .unwrap();
        let permissions = policy_in(&kit, "permission_policy");
        assert_eq!(
            statement(&permissions, "s3:ListBucket")["Condition"]["StringLike"]["s3:prefix"][0],
            pattern,
            "{prefix}"
        );
        let terraform = content(&kit, "terraform").unwrap();
        let user_policy = "resource.aws_iam_user_policy.wharf";
        assert_eq!(
            encoded(terraform, user_policy, "policy", &Context::new()),
            permissions,
            "{prefix}"
        );
        assert_eq!(blocks(terraform).len(), 5, "{prefix}");
    }
}

/// Whether a pattern of IAM's language fits: `*` and `?` are wild, and `${…}` is the one character in it.
fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        ['?', rest @ ..] => !text.is_empty() && fits(rest, &text[1..]),
        ['$', '{', literal @ ('*' | '?' | '$'), '}', rest @ ..] | [literal, rest @ ..] => {
            text.first() == Some(literal) && fits(rest, &text[1..])
        }
    }
}

fn one_fits(patterns: &Value, text: &str) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    let patterns = match patterns {
        Value::Array(patterns) => patterns.clone(),
        pattern => vec![pattern.clone()],
    };
    patterns
        .iter()
        .any(|pattern| fits(&chars(pattern.as_str().unwrap()), &chars(text)))
}

/// Whether a policy of the kit allows an action on `bucket` or `bucket/key`, and a listing with this prefix.
fn allows(policy: &Value, action: &str, resource: &str, prefix: Option<&str>) -> bool {
    let statement = statement(policy, action);
    let prefixes = &statement["Condition"]["StringLike"]["s3:prefix"];
    one_fits(&statement["Resource"], &format!("arn:aws:s3:::{resource}"))
        && (prefixes.is_null() || prefix.is_some_and(|prefix| one_fits(prefixes, prefix)))
}

#[tokio::test]
async fn the_policy_allows_all_that_a_test_and_a_sync_ask_for_and_no_neighbour() {
    for folder in [
        "photos",
        "a*b?",
        "${x}$",
        "ü \u{1f4f7}",
        "100%",
        "$",
        "x/y z",
    ] {
        for path in [
            format!("media/{folder}"),
            format!("media/{folder}/"),
            "media".to_owned(),
        ] {
            let lab = lab().await;
            for key in ["", "/a", "/deep/*/b?", "2/neighbour"] {
                lab.put_object("media", &format!("{folder}{key}"), "bytes");
            }
            let kit = factory(policy())
                .setup(Provider::S3, &request(Some(&path)))
                .await
                .unwrap();
            let permissions = policy_in(&kit, "permission_policy");
            let account = open(&lab);
            let check = CheckRequest {
                source_path: Some(&path),
                ..WHOLE
            };
            let report = account.check(check).await;
            assert!(report.success(), "{path}: {report:?}");
            let (entries, _) = list_all(&account, &path, 1000).await.unwrap();
            for entry in &entries {
                read(&account, entry).await.unwrap();
            }
            let mut asked = 0;
            for entry in lab.journal() {
                let key = entry.key.unwrap_or_default();
                let object = format!("media/{key}");
                let allowed = match entry.operation {
                    // Its denial proves as much as its success.
                    Operation::ListBuckets => continue,
                    Operation::ListObjects => {
                        let query = entry.query.unwrap();
                        let prefix = url::form_urlencoded::parse(query.as_bytes())
                            .find(|(name, _)| name == "prefix")
                            .map(|(_, prefix)| prefix.into_owned());
                        allows(&permissions, "s3:ListBucket", "media", prefix.as_deref())
                    }
                    Operation::GetObject => allows(&permissions, "s3:GetObject", &object, None),
                    Operation::GetObjectTagging => {
                        allows(&permissions, "s3:GetObjectTagging", &object, None)
                    }
                    other => panic!("{path}: {other:?}"),
                };
                assert!(allowed, "{path}: {:?} {object}", entry.operation);
                asked += 1;
            }
            assert!(asked >= entries.len() + 3, "{path}");
            if path != "media" {
                for neighbour in [format!("{folder}2/neighbour"), "else".to_owned()] {
                    let object = format!("media/{neighbour}");
                    assert!(!allows(&permissions, "s3:GetObject", &object, None));
                    assert!(!allows(
                        &permissions,
                        "s3:ListBucket",
                        "media",
                        Some(&neighbour)
                    ));
                }
                assert!(!allows(&permissions, "s3:ListBucket", "media", None));
            }
        }
    }
}

#[tokio::test]
async fn a_policy_is_ascii_since_iam_takes_little_else() {
    let kit = factory(policy())
        .setup(Provider::S3, &request(Some("media/写真\u{1f4f7}\u{7f}")))
        .await
        .unwrap();
    let text = content(&kit, "permission_policy").unwrap();
    let printable = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    assert!(text.bytes().all(printable), "{text}");
    let permissions = policy_in(&kit, "permission_policy");
    assert_eq!(
        statement(&permissions, "s3:GetObject")["Resource"][0],
        "arn:aws:s3:::media/写真\u{1f4f7}\u{7f}"
    );
}

#[tokio::test]
async fn compatible_stores_get_the_policy_and_no_terraform_for_aws() {
    let settings = json!({"endpoint_url": "https://minio.example.com"});
    let request = for_connection(settings, CredentialType::AccessKey, "media");
    let kit = factory(policy())
        .setup(Provider::S3, &request)
        .await
        .unwrap();
    assert!(content(&kit, "permission_policy").is_some());
    assert_eq!(content(&kit, "terraform"), None);
}

#[tokio::test]
async fn tigris_is_told_in_its_own_words() {
    let lab = lab().await;
    let request = SetupRequest {
        external_id: None,
        ..request(Some("media/x"))
    };
    let kit = with_identity(&lab)
        .setup(Provider::Tigris, &request)
        .await
        .unwrap();
    assert_eq!(kit.grants.len(), 1);
    assert_eq!(
        (
            kit.grants[0].action.as_str(),
            kit.grants[0].resource.as_str()
        ),
        ("ReadOnly", "media")
    );
    let formats: Vec<SetupFormat> = kit
        .documents
        .iter()
        .map(|document| document.format)
        .collect();
    assert_eq!(formats, [SetupFormat::Text]);
    assert!(lab.journal().is_empty());
    assert!(
        with_identity(&lab)
            .setup(Provider::Snowflake, &request)
            .await
            .is_err()
    );
}
