//! What a run over the whole source would do, counted without doing any of it.
//!
//! A fold over the pages of a listing and what the catalogue knows of them, deciding about every entry as a run does
//! ([`Terms`]). It holds counts, and never a listing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::Metadata;
use crate::filter::{Facts, Rule, Verdict, content_type, file_name};
use crate::plan::Entry;
use crate::provider::Provider;
use crate::run::catalogue::{Known, Recalled, Span};
use crate::run::decision::{Decision, Terms};
use crate::run::deletes::{DeleteThreshold, Survey, Verdict as OfDeletes};
use crate::run::ending::SCOPE_DENIED;
use crate::run::machine::Places;
use crate::run::page::{Listed, ListingPage};
use crate::sync::{Checkpoint, Order};

/// Types that are told of by name; the rest is `other`.
const MOST_TYPES: usize = 50;

/// How long one file takes to be asked for, and how many bytes of one sync arrive in a second: at best, and at worst.
const AT_BEST: (Duration, u64) = (Duration::from_millis(30), 100 * 1024 * 1024);
const AT_WORST: (Duration, u64) = (Duration::from_millis(300), 5 * 1024 * 1024);
/// A second in microseconds.
const SECOND: u128 = 1_000_000;

/// What a plan is made on.
#[derive(Debug, Clone)]
pub struct Premises {
    /// What decides about entries.
    pub terms: Terms,
    /// Whether copies ask for tags, which is a call of its own.
    pub wishes_tags: bool,
    /// Files copied at the same time.
    pub concurrency: u32,
    /// Most files that one run deals with.
    pub max_objects_per_run: u64,
    /// From the end of a run to the next.
    pub polling_interval: Duration,
    /// The provider.
    pub provider: Provider,
    /// Above what deletes wait.
    pub threshold: DeleteThreshold,
    /// Deletes that wait already.
    pub held_before: u64,
}

/// How the sizes of files are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeHistogram {
    /// No bytes at all.
    pub empty: u64,
    /// Less than 1 KiB.
    pub below_kib: u64,
    /// Less than 1 MiB.
    pub below_mib: u64,
    /// Less than 10 MiB.
    pub below_10_mib: u64,
    /// Less than 100 MiB.
    pub below_100_mib: u64,
    /// Less than 1 GiB.
    pub below_gib: u64,
    /// 1 GiB and more.
    pub larger: u64,
    /// The listing does not tell.
    pub unknown: u64,
}

impl SizeHistogram {
    fn note(&mut self, size_bytes: Option<u64>) {
        const KIB: u64 = 1024;
        const MIB: u64 = 1024 * KIB;
        let bucket = match size_bytes {
            None => &mut self.unknown,
            Some(0) => &mut self.empty,
            Some(size) if size < KIB => &mut self.below_kib,
            Some(size) if size < MIB => &mut self.below_mib,
            Some(size) if size < 10 * MIB => &mut self.below_10_mib,
            Some(size) if size < 100 * MIB => &mut self.below_100_mib,
            Some(size) if size < 1024 * MIB => &mut self.below_gib,
            Some(_) => &mut self.larger,
        };
        *bucket += 1;
    }
}

/// Deletes that would wait for a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldHold {
    /// How many.
    pub count: u64,
    /// Why, for a person.
    pub reason: String,
}

/// What a run over the whole source would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files that the listing told of.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Content type, as the name tells it → files: the 50 most frequent ones, and `other`.
    pub by_type: BTreeMap<String, u64>,
    /// How their sizes are spread.
    pub size_histogram: SizeHistogram,
    /// Rule → files that it leaves out.
    pub filtered_by: BTreeMap<String, u64>,
    /// Reason → files left out for it.
    pub skipped_by: BTreeMap<String, u64>,
    /// Error code → files that failed too often and are left alone for now.
    pub failed_by: BTreeMap<String, u64>,
    /// Files that the bucket would get.
    pub would_add: u64,
    /// Objects that would be replaced.
    pub would_update: u64,
    /// Files that the bucket has as they are.
    pub unchanged: u64,
    /// Files that are asked for before a rule about content types or metadata decides.
    pub undecided: u64,
    /// Files that the sync would let go of; `None` where that is not known.
    pub would_delete: Option<u64>,
    /// Those that would wait.
    pub would_hold: Option<WouldHold>,
    /// Bytes of what would be added or replaced.
    pub bytes_to_copy: u64,
    /// Runs that it takes, each dealing with a limited number of files.
    pub runs: u64,
    /// Calls at the provider: a page each, and for each file that is copied or undecided one, or two with tags.
    pub provider_calls: u64,
    /// How many seconds it takes, at best and at worst.
    pub estimated_seconds: (u64, u64),
    /// Why the source was not listed to its end; `None` when it was.
    pub incomplete_reason: Option<String>,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Planner {
    premises: Premises,
    plan: Plan,
    /// Where the listing stands, kept as a run keeps it.
    checkpoint: Checkpoint,
    places: Places,
    types: HashMap<String, u64>,
    pages: u64,
    bytes_undecided: u64,
    /// Objects that the sync would hold on to.
    held: u64,
    vanished: u64,
    drifted: u64,
}

