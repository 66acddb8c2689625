//! The contract of storage providers: on the lab, as the two providers it stands for, and on servers that nobody here
//! wrote.

use async_trait::async_trait;
use wharf_lab::{
    Action, BucketSettings, Content, FaultRule, Lab, ListingFault, Match, Operation, Seed,
    SeedObject, Versioning,
};
use wharf_ports::OpenProvider;
use wharf_testkit::{Attached, Mishap, Place, UnrulyPlace, broken, provider_promises};

use crate::account::{Profile, lab, open_as, open_with_secret};
use crate::independent::{Has, Server};

const BUCKET: &str = "media";

const ALL: Has = Has {
    tags: true,
    versions: true,
};

/// A bucket is a folder there.
const NEITHER: Has = Has {
    tags: false,
    versions: false,
};

mod as_s3 {
    wharf_testkit::provider_suite!(super::InLab::as_s3);
}

mod as_tigris {
    wharf_testkit::provider_suite!(super::InLab::as_tigris);
}

mod on_seaweedfs {
    wharf_testkit::provider_suite!(honest async || super::Server::place("SEAWEEDFS", super::ALL).await);
}

mod on_moto {
    wharf_testkit::provider_suite!(honest async || super::Server::place("MOTO", super::ALL).await);
}

mod on_rclone {
    wharf_testkit::provider_suite!(honest async || super::Server::place("RCLONE", super::NEITHER).await);
}

/// A bucket of a lab of its own.
struct InLab {
    lab: Lab,
    profile: Profile,
    change: fn(OpenProvider) -> OpenProvider,
}

impl InLab {
    async fn new(profile: Profile, change: fn(OpenProvider) -> OpenProvider) -> Self {
        let lab = lab().await;
        lab.create_bucket(BUCKET);
        Self {
            lab,
            profile,
            change,
        }
    }

    async fn as_s3() -> Box<dyn UnrulyPlace> {
        Box::new(Self::new(Profile::S3, |provider| provider).await)
    }

    async fn as_tigris() -> Box<dyn UnrulyPlace> {
        Box::new(Self::new(Profile::TigrisByHost, |provider| provider).await)
    }
}

#[async_trait]
impl Place for InLab {
    fn scope(&self) -> String {
        BUCKET.to_owned()
    }

    fn missing_scope(&self) -> String {
        "nowhere".to_owned()
    }

    fn open(&self) -> OpenProvider {
        (self.change)(open_as(&self.lab, self.profile))
    }

    fn open_with_wrong_credentials(&self) -> OpenProvider {
        let opened = open_with_secret(&self.lab, self.profile, "another-secret");
        (self.change)(opened)
    }

    async fn put(&self, name: &str, bytes: &[u8]) -> bool {
        self.lab.put_object(BUCKET, name, bytes.to_vec());
        true
    }

    async fn put_with(&self, name: &str, bytes: &[u8], attached: &Attached<'_>) -> bool {
        let texts = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            pairs.iter().map(owned).collect()
        };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let object = SeedObject {
            content_type: attached.content_type.map(ToOwned::to_owned),
            metadata: texts(attached.metadata).into_iter().collect(),
            tags: texts(attached.tags).into_iter().collect(),
            ..SeedObject::new(name, Content::Text(text))
        };
        let seed = Seed {
            bucket: BUCKET.to_owned(),
            objects: vec![object],
            ..Seed::default()
        };
        self.lab.seed(seed).is_ok()
    }

    fn metadata_key(&self, name: &str) -> String {
        format!("x-amz-meta-{name}")
    }

    async fn name_versions(&self) -> bool {
        let settings = BucketSettings::new().versioning(Versioning::Enabled);
        self.lab.set_bucket(BUCKET, settings);
        true
    }

    async fn remove(&self, name: &str) {
        assert!(
            self.lab.delete_object(BUCKET, name),
            "{name:?} was not there"
        );
    }
}

