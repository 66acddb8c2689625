//! Keys come back byte for byte, and are asked for byte for byte.

use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_lab::{Action, FaultRule, Match, Operation};
use wharf_ports::FetchWish;

use crate::account::{PROFILES, lab, list_all, open, open_as, read};

const ODD: [&str; 36] = [
    "a b",
    " leading",
    "trailing ",
    " ",
    "\n \t",
    "\u{3000}",
    "a+b",
    "a%b",
    "a%2Fb",
    "a%20b",
    "a&b",
    "a&amp;b",
    "<a>\"b'",
    "a//b",
    "//a",
    "/a",
    "a/../b",
    "../a",
    "..",
    "a/./b",
    ".",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "a\u{1}b\u{1f}",
    "a\u{7f}b",
    "a?b=c&d#e",
    "a\\b",
    "ü/é/日本語",
    "e\u{301}",
    "\u{202e}gpj.exe",
    "😀",
    "a:b@c,d;e=f$g!h*i(j)k~l",
    "|^`{}[]",
    "a\u{fffe}b",
    "x-id=GetObject",
];

#[tokio::test]
async fn odd_keys_are_listed_and_fetched_as_they_are() {
    let lab = lab().await;
    for key in ODD {
        lab.put_object("bkt", key, format!("bytes of {key:?}"));
    }
    let expected: Vec<String> = lab
        .objects("bkt")
        .into_iter()
        .map(|object| format!("bkt/{}", object.key))
        .collect();
    for profile in PROFILES {
        let provider = open_as(&lab, profile);
        let (entries, _) = list_all(&provider, "bkt", 5).await.unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.object.clone())
                .collect::<Vec<_>>(),
            expected,
            "{profile:?}"
        );
        for entry in entries {
            let bytes = read(&provider, &entry)
                .await
                .unwrap_or_else(|error| panic!("{profile:?} {entry:?}: {error}"));
            assert_eq!(
                bytes,
                format!("bytes of {:?}", &entry.object["bkt/".len()..])
            );
        }
    }
}

#[tokio::test]
async fn odd_prefixes_are_asked_for_as_they_are() {
    let lab = lab().await;
    for key in ODD {
        lab.put_object("bkt", &format!("{key}/file"), "x");
    }
    let provider = open(&lab);
    for key in ODD {
        let (entries, _) = list_all(&provider, &format!("bkt/{key}/"), 1000)
            .await
            .unwrap();
        assert!(
            entries
                .iter()
                .any(|entry| entry.object == format!("bkt/{key}/file")),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn keys_that_xml_cannot_carry_are_asked_for_in_url_encoding() {
    let lab = lab().await;
    for key in ODD {
        lab.put_object("bkt", key, "x");
    }
    let expected = lab.objects("bkt").len();
    let raw = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a\u{1}b</Key></Contents></ListBucketResult>";
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::ListObjects).nth(1).times(1),
        Action {
            body: Some(raw.to_owned()),
            ..Action::default()
        },
    ));
    let (entries, pages) = list_all(&open(&lab), "bkt", 1000).await.unwrap();
    let mut keys: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.object["bkt/".len()..].to_owned())
        .collect();
    let mut sent = ODD.map(ToOwned::to_owned).to_vec();
    keys.sort();
    sent.sort();
    assert_eq!((keys, pages), (sent, 1));
    assert_eq!(lab.journal().len(), 2);
    assert_eq!(expected, ODD.len());
}

#[tokio::test]
async fn keys_are_not_believed_where_it_is_not_said_how_they_are_written() {
    let lab = lab().await;
    let page = |key: &str| Action {
        body: Some(format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key></Contents></ListBucketResult>"
        )),
        ..Action::default()
    };
    lab.set_faults([
        FaultRule::new(
            Match::any().query_contains("encoding-type=url"),
            page("a+b%2Bc"),
        ),
        FaultRule::new(Match::any(), page("a\u{1}")),
    ]);
    let error = list_all(&open(&lab), "bkt", 1000).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ProtocolUnexpectedResponse);
}

#[tokio::test]
async fn a_key_with_nul_is_told_of_but_not_readable() {
    let lab = lab().await;
    lab.put_object("bkt", "a\0b", "x");
    lab.put_object("bkt", "ok", "x");
    let (entries, _) = list_all(&open(&lab), "bkt", 1000).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.object.as_str(), entry.unreadable))
        .collect();
    assert_eq!(
        told,
        [("bkt/a\u{2400}b", Some("key_with_nul")), ("bkt/ok", None)]
    );
}

#[tokio::test]
async fn keys_longer_than_any_key_are_told_of_under_a_shortened_name() {
    let lab = lab().await;
    let (longest, long, blank) = ("k".repeat(1024), "k".repeat(1025), " ".repeat(70_000));
    let contents: String = [&longest, &long, &blank]
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
        .concat();
    lab.add_fault(FaultRule::new(
        Match::operation(Operation::ListObjects),
        Action {
            body: Some(format!(
                "<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
            )),
            ..Action::default()
        },
    ));
    let (entries, _) = list_all(&open(&lab), "bkt", 10).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.object.len(), entry.unreadable))
        .collect();
    let short = "bkt/".len() + 200 + "…".len() + 64;
    assert_eq!(
        told,
        [
            ("bkt/".len() + 1024, None),
            (short, Some("key_too_long")),
            (short, Some("key_too_long"))
        ]
    );
}

#[tokio::test]
async fn a_key_longer_than_any_key_is_not_asked_for() {
    let lab = lab().await;
    lab.create_bucket("bkt");
    let provider = open(&lab);
    for key in ["k", " ", "\u{3000}"] {
        let object = format!("bkt/{}", key.repeat(70_000));
        let entry = Entry {
            path: object.clone(),
            object,
            version: "|1".into(),
            size_bytes: Some(1),
            modified_at: None,
            unreadable: None,
            lineage: String::new(),
        };
        let error = provider
            .fetch(&entry, FetchWish::default())
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::ResourceNotFound, "{key:?}");
    }
    assert!(lab.journal().is_empty());
}
