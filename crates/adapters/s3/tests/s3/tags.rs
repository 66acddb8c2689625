//! Tags come with a file when they are wished, and are those of the version whose bytes come.

use serde_json::{Value, json};
use wharf_domain::error_code::ErrorCode;
use wharf_lab::{
    Action, BucketSettings, Content, FaultRule, Lab, Match, Operation, Seed, SeedObject, Versioning,
};
use wharf_ports::{FetchWish, Fetched, ProviderError, Retry};

use crate::account::{lab, only_entry, open};

const WISHED: FetchWish = FetchWish { tags: true };

async fn tagged() -> Lab {
    let lab = lab().await;
    let settings = BucketSettings::new().versioning(Versioning::Enabled);
    lab.set_bucket("media", settings);
    let object = SeedObject {
        tags: [("berth".to_owned(), "north".to_owned())].into(),
        ..SeedObject::new("film", Content::Text("film".into()))
    };
    let seed = Seed {
        bucket: "media".into(),
        objects: vec![object],
        ..Seed::default()
    };
    lab.seed(seed).unwrap();
    lab
}

async fn fetch(lab: &Lab, wish: FetchWish) -> Result<Fetched, ProviderError> {
    let provider = open(lab);
    let entry = only_entry(&provider, "media").await;
    provider.fetch(&entry, wish).await
}

/// What comes of a wish when the store answers so to a question about tags.
async fn answered(lab: &Lab, action: Action) -> Result<Value, ProviderError> {
    let tagging = Match::operation(Operation::GetObjectTagging);
    lab.set_faults([FaultRule::new(tagging, action)]);
    Ok(Value::Object(fetch(lab, WISHED).await?.tags))
}

#[tokio::test]
async fn nobody_asks_for_tags_that_are_not_wished() {
    let lab = tagged().await;
    assert!(
        fetch(&lab, FetchWish::default())
            .await
            .unwrap()
            .tags
            .is_empty()
    );
    let asked = |lab: &Lab| {
        let journal = lab.journal().into_iter();
        journal
            .filter(|entry| entry.operation == Operation::GetObjectTagging)
            .count()
    };
    assert_eq!(asked(&lab), 0);
    let tags = fetch(&lab, WISHED).await.unwrap().tags;
    assert_eq!(Value::Object(tags), json!({"berth": "north"}));
    assert_eq!(asked(&lab), 1);
}

#[tokio::test]
async fn a_store_without_tags_has_none() {
    let lab = tagged().await;
    let body = |body: &str| Action {
        body: Some(body.to_owned()),
        ..Action::default()
    };
    for action in [
        Action::s3_error("NotImplemented"),
        Action::s3_error("MethodNotAllowed"),
        Action::s3_error("NoSuchTagSet"),
        // The object itself, of a store that knows no parts of one.
        body("film"),
        body(""),
    ] {
        let tags = answered(&lab, action.clone()).await;
        assert_eq!(tags.unwrap(), json!({}), "{action:?}");
    }
}

#[tokio::test]
async fn tags_that_cannot_be_read_are_an_error_and_never_none() {
    let lab = tagged().await;
    for (action, code, retry) in [
        (
            Action::s3_error("AccessDenied"),
            ErrorCode::PermDenied,
            Retry::Never,
        ),
        (
            Action::s3_error("SlowDown"),
            ErrorCode::QuotaRateLimited,
            Retry::Later { after: None },
        ),
        (
            Action::s3_error("NoSuchKey"),
            ErrorCode::ResourceChanged,
            Retry::Never,
        ),
        (
            Action::html(),
            ErrorCode::ProtocolUnexpectedResponse,
            Retry::Later { after: None },
        ),
        (
            Action::truncate_at(40),
            ErrorCode::NetworkConnect,
            Retry::Later { after: None },
        ),
    ] {
        let error = answered(&lab, action).await.unwrap_err();
        assert_eq!((error.code, error.retry), (code, retry), "{error}");
        let begins = error.message.starts_with("s3:GetObjectTagging on media: ");
        assert!(begins, "{error}");
    }
}

#[tokio::test]
async fn tags_of_another_version_are_not_taken_for_the_file_s() {
    let lab = tagged().await;
    let another = Action::default().header("x-amz-version-id", "another");
    let error = answered(&lab, another).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ResourceChanged);
    // Not every store says whose they are.
    let silent = Action::default().without_header("x-amz-version-id");
    let tags = answered(&lab, silent).await;
    assert_eq!(tags.unwrap(), json!({"berth": "north"}));
}
