//! The suites are trusted because they name what is broken: exactly the violated promises fail, and no other.

use std::sync::Arc;

use wharf_memory::MemoryStore;
use wharf_ports::Repositories;
use wharf_testkit::{FakeClock, Harness, TestSeal, broken, repository_promises};

/// The names of the promises that repositories in memory no longer keep once they were changed so.
fn broken_promises(change: fn(Repositories) -> Repositories) -> Vec<&'static str> {
    broken_by(async || {
        let clock = Arc::new(FakeClock::new());
        let sound = MemoryStore::with_seal(clock.clone(), Arc::new(TestSeal)).repositories();
        Harness::with_clock(change(sound), clock)
    })
}

/// The names of the promises that what is opened so does not keep.
fn broken_by(harness: impl AsyncFn() -> Harness) -> Vec<&'static str> {
    let promises = repository_promises().into_iter();
    promises
        .filter(|promise| !promise.is_kept(&harness))
        .map(|promise| promise.name)
        .collect()
}

#[test]
fn sound_repositories_break_no_promise() {
    assert_eq!(broken_promises(|repositories| repositories), [""; 0]);
}

#[test]
fn a_commit_that_ignores_the_fence_is_caught_by_name() {
    let caught = broken_promises(broken::without_fences);
    let expected = [
        "runs::a_stale_fence_is_refused_by_every_call",
        "runs::a_lease_of_another_job_or_organization_is_refused_by_every_call",
    ];
    assert_eq!(caught, expected);
}

#[test]
fn a_change_that_ignores_the_revision_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::without_revisions),
        ["connections::a_stale_revision_is_refused"]
    );
}

#[test]
fn deletes_that_ignore_the_second_look_are_caught_by_name() {
    let expected = [
        "runs::only_what_two_complete_passes_agree_on_goes",
        "runs::an_incomplete_pass_agrees_with_nobody",
    ];
    assert_eq!(broken_promises(broken::without_second_looks), expected);
}

#[test]
fn a_page_that_is_compared_with_the_whole_catalogue_is_caught_by_name() {
    let expected = [
        "catalogue::a_stretch_counts_what_it_has_and_the_page_does_not_name",
        "catalogue::a_page_of_a_thousand_is_recalled_from_a_large_catalogue",
        "runs::exactly_the_unlisted_rows_of_a_stretch_are_marked_in_the_order_of_bytes",
        "runs::a_stretch_may_be_empty",
    ];
    assert_eq!(broken_promises(broken::without_stretches), expected);
}

#[test]
fn a_check_that_ignores_its_lease_is_caught_by_name() {
    let expected = [
        "checks::a_recorded_check_ends_its_lease",
        "checks::a_lease_that_was_taken_over_records_nothing",
        "checks::a_lease_of_another_connection_records_nothing",
    ];
    assert_eq!(broken_promises(broken::without_leases_of_checks), expected);
}

#[test]
fn events_that_repeat_themselves_are_caught_by_name() {
    assert_eq!(
        broken_promises(broken::with_repeated_events),
        ["events::entries_are_read_in_portions_forwards_and_backwards"]
    );
}

#[test]
fn a_change_of_a_webhook_that_ignores_its_version_is_caught_by_name() {
    let expected = [
        "webhooks::settings_are_replaced_whole",
        "webhooks::of_two_replacements_that_read_the_same_one_is_stored",
    ];
    assert_eq!(
        broken_promises(broken::without_versions_of_webhooks),
        expected
    );
}

#[test]
fn an_effect_that_ignores_its_claim_is_caught_by_name() {
    let expected = [
        "idempotency::nothing_that_an_overtaken_request_makes_is_stored",
        "idempotency::of_an_effect_and_a_take_over_at_once_one_wins",
    ];
    assert_eq!(broken_promises(broken::without_claims_on_buckets), expected);
}

#[test]
fn a_chain_that_is_linked_under_another_key_is_caught_by_name() {
    let caught = broken_by(async || {
        let clock = Arc::new(FakeClock::new());
        Harness::with_clock(MemoryStore::new(clock.clone()).repositories(), clock)
    });
    for promise in [
        "audit::the_places_of_a_chain_have_no_gaps_and_its_links_verify",
        "audit::of_many_writers_at_once_every_row_has_a_place_of_its_own",
    ] {
        assert!(caught.contains(&promise), "{caught:?}");
    }
}

#[test]
fn a_right_that_is_given_twice_is_caught_by_name() {
    let caught = broken_promises(broken::with_two_rights);
    assert!(
        caught.contains(&"sessions::of_many_callers_at_once_exactly_one_gets_the_right"),
        "{caught:?}"
    );
    assert!(
        caught.iter().all(|name| name.starts_with("sessions::")),
        "{caught:?}"
    );
}

#[test]
fn a_token_that_ignores_the_credentials_it_was_got_with_is_caught_by_name() {
    assert_eq!(
        broken_promises(broken::without_credential_versions),
        ["sessions::what_earlier_credentials_brought_answers_no_wish"]
    );
}
