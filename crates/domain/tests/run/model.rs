//! The model of the repository: what its documentation promises, as plainly as can be.

use std::collections::{BTreeMap, BTreeSet};

use wharf_domain::Timestamp;
use wharf_domain::dead_letter::MOST_TRIES;
use wharf_domain::ids::SyncId;
use wharf_domain::job::{Counters, JobStatus};
use wharf_domain::object::{BlobKey, DeletedBy};
use wharf_domain::run::catalogue::{
    Known, KnownCopy, KnownDeadLetter, LeftOutVersion, Recall, Recalled, Span,
};
use wharf_domain::run::commit::{Commit, FailedFile, Put, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::ending::Ending;
use wharf_domain::run::feed::{Absent, MissingRow};
use wharf_domain::run::machine::Refusal;
use wharf_domain::sync::{Checkpoint, Cursor, Feed};

use crate::world::id;

pub(crate) const LEASE: u64 = 30;
const HEALING: u64 = 24 * 3600;

/// Faults that can be planted in the repository or the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    NoFence,
    NoEpochCheck,
    CheckpointBeforeCommit,
    CountersApart,
    DeleteOnIncompleteListing,
    ResumeUnderAnotherScope,
    ResumeUnderOtherCredentials,
    MissingMarkStays,
    SeenIsNotStored,
    DeniedIsForgotten,
    NewRulesLeaveTheRunAtWork,
    AgreementIsNotAsked,
    FeedBeforeItsPages,
    FeedStartsBehindTheListing,
    HiddenIsGone,
    MovesAreNotStored,
    NothingIsLookedAtAgain,
}

impl Bug {
    pub(crate) const ALL: [Self; 17] = [
        Self::NoFence,
        Self::NoEpochCheck,
        Self::CheckpointBeforeCommit,
        Self::CountersApart,
        Self::DeleteOnIncompleteListing,
        Self::ResumeUnderAnotherScope,
        Self::ResumeUnderOtherCredentials,
        Self::MissingMarkStays,
        Self::SeenIsNotStored,
        Self::DeniedIsForgotten,
        Self::NewRulesLeaveTheRunAtWork,
        Self::AgreementIsNotAsked,
        Self::FeedBeforeItsPages,
        Self::FeedStartsBehindTheListing,
        Self::HiddenIsGone,
        Self::MovesAreNotStored,
        Self::NothingIsLookedAtAgain,
    ];
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) version: String,
    pub(crate) blob: BlobKey,
    pub(crate) deleted: Option<(DeletedBy, u64)>,
    pub(crate) copied_by: usize,
}

#[derive(Default)]
pub(crate) struct Row {
    pub(crate) points: bool,
    left_out: Option<LeftOutVersion>,
    seen_pass: u64,
    missing_pass: Option<u64>,
    pub(crate) missing_since: Option<u64>,
    /// Whether nobody knows if it is gone.
    pub(crate) hidden: bool,
    pub(crate) lineage: String,
}

struct Letter {
    job: usize,
    version: String,
    error_type: String,
    tries: u32,
    exhausted: bool,
    last: u64,
}

#[derive(Default)]
pub(crate) struct Job {
    pub(crate) counters: Counters,
    pub(crate) ended: Option<(JobStatus, Option<String>)>,
}

#[derive(Default)]
pub(crate) struct Sync {
    pub(crate) fence: u64,
    /// The job that holds the lease, and until when.
    pub(crate) lease: Option<(usize, u64)>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) feed: Option<Feed>,
    /// What somebody else was faster with since the whole source was last listed: a feed tells of it only once.
    pub(crate) passed_over: BTreeSet<String>,
    pub(crate) last_pass: u64,
    pub(crate) rows: BTreeMap<String, Row>,
    letters: BTreeMap<String, Letter>,
    pub(crate) held: u64,
    pub(crate) jobs: Vec<Job>,
    pub(crate) totals: Counters,
    pub(crate) published: u64,
}

pub(crate) struct Right {
    pub(crate) sync: usize,
    pub(crate) job: usize,
    pub(crate) fence: u64,
    pub(crate) standing: Standing,
}

pub(crate) struct Model {
    pub(crate) bug: Option<Bug>,
    pub(crate) now: u64,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) syncs: Vec<Sync>,
    pub(crate) standing: Standing,
    pub(crate) active: bool,
    /// What has been deleted on the word of a listing: sync, object, pass.
    pub(crate) deletions: Vec<(usize, String, u64)>,
}

/// Whether the process dies in the middle of a call that is not atomic.
pub(crate) enum Torn {
    No,
    Died,
}

