//! The suites are trusted because they name what is broken: exactly the violated promises fail, and no other.

use std::sync::Arc;

use wharf_memory::MemoryStore;
use wharf_ports::Repositories;
use wharf_testkit::{FakeClock, Harness, TestSeal, broken, repository_promises};

/// The names of the promises that repositories in memory no longer keep once they were changed so.
fn broken_promises(change: fn(Repositories) -> Repositories) -> Vec<&'static str> {
    let harness = async || {
        let clock = Arc::new(FakeClock::new());
        let sound = MemoryStore::with_seal(clock.clone(), Arc::new(TestSeal)).repositories();
        Harness::with_clock(change(sound), clock)
    };
    let promises = repository_promises().into_iter();
    promises
        .filter(|promise| !promise.is_kept(harness))
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
