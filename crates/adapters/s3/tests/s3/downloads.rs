//! Downloads are whole, right and of the version that was listed, or end in an error.

use futures::StreamExt;
use wharf_domain::error_code::ErrorCode;
use wharf_lab::{
    Action, Content, FaultRule, Lab, Match, Operation, Seed, SeedObject, generated_content,
};
use wharf_ports::{FetchWish, Retry};

use crate::account::{PROFILES, Profile, lab, list_all, only_entry, open, open_as, read};

const SIZE: usize = 300_000;

fn spoil(lab: &Lab, action: Action) {
    lab.set_faults([FaultRule::new(
        Match::operation(Operation::GetObject),
        action,
    )]);
}

async fn seeded() -> Lab {
    let lab = lab().await;
    lab.put_object("media", "film", generated_content("film", SIZE));
    lab
}

/// The error, and how many bytes came before it through the stream; none when the call itself failed.
async fn failure(lab: &Lab) -> (ErrorCode, Option<usize>) {
    let provider = open(lab);
    let entry = only_entry(&provider, "media").await;
    let mut bytes = match provider.fetch(&entry, FetchWish::default()).await {
        Ok(fetched) => fetched.bytes,
        Err(error) => return (error.code, None),
    };
    let mut received = 0;
    loop {
        match bytes.next().await.expect("a stream must not end well here") {
            Ok(chunk) => received += chunk.len(),
            Err(error) => return (error.code, Some(received)),
        }
    }
}

#[tokio::test]
async fn bytes_arrive_whole() {
    let lab = lab().await;
    for size in [0, 1, 65_536, SIZE] {
        lab.put_object("media", &format!("{size}"), generated_content("k", size));
    }
    for profile in PROFILES {
        let provider = open_as(&lab, profile);
        let (entries, _) = list_all(&provider, "media", 1000).await.unwrap();
        for entry in entries {
            let bytes = read(&provider, &entry).await.unwrap();
            assert_eq!(
                Some(bytes),
                lab.object_bytes("media", &entry.object["media/".len()..]),
                "{profile:?}"
            );
        }
    }
}

#[tokio::test]
async fn type_and_metadata_come_with_the_bytes() {
    let lab = lab().await;
    let seed = Seed {
        bucket: "media".into(),
        objects: vec![SeedObject {
            content_type: Some("image/png".into()),
            metadata: [("author".to_owned(), "Ada".to_owned())].into(),
            ..SeedObject::new("a.png", Content::Text("png".into()))
        }],
        ..Seed::default()
    };
    lab.seed(seed).unwrap();
    spoil(
        &lab,
        Action::default()
            .header("x-amz-version-id", "v1")
            .header("x-amz-meta-etag", "mine"),
    );
    let provider = open(&lab);
    let entry = only_entry(&provider, "media").await;
    let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("image/png"));
    let metadata = fetched.metadata;
    assert_eq!(metadata["x-amz-meta-author"], "Ada");
    assert_eq!(metadata["x-amz-meta-etag"], "mine");
    assert_eq!(metadata["etag"], lab.objects("media")[0].etag);
    assert_eq!(metadata["version_id"], "v1");
    assert!(metadata["last_modified"].is_string());
}

#[tokio::test]
async fn a_changed_object_is_not_mistaken_for_the_listed_one() {
    let lab = seeded().await;
    let provider = open(&lab);
    let entry = only_entry(&provider, "media").await;
    lab.put_object("media", "film", generated_content("other", SIZE));
    let error = provider
        .fetch(&entry, FetchWish::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.retry),
        (ErrorCode::ResourceChanged, Retry::Never)
    );
    assert_eq!(lab.journal().last().unwrap().status, Some(412));

    // A store that ignores the condition gives itself away by the answer.
    spoil(
        &lab,
        Action::default().header("etag", "\"0123456789abcdef0123456789abcdef\""),
    );
    assert_eq!(failure(&lab).await, (ErrorCode::ResourceChanged, None));
}