impl Model {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Takes the lease, if nobody holds it.
    pub(crate) fn lease(&mut self, n: usize) -> Option<Right> {
        let now = self.now;
        let sync = &mut self.syncs[n];
        if let Some((job, expires)) = sync.lease {
            if expires > now {
                return None;
            }
            let end = (JobStatus::Interrupted, Some("lease_expired".to_owned()));
            sync.jobs[job].ended.get_or_insert(end);
        }
        sync.fence += 1;
        sync.jobs.push(Job::default());
        let job = sync.jobs.len() - 1;
        sync.lease = Some((job, now + LEASE));
        Some(Right {
            sync: n,
            job,
            fence: sync.fence,
            standing: self.standing,
        })
    }

    /// Takes it away from whoever holds it.
    pub(crate) fn unlock(&mut self, n: usize) {
        let sync = &mut self.syncs[n];
        if let Some((job, _)) = sync.lease.take() {
            sync.fence += 1;
            let end = (JobStatus::Interrupted, Some("unlocked".to_owned()));
            sync.jobs[job].ended.get_or_insert(end);
        }
    }

    fn fenced(&mut self, right: &Right) -> Result<(), Refusal> {
        let no_fence = self.has(Bug::NoFence);
        let sync = &mut self.syncs[right.sync];
        if sync.fence != right.fence && !no_fence {
            return Err(Refusal::LeaseLost);
        }
        if sync.fence == right.fence {
            sync.lease = Some((right.job, self.now + LEASE));
        }
        Ok(())
    }

    fn standing(&mut self, right: &Right) -> Result<(), Refusal> {
        self.fenced(right)?;
        if (self.standing != right.standing || !self.active) && !self.has(Bug::NoEpochCheck) {
            return Err(Refusal::ConnectionChanged);
        }
        Ok(())
    }

    pub(crate) fn recall(&self, n: usize, pass: u64, recall: &Recall) -> Recalled {
        let sync = &self.syncs[n];
        let known = recall
            .listed
            .iter()
            .filter_map(|object| self.known(n, object))
            .collect();
        let vanished = recall.span.as_ref().map_or(0, |span| {
            sync.rows
                .iter()
                .filter(|(object, row)| {
                    covers(span, object)
                        && !recall.listed.contains(object)
                        && row.missing_pass != Some(pass)
                })
                .count() as u64
        });
        Recalled { known, vanished }
    }

    fn known(&self, n: usize, object: &String) -> Option<Known> {
        let sync = &self.syncs[n];
        let row = sync.rows.get(object);
        let letter = sync.letters.get(object);
        let copy = self.objects.get(object);
        if row.is_none() && letter.is_none() && copy.is_none() {
            return None;
        }
        Some(Known {
            object: object.clone(),
            copy: copy.map(known_copy),
            held: row.is_some_and(|row| row.points),
            left_out: row.and_then(|row| row.left_out.clone()),
            dead_letter: letter.map(|letter| KnownDeadLetter {
                id: id("dlq_", 0),
                version: letter.version.clone(),
                error_type: letter.error_type.clone(),
                tries: letter.tries,
                exhausted: letter.exhausted,
                healing_due: letter.heals(self.now),
            }),
            missing: row.is_some_and(|row| row.missing_pass.is_some()),
            lineage: row.map_or_else(String::new, |row| row.lineage.clone()),
        })
    }

