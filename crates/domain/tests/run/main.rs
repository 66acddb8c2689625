//! The protocol of a run under everything that can go wrong around it: a simulator with a model of the repository and of a
//! source, with folders and a feed of changes or without, driven by seeds. Crashes before and after every effect, answers that are lost, workers that sleep longer than
//! their lease, suspends, other credentials and other rules in the middle. And the proof that it would notice: bugs
//! planted in the model are found.
#![expect(
    clippy::unwrap_used,
    reason = "a simulation that cannot go on has failed"
)]

mod model;
mod rng;
mod source;
mod world;

use model::Bug;
use world::World;

/// Lives that are simulated. `cargo xtask prove` asks for more.
const SEEDS: u64 = 2_000;

fn seeds() -> u64 {
    std::env::var("WHARF_PROVE_SCHEDULES").map_or(SEEDS, |more| more.parse().unwrap())
}

/// What a seed's life comes to: nothing, or what went wrong first.
fn simulate(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    World::new(seed, bug).live()
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_stale_or_wrongly_deleted() {
    for seed in 0..seeds() {
        if let Err(wrong) = simulate(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "tells in which life each was found")]
fn planted_bugs_are_found() {
    for bug in Bug::ALL {
        let found = (0..SEEDS).find_map(|seed| Some((seed, simulate(seed, Some(bug)).err()?)));
        let (seed, wrong) = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: seed {seed}: {wrong}");
    }
}