/// What is to be asked of the catalogue about a page.
#[derive(Debug)]
pub struct PageOfPlan {
    /// The entries, each once.
    pub entries: Vec<Entry>,
    /// The stretch that the page covers.
    pub span: Option<Span>,
}

impl Planner {
    /// Begins a plan over `scope`.
    pub fn new(premises: Premises, scope: String) -> Self {
        Self {
            premises,
            plan: Plan::default(),
            checkpoint: Checkpoint::start(0, scope, 0),
            places: Places::default(),
            types: HashMap::new(),
            pages: 0,
            bytes_undecided: 0,
            held: 0,
            vanished: 0,
            drifted: 0,
        }
    }

    /// Where the listing stands.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Takes a page in; `None` when the listing goes in circles.
    pub fn listed(&mut self, page: ListingPage) -> Option<PageOfPlan> {
        let circles = page
            .next
            .as_ref()
            .is_some_and(|next| !self.places.is_new(next));
        if circles {
            return None;
        }
        let merges = self.premises.terms.reconcile.on_delete;
        let Listed {
            entries,
            span,
            checkpoint,
            ..
        } = Listed::new(page, self.checkpoint.clone(), merges);
        self.checkpoint = checkpoint;
        self.pages += 1;
        Some(PageOfPlan { entries, span })
    }

    /// Takes in what the catalogue knows of that page.
    pub fn recalled(&mut self, page: PageOfPlan, recalled: Recalled) {
        self.vanished += recalled.vanished;
        let known = recalled.known.into_iter();
        let mut known: HashMap<String, Known> =
            known.map(|known| (known.object.clone(), known)).collect();
        for entry in page.entries {
            let known = known.remove(&entry.object);
            self.note(&entry, known.as_ref());
        }
    }

    fn note(&mut self, entry: &Entry, known: Option<&Known>) {
        let size = entry.size_bytes.unwrap_or(0);
        let plan = &mut self.plan;
        plan.entries += 1;
        plan.bytes = plan.bytes.saturating_add(size);
        plan.size_histogram.note(entry.size_bytes);
        let guess = content_type(None, file_name(&entry.path));
        *self
            .types
            .entry(guess.unwrap_or("unknown").to_owned())
            .or_default() += 1;

        let holds_live = known.is_some_and(Known::holds_live);
        let is_live = known.is_some_and(Known::is_live);
        let mut kept = holds_live;
        match self.premises.terms.decide(entry, known) {
            Decision::Filtered { rule } => {
                count(&mut plan.filtered_by, &rule);
                kept &= !self.premises.terms.drifts(&rule);
            }
            Decision::Skipped { reason } => {
                count(&mut plan.skipped_by, reason);
                kept |= is_live;
            }
            Decision::Verified => {
                plan.unchanged += 1;
                kept = true;
            }
            Decision::Quarantined { error_type } => count(&mut plan.failed_by, &error_type),
            Decision::Copy(_) => match self.premises.ahead(entry, guess) {
                Ahead::Copied => {
                    if is_live {
                        plan.would_update += 1;
                    } else {
                        plan.would_add += 1;
                    }
                    plan.bytes_to_copy = plan.bytes_to_copy.saturating_add(size);
                    kept = true;
                }
                Ahead::Filtered(rule) => {
                    count(&mut plan.filtered_by, rule);
                    plan.provider_calls += self.premises.calls();
                    kept &= !self.premises.terms.drifts(rule);
                }
                Ahead::Open => {
                    plan.undecided += 1;
                    self.bytes_undecided = self.bytes_undecided.saturating_add(size);
                }
            },
        }
        self.held += u64::from(kept);
        self.drifted += u64::from(holds_live && !kept);
    }

