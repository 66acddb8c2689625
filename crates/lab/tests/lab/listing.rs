//! Listings through the SDK: paging, odd keys, and the ways a listing can be wrong.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;
use wharf_lab::{Action, FaultRule, Lab, ListingFault, Match, Operation, Seed};

use crate::client::{client, refusal, refused, start};

async fn list(sdk: &Client, max_keys: i32, token: Option<&str>) -> ListObjectsV2Output {
    sdk.list_objects_v2()
        .bucket("bkt")
        .max_keys(max_keys)
        .set_continuation_token(token.map(ToOwned::to_owned))
        .send()
        .await
        .unwrap()
}

fn keys(listed: &ListObjectsV2Output) -> Vec<String> {
    listed
        .contents()
        .iter()
        .map(|object| object.key().unwrap().to_owned())
        .collect()
}

fn spoil(lab: &Lab, fault: ListingFault) {
    let listings = Match::operation(Operation::ListObjects);
    lab.set_faults([FaultRule::new(listings, Action::listing(fault))]);
}

/// Keys that break clients: every one legal, all of them in byte order.
const ODD_KEYS: [&str; 21] = [
    "\t tab first",
    "\nnewline first",
    " leading space",
    "%2F%25 is not a slash",
    "&amp; <tag> \"quoted\" 'single'",
    "+plus + and spaces +",
    "../up/../../and/away",
    "./dot/./dot",
    "//two//slashes//",
    "/one slash first",
    "=?#[]@!$&'()*,;:",
    "\\backslash\\",
    "a\u{1}b\u{1f}c\u{7f}d control",
    "a\r\nb",
    "carriage\rreturn",
    "ends with a slash/",
    "x~y*z_-.",
    "é composed, e\u{301} decomposed",
    "日本語/港.txt",
    "\u{feff}byte order mark \u{200b}",
    "🚢 beyond the basic plane",
];

#[tokio::test]
async fn every_object_of_a_large_bucket_is_listed_once_in_order() {
    let lab = start().await;
    assert_eq!(lab.seed(Seed::bulk("bkt", 10_500, "bulk/", 16)), Ok(10_500));
    let sdk = client(&lab);
    let mut pages = sdk.list_objects_v2().bucket("bkt").into_paginator().send();
    let mut all = Vec::new();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.key_count().unwrap());
        all.extend(keys(&page));
    }
    assert_eq!(
        sizes,
        [
            1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 500
        ]
    );
    let stored: Vec<_> = lab
        .objects("bkt")
        .into_iter()
        .map(|object| object.key)
        .collect();
    assert_eq!(all, stored);
}

#[tokio::test]
async fn odd_keys_come_back_byte_for_byte() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    let mut odd: Vec<String> = ODD_KEYS.iter().map(|key| (*key).to_owned()).collect();
    odd.push("長".repeat(341) + "x");
    assert_eq!(odd.last().unwrap().len(), 1024);
    for key in &odd {
        let body = key.clone().into_bytes();
        sdk.put_object()
            .bucket("bkt")
            .key(key)
            .body(body.into())
            .send()
            .await
            .unwrap();
    }
    odd.sort();
    assert_eq!(
        lab.objects("bkt")
            .iter()
            .map(|object| object.key.clone())
            .collect::<Vec<_>>(),
        odd
    );

    let mut listed = Vec::new();
    let mut token = None;
    loop {
        let page = list(&sdk, 4, token.as_deref()).await;
        listed.extend(keys(&page));
        token = page.next_continuation_token().map(ToOwned::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(listed, odd);
    for key in &odd {
        let got = sdk
            .get_object()
            .bucket("bkt")
            .key(key)
            .send()
            .await
            .unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), key.as_bytes());
        let under_it = sdk
            .list_objects_v2()
            .bucket("bkt")
            .prefix(key)
            .max_keys(1)
            .send()
            .await
            .unwrap();
        assert_eq!(keys(&under_it), [key.as_str()]);
    }
}

#[tokio::test]
async fn url_encoding_is_applied_when_asked_and_said_so() {
    let lab = start().await;
    for key in ODD_KEYS {
        lab.put_object("bkt", key, "x");
    }
    let request = client(&lab)
        .list_objects_v2()
        .bucket("bkt")
        .delimiter("~")
        .prefix("");
    let listed = request
        .encoding_type(EncodingType::Url)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.encoding_type(), Some(&EncodingType::Url));
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let encoded = keys(&listed);
    assert!(encoded.contains(&"%2Bplus+%2B+and+spaces+%2B".to_owned()));
    assert!(encoded.contains(&"//two//slashes//".to_owned()));
    let mut decoded: Vec<_> = encoded.iter().map(|key| decode(key)).collect();
    decoded.extend(
        listed
            .common_prefixes()
            .iter()
            .map(|prefix| decode(prefix.prefix().unwrap())),
    );
    decoded.sort();
    let mut expected: Vec<_> = ODD_KEYS
        .iter()
        .map(|key| if key.starts_with("x~") { "x~" } else { key })
        .collect();
    expected.sort_unstable();
    assert_eq!(decoded, expected);
}

