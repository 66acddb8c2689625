//! A look at one object tells what a listing would, for one request.

use serde_json::{Value, json};
use wharf_domain::error_code::ErrorCode;
use wharf_lab::{
    Action, BucketSettings, Content, FaultRule, Lab, Match, Operation, Presentation, Seed,
    SeedObject, Versioning,
};
use wharf_ports::{FetchWish, Looked, OpenProvider, ProviderError};

use crate::account::{lab, list_all, only_entry, open, open_with, policy, s3_at};
use crate::server::{Answer, Server};

async fn look(provider: &OpenProvider, object: &str) -> Result<Option<Looked>, ProviderError> {
    provider.look("media", object).await
}

fn asked(lab: &Lab) -> Vec<Operation> {
    let journal = lab.journal().into_iter();
    journal.map(|entry| entry.operation).collect()
}

#[tokio::test]
async fn one_small_request_decides() {
    let lab = lab().await;
    lab.put_object("media", "film", "film");
    let provider = open(&lab);
    for (object, there) in [
        ("media/film", true),
        ("media/no", false),
        ("nowhere/film", false),
    ] {
        lab.clear_journal();
        let looked = look(&provider, object).await.unwrap();
        assert_eq!(looked.is_some(), there, "{object}");
        assert_eq!(asked(&lab), [Operation::HeadObject], "{object}");
    }
}

#[tokio::test]
async fn what_no_object_can_be_called_is_not_asked_for() {
    let lab = lab().await;
    let provider = open(&lab);
    let long = format!("media/{}", "k".repeat(1025));
    for object in ["", "media", "media/", &long] {
        assert_eq!(look(&provider, object).await.unwrap(), None, "{object}");
    }
    assert_eq!(asked(&lab), []);
}

#[tokio::test]
async fn what_a_listing_leaves_out_as_no_file_is_none() {
    let lab = lab().await;
    for key in ["folder/", "old_$folder$", "full/"] {
        let text = if key == "full/" { "x" } else { "" };
        lab.put_object("media", key, text);
    }
    let provider = open(&lab);
    let (entries, _) = list_all(&provider, "media", 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    for key in ["folder/", "old_$folder$", "full/"] {
        let looked = look(&provider, &format!("media/{key}")).await.unwrap();
        assert_eq!(looked.is_some(), key == "full/", "{key}");
    }
}

#[tokio::test]
async fn keys_that_clients_take_for_nothing_are_looked_at() {
    let lab = lab().await;
    for key in [" ", "  ", "\t", "\u{a0}"] {
        lab.put_object("media", key, key);
    }
    let provider = open(&lab);
    let (entries, _) = list_all(&provider, "media", 10).await.unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let looked = look(&provider, &entry.object).await.unwrap();
        assert_eq!(looked.map(|looked| looked.entry), Some(entry));
    }
}

#[tokio::test]
async fn a_refusal_has_its_reason() {
    let lab = lab().await;
    lab.put_object("media", "film", "film");
    for (code, expected) in [
        ("InvalidAccessKeyId", ErrorCode::AuthInvalidCredentials),
        ("ExpiredToken", ErrorCode::AuthExpired),
        ("RequestTimeTooSkewed", ErrorCode::AuthClockSkew),
        ("AccessDenied", ErrorCode::PermDenied),
    ] {
        lab.set_faults([FaultRule::new(Match::any(), Action::s3_error(code))]);
        let error = look(&open(&lab), "media/film").await.unwrap_err();
        assert_eq!(error.code, expected, "{code}");
        let begins = error.message.starts_with("s3:GetObject on media/film: ");
        assert!(begins, "{error}");
    }
    let another_region = Action::s3_error("PermanentRedirect").region("eu-central-1");
    lab.set_faults([FaultRule::new(Match::any(), another_region)]);
    let error = look(&open(&lab), "media/film").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ConfigWrongRegion);
    assert!(error.message.contains("eu-central-1"), "{error}");

    // Whoever refuses the small question only is asked the large one.
    let heads = Match::operation(Operation::HeadObject);
    lab.set_faults([FaultRule::new(heads, Action::s3_error("AccessDenied"))]);
    let provider = open(&lab);
    let looked = look(&provider, "media/film").await.unwrap().unwrap();
    assert_eq!(looked.entry, only_entry(&provider, "media").await);
}

#[tokio::test]
async fn a_deleted_object_is_not_there_though_its_versions_are() {
    let lab = lab().await;
    let settings = BucketSettings::new().versioning(Versioning::Enabled);
    lab.set_bucket("media", settings);
    lab.put_object("media", "film", "one");
    lab.put_object("media", "film", "two");
    let provider = open(&lab);
    let looked = look(&provider, "media/film").await.unwrap().unwrap();
    let entry = only_entry(&provider, "media").await;
    let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
    assert!(looked.version_id.is_some());
    assert_eq!(looked.version_id, fetched.version_id);
    assert_eq!(fetched.metadata["version_id"], json!(fetched.version_id));
    lab.delete_object("media", "film");
    assert_eq!(look(&provider, "media/film").await.unwrap(), None);
}