    pub(crate) fn commit(
        &mut self,
        right: &Right,
        mut commit: Commit,
        dies: bool,
    ) -> Result<Torn, Refusal> {
        self.standing(right)?;
        let n = right.sync;
        if let Some(checkpoint) = commit.checkpoint.take() {
            self.syncs[n].last_pass = checkpoint.pass;
            self.syncs[n].checkpoint = Some(checkpoint);
            if dies && self.has(Bug::CheckpointBeforeCommit) {
                return Ok(Torn::Died);
            }
        }
        let pass = commit.pass;
        let mut counters = commit.counters;
        for put in commit.puts {
            self.publish(n, pass, &put, &mut counters);
        }
        let stays = self.has(Bug::MissingMarkStays);
        let sync = &mut self.syncs[n];
        for object in commit.adopted {
            if self.objects.contains_key(&object) {
                sync.letters.remove(&object);
                let row = sync.rows.entry(object).or_default();
                row.points = true;
                row.left_out = None;
                row.seen_pass = pass;
                row.found(stays);
            }
        }
        for left_out in commit.left_out {
            sync.letters.remove(&left_out.object);
            let row = sync.rows.entry(left_out.object).or_default();
            row.seen_pass = pass;
            row.left_out = Some(LeftOutVersion {
                version: left_out.version,
                rule: left_out.rule,
            });
        }
        for failed in commit.failed {
            sync.fail(failed, right.job, self.now);
        }
        if self.bug != Some(Bug::MovesAreNotStored) {
            for moved in commit.moved {
                let row = sync.rows.get_mut(&moved.object).filter(|row| row.points);
                if let (Some(row), Some(object)) = (row, self.objects.get_mut(&moved.object)) {
                    row.lineage = moved.lineage;
                    object.path = moved.path.unwrap_or(object.path.clone());
                }
            }
        }
        for object in commit.returned {
            if let Some(row) = sync.rows.get_mut(&object) {
                row.found(stays);
            }
        }
        if self.bug != Some(Bug::SeenIsNotStored) {
            for object in commit.seen {
                if let Some(row) = sync.rows.get_mut(&object) {
                    row.seen_pass = pass;
                    row.found(stays);
                }
            }
        }
        for object in commit.drifted {
            if let Some(row) = sync.rows.get_mut(&object) {
                row.missing_pass = Some(pass);
                row.seen_pass = pass;
            }
        }
        for object in commit.hidden {
            if let Some(row) = sync.rows.get_mut(&object) {
                row.hidden = row.missing_pass.is_some();
            }
        }
        if let Some(vanished) = commit.vanished {
            for (object, row) in &mut sync.rows {
                if covers(&vanished.span, object) && !vanished.listed.contains(object) {
                    row.missing_pass = Some(pass);
                }
            }
        }
        if dies && self.has(Bug::CountersApart) {
            return Ok(Torn::Died);
        }
        let sync = &mut self.syncs[n];
        sync.jobs[right.job].counters.add(&counters);
        sync.totals.add(&counters);
        Ok(Torn::No)
    }

    fn publish(&mut self, n: usize, pass: u64, put: &Put, counters: &mut Counters) {
        let object = put.source.object.clone();
        let now = self.objects.get(&object).map(known_copy);
        let planned = put.replaces.clone();
        let same = |copy: Option<KnownCopy>| copy.map(|copy| (copy.blob, copy.deleted));
        if same(now) == same(planned) {
            self.syncs[n].published += 1;
            let row = Object {
                path: put.facts.path.clone(),
                version: put.facts.version.clone(),
                blob: put.content.blob.clone(),
                deleted: None,
                copied_by: n,
            };
            self.objects.insert(object.clone(), row);
        } else {
            self.syncs[n].passed_over.insert(object.clone());
            counters.synced -= 1;
            counters.verified += 1;
            counters.bytes -= put.content.size_bytes;
        }
        let stays = self.has(Bug::MissingMarkStays);
        let sync = &mut self.syncs[n];
        sync.letters.remove(&object);
        let row = sync.rows.entry(object).or_default();
        row.points = true;
        row.left_out = None;
        row.seen_pass = pass;
        row.lineage.clone_from(&put.lineage);
        row.found(stays);
    }

    /// What the feed tells is absent: rows that are named, or that lie in what is.
    pub(crate) fn mark_absent(&mut self, right: &Right, step: &MarkAbsent) -> Result<u64, Refusal> {
        self.standing(right)?;
        let mut marked = 0;
        for (object, row) in &mut self.syncs[right.sync].rows {
            let means = |absent: &&Absent| {
                absent.id == *object || row.lineage.contains(&format!("/{}/", absent.id))
            };
            let told: Vec<&Absent> = step.absent.iter().filter(means).collect();
            let hidden = told.iter().all(|absent| !absent.certain);
            let is_so = row.missing_pass == Some(step.pass) && (hidden || !row.hidden);
            if !told.is_empty() && !is_so && marked < u64::from(step.limit) {
                row.missing_pass = Some(step.pass);
                row.seen_pass = 0;
                row.hidden = hidden;
                marked += 1;
            }
        }
        Ok(marked)
    }

