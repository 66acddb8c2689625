//! On paused time: it moves on only when everybody waits.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::time::{advance, sleep, timeout};
use wharf_domain::Metadata;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::ids::ConnectionId;
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_domain::sync::Cursor;
use wharf_ports::{
    CheckRequest, FetchWish, Fetched, ListingPage, Looked, OpenProvider, StorageProvider,
};
use wharf_testkit::SeededIds;

use super::gated::Gated;
use super::room::Room;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What an account answers next.
#[derive(Clone, Copy)]
enum Answer {
    Throttled(Option<u64>),
    Away,
    Panic,
}

/// An account that answers well, slowly if wished, unless told otherwise, and keeps a journal.
struct Account {
    takes: Duration,
    next: Mutex<VecDeque<Answer>>,
    journal: Mutex<Vec<(String, Duration)>>,
    began: Instant,
    at_once: watch::Sender<(u32, u32)>,
}

impl Account {
    fn new(takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            takes,
            next: Mutex::default(),
            journal: Mutex::default(),
            began: Instant::now(),
            at_once: watch::Sender::new((0, 0)),
        })
    }

    fn then(&self, answer: Answer) {
        self.next.lock().unwrap().push_back(answer);
    }

    /// What was asked, and how many whole seconds after the beginning.
    fn journal(&self) -> Vec<(String, u64)> {
        let journal = self.journal.lock().unwrap();
        journal
            .iter()
            .map(|(what, at)| (what.clone(), at.as_secs()))
            .collect()
    }

    fn requests(&self) -> usize {
        self.journal.lock().unwrap().len()
    }

    fn most_at_once(&self) -> u32 {
        self.at_once.borrow().1
    }

    async fn asked(&self, what: &str) -> Result<(), ProviderError> {
        let at = self.began.elapsed();
        self.journal.lock().unwrap().push((what.to_owned(), at));
        let answer = self.next.lock().unwrap().pop_front();
        self.at_once.send_modify(|(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
        sleep(self.takes).await;
        self.at_once.send_modify(|(now, _)| *now -= 1);
        match answer {
            None => Ok(()),
            Some(Answer::Throttled(after)) => Err(throttled(after)),
            Some(Answer::Away) => Err(ProviderError::transient(
                ErrorCode::ProviderUnavailable,
                "away",
            )),
            Some(Answer::Panic) => panic!("as the test wished"),
        }
    }
}

fn throttled(after: Option<u64>) -> ProviderError {
    ProviderError {
        retry: Retry::Later {
            after: after.map(Duration::from_secs),
        },
        ..ProviderError::transient(ErrorCode::QuotaRateLimited, "slow down")
    }
}

#[async_trait]
impl StorageProvider for Account {
    fn authority(&self) -> String {
        "account".to_owned()
    }

    async fn check(&self, _request: CheckRequest<'_>) -> CheckReport {
        let check = match self.asked("check").await {
            Ok(()) => Check::passed("sign_in", 1),
            Err(error) => Check::inconclusive("sign_in", error.code, None, "", 1),
        };
        CheckReport {
            checks: vec![check],
        }
    }

    async fn list(
        &self,
        source_path: &str,
        _cursor: Option<&Cursor>,
        _limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        self.asked(source_path).await?;
        Ok(ListingPage {
            entries: Vec::new(),
            next: None,
            denied: Vec::new(),
        })
    }

    /// Two chunks. A file named `throttled` breaks off with that between them.
    async fn fetch(&self, entry: &Entry, _wish: FetchWish) -> Result<Fetched, ProviderError> {
        self.asked(&entry.object).await?;
        let second = match &*entry.object {
            "throttled" => Err(throttled(Some(5))),
            _ => Ok(Bytes::from_static(b"b")),
        };
        Ok(Fetched {
            bytes: stream::iter([Ok(Bytes::from_static(b"a")), second]).boxed(),
            content_type: None,
            metadata: Metadata::new(),
            tags: Metadata::new(),
            version_id: None,
        })
    }

    async fn look(
        &self,
        _source_path: &str,
        object: &str,
    ) -> Result<Option<Looked>, ProviderError> {
        self.asked(object).await.map(|()| None)
    }
}

fn gates() -> Gates {
    Gates::new(Arc::new(SeededIds::new(7)))
}

fn connection(number: u32) -> ConnectionId {
    format!("conn_{number:015}").parse().unwrap()
}

fn guard(gates: &Gates, account: &Arc<Account>) -> OpenProvider {
    gates.guard(Provider::S3, &connection(1), account.clone())
}

async fn list(account: &OpenProvider, name: &str) -> Result<(), ProviderError> {
    account.list(name, None, 1).await.map(drop)
}

fn entry(object: &str, size_bytes: u64) -> Entry {
    Entry {
        object: object.to_owned(),
        path: object.to_owned(),
        version: "v".to_owned(),
        size_bytes: Some(size_bytes),
        modified_at: None,
        unreadable: None,
        lineage: String::new(),
    }
}

async fn fetch(account: &OpenProvider, object: &str) -> Result<Fetched, ProviderError> {
    account.fetch(&entry(object, 2), FetchWish::default()).await
}

/// Asks that many at once; how many succeeded.
async fn burst(account: &OpenProvider, requests: usize) -> usize {
    let asked = (0..requests).map(|_| list(account, "burst"));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().flatten().count()
}

fn places(gates: &Gates, account: &Arc<Account>) -> (u32, usize) {
    let gate = gates.of_connection(&connection(1), account);
    let limit = gate.state().limit;
    (limit, gate.places.available_permits())
}

#[tokio::test(start_paused = true)]
async fn requests_of_all_workers_go_out_in_the_order_in_which_they_came() {
    let gates = gates();
    let account = Account::new(SECOND);
    let (one, other) = (guard(&gates, &account), guard(&gates, &account));
    let names: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
    let asked = names.iter().enumerate().map(|(n, name)| {
        let worker = if n % 3 == 0 { &one } else { &other };
        list(worker, name)
    });
    futures::future::join_all(asked).await;
    let order: Vec<String> = account
        .journal()
        .into_iter()
        .map(|(what, _)| what)
        .collect();
    assert_eq!(order, names);
}

#[tokio::test(start_paused = true)]
async fn the_limit_grows_by_one_after_as_many_successes_and_never_beyond_its_bound() {
    let gates = gates();
    let account = Account::new(SECOND);
    let worker = guard(&gates, &account);
    assert_eq!(burst(&worker, 16).await, 16);
    assert_eq!(account.most_at_once(), 16);
    assert_eq!(places(&gates, &account), (17, 17));
    assert_eq!(burst(&worker, 16).await, 16);
    assert_eq!(places(&gates, &account), (17, 17), "one success short");
    assert_eq!(burst(&worker, 20_000).await, 20_000);
    assert_eq!(places(&gates, &account), (128, 128));
    assert_eq!(account.most_at_once(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_full_of_throttling_halves_the_limit_once() {
    let gates = gates();
    let account = Account::new(SECOND);
    let worker = guard(&gates, &account);
    (0..16).for_each(|_| account.then(Answer::Throttled(Some(3))));
    assert_eq!(burst(&worker, 16).await, 0);
    assert_eq!(places(&gates, &account), (8, 8));
    account.then(Answer::Throttled(Some(3)));
    assert_eq!(burst(&worker, 8).await, 7);
    let halved = places(&gates, &account).0;
    assert!((4..=5).contains(&halved), "{halved}");
    for _ in 0..10 {
        account.then(Answer::Throttled(Some(1)));
        burst(&worker, 1).await;
    }
    assert_eq!(
        places(&gates, &account),
        (1, 1),
        "one is always let through"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_before_the_time_that_the_provider_wished() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let (one, other) = (guard(&gates, &account), guard(&gates, &account));
    account.then(Answer::Throttled(Some(20)));
    assert_eq!(
        list(&one, "first").await.unwrap_err().code,
        ErrorCode::QuotaRateLimited
    );
    let entry = entry("file", 1);
    let (listed, fetched, looked) = tokio::join!(
        list(&one, "listing"),
        other.fetch(&entry, FetchWish::default()),
        other.look("", "looked at"),
    );
    listed.unwrap();
    fetched.unwrap();
    looked.unwrap();
    let journal = account.journal();
    assert_eq!(journal[0], ("first".to_owned(), 0));
    assert_eq!(journal.len(), 4);
    assert!(journal[1..].iter().all(|(_, at)| *at == 20), "{journal:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_place_wait_for_the_gate_too() {
    let gates = gates();
    let account = Account::new(SECOND);
    let worker = guard(&gates, &account);
    (0..16).for_each(|_| account.then(Answer::Throttled(Some(10))));
    burst(&worker, 40).await;
    let times: Vec<u64> = account.journal().iter().map(|(_, at)| *at).collect();
    let early = times.iter().filter(|at| **at == 0).count();
    assert_eq!(early, 16);
    assert!(times[16..].iter().all(|at| *at >= 11), "{times:?}");
    assert_eq!(times[16..].iter().filter(|at| **at == 11).count(), 8);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_sent_away_at_once_with_the_time_that_remains() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    account.then(Answer::Throttled(Some(100)));
    list(&worker, "first").await.unwrap_err();
    advance(10 * SECOND).await;
    let asked = Instant::now();
    let error = list(&worker, "second").await.unwrap_err();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(error.code, ErrorCode::QuotaRateLimited);
    let after = Some(90 * SECOND);
    assert_eq!(error.retry, Retry::Later { after });
    assert_eq!(account.requests(), 1);
    advance(90 * SECOND).await;
    list(&worker, "third").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_already_is_sent_away_when_the_gate_closes_for_longer() {
    let gates = gates();
    let account = Account::new(SECOND);
    let worker = guard(&gates, &account);
    // Sixteen hold every place, and one of them hears of a minute's silence while others queue.
    account.then(Answer::Throttled(Some(60)));
    let began = Instant::now();
    let queued = async {
        sleep(SECOND / 2).await;
        let error = list(&worker, "queued").await.unwrap_err();
        (error.code, began.elapsed())
    };
    let (_, (code, at)) = tokio::join!(burst(&worker, 16), queued);
    assert_eq!(code, ErrorCode::QuotaRateLimited);
    assert_eq!(at, SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_wish_closes_a_gate_for_more_than_an_hour() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    account.then(Answer::Throttled(Some(1_000_000)));
    list(&worker, "first").await.unwrap_err();
    advance(3600 * SECOND).await;
    list(&worker, "second").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_wish_the_gate_closes_for_longer_with_every_throttled_round() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    for doubled in [1, 2, 4, 8, 16, 32, 60, 60] {
        account.then(Answer::Throttled(None));
        list(&worker, "throttled").await.unwrap_err();
        let gate = gates.of_connection(&connection(1), &account);
        let closed = *gate.opens_at.borrow() - Instant::now();
        let longest = SECOND * doubled;
        assert!(
            longest / 2 <= closed && closed <= longest,
            "{doubled}: {closed:?}"
        );
        advance(closed).await;
    }
    list(&worker, "well").await.unwrap();
    account.then(Answer::Throttled(None));
    list(&worker, "throttled").await.unwrap_err();
    let gate = gates.of_connection(&connection(1), &account);
    assert!(
        *gate.opens_at.borrow() - Instant::now() <= SECOND,
        "a success starts over"
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_holds_its_place_until_its_bytes_have_ended_or_are_let_go_of() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    let mut files = Vec::new();
    for _ in 0..16 {
        files.push(fetch(&worker, "file").await.unwrap().bytes);
    }
    // The successes have made one place more.
    files.push(fetch(&worker, "file").await.unwrap().bytes);
    assert_eq!(places(&gates, &account), (17, 0));
    assert!(timeout(SECOND, list(&worker, "waits")).await.is_err());
    let mut first = files.pop().unwrap();
    assert_eq!(first.by_ref().count().await, 2);
    assert_eq!(places(&gates, &account).1, 1, "its end gives it back");
    let mut second = files.pop().unwrap();
    second.next().await.unwrap().unwrap();
    assert_eq!(places(&gates, &account).1, 1, "half of it does not");
    drop(second);
    assert_eq!(places(&gates, &account).1, 2);
    drop(files);
    assert_eq!(places(&gates, &account), (17, 17));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_stream_closes_the_gate_and_gives_its_place_back() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    let chunks: Vec<_> = fetch(&worker, "throttled")
        .await
        .unwrap()
        .bytes
        .collect()
        .await;
    assert!(chunks[0].is_ok() && chunks[1].is_err());
    assert_eq!(places(&gates, &account), (8, 8));
    list(&worker, "later").await.unwrap();
    assert_eq!(account.journal()[1], ("later".to_owned(), 5));
}

#[tokio::test(start_paused = true)]
async fn cancelled_failed_and_panicking_requests_give_their_places_back() {
    let gates = gates();
    let account = Account::new(10 * SECOND);
    let worker = guard(&gates, &account);
    assert!(timeout(SECOND, burst(&worker, 40)).await.is_err());
    assert_eq!(places(&gates, &account), (16, 16));
    account.then(Answer::Away);
    list(&worker, "away").await.unwrap_err();
    account.then(Answer::Panic);
    let panicking = worker.clone();
    let task = tokio::spawn(async move { list(&panicking, "panics").await });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(places(&gates, &account), (16, 16));
    // Places that are owed are taken from those that come back, however they do.
    let (worker, held) = (&worker, async |_| fetch(&worker, "file").await.unwrap());
    let files = futures::future::join_all((0..12).map(held)).await;
    account.then(Answer::Throttled(Some(1)));
    list(worker, "throttled").await.unwrap_err();
    assert_eq!(places(&gates, &account), (8, 0));
    drop(files);
    assert_eq!(places(&gates, &account), (8, 8));
}

#[tokio::test(start_paused = true)]
async fn a_persons_test_does_not_wait_but_tells_of_throttling() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let worker = guard(&gates, &account);
    let request = CheckRequest {
        source_path: None,
        budget: SECOND,
    };
    account.then(Answer::Throttled(None));
    worker.check(request).await;
    assert_eq!(places(&gates, &account).0, 8);
    worker.check(request).await;
    list(&worker, "waits").await.unwrap();
    assert_eq!(account.requests(), 3);
    let journal = account.journal.lock().unwrap();
    assert_eq!(journal[1].1, Duration::ZERO);
    assert!(journal[2].1 >= SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn each_account_and_connection_has_a_gate_of_its_own() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    let other = gates.guard(Provider::S3, &connection(2), account.clone());
    let worker = guard(&gates, &account);
    account.then(Answer::Throttled(Some(100)));
    list(&worker, "throttled").await.unwrap_err();
    list(&other, "another connection").await.unwrap();
    list(&worker, "closed").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn gates_that_nobody_uses_go_away_unless_they_are_closed() {
    let gates = gates();
    let account = Account::new(Duration::ZERO);
    for n in 0..1000 {
        drop(gates.guard(Provider::S3, &connection(n), account.clone()));
    }
    assert_eq!(gates.count(), 1);
    let worker = guard(&gates, &account);
    account.then(Answer::Throttled(Some(100)));
    list(&worker, "throttled").await.unwrap_err();
    drop(worker);
    drop(gates.guard(Provider::S3, &connection(2), account.clone()));
    assert_eq!(gates.count(), 2);
    let again = guard(&gates, &account);
    list(&again, "still closed").await.unwrap_err();
    drop(again);
    advance(100 * SECOND).await;
    drop(gates.guard(Provider::S3, &connection(3), account.clone()));
    assert_eq!(gates.count(), 1);
}

fn in_room(room: &Arc<Room>, account: &Arc<Account>) -> OpenProvider {
    let gate = Arc::new(Gate::new(Arc::new(SeededIds::new(7))));
    Arc::new(Gated::new(account.clone(), gate, room.clone()))
}

#[tokio::test(start_paused = true)]
async fn copies_of_all_accounts_share_one_room_and_keep_it_until_their_streams_are_dropped() {
    let room = Arc::new(Room::of(3, 4));
    let account = Account::new(Duration::ZERO);
    let (one, other) = (in_room(&room, &account), in_room(&room, &account));
    let kib = |kib: u64| entry("file", kib * 1024);
    let wish = FetchWish::default();
    let mut first = one.fetch(&kib(3), wish).await.unwrap().bytes;
    let large = kib(2);
    let mut waiting = std::pin::pin!(other.fetch(&large, wish));
    assert!(
        timeout(SECOND, &mut waiting).await.is_err(),
        "two KiB more do not fit"
    );
    assert_eq!(first.by_ref().count().await, 2);
    assert!(
        timeout(SECOND, &mut waiting).await.is_err(),
        "the last bytes are still held"
    );
    drop(first);
    let second = waiting.await.unwrap();
    let third = one.fetch(&kib(1), wish).await.unwrap();
    let fourth = other.fetch(&kib(1), wish).await.unwrap();
    assert!(
        timeout(SECOND, one.fetch(&kib(0), wish)).await.is_err(),
        "three copies at a time"
    );
    drop((second, third, fourth));
    one.fetch(&kib(0), wish).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_while_a_file_waits_for_room_keeps_it_back_without_the_room() {
    let room = Arc::new(Room::of(1, 4));
    let (quiet, busy) = (Account::new(Duration::ZERO), Account::new(Duration::ZERO));
    let (one, other) = (in_room(&room, &quiet), in_room(&room, &busy));
    let wish = FetchWish::default();
    let file = entry("file", 1);
    let held = one.fetch(&file, wish).await.unwrap();
    let waiting = other.fetch(&file, wish);
    let meanwhile = async {
        sleep(SECOND).await;
        busy.then(Answer::Throttled(Some(20)));
        list(&other, "throttled").await.unwrap_err();
        drop(held);
        sleep(SECOND).await;
        timeout(SECOND, one.fetch(&file, wish))
            .await
            .unwrap()
            .unwrap();
    };
    let (fetched, ()) = tokio::join!(waiting, meanwhile);
    fetched.unwrap();
    assert_eq!(busy.journal().last().unwrap(), &("file".to_owned(), 21));
}