    /// The plan. `incomplete_reason`: why the listing was not followed to its end. `listing`: how long it took so far.
    pub fn finish(mut self, incomplete_reason: Option<String>, listing: Duration) -> Plan {
        let denied = !self.checkpoint.denied.is_empty();
        self.plan.incomplete_reason =
            incomplete_reason.or_else(|| denied.then(|| SCOPE_DENIED.to_owned()));
        if self.plan.incomplete_reason.is_none() {
            self.delete();
        }
        let premises = &self.premises;
        let plan = &mut self.plan;
        plan.by_type = most_frequent(self.types);
        plan.runs = plan.entries.div_ceil(premises.max_objects_per_run.max(1));
        let copies = plan.would_add + plan.would_update;
        plan.provider_calls += self.pages + (copies + plan.undecided) * premises.calls();
        let waits = premises.polling_interval.as_micros() * u128::from(plan.runs.saturating_sub(1));
        let listing = listing.as_micros();
        let (asked, arrived) = premises.copying(AT_BEST, copies, plan.bytes_to_copy);
        let best = listing + asked.max(arrived);
        let bytes = plan.bytes_to_copy.saturating_add(self.bytes_undecided);
        let (asked, arrived) = premises.copying(AT_WORST, copies + plan.undecided, bytes);
        let worst = 2 * listing + asked + arrived + waits;
        plan.estimated_seconds = (seconds(best / SECOND), seconds(worst.div_ceil(SECOND)));
        self.plan
    }

    /// Counts what a complete listing would let go of, unless its order does not tell.
    fn delete(&mut self) {
        let Order::Sorted { .. } = &self.checkpoint.order else {
            return;
        };
        let missing = self.vanished + self.drifted;
        let survey = Survey {
            held: self.held + missing,
            missing,
            agreed: self.premises.held_before.min(missing),
            hidden: 0,
        };
        let verdict = survey.verdict(self.premises.provider, self.premises.threshold);
        self.plan.would_delete = Some(match verdict {
            OfDeletes::Nothing => 0,
            OfDeletes::LetGo => missing,
            OfDeletes::Hold { reason } => {
                self.plan.would_hold = Some(WouldHold {
                    count: missing - survey.agreed,
                    reason,
                });
                survey.agreed
            }
        });
    }
}

/// What the second stage of the rules would say about a file that the first lets through.
enum Ahead {
    Copied,
    Filtered(&'static str),
    Open,
}

impl Premises {
    fn ahead(&self, entry: &Entry, guess: Option<&str>) -> Ahead {
        let rules = &self.terms.rules;
        if !rules.needs_facts() {
            return Ahead::Copied;
        }
        let none = Metadata::new();
        let guessed = Facts {
            relative_path: (self.terms.relative_path)(&entry.path),
            content_type: guess,
            metadata: &none,
            tags: &none,
        };
        match rules.by_facts(&guessed) {
            // Where the name says nothing, the provider may.
            Verdict::Filtered(Rule::MimeTypes) if guess.is_none() => Ahead::Open,
            Verdict::Filtered(rule @ Rule::MimeTypes) => Ahead::Filtered(rule.as_str()),
            _ if rules.needs_tags() => Ahead::Open,
            _ => Ahead::Copied,
        }
    }

    /// Calls per file that is asked for.
    fn calls(&self) -> u64 {
        1 + u64::from(self.wishes_tags)
    }

    /// Microseconds that it takes to ask for so many files, and for so many bytes to arrive.
    fn copying(&self, (each, per_second): (Duration, u64), files: u64, bytes: u64) -> (u128, u128) {
        let asked = each.as_micros() * u128::from(files) / u128::from(self.concurrency.max(1));
        (asked, u128::from(bytes) * SECOND / u128::from(per_second))
    }
}

fn seconds(seconds: u128) -> u64 {
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

/// The types with the most files, and the rest as one.
fn most_frequent(types: HashMap<String, u64>) -> BTreeMap<String, u64> {
    let mut types: Vec<(String, u64)> = types.into_iter().collect();
    types.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    let rest: u64 = types
        .split_off(MOST_TYPES.min(types.len()))
        .into_iter()
        .map(|(_, files)| files)
        .sum();
    types.extend((rest > 0).then(|| ("other".to_owned(), rest)));
    types.into_iter().collect()
}