    /// Rows that the pass found missing and did not see.
    pub(crate) fn gather(
        &mut self,
        right: &Right,
        pass: u64,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MissingRow>, Refusal> {
        self.fenced(right)?;
        let rows = self.syncs[right.sync].rows.iter();
        let missing = rows.filter(|(object, row)| {
            row.missing_pass == Some(pass)
                && row.seen_pass != pass
                && row.points
                && !row.hidden
                && after.is_none_or(|after| object.as_str() > after)
        });
        let missing = missing.take(usize::try_from(limit).unwrap());
        let row = |(object, row): (&String, &Row)| MissingRow {
            object: object.clone(),
            lineage: row.lineage.clone(),
        };
        Ok(missing.map(row).collect())
    }

    /// What may be tried again, with one more failure of each.
    pub(crate) fn due(&self, right: &Right, limit: u32) -> Vec<(String, FailedFile)> {
        let letters = self.syncs[right.sync].letters.iter();
        let due = letters.filter(|(_, letter)| {
            let heals = !letter.exhausted || letter.heals(self.now);
            heals && letter.job != right.job && !self.has(Bug::NothingIsLookedAtAgain)
        });
        let failed = |(object, letter): (&String, &Letter)| {
            let failed = FailedFile {
                new_id: id("dlq_", 0),
                object: object.clone(),
                path: object.clone(),
                version: letter.version.clone(),
                error_type: "resource.not_found".to_owned(),
                error_message: String::new(),
            };
            (object.clone(), failed)
        };
        let limit = usize::try_from(limit).unwrap();
        due.take(limit).map(failed).collect()
    }

    /// A fault: the next run begins there.
    pub(crate) fn skip_to(&mut self, right: &Right, place: &Cursor) {
        let checkpoint = self.syncs[right.sync].checkpoint.as_mut();
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.cursor.is_some()) {
            checkpoint.cursor = Some(place.clone());
        }
    }

    pub(crate) fn mark_missing(
        &mut self,
        right: &Right,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, Refusal> {
        self.standing(right)?;
        let Some(beyond) = &step.unseen_beyond else {
            return Ok(None);
        };
        let after = step
            .after
            .as_ref()
            .map(|key| key.object.clone())
            .max(beyond.clone());
        let sync = &mut self.syncs[right.sync];
        let rows = sync
            .rows
            .iter_mut()
            .filter(|(object, _)| after.as_ref().is_none_or(|after| *object > after));
        let mut last = None;
        for (object, row) in rows.take(3) {
            if row.seen_pass != step.pass {
                row.missing_pass = Some(step.pass);
            }
            last = Some(object.clone());
        }
        Ok(last.map(|object| RowKey {
            authority: step.authority.clone(),
            object,
        }))
    }

    fn missing<'a>(
        &'a self,
        n: usize,
        pass: u64,
        denied: &'a [String],
    ) -> impl Iterator<Item = (&'a String, &'a Row)> {
        let forgets = self.has(Bug::DeniedIsForgotten);
        self.syncs[n].rows.iter().filter(move |(object, row)| {
            let frozen = denied.iter().any(|denied| object.starts_with(denied));
            row.missing_pass == Some(pass) && (forgets || !frozen)
        })
    }

