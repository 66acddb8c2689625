//! What the lab's Google does wrong when it is told to.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use wharf_lab::google::NewItem;
use wharf_lab::{Action, FaultRule, Lab, ListingFault, Match, Operation};

use crate::google_client::{ANNA, BOT, Caller, SHARED, escaped, harbour, refused, texts};

/// A drive of so many files, and the place in its feed before they came.
async fn with_files(count: usize) -> (Lab, String, Vec<String>, String) {
    let (lab, drive) = harbour().await;
    let start = format!("changes/startPageToken?driveId={drive}&supportsAllDrives=true");
    let start = Caller::of(lab.google(), BOT).json(&start).await;
    let start = start["startPageToken"].as_str().unwrap().to_owned();
    let mut ids: Vec<_> = (0..count)
        .map(|number| {
            let item = NewItem::blob(format!("{number}"), "x").inside(&drive);
            lab.google().add(item).unwrap()
        })
        .collect();
    ids.sort_unstable();
    (lab, drive, ids, start)
}

#[tokio::test]
async fn every_reason_can_be_given_by_name() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    for (reason, status, told) in [
        ("userRateLimitExceeded", 403, "userRateLimitExceeded"),
        ("dailyLimitExceeded", 403, "dailyLimitExceeded"),
        ("authError", 401, "authError"),
        ("accessNotConfigured", 403, "accessNotConfigured"),
        ("SERVICE_DISABLED", 403, "accessNotConfigured"),
        ("domainPolicy", 403, "domainPolicy"),
        ("backendError", 503, "backendError"),
        ("gone", 410, "gone"),
        ("downloadQuotaExceeded", 403, "downloadQuotaExceeded"),
    ] {
        google.set_faults([FaultRule::new(Match::any(), Action::google_error(reason))]);
        let answer = bot.get("files").await;
        assert_eq!(answer.refusal(), refused(status, told));
        assert_eq!(answer.json()["error"]["code"], status);
    }
    let details = async |reason: &str| {
        google.set_faults([FaultRule::new(Match::any(), Action::google_error(reason))]);
        bot.get("files").await.json()["error"]["details"][0]["reason"].clone()
    };
    assert_eq!(details("accessNotConfigured").await, "SERVICE_DISABLED");
    assert_eq!(
        details("SECURITY_POLICY_VIOLATED").await,
        "SECURITY_POLICY_VIOLATED"
    );
}

#[tokio::test]
async fn a_rule_acts_on_the_requests_it_names() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    google.add_fault(FaultRule::new(
        Match::operation(Operation::DriveFilesList)
            .user(BOT)
            .query_contains("pageSize=7")
            .nth(2)
            .times(1),
        Action::google_error("rateLimitExceeded")
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .header("retry-after", "7"),
    ));
    let bot = Caller::of(google, BOT);
    let anna = Caller::of(google, ANNA);
    let mut statuses = Vec::new();
    for caller in [&bot, &anna, &bot, &bot] {
        let answer = caller.get("files?pageSize=7").await;
        statuses.push((answer.status, answer.header("retry-after").to_owned()));
    }
    let well = (200, String::new());
    assert_eq!(
        statuses,
        [well.clone(), well.clone(), (429, "7".to_owned()), well]
    );
    let faults: Vec<_> = google.journal().iter().map(|entry| entry.fault).collect();
    assert_eq!(faults, [None, None, Some(0), None]);
    google.set_faults([FaultRule::new(Match::any().times(1), Action::close())]);
    let url = format!("{}/drive/v3/files", google.url());
    assert!(
        crate::google_client::send(http::Method::GET, &url, &[], "")
            .await
            .is_err()
    );
    google.set_faults([FaultRule::new(
        Match::any(),
        Action::delay(Duration::from_millis(150)),
    )]);
    let before = std::time::Instant::now();
    bot.json("files").await;
    assert!(before.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn listings_go_wrong_as_told() {
    let (lab, drive, ids, _) = with_files(6).await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    let listed = async |fault: ListingFault| {
        google.set_faults([FaultRule::new(
            Match::operation(Operation::DriveFilesList),
            Action::listing(fault),
        )]);
        let first = format!("files?corpora=drive&driveId={drive}&{SHARED}&pageSize=4");
        let mut pages = Vec::new();
        let mut next = String::new();
        for _ in 0..8 {
            let page = bot.json(&format!("{first}{next}")).await;
            pages.push((
                texts(&page["files"], "id"),
                page["incompleteSearch"].as_bool().unwrap(),
            ));
            match page["nextPageToken"].as_str() {
                Some(token) => next = format!("&pageToken={}", escaped(token)),
                None => break,
            }
        }
        pages
    };
    let all = |pages: &[(Vec<String>, bool)]| -> Vec<String> {
        pages.iter().flat_map(|(ids, _)| ids.clone()).collect()
    };
    let short = listed(ListingFault::ShortPages(1)).await;
    assert_eq!((short.len(), all(&short)), (6, ids.clone()));
    let empty = listed(ListingFault::EmptyPage).await;
    assert_eq!(empty[0].0, [""; 0]);
    assert_eq!(all(&empty), ids);
    let twice = listed(ListingFault::Duplicates).await;
    assert_eq!(all(&twice).len(), 12);
    assert!(twice.iter().all(|(ids, _)| ids.len() <= 4));
    let omitted = listed(ListingFault::Omits(ids[2].clone())).await;
    assert_eq!(all(&omitted).len(), 5);
    let incomplete = listed(ListingFault::IncompleteSearch).await;
    assert!(incomplete[0].1);
    assert_eq!(listed(ListingFault::RepeatedToken).await.len(), 8);
    assert!(all(&listed(ListingFault::LosesPercent(100)).await).is_empty());
}

#[tokio::test]
async fn feeds_go_wrong_as_told() {
    let (lab, drive, ids, start) = with_files(4).await;
    let google = lab.google();
    let bot = Caller::of(google, BOT);
    let read = async |fault: ListingFault| {
        google.set_faults([FaultRule::new(
            Match::operation(Operation::DriveChangesList),
            Action::listing(fault),
        )]);
        let mut token = start.clone();
        let mut pages = Vec::new();
        for _ in 0..8 {
            let path = format!("changes?driveId={drive}&{SHARED}&pageToken={token}");
            let page = bot.json(&path).await;
            pages.push(page["changes"].as_array().unwrap().len());
            match page["nextPageToken"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        pages
    };
    assert_eq!(read(ListingFault::Omits(ids[0].clone())).await, [3]);
    assert_eq!(read(ListingFault::EmptyPage).await, [0, 4]);
    assert_eq!(read(ListingFault::ShortPages(2)).await, [2, 2]);
    assert_eq!(read(ListingFault::RepeatedToken).await, [4; 8]);
    assert_eq!(read(ListingFault::Duplicates).await, [8]);
}

#[tokio::test]
async fn a_careless_server_repeats_what_it_was_sent() {
    let (lab, _) = harbour().await;
    let google = lab.google();
    google.add_fault(FaultRule::new(
        Match::any(),
        Action::google_error("forbidden").echoing(),
    ));
    let token = google.access_token(BOT, &[crate::google_client::READ]);
    let answer = Caller::with(google, &token).get("files").await;
    let said = answer.json()["error"]["message"].to_string();
    assert!(said.contains(&token), "{said}");
    assert!(answer.header("x-echo-authorization").contains(&token));
    google.set_faults([FaultRule::new(Match::any(), Action::html())]);
    let page = Caller::with(google, &token).get("files").await;
    assert_eq!((page.status, page.json()), (200, json!(null)));
}