#[tokio::test]
async fn a_version_from_before_there_were_any_has_no_name() {
    let lab = lab().await;
    lab.put_object("media", "film", "one");
    let settings = BucketSettings::new().versioning(Versioning::Enabled);
    lab.set_bucket("media", settings);
    let provider = open(&lab);
    let looked = look(&provider, "media/film").await.unwrap().unwrap();
    let entry = only_entry(&provider, "media").await;
    let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
    for (version_id, metadata) in [
        (looked.version_id, looked.metadata),
        (fetched.version_id, fetched.metadata),
    ] {
        assert_eq!(version_id, None);
        assert_eq!(metadata.get("version_id"), None);
    }
}

#[tokio::test]
async fn everything_that_is_said_of_an_object_comes_along() {
    let lab = lab().await;
    let object = SeedObject {
        content_type: Some("text/plain".into()),
        presentation: Presentation {
            cache_control: Some("max-age=60".into()),
            content_disposition: Some("attachment".into()),
            content_encoding: Some("gzip".into()),
            content_language: Some("de".into()),
        },
        metadata: [("title".to_owned(), "\u{dc}ber alles 日本語".to_owned())].into(),
        storage_class: Some("STANDARD_IA".into()),
        ..SeedObject::new("a.txt", Content::Text("a".into()))
    };
    let seed = Seed {
        bucket: "media".into(),
        objects: vec![object],
        ..Seed::default()
    };
    lab.seed(seed).unwrap();
    let looked = look(&open(&lab), "media/a.txt").await.unwrap().unwrap();
    assert_eq!(looked.content_type.as_deref(), Some("text/plain"));
    let mut told = Value::Object(looked.metadata);
    let told = told.as_object_mut().unwrap();
    assert!(told.remove("last_modified").is_some());
    let expected = json!({
        "x-amz-meta-title": "\u{dc}ber alles 日本語",
        "etag": lab.objects("media")[0].etag,
        "storage_class": "STANDARD_IA",
        "cache_control": "max-age=60",
        "content_disposition": "attachment",
        "content_encoding": "gzip",
        "content_language": "de",
    });
    assert_eq!(Value::Object(told.clone()), expected);
}

/// A store with one object, which it lists and describes so.
async fn store(listed: &str, described: &[(&str, &str)]) -> Server {
    let listed = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>film</Key>{listed}</Contents>\
         </ListBucketResult>"
    );
    let headers: Vec<_> = described
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Server::start(move |request, _| {
        if request.query("list-type").is_some() {
            return Answer::new(200, listed.clone());
        }
        let said = Answer::new(200, "1234");
        headers
            .iter()
            .fold(said, |said, (name, value)| said.with(name, value))
    })
    .await
}

#[tokio::test]
async fn whole_seconds_count_so_that_both_tell_of_the_same_version() {
    let listed = "<LastModified>2026-10-21T07:28:00.987Z</LastModified><Size>4</Size>";
    let server = store(
        listed,
        &[("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT")],
    )
    .await;
    let provider = server.account();
    let entry = only_entry(&provider, "media").await;
    assert_eq!(entry.version, "2026-10-21T07:28:00Z|4");
    let looked = look(&provider, "media/film").await.unwrap().unwrap();
    assert_eq!(looked.entry, entry);
    assert!(provider.fetch(&entry, FetchWish::default()).await.is_ok());

    let later = store(
        listed,
        &[("last-modified", "Wed, 21 Oct 2026 07:28:01 GMT")],
    )
    .await;
    let provider = later.account();
    let looked = look(&provider, "media/film").await.unwrap().unwrap();
    assert_ne!(looked.entry.version, entry.version);
    let error = provider.fetch(&entry, FetchWish::default()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::ResourceChanged);
}

#[tokio::test]
async fn archived_objects_are_told_as_listings_tell_them() {
    let class = ("x-amz-storage-class", "GLACIER");
    let restored = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
        <RestoreExpiryDate>2026-12-01T00:00:00Z</RestoreExpiryDate></RestoreStatus>";
    let ready = r#"ongoing-request="false", expiry-date="Tue, 01 Dec 2026 00:00:00 GMT""#;
    let archived = Some("resource.archived");
    for (status, headers, expected) in [
        ("", vec![class], archived),
        (
            "",
            vec![class, ("x-amz-restore", r#"ongoing-request="true""#)],
            archived,
        ),
        (restored, vec![class, ("x-amz-restore", ready)], None),
    ] {
        let listed =
            format!("<ETag>\"e\"</ETag><Size>4</Size><StorageClass>GLACIER</StorageClass>{status}");
        let described = [&[("etag", "\"e\"")][..], &headers].concat();
        let server = store(&listed, &described).await;
        let aws = s3_at("http://s3.eu-west-1.amazonaws.com", "ID", "secret");
        let provider = server.account_as(aws);
        let entry = only_entry(&provider, "media").await;
        assert_eq!(entry.unreadable, expected, "{headers:?}");
        let looked = look(&provider, "media/film").await.unwrap().unwrap();
        assert_eq!(looked.entry, entry, "{headers:?}");
    }
    // No listing tells of tiers within a class; to read such an object is refused all the same.
    let tier = [("x-amz-archive-status", "ARCHIVE_ACCESS")];
    let server = store("<Size>4</Size>", &tier).await;
    let looked = look(&server.account(), "media/film")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(looked.entry.unreadable, archived);
}

#[tokio::test]
async fn what_cannot_be_reached_is_an_error() {
    let parts = s3_at("http://127.0.0.1:9", "ID", "secret");
    let error = look(&open_with(policy(), parts), "media/film").await;
    assert_eq!(error.unwrap_err().code, ErrorCode::NetworkConnect);
}