    pub(crate) fn survey(
        &mut self,
        right: &Right,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, Refusal> {
        self.fenced(right)?;
        let n = right.sync;
        let held = self.syncs[n].rows.values().filter(|row| row.points);
        let held = held.count() as u64;
        let missing: Vec<&Row> = self
            .missing(n, pass, denied)
            .map(|(_, row)| row)
            .filter(|row| row.points)
            .collect();
        let (hidden, missing): (Vec<&Row>, Vec<&Row>) =
            missing.into_iter().partition(|row| row.hidden);
        let agreed = missing.iter().filter(|row| row.agreed(pass)).count() as u64;
        Ok(Survey {
            held,
            missing: missing.len() as u64,
            agreed,
            hidden: hidden.len() as u64,
        })
    }

    pub(crate) fn hold(&mut self, right: &Right, step: &Hold) -> Result<u64, Refusal> {
        self.standing(right)?;
        let n = right.sync;
        let fresh: Vec<String> = self
            .missing(n, step.pass, &step.denied)
            .filter(|(_, row)| row.points && row.missing_since.is_none())
            .map(|(object, _)| object.clone())
            .collect();
        let sync = &mut self.syncs[n];
        for object in &fresh {
            if let Some(row) = sync.rows.get_mut(object) {
                row.missing_since = Some(step.pass);
            }
        }
        let held = sync.rows.values().filter(|row| row.missing_since.is_some());
        sync.held = held.count() as u64;
        Ok(fresh.len() as u64)
    }

    pub(crate) fn let_go(&mut self, right: &Right, step: &LetGo) -> Result<u64, Refusal> {
        self.standing(right)?;
        let n = right.sync;
        let only_agreed = step.only_agreed && !self.has(Bug::AgreementIsNotAsked);
        let going: Vec<String> = self
            .missing(n, step.pass, &step.denied)
            .filter(|(_, row)| !row.hidden || !row.points)
            .filter(|(_, row)| !only_agreed || row.agreed(step.pass) || !row.points)
            .map(|(object, _)| object.clone())
            .take(3)
            .collect();
        for object in &going {
            let row = self.syncs[n].rows.remove(object).unwrap();
            let shared = self
                .syncs
                .iter()
                .any(|sync| sync.rows.get(object).is_some_and(|row| row.points));
            if let Some(stored) = self.objects.get_mut(object)
                && row.points
                && !shared
                && stored.deleted.is_none()
            {
                stored.deleted = Some((DeletedBy::Source, self.now));
                self.syncs[n].jobs[right.job].counters.deleted += 1;
                self.syncs[n].totals.deleted += 1;
            }
            if row.points {
                self.deletions.push((n, object.clone(), step.pass));
            }
        }
        let sync = &mut self.syncs[n];
        if going.is_empty() && sync.rows.values().all(|row| row.missing_since.is_none()) {
            sync.held = 0;
        }
        Ok(going.len() as u64)
    }

    /// `behind`: where the feed stands now.
    pub(crate) fn finish(
        &mut self,
        right: &Right,
        ending: &Ending,
        behind: Option<Cursor>,
    ) -> Result<(), Refusal> {
        self.fenced(right)?;
        let behind = behind.filter(|_| self.has(Bug::FeedStartsBehindTheListing));
        let sync = &mut self.syncs[right.sync];
        let end = &ending.end;
        if end.status == JobStatus::Completed && end.incomplete_reason.is_none() {
            let now = time(self.now);
            let checkpoint = sync.checkpoint.take();
            let feed = checkpoint.and_then(|c| Feed::behind(&c, sync.feed.as_ref(), now));
            sync.feed = feed.map(|feed| match behind {
                Some(place) => Feed {
                    cursor: place,
                    ..feed
                },
                None => feed,
            });
        }
        let job = &mut sync.jobs[right.job];
        job.ended = Some((end.status, end.incomplete_reason.clone()));
        if sync.fence == right.fence {
            sync.lease = None;
        }
        Ok(())
    }

    /// Other rules: progress is dropped, what was left out is forgotten, and what was found missing agrees with nothing.
    pub(crate) fn forget(&mut self, n: usize) {
        if !self.has(Bug::NewRulesLeaveTheRunAtWork) {
            self.unlock(n);
        }
        let keeps_progress = self.has(Bug::ResumeUnderAnotherScope);
        let sync = &mut self.syncs[n];
        sync.checkpoint = sync.checkpoint.take().filter(|_| keeps_progress);
        sync.feed = None;
        for row in sync.rows.values_mut() {
            row.left_out = None;
            row.missing_since = None;
        }
        sync.held = 0;
        sync.rows.retain(|_, row| row.points);
    }
}

impl Row {
    fn found(&mut self, stays: bool) {
        if !stays {
            self.missing_pass = None;
            self.missing_since = None;
            self.hidden = false;
        }
    }

    fn agreed(&self, pass: u64) -> bool {
        self.missing_since.is_some_and(|since| since < pass)
    }
}

impl Letter {
    fn heals(&self, now: u64) -> bool {
        self.exhausted && self.last + HEALING <= now
    }
}

impl Sync {
    fn fail(&mut self, failed: FailedFile, job: usize, now: u64) {
        let letter = self.letters.entry(failed.object).or_insert(Letter {
            version: failed.version.clone(),
            error_type: String::new(),
            tries: 0,
            exhausted: false,
            last: 0,
            job,
        });
        letter.job = job;
        if letter.version != failed.version {
            letter.version = failed.version;
            letter.tries = 0;
            letter.exhausted = false;
        }
        letter.error_type = failed.error_type;
        letter.last = now;
        if !letter.exhausted {
            letter.tries += 1;
            letter.exhausted = letter.tries >= MOST_TRIES;
        }
    }
}

fn covers(span: &Span, object: &String) -> bool {
    span.after.as_ref().is_none_or(|after| object > after)
        && span
            .through
            .as_ref()
            .is_none_or(|through| object <= through)
}

fn known_copy(object: &Object) -> KnownCopy {
    KnownCopy {
        id: id("obj_", 0),
        path: object.path.clone(),
        version: object.version.clone(),
        blob: object.blob.clone(),
        deleted: object.deleted.map(|(by, _)| by),
        copied_by: Some(sync_id(object.copied_by)),
        facts: None,
    }
}

/// That second, by the database's clock.
pub(crate) fn time(now: u64) -> Timestamp {
    Timestamp::from_timestamp(i64::try_from(now).unwrap(), 0).unwrap()
}

pub(crate) fn sync_id(n: usize) -> SyncId {
    id("sync_", n as u64)
}
