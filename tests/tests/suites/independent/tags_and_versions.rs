//! Tags, user metadata and versions of objects at S3 servers that nobody here wrote, through the adapter.

use std::sync::Arc;

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use serde_json::{Value, json};
use wharf_domain::ids::ConnectionId;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Provider, parse_new};
use wharf_ports::{FetchWish, Fetched, LoneSession, Looked, OpenProvider, ProviderFactory};
use wharf_testkit::FakeClock;
use wharf_tests::Bucket;

use crate::in_process::{adapter, object};

const WISHED: FetchWish = FetchWish { tags: true };

fn account(source: &Bucket) -> Result<OpenProvider> {
    let fields = object(source.provider_config());
    let parts = parse_new(Provider::S3, fields, "provider_config")?;
    let connection: ConnectionId = "conn_testtesttesttes".parse()?;
    let session = Arc::new(LoneSession::new(Arc::new(FakeClock::new())));
    Ok(adapter().open(&connection, &parts.config, parts.credentials, session)?)
}

/// What is listed, all on one page.
async fn listed(source: &Bucket, account: &OpenProvider) -> Result<Vec<Entry>> {
    let page = account.list(source.name(), None, 1000).await?;
    assert!(page.next.is_none());
    Ok(page.entries)
}

/// The only object there is, as the listing, a fetch and a look tell of it; they agree.
async fn told(source: &Bucket, account: &OpenProvider) -> Result<(Fetched, Looked)> {
    let [entry] = &listed(source, account).await?[..] else {
        anyhow::bail!("there is not one object");
    };
    let fetched = account.fetch(entry, WISHED).await?;
    let looked = account.look(source.name(), &entry.object).await?;
    let looked = looked.context("the object is not there")?;
    assert_eq!(looked.entry, *entry);
    assert_eq!(looked.metadata, fetched.metadata);
    assert_eq!(looked.content_type, fetched.content_type);
    assert_eq!(looked.version_id, fetched.version_id);
    Ok((fetched, looked))
}

async fn bring_back_what_is_said(server: &str) -> Result<()> {
    let Some(source) = Bucket::create(server, "said").await? else {
        return Ok(());
    };
    let account = account(&source)?;
    let said = [
        ("content-type", "application/x-crate"),
        ("content-language", "de"),
        ("cache-control", "max-age=60"),
        ("x-amz-meta-tide", "high"),
        ("x-amz-meta-title", "=?UTF-8?B?w5xiZXI=?="),
        ("x-amz-tagging", "berth=north&a%20key=1%20%2B%201"),
    ];
    source.put("pier 1/crate", b"oranges", &said).await?;
    let (fetched, _) = told(&source, &account).await?;
    let tags = Value::Object(fetched.tags);
    assert_eq!(tags, json!({"berth": "north", "a key": "1 + 1"}));
    assert_eq!(fetched.content_type.as_deref(), Some("application/x-crate"));
    assert_eq!(fetched.version_id, None);
    let metadata = fetched.metadata;
    for (name, value) in [
        ("x-amz-meta-tide", "high"),
        ("x-amz-meta-title", "\u{dc}ber"),
        ("content_language", "de"),
        ("cache_control", "max-age=60"),
    ] {
        assert_eq!(metadata[name], value, "{metadata:?}");
    }
    let bytes: Vec<_> = fetched.bytes.try_collect().await?;
    assert_eq!(bytes.concat(), b"oranges");

    // Tags change without the object changing.
    let before = listed(&source, &account).await?;
    source.tag("pier 1/crate", "berth", "south").await?;
    assert_eq!(listed(&source, &account).await?, before);
    let (fetched, _) = told(&source, &account).await?;
    assert_eq!(Value::Object(fetched.tags), json!({"berth": "south"}));
    Ok(())
}

async fn name_every_version(server: &str) -> Result<()> {
    let Some(source) = Bucket::create(server, "versions").await? else {
        return Ok(());
    };
    let account = account(&source)?;
    source.keep_versions().await?;
    let mut names = BTreeSet::new();
    for (text, berth) in [("apples", "1"), ("pears", "2"), ("apples", "3")] {
        let tags = format!("berth={berth}");
        let said = [
            ("x-amz-tagging", tags.as_str()),
            ("x-amz-meta-berth", berth),
        ];
        source.put("crate", text.as_bytes(), &said).await?;
        let (fetched, looked) = told(&source, &account).await?;
        assert_eq!(fetched.tags["berth"], berth);
        assert_eq!(fetched.metadata["x-amz-meta-berth"], berth);
        let name = looked.version_id.context("the version has no name")?;
        assert_eq!(fetched.metadata["version_id"], name);
        let bytes: Vec<_> = fetched.bytes.try_collect().await?;
        assert_eq!(bytes.concat(), text.as_bytes());
        names.insert((name, text));
    }
    assert_eq!(names.len(), 3);
    let entry = listed(&source, &account)
        .await?
        .pop()
        .context("an object")?;
    source.remove("crate").await?;
    // A delete marker hides the object, and nothing else.
    assert!(listed(&source, &account).await?.is_empty());
    assert_eq!(account.look(source.name(), &entry.object).await?, None);
    let gone = account.fetch(&entry, WISHED).await;
    assert_eq!(
        gone.err().map(|error| error.code.as_str()),
        Some("resource.not_found")
    );
    for (name, text) in names {
        assert_eq!(source.version("crate", &name).await?, text);
    }
    Ok(())
}

#[tokio::test]
async fn seaweedfs_brings_back_tags_and_metadata() -> Result<()> {
    bring_back_what_is_said("SEAWEEDFS").await
}

#[tokio::test]
async fn seaweedfs_names_every_version() -> Result<()> {
    name_every_version("SEAWEEDFS").await
}

#[tokio::test]
async fn moto_brings_back_tags_and_metadata() -> Result<()> {
    bring_back_what_is_said("MOTO").await
}

#[tokio::test]
async fn moto_names_every_version() -> Result<()> {
    name_every_version("MOTO").await
}

/// It keeps a bucket as a folder.
#[tokio::test]
async fn rclone_has_no_tags_nor_versions() -> Result<()> {
    let Some(source) = Bucket::create("RCLONE", "said").await? else {
        return Ok(());
    };
    let said = [
        ("x-amz-tagging", "berth=north"),
        ("x-amz-meta-tide", "high"),
    ];
    source.put("crate", b"oranges", &said).await?;
    let (fetched, _) = told(&source, &account(&source)?).await?;
    assert_eq!(Value::Object(fetched.tags), json!({}));
    assert_eq!(fetched.version_id, None);
    assert_eq!(fetched.metadata["x-amz-meta-tide"], "high");
    Ok(())
}
