//! One seed's life: syncs over one source into one bucket, workers that come and go, and what must hold at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::{Extension, FileFilters, MimePattern, ProviderFilters, Rules};
use wharf_domain::filter::{Listed, Verdict};
use wharf_domain::job::Counters;
use wharf_domain::mapping::Mapped;
use wharf_domain::object::{BlobKey, Content, DeletedBy, SourceFacts, SourceId};
use wharf_domain::plan::Entry;
use wharf_domain::provider::Provider;
use wharf_domain::run::commit::{Put, Standing};
use wharf_domain::run::decision::Terms;
use wharf_domain::run::deletes::DeleteThreshold;
use wharf_domain::run::ending::Pace;
use wharf_domain::run::feed::Fate;
use wharf_domain::run::machine::{Cause, Effect, Event, Refusal, Revisited, Run, RunContext};
use wharf_domain::run::page::{CopyOrder, FileOutcome, ListingPage};
use wharf_domain::run::trouble::{Retry, Trouble};
use wharf_domain::sync::{Reconcile, SyncMode};

use crate::model::{Bug, LEASE, Model, Object, Right, Torn, sync_id, time};
use crate::rng::Rng;
use crate::source::{File, Source, Stand, View, trouble};

const AUTHORITY: &str = "store.example.com";
const HOUR: u64 = 3600;

/// An identifier with that number.
pub(crate) fn id<T: FromStr>(prefix: &str, n: u64) -> T
where
    T::Err: Debug,
{
    format!("{prefix}{n:016x}").parse().unwrap()
}

fn rules(filters: &FileFilters, prefix: Option<&str>) -> Rules {
    let prefix = prefix.map(str::to_owned);
    let filters_at_provider = ProviderFilters {
        prefix,
        ..ProviderFilters::default()
    };
    Rules::new(filters, &filters_at_provider, None)
}

struct Pass {
    begun: u64,
    /// Whether the whole source is listed.
    full: bool,
    /// What its listing leaves out although it is there.
    lagging: BTreeSet<String>,
}

/// What a sync is set to.
struct Settings {
    reconcile: Reconcile,
    skip_duplicates: bool,
    rules: Rules,
    prefix: Option<&'static str>,
    max_objects: u64,
    /// Whether its source has folders, and a feed of changes.
    folders: bool,
    /// Its passes.
    passes: BTreeMap<u64, Pass>,
}

impl Settings {
    fn new(folders: bool, rng: &mut Rng) -> Self {
        let mut settings = Self {
            reconcile: Reconcile {
                on_update: !rng.once_in(5),
                ..Reconcile::default()
            },
            skip_duplicates: !rng.once_in(3),
            rules: rules(&FileFilters::default(), None),
            prefix: None,
            max_objects: 5 + rng.below(40),
            folders,
            passes: BTreeMap::new(),
        };
        settings.change_rules(rng);
        settings
    }

    fn change_rules(&mut self, rng: &mut Rng) {
        let mut filters = FileFilters::default();
        if rng.once_in(3) {
            filters.extensions = vec![Extension::parse("txt").unwrap()];
        }
        if rng.once_in(3) {
            filters.mime_types = vec![MimePattern::parse("text/*").unwrap()];
        }
        self.reconcile.on_delete = !rng.once_in(5);
        self.reconcile.on_filter_drift = !rng.once_in(4);
        self.prefix = (rng.once_in(3) && !self.folders).then_some("b/");
        self.rules = rules(&filters, self.prefix);
    }

    /// What is asked for at the source: the prefix only where it does not matter whether a file vanished or is filtered.
    fn scope(&self) -> &'static str {
        let same = self.reconcile.on_delete == self.reconcile.on_filter_drift;
        self.prefix.filter(|_| same).unwrap_or_default()
    }

    fn filters_by_listing(&self, path: &str) -> bool {
        let listed = Listed {
            relative_path: path,
            size_bytes: Some(1),
            modified_at: None,
        };
        self.rules.by_listing(&listed) != Verdict::Keep
    }

    fn filters(&self, path: &str, file: &File) -> bool {
        self.filters_by_listing(path) || (file.odd && self.rules.needs_facts())
    }
}