#[tokio::test]
async fn a_vanished_object_is_not_found_and_tigris_is_given_time() {
    for profile in PROFILES {
        let lab = seeded().await;
        let provider = open_as(&lab, profile);
        let entry = only_entry(&provider, "media").await;
        lab.delete_object("media", "film");
        let error = provider
            .fetch(&entry, FetchWish::default())
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceNotFound, "{profile:?}");
        assert_eq!(error.retry, Retry::Never, "{profile:?}");
        let asked = lab.journal().len() - 1;
        let times = if profile == Profile::S3 { 1 } else { 2 };
        assert_eq!(asked, times, "{profile:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_every_time_ends_in_an_error() {
    let lab = seeded().await;
    for cut in [0, 1] {
        spoil(&lab, Action::truncate_at(cut));
        let (code, received) = failure(&lab).await;
        assert_eq!(code, ErrorCode::NetworkConnect);
        assert!(received.unwrap_or(0) <= 4 * cut);
    }
}

#[tokio::test]
async fn a_body_that_is_cut_once_arrives_whole() {
    let lab = seeded().await;
    for profile in PROFILES {
        let provider = open_as(&lab, profile);
        let entry = only_entry(&provider, "media").await;
        for cut in [1, 100_000, SIZE - 1] {
            let once = Match::operation(Operation::GetObject).times(1);
            lab.set_faults([FaultRule::new(once, Action::truncate_at(cut))]);
            let bytes = read(&provider, &entry).await.unwrap();
            assert_eq!(
                Some(bytes),
                lab.object_bytes("media", "film"),
                "{profile:?}"
            );
            let range = lab.journal().last().unwrap().range.clone();
            assert!(range.is_some_and(|range| range.starts_with("bytes=")));
        }
    }
}

#[tokio::test]
async fn a_wrong_byte_ends_in_an_error_whichever_way_it_is_noticed() {
    let lab = seeded().await;
    let wrong = || Action::corrupt_byte_at(SIZE / 2);
    let by_tag = || wrong().header("server", "MinIO");
    for action in [
        wrong(),
        wrong().without_header("etag"),
        by_tag().without_header("x-amz-checksum-crc64nvme"),
        by_tag()
            .without_header("x-amz-checksum-crc64nvme")
            .header("x-amz-checksum-crc32", "not base64!"),
        by_tag().header("x-amz-checksum-type", "COMPOSITE"),
        by_tag().header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=-3"),
    ] {
        spoil(&lab, action);
        assert_eq!(
            failure(&lab).await,
            (ErrorCode::IntegrityMismatch, Some(SIZE))
        );
    }
}

#[tokio::test]
async fn checksums_of_parts_and_tags_of_encrypted_objects_are_not_held_against_the_bytes() {
    let lab = seeded().await;
    let provider = open(&lab);
    let entry = only_entry(&provider, "media").await;
    let bytes = lab.object_bytes("media", "film").unwrap();
    for action in [
        Action::default().header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=-3"),
        Action::default()
            .header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")
            .header("x-amz-checksum-type", "COMPOSITE"),
        Action::default()
            .without_header("x-amz-checksum-crc64nvme")
            .without_header("x-amz-checksum-type"),
    ] {
        spoil(&lab, action);
        assert_eq!(read(&provider, &entry).await.unwrap(), bytes);
    }
    let encrypted = wharf_domain::plan::Entry {
        version: format!("{}|{SIZE}", "0".repeat(32)),
        ..entry
    };
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption", "aws:kms:dsse"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ] {
        let action = Action {
            body: Some("x".repeat(SIZE)),
            ..Action::default()
        };
        spoil(
            &lab,
            action
                .header("etag", "\"00000000000000000000000000000000\"")
                .header("server", "MinIO")
                .header(name, value),
        );
        assert_eq!(read(&provider, &encrypted).await.unwrap().len(), SIZE);
    }
}

#[tokio::test]
async fn encoded_content_is_left_as_it_is_stored() {
    let lab = seeded().await;
    spoil(&lab, Action::default().header("content-encoding", "gzip"));
    let provider = open(&lab);
    let entry = only_entry(&provider, "media").await;
    let fetched = provider.fetch(&entry, FetchWish::default()).await.unwrap();
    assert_eq!(fetched.metadata["content_encoding"], "gzip");
    assert_eq!(
        Some(read(&provider, &entry).await.unwrap()),
        lab.object_bytes("media", "film")
    );
}

#[tokio::test]
async fn archived_objects_and_closed_connections_have_their_own_codes() {
    let lab = seeded().await;
    let seed = Seed {
        bucket: "media".into(),
        objects: vec![SeedObject {
            storage_class: Some("GLACIER".into()),
            ..SeedObject::new("film", Content::Text("film".into()))
        }],
        ..Seed::default()
    };
    lab.seed(seed).unwrap();
    assert_eq!(failure(&lab).await, (ErrorCode::ResourceArchived, None));
    spoil(&lab, Action::close());
    assert_eq!(failure(&lab).await, (ErrorCode::NetworkConnect, None));
}