#[tokio::test]
async fn prefix_delimiter_and_start_after_narrow_a_listing() {
    let lab = start().await;
    for key in ["a", "b/1", "b/2", "b/c/3", "d"] {
        lab.put_object("bkt", key, "x");
    }
    let sdk = client(&lab);
    let folders = sdk
        .list_objects_v2()
        .bucket("bkt")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(keys(&folders), ["a", "d"]);
    assert_eq!(folders.common_prefixes()[0].prefix(), Some("b/"));
    assert_eq!(folders.key_count(), Some(3));
    let inside = sdk
        .list_objects_v2()
        .bucket("bkt")
        .prefix("b/")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    assert_eq!(keys(&inside), ["b/1", "b/2"]);
    let later = sdk
        .list_objects_v2()
        .bucket("bkt")
        .start_after("b/1")
        .send()
        .await
        .unwrap();
    assert_eq!(keys(&later), ["b/2", "b/c/3", "d"]);
    let none = sdk
        .list_objects_v2()
        .bucket("bkt")
        .max_keys(0)
        .send()
        .await
        .unwrap();
    assert_eq!((keys(&none).len(), none.is_truncated()), (0, Some(false)));
}

#[tokio::test]
async fn a_listing_that_cannot_be_is_refused() {
    let lab = start().await;
    lab.create_bucket("bkt");
    let sdk = client(&lab);
    assert_eq!(
        refusal(sdk.list_objects_v2().bucket("nowhere").send().await),
        refused(404, "NoSuchBucket")
    );
    assert_eq!(
        refusal(
            sdk.list_objects_v2()
                .bucket("bkt")
                .continuation_token("made up")
                .send()
                .await
        ),
        refused(400, "InvalidArgument")
    );
    assert_eq!(
        refusal(
            sdk.list_objects_v2()
                .bucket("bkt")
                .max_keys(-1)
                .send()
                .await
        ),
        refused(400, "InvalidArgument")
    );
}

#[tokio::test]
async fn a_listing_can_be_truncated_without_a_token() {
    let lab = start().await;
    lab.seed(Seed::bulk("bkt", 5, "", 1)).unwrap();
    spoil(&lab, ListingFault::TruncatedWithoutToken);
    let page = list(&client(&lab), 2, None).await;
    assert_eq!(
        (page.is_truncated(), page.next_continuation_token()),
        (Some(true), None)
    );
    assert_eq!(keys(&page).len(), 2);
}

#[tokio::test]
async fn a_listing_can_repeat_its_token_for_ever() {
    let lab = start().await;
    lab.seed(Seed::bulk("bkt", 5, "", 1)).unwrap();
    spoil(&lab, ListingFault::RepeatedToken);
    let sdk = client(&lab);
    let first = list(&sdk, 2, None).await;
    let token = first.next_continuation_token().unwrap();
    let second = list(&sdk, 2, Some(token)).await;
    assert_eq!(second.next_continuation_token(), Some(token));
    assert_eq!(second.is_truncated(), Some(true));
}

#[tokio::test]
async fn pages_can_be_short_and_still_add_up() {
    let lab = start().await;
    lab.seed(Seed::bulk("bkt", 5, "", 1)).unwrap();
    spoil(&lab, ListingFault::ShortPages(2));
    let sdk = client(&lab);
    let mut pages = sdk.list_objects_v2().bucket("bkt").into_paginator().send();
    let mut counts = Vec::new();
    while let Some(page) = pages.next().await {
        counts.push(page.unwrap().key_count().unwrap());
    }
    assert_eq!(counts, [2, 2, 1]);
}

#[tokio::test]
async fn an_empty_page_can_come_before_every_full_one() {
    let lab = start().await;
    lab.seed(Seed::bulk("bkt", 4, "", 1)).unwrap();
    spoil(&lab, ListingFault::EmptyPage);
    let sdk = client(&lab);
    let mut counts = Vec::new();
    let mut token = None;
    loop {
        let page = list(&sdk, 2, token.as_deref()).await;
        counts.push(keys(&page).len());
        assert_eq!(
            page.is_truncated(),
            Some(page.next_continuation_token().is_some())
        );
        token = page.next_continuation_token().map(ToOwned::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(counts, [0, 2, 0, 2]);
}

#[tokio::test]
async fn etags_can_lose_their_quotes_and_objects_their_date() {
    let lab = start().await;
    lab.put_object("bkt", "k", "hello");
    let sdk = client(&lab);
    let tag = "5d41402abc4b2a76b9719d911017c592";
    let page = list(&sdk, 1, None).await;
    assert_eq!(
        page.contents()[0].e_tag(),
        Some(format!("\"{tag}\"").as_str())
    );
    assert!(page.contents()[0].last_modified().is_some());
    spoil(&lab, ListingFault::UnquotedEtag);
    assert_eq!(list(&sdk, 1, None).await.contents()[0].e_tag(), Some(tag));
    spoil(&lab, ListingFault::MissingLastModified);
    assert_eq!(
        list(&sdk, 1, None).await.contents()[0].last_modified(),
        None
    );
}