struct Worker {
    right: Right,
    run: Run,
    effect: Effect,
    flight: Vec<CopyOrder>,
    pass: u64,
}

pub(crate) struct World {
    rng: Rng,
    bug: Option<Bug>,
    provider: Provider,
    source: Source,
    model: Model,
    settings: Vec<Settings>,
    workers: Vec<Worker>,
    blobs: u64,
    /// What was to be copied although it was, in the very version.
    copied_again: Option<Entry>,
    chaos: bool,
}

impl World {
    pub(crate) fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed);
        let syncs = 1 + usize::from(rng.once_in(3));
        let provider = match rng.below(6) {
            0 | 1 => Provider::S3,
            2 => Provider::Tigris,
            _ => Provider::GoogleDrive,
        };
        let folders = provider == Provider::GoogleDrive;
        let settings = (0..syncs)
            .map(|_| Settings::new(folders, &mut rng))
            .collect();
        let source = Source::new(folders, &mut rng);
        let standing = Standing {
            epoch: 0,
            credential_version: 0,
        };
        Self {
            bug,
            provider,
            source,
            settings,
            workers: Vec::new(),
            model: Model {
                bug,
                now: 1,
                objects: BTreeMap::new(),
                syncs: (0..syncs).map(|_| crate::model::Sync::default()).collect(),
                standing,
                active: true,
                deletions: Vec::new(),
            },
            rng,
            blobs: 0,
            copied_again: None,
            chaos: true,
        }
    }

    pub(crate) fn live(mut self) -> Result<(), String> {
        for _ in 0..12 {
            self.write();
        }
        for _ in 0..200 + self.rng.below(400) {
            self.act()?;
        }
        self.calm()
    }

    // --- Chaos.

    fn act(&mut self) -> Result<(), String> {
        self.model.now += 1;
        match self.rng.below(100) {
            0..75 => return self.step_any(),
            75..83 => self.hire(),
            83..91 => self.change_source(),
            91..93 => self.model.now += self.rng.below(2 * LEASE),
            93 => self.model.now += 25 * HOUR,
            94 if self.source.folders => self.source.feed_epoch += 1,
            94 => {
                self.source.denied = if self.source.denied.is_none() {
                    Some("a/")
                } else {
                    None
                };
            }
            95 => self.source.epoch += 1,
            96 => {
                self.model.active = !self.model.active;
                self.model.standing.epoch += 1;
            }
            97 => {
                let standing = &mut self.model.standing;
                standing.credential_version = (standing.credential_version + 1) % 4;
                standing.epoch += 1;
            }
            98 => {
                let n = self.any_sync();
                self.settings[n].change_rules(&mut self.rng);
                self.model.forget(n);
            }
            _ => self.delete_by_person(),
        }
        Ok(())
    }

    fn any_sync(&mut self) -> usize {
        usize::try_from(self.rng.below(self.settings.len() as u64)).unwrap()
    }

    fn write(&mut self) {
        let folder = ["a", "b", "c"][usize::try_from(self.rng.below(3)).unwrap()];
        let ending = if self.rng.once_in(4) { "bin" } else { "txt" };
        let object = format!("{folder}/{}.{ending}", self.rng.below(7));
        self.source.put(object, self.model.now, &mut self.rng);
    }

    fn change_source(&mut self) {
        let names: Vec<String> = self.source.files.keys().cloned().collect();
        if self.source.folders && self.rng.once_in(2) {
            return self.source.disarrange(self.model.now, &mut self.rng);
        }
        match self.rng.below(12) {
            0..7 => self.write(),
            7..11 => {
                if let Some(name) = self.rng.pick(&names) {
                    self.source.remove(name, self.model.now);
                }
            }
            // Most are lost at once.
            _ => {
                for name in &names {
                    if !self.rng.once_in(3) {
                        self.source.remove(name, self.model.now);
                    }
                }
            }
        }
    }

    fn delete_by_person(&mut self) {
        let live = |(_, object): &(&String, &Object)| object.deleted.is_none();
        let names = self.model.objects.iter().filter(live).map(|(name, _)| name);
        let names: Vec<String> = names.cloned().collect();
        if let Some(name) = self.rng.pick(&names)
            && let Some(object) = self.model.objects.get_mut(name)
        {
            object.deleted = Some((DeletedBy::Person, self.model.now));
        }
    }

    /// A worker takes a sync, if it is free.
    fn hire(&mut self) {
        let n = self.any_sync();
        if self.model.active
            && let Some(right) = self.model.lease(n)
        {
            self.start(right);
        }
    }

    fn start(&mut self, right: Right) {
        let n = right.sync;
        let settings = &self.settings[n];
        let sync = &self.model.syncs[n];
        let context = RunContext {
            terms: Terms {
                sync: sync_id(n),
                reconcile: settings.reconcile.clone(),
                skip_duplicates: settings.skip_duplicates,
                rules: settings.rules.clone(),
                relative_path: Arc::new(|path| path),
            },
            mode: SyncMode::Continuous,
            provider: self.provider,
            authority: AUTHORITY.to_owned(),
            scope: settings.scope().to_owned(),
            credential_version: right.standing.credential_version,
            max_objects: settings.max_objects,
            threshold: DeleteThreshold {
                percent: 20,
                count: 3,
            },
            pace: Pace {
                polling: Duration::from_mins(5),
                failures: 0,
            },
            last_pass: sync.last_pass,
            feed: sync
                .feed
                .clone()
                .filter(|feed| time(self.model.now) < feed.listed_at + Duration::from_hours(24)),
        };
        let mut checkpoint = sync.checkpoint.clone();
        if let Some(checkpoint) = &mut checkpoint {
            if self.bug == Some(Bug::ResumeUnderAnotherScope) {
                checkpoint.scope.clone_from(&context.scope);
            }
            if self.bug == Some(Bug::ResumeUnderOtherCredentials) {
                checkpoint.credential_version = context.credential_version;
            }
        }
        let pass = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.pass);
        let (run, effect) = Run::start(context, checkpoint);
        self.workers.push(Worker {
            right,
            run,
            effect,
            flight: Vec::new(),
            pass,
        });
    }

    /// One worker does what it is to do next, or dies before or after it.
    fn step_any(&mut self) -> Result<(), String> {
        if self.workers.is_empty() {
            self.hire();
            return Ok(());
        }
        let n = usize::try_from(self.rng.below(self.workers.len() as u64)).unwrap();
        let worker = self.workers.swap_remove(n);
        if self.rng.once_in(60) {
            return Ok(());
        }
        if let Some(worker) = self.step(worker)?
            && !self.rng.once_in(60)
        {
            self.workers.push(worker);
        }
        Ok(())
    }

    // --- The driver.

    /// Carries out one effect and feeds the event; what is left of the worker.
    fn step(&mut self, mut worker: Worker) -> Result<Option<Worker>, String> {
        let n = worker.right.sync;
        let job = worker.right.job;
        let before = self.untouchable(&worker.right);
        let Some(event) = self.perform(&mut worker) else {
            self.check(n, job, before)?;
            return Ok(None);
        };
        worker.effect = worker.run.on(event);
        if let Effect::End(ending) = &worker.effect {
            let behind = self.source.feed_start();
            if self.model.finish(&worker.right, ending, behind).is_ok() {
                let reason = ending.end.incomplete_reason.as_deref();
                if reason.is_none() {
                    self.completed(n, worker.pass, false)?;
                }
            }
            self.check(n, job, before)?;
            return Ok(None);
        }
        self.check(n, job, before)?;
        Ok(Some(worker))
    }

    /// What happened; nothing when the worker died or is done.
    fn perform(&mut self, worker: &mut Worker) -> Option<Event> {
        let right = &worker.right;
        let n = right.sync;
        let is_commit = matches!(worker.effect, Effect::Commit(_));
        if self.chaos && !is_commit && self.rng.once_in(50) {
            return Some(Event::Shutdown);
        }
        let effect = std::mem::replace(&mut worker.effect, Effect::Await);
        if self.chaos && self.rng.once_in(80) {
            let refusal = Refusal::Ours("by chance".to_owned());
            match &effect {
                Effect::Commit(_) => return Some(Event::Committed(Err(refusal))),
                Effect::LetGo(_) => return Some(Event::LetGone(Err(refusal))),
                Effect::Recall { .. } => return Some(Event::Recalled(Err(refusal))),
                _ => {}
            }
        }
        Some(match effect {
            Effect::List { cursor, limit } => {
                if cursor.is_none() {
                    self.begin_pass(n, worker.pass, true);
                    self.model.syncs[n].passed_over.clear();
                }
                let view = View {
                    scope: self.settings[n].scope(),
                    credential_version: right.standing.credential_version,
                    lagging: &self.settings[n].passes[&worker.pass].lagging,
                };
                let listed = self
                    .source
                    .list(cursor.as_ref(), limit, &view, &mut self.rng);
                let truncated = listed
                    .as_ref()
                    .is_err_and(|error| error.retry != Retry::Restart);
                if truncated && self.bug == Some(Bug::DeleteOnIncompleteListing) {
                    Event::Listed(Ok(ListingPage {
                        entries: Vec::new(),
                        next: None,
                        denied: Vec::new(),
                    }))
                } else {
                    Event::Listed(listed)
                }
            }
            effect @ (Effect::FeedStart
            | Effect::Changes { .. }
            | Effect::MarkAbsent(_)
            | Effect::Revisit { .. }
            | Effect::Gather { .. }
            | Effect::Trace(_)) => self.about_changes(right, worker.pass, effect)?,
            Effect::Recall { pass, recall } => {
                Event::Recalled(Ok(self.model.recall(n, pass, &recall)))
            }
            Effect::Copy(orders) => {
                let again = |order: &&CopyOrder| {
                    order.replaces.as_ref().is_some_and(|copy| {
                        copy.deleted.is_none()
                            && copy.version == order.entry.version
                            && copy.copied_by == Some(sync_id(n))
                    })
                };
                self.copied_again = orders.iter().find(again).map(|order| order.entry.clone());
                worker.flight.extend(orders);
                self.await_file(worker)
            }
            Effect::Await => self.await_file(worker),
            Effect::Commit(commit) => {
                if let Some(checkpoint) = &commit.checkpoint {
                    worker.pass = checkpoint.pass;
                }
                let dies = self.chaos && self.rng.once_in(15);
                match self.model.commit(right, *commit, dies) {
                    Ok(Torn::Died) => return None,
                    Ok(Torn::No) => Event::Committed(Ok(())),
                    Err(refusal) => Event::Committed(Err(refusal)),
                }
            }
            Effect::MarkMissing(step) => Event::Marked(self.model.mark_missing(right, &step)),
            Effect::Survey { pass, denied } => {
                Event::Surveyed(self.model.survey(right, pass, &denied))
            }
            Effect::Hold(step) => Event::Held(self.model.hold(right, &step)),
            Effect::LetGo(step) => Event::LetGone(self.model.let_go(right, &step)),
            Effect::End(_) | Effect::GiveUp => return None,
        })
    }

    /// What has to do with changes and what became of files.
    fn about_changes(&mut self, right: &Right, pass: u64, effect: Effect) -> Option<Event> {
        Some(match effect {
            Effect::FeedStart => Event::FeedStart(if self.chaos && self.rng.once_in(25) {
                Err(trouble(&mut self.rng))
            } else {
                Ok(self.source.feed_start())
            }),
            Effect::Changes { cursor, .. } => {
                if !self.settings[right.sync].passes.contains_key(&pass) {
                    self.begin_pass(right.sync, pass, false);
                }
                let credentials = right.standing.credential_version;
                let mut changed = self.source.changes(&cursor, credentials, &mut self.rng);
                if let Ok(page) = &mut changed {
                    for absent in &mut page.absent {
                        absent.certain |= self.bug == Some(Bug::HiddenIsGone);
                    }
                    if self.bug == Some(Bug::FeedBeforeItsPages) {
                        self.model.skip_to(right, &page.next);
                    }
                }
                Event::Changed(changed)
            }
            Effect::MarkAbsent(step) => Event::Absent(self.model.mark_absent(right, &step)),
            Effect::Revisit { limit } => Event::Revisited(Ok(self.revisit(right, limit))),
            Effect::Gather { pass, after, limit } => {
                Event::Gathered(self.model.gather(right, pass, after.as_deref(), limit))
            }
            Effect::Trace(rows) => {
                let credentials = right.standing.credential_version;
                let fate = |object: &str| match self.source.trace(credentials, object) {
                    Fate::Hidden if self.bug == Some(Bug::HiddenIsGone) => Fate::Gone,
                    fate => fate,
                };
                let fates = rows.iter().map(|row| fate(&row.object)).collect();
                Event::Traced(if self.chaos && self.rng.once_in(25) {
                    Err(trouble(&mut self.rng))
                } else {
                    Ok(fates)
                })
            }
            _ => return None,
        })
    }

    fn begin_pass(&mut self, n: usize, pass: u64, full: bool) {
        let lags = self.chaos && self.provider != Provider::S3;
        let rng = &mut self.rng;
        let settings = &mut self.settings[n];
        let model = &self.model;
        // A listing lags once, but not still when the next complete one is made. Where changes are told, it leaves out what is
        // known as it is.
        let may_lag = |object: &String, file: &File| match model.syncs[n].rows.get(object) {
            _ if !lags => false,
            Some(row) if row.missing_since.is_some() => false,
            Some(row) if self.source.folders => {
                let entry = self.source.entry(object);
                let same = model.objects.get(object).is_some_and(|stored| {
                    stored.deleted.is_none()
                        && stored.version == file.version.to_string()
                        && stored.path == entry.path
                });
                let stays = !settings.filters_by_listing(&entry.path);
                row.points && same && stays && row.lineage == entry.lineage
            }
            row => row.is_some() || !self.source.folders,
        };
        let lagging = self
            .source
            .files
            .iter()
            .filter(|(object, file)| may_lag(object, file) && rng.once_in(6))
            .map(|(object, _)| object.clone())
            .collect();
        let begun = self.model.now;
        let new = Pass {
            begun,
            full,
            lagging,
        };
        settings.passes.insert(pass, new);
    }

    fn revisit(&mut self, right: &Right, limit: u32) -> Revisited {
        let mut revisited = Revisited::default();
        let credentials = right.standing.credential_version;
        for (object, letter) in self.model.due(right, limit) {
            match self.source.stand(credentials, &object) {
                Stand::There => revisited.entries.push(self.source.entry(&object)),
                Stand::Elsewhere | Stand::Hidden => revisited.failed.push(letter),
            }
        }
        revisited
    }

    fn await_file(&mut self, worker: &mut Worker) -> Event {
        if self.rng.once_in(8) || worker.flight.is_empty() {
            return Event::Tick;
        }
        if self.chaos && self.rng.once_in(50) {
            return Event::Stopped(if self.rng.once_in(3) {
                Cause::Ours("by chance".to_owned())
            } else {
                Cause::Provider(trouble(&mut self.rng))
            });
        }
        let n = usize::try_from(self.rng.below(worker.flight.len() as u64)).unwrap();
        let order = worker.flight.swap_remove(n);
        let outcome = self.fetch(worker.right.sync, &order);
        Event::File(Box::new(order), outcome)
    }

    fn fetch(&mut self, n: usize, order: &CopyOrder) -> FileOutcome {
        let entry = &order.entry;
        let Some(file) = self.source.files.get(&entry.object) else {
            return FileOutcome::Skipped(ErrorCode::ResourceNotFound);
        };
        if file.version.to_string() != entry.version {
            return FileOutcome::Skipped(ErrorCode::ResourceChanged);
        }
        if file.poisoned {
            let codes = [ErrorCode::IntegrityMismatch, ErrorCode::NetworkTimeout];
            let code = codes[usize::try_from(file.version % 2).unwrap()];
            return FileOutcome::Failed {
                new_id: id("dlq_", 0),
                trouble: Trouble::permanent(code, "poisoned"),
            };
        }
        if file.odd && self.settings[n].rules.needs_facts() {
            return FileOutcome::Filtered {
                rule: "mime_types".to_owned(),
            };
        }
        self.blobs += 1;
        let blob = format!(
            "int_{}/bkt_{}/{:032x}",
            "a".repeat(24),
            "0".repeat(16),
            self.blobs
        );
        FileOutcome::Stored(Box::new(Put {
            new_id: id("obj_", self.blobs),
            replaces: order.replaces.clone(),
            source: SourceId {
                provider: self.provider,
                authority: AUTHORITY.to_owned(),
                object: entry.object.clone(),
            },
            facts: SourceFacts {
                path: entry.path.clone(),
                version: entry.version.clone(),
                modified_at: None,
                version_id: None,
                metadata: serde_json::Map::new(),
                tags: serde_json::Map::new(),
            },
            content: Content {
                blob: BlobKey::parse(&blob).unwrap(),
                size_bytes: 1,
                content_type: None,
                sha256: String::new(),
            },
            mapped: Mapped::default(),
            lineage: entry.lineage.clone(),
        }))
    }

    // --- What must hold.

    /// What a worker must not touch any more: its job has ended, or its connection is not what it was.
    fn untouchable(&self, right: &Right) -> Option<(BTreeMap<String, Object>, Counters)> {
        let job = &self.model.syncs[right.sync].jobs[right.job];
        let outdated =
            job.ended.is_some() || !self.model.active || right.standing != self.model.standing;
        outdated.then(|| (self.model.objects.clone(), job.counters.clone()))
    }

    fn check(
        &mut self,
        n: usize,
        job: usize,
        before: Option<(BTreeMap<String, Object>, Counters)>,
    ) -> Result<(), String> {
        let sync = &self.model.syncs[n];
        let counters = &sync.jobs[job].counters;
        if let Some((objects, old)) = before
            && (objects != self.model.objects
                || (sync.jobs[job].ended.is_some() && old != *counters))
        {
            return Err("something was published without the right to".to_owned());
        }
        if !counters.conserved() {
            return Err(format!("not conserved: {counters:?}"));
        }
        if sync.totals.synced != sync.published {
            return Err(format!(
                "{} published, {} counted",
                sync.published, sync.totals.synced
            ));
        }
        if let Some(entry) = self.copied_again.take() {
            return Err(format!("{entry:?} is copied again"));
        }
        for (n, object, pass) in std::mem::take(&mut self.model.deletions) {
            self.check_deletion(n, &object, pass)?;
        }
        Ok(())
    }

    /// Nothing goes that was at the source, as this account sees it, ever since the pass began, unless a rule says so; nor what
    /// was hidden, or deleted without a trace, before that.
    fn check_deletion(&self, n: usize, object: &str, pass: u64) -> Result<(), String> {
        let settings = &self.settings[n];
        let begun = settings.passes[&pass].begun;
        if self.source.folders && self.source.lost.get(object).is_some_and(|at| *at < begun) {
            return Err(format!("{object} was deleted on nobody's word"));
        }
        let Some(file) = self.source.files.get(object) else {
            return Ok(());
        };
        let credentials = self.model.standing.credential_version;
        let stand = self.source.stand(credentials, object);
        let settled = self.source.since(object) <= begun;
        if settled && stand == Stand::Hidden && self.source.folders {
            return Err(format!("{object} was deleted although it may be there"));
        }
        if settled && stand == Stand::There && !settings.filters(&self.source.path(object), file) {
            return Err(format!("{object} was deleted although it is there"));
        }
        Ok(())
    }

    /// A complete run means that what was at the source ever since it began is in the bucket, and that what was gone by
    /// then is not.
    fn completed(&self, n: usize, pass: u64, strict: bool) -> Result<(), String> {
        let settings = &self.settings[n];
        let Pass {
            begun,
            full,
            lagging,
        } = &settings.passes[&pass];
        let begun = *begun;
        let sync = &self.model.syncs[n];
        let source = &self.source;
        let credentials = self.model.standing.credential_version;
        let settled = |object: &str| source.since(object) <= begun;
        let there = |object: &str| source.stand(credentials, object) == Stand::There;
        for (object, file) in &source.files {
            let due = settled(object)
                && there(object)
                && !settings.filters(&source.path(object), file)
                && !file.unreadable
                && !file.poisoned
                && !lagging.contains(object)
                && (*full || !sync.passed_over.contains(object));
            // What a person deletes while the source has another version comes back when the source is listed.
            let since = if *full { begun } else { source.since(object) };
            if due && !self.is_there(n, object, file, since) {
                let found = self.model.objects.get(object);
                return Err(format!("{object} is not as at the source: {found:?}"));
            }
        }
        if sync.held > 0 && !source.folders {
            // Where vanished files stay, one that was held for a rule and vanished then waits for a person.
            return if strict && settings.reconcile.on_delete {
                Err("deletes are held for ever".to_owned())
            } else {
                Ok(())
            };
        }
        for (object, row) in &sync.rows {
            let live = self.model.objects.get(object);
            let Some(live) = live.filter(|live| row.points && live.deleted.is_none()) else {
                continue;
            };
            let is_ours = live.copied_by == n;
            if settled(object) && there(object) && !lagging.contains(object) {
                let entry = source.entry(object);
                if row.lineage != entry.lineage || (is_ours && live.path != entry.path) {
                    return Err(format!(
                        "{live:?} in {} does not lie as {entry:?}",
                        row.lineage
                    ));
                }
            }
            if row.missing_since.is_some() && (!strict || row.hidden) {
                continue;
            }
            let gone = if source.folders {
                settled(object) && source.stand(credentials, object) == Stand::Elsewhere
            } else {
                source.gone.get(object).is_some_and(|at| *at < begun)
            };
            if gone && settings.reconcile.on_delete && settings.scope().is_empty() {
                return Err(format!("{object} is gone from the source and still here"));
            }
            let drifted = settled(object)
                && there(object)
                && settings.filters_by_listing(&source.path(object))
                && !lagging.contains(object);
            if drifted && settings.reconcile.on_filter_drift {
                return Err(format!("{object} is filtered and still here"));
            }
        }
        Ok(())
    }

    fn is_there(&self, n: usize, object: &str, file: &File, begun: u64) -> bool {
        let Some(stored) = self.model.objects.get(object) else {
            return false;
        };
        let same = stored.version == file.version.to_string();
        match stored.deleted {
            None => same || !self.settings[n].reconcile.on_update,
            Some((DeletedBy::Person, at)) => same || at >= begun,
            // Another sync let go of it before this one held on to it: the next pass brings it back.
            Some((DeletedBy::Source, at)) => at >= begun && self.settings.len() > 1,
        }
    }

    /// All trouble is over: a few runs later everything is as it must be.
    fn calm(&mut self) -> Result<(), String> {
        self.chaos = false;
        self.workers.clear();
        self.source.faulty = false;
        self.source.denied = None;
        self.model.active = true;
        self.model.standing.epoch += 1;
        self.model.now += 1;
        let mut readable = Vec::new();
        for (object, file) in &mut self.source.files {
            if file.unreadable || file.poisoned {
                readable.extend(file.unreadable.then(|| object.clone()));
                file.unreadable = false;
                file.poisoned = false;
                file.since = self.model.now;
            }
        }
        if self.rng.once_in(2) {
            self.source.share(self.model.now);
        }
        // That a file has healed is told by nobody.
        for object in readable {
            self.source.tell(&object);
        }
        for round in 0..4 {
            // What changes alone are looked at in between, where they are told.
            let pause = if round == 1 && self.source.folders {
                HOUR
            } else {
                25 * HOUR
            };
            for n in 0..self.settings.len() {
                let pass = self.complete_pass(n, pause)?;
                self.completed(n, pass, round == 3)?;
            }
        }
        Ok(())
    }

    /// Runs until a pass is complete.
    fn complete_pass(&mut self, n: usize, pause: u64) -> Result<u64, String> {
        for _ in 0..40 {
            self.model.now += pause;
            let right = self.model.lease(n).ok_or("the lease is held for ever")?;
            let job = right.job;
            self.start(right);
            let mut worker = self.workers.pop().unwrap();
            loop {
                let pass = worker.pass;
                match self.step(worker)? {
                    Some(next) => worker = next,
                    None if self.model.syncs[n].jobs[job]
                        .ended
                        .as_ref()
                        .is_some_and(|(_, reason)| reason.is_none()) =>
                    {
                        return Ok(pass);
                    }
                    None => break,
                }
            }
        }
        Err("no run ends complete any more".to_owned())
    }
}