#[async_trait]
impl UnrulyPlace for InLab {
    async fn misbehave(&self, mishap: Mishap) {
        let listings = || Match::operation(Operation::ListObjects);
        let bytes_of = |name: &str| Match::operation(Operation::GetObject).path_contains(name);
        let all_of = |name: &str| Match::any().path_contains(name);
        let spoilt = |fault| (listings(), Action::listing(fault));
        let (matching, action) = match &mishap {
            Mishap::Throttled(after) => {
                let seconds = after.as_secs().to_string().leak();
                let slow_down = Action::s3_error("SlowDown").header("retry-after", seconds);
                (Match::any(), slow_down)
            }
            Mishap::Unavailable => (Match::any(), Action::s3_error("ServiceUnavailable")),
            Mishap::Disconnected => (Match::any(), Action::close()),
            Mishap::CredentialsExpired => (Match::any(), Action::s3_error("ExpiredToken")),
            Mishap::ListingDenied => (listings(), Action::s3_error("AccessDenied")),
            Mishap::ListingCutShort => spoilt(ListingFault::TruncatedWithoutToken),
            Mishap::ListingRepeated => spoilt(ListingFault::RepeatedToken),
            Mishap::EmptyFirstPage => spoilt(ListingFault::EmptyPage),
            Mishap::ShortPages => spoilt(ListingFault::ShortPages(1)),
            Mishap::CursorsExpired => {
                let later_pages = listings().query_contains("continuation-token");
                (later_pages, Action::s3_error("InvalidArgument"))
            }
            Mishap::FileDenied(name) => (all_of(name), Action::s3_error("AccessDenied")),
            Mishap::ByteChanged { name, at } => (bytes_of(name), Action::corrupt_byte_at(*at)),
            Mishap::CutOnce { name, after } => {
                (bytes_of(name).times(1), Action::truncate_at(*after))
            }
            Mishap::CutAlways { name } => (bytes_of(name), Action::truncate_at(0)),
        };
        self.lab.set_faults([FaultRule::new(matching, action)]);
    }

    async fn behave(&self) {
        self.lab.clear_faults();
    }
}

/// The names of the promises that are no longer kept once the provider was changed so.
fn broken_promises(change: fn(OpenProvider) -> OpenProvider) -> Vec<&'static str> {
    let place = async || {
        let place: Box<dyn UnrulyPlace> = Box::new(InLab::new(Profile::S3, change).await);
        place
    };
    let promises = provider_promises().into_iter();
    promises
        .filter(|promise| !promise.is_kept(place))
        .map(|promise| promise.name)
        .collect()
}

#[test]
fn a_page_that_loses_an_entry_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::provider::losing_last_entries),
        [
            "honest::pages_hold_at_most_the_limit_and_cover_every_file_once",
            "honest::no_page_holds_more_than_a_thousand",
            "honest::a_cursor_is_good_for_an_account_that_was_opened_anew",
            "honest::hostile_names_come_back_as_they_are",
            "misbehaving::pages_that_are_short_or_empty_end_no_listing",
            "misbehaving::an_expired_cursor_asks_for_a_new_start"
        ]
    );
}

#[test]
fn a_listing_that_takes_trouble_for_its_end_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::provider::ending_listings_early),
        [
            "honest::a_missing_scope_is_no_empty_one",
            "honest::wrong_credentials_are_told_by_every_call",
            "misbehaving::throttling_is_told_with_the_time_to_wait",
            "misbehaving::an_outage_is_told_and_may_pass",
            "misbehaving::broken_connections_may_pass",
            "misbehaving::credentials_that_expire_between_pages_are_told",
            "misbehaving::a_denied_listing_is_no_empty_one",
            "misbehaving::a_listing_that_is_cut_short_never_ends_well",
            "misbehaving::a_listing_that_leads_to_itself_never_ends_well",
            "misbehaving::an_expired_cursor_asks_for_a_new_start"
        ]
    );
}

#[test]
fn a_look_that_takes_trouble_for_absence_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::provider::taking_trouble_for_absence),
        [
            "honest::wrong_credentials_are_told_by_every_call",
            "misbehaving::throttling_is_told_with_the_time_to_wait",
            "misbehaving::an_outage_is_told_and_may_pass",
            "misbehaving::broken_connections_may_pass",
            "misbehaving::credentials_that_expire_between_pages_are_told",
            "misbehaving::a_file_that_is_denied_spoils_no_other"
        ]
    );
}

#[test]
fn tags_that_are_forgotten_are_caught_by_name() {
    assert_eq!(
        broken_promises(broken::provider::forgetting_tags),
        ["honest::tags_come_with_a_file_when_they_are_wished"]
    );
}

#[test]
fn a_file_that_ends_where_it_broke_off_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::provider::passing_short_files),
        [
            "misbehaving::a_changed_byte_is_noticed",
            "misbehaving::bytes_that_always_break_off_are_an_error_and_no_short_file",
            "misbehaving::bytes_of_two_versions_are_never_mixed"
        ]
    );
}
