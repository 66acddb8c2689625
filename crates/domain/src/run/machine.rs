//! The protocol of a run as a pure state machine: what happened goes in as an [`Event`], what is to be done next comes out
//! as an [`Effect`].
//!
//! A pass is begun by storing its number, so that it never shares marks with an earlier listing. Then page by page: list,
//! recall what we know, copy, publish in steps; the last step of a page carries the checkpoint behind it. When the listing
//! is complete, what it did not name is let go of, or held back. Where the provider keeps a feed of changes, its place is asked
//! for before a listing, and later passes go over the feed instead: what it tells is gone is marked, what failed before is looked
//! at again. The place is kept when the pass is through, and not before. Whoever carries out the effects may stop at any point and
//! never come back: the next run starts from what the last step stored.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};

use crate::error_code::ErrorCode;
use crate::job::JobPhase;
use crate::plan::Entry;
use crate::provider::Provider;
use crate::sync::{Checkpoint, Cursor, Feed, Order, PassKind, SyncMode};

use super::catalogue::{Recall, Recalled};
use super::closing::Closing;
use super::commit::{Commit, FailedFile};
use super::decision::Terms;
use super::deletes::{DeleteThreshold, Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use super::ending::{Ending, OVER_CAP, Pace, SCOPE_DENIED};
use super::feed::{ChangesPage, Fate, MissingRow};
use super::page::{CopyOrder, FileOutcome, Listed, ListingPage, Work, deny};
use super::trouble::{Retry, Streak, Trouble};

/// Most entries asked for at once.
const PAGE: u32 = 1000;

/// Most rows that one step marks as absent.
const ABSENT: u32 = 1000;

/// Most files that failed in earlier runs and are looked at again behind the changes.
const REVISIT: u32 = 200;

/// Passes that an initial sync makes in addition for files that failed or changed.
const EXTRA_PASSES: u32 = 2;

/// What a run is about.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// What decides about entries.
    pub terms: Terms,
    /// Whether the sync is done after one complete pass.
    pub mode: SyncMode,
    /// The provider of the sync's connection.
    pub provider: Provider,
    /// The account or endpoint that its files are identified under.
    pub authority: String,
    /// What is listed. A pass never goes on over another scope.
    pub scope: String,
    /// The connection's credential version. A pass never goes on under another one.
    pub credential_version: u64,
    /// Most files that the run deals with.
    pub max_objects: u64,
    /// Above what deletes wait.
    pub threshold: DeleteThreshold,
    /// When the sync runs again.
    pub pace: Pace,
    /// Passes begun by earlier runs.
    pub last_pass: u64,
    /// Where the provider's feed of changes stands, if what has changed since is enough of a pass.
    pub feed: Option<Feed>,
}

/// What is to be done next. Each is answered by the event that its documentation names, or by [`Event::Shutdown`].
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask where the provider's feed of changes stands: [`Event::FeedStart`].
    FeedStart,
    /// List a page: [`Event::Listed`].
    List {
        /// From where on.
        cursor: Option<Cursor>,
        /// Most entries.
        limit: u32,
    },
    /// Read a page of the feed of changes: [`Event::Changed`].
    Changes {
        /// From where on.
        cursor: Cursor,
        /// Most changes.
        limit: u32,
    },
    /// Mark what the feed tells is not in the source any more: [`Event::Absent`].
    MarkAbsent(MarkAbsent),
    /// Look again at files that failed in earlier runs and are due: [`Event::Revisited`].
    Revisit {
        /// Most files.
        limit: u32,
    },
    /// Read what we know: [`Event::Recalled`].
    Recall {
        /// The pass whose marks do not count as vanished again.
        pass: u64,
        /// About what.
        recall: Recall,
    },
    /// Start to copy these files; then as [`Await`](Self::Await).
    Copy(Vec<CopyOrder>),
    /// Nothing to do before the next [`Event::File`], [`Event::Stopped`] or [`Event::Tick`].
    Await,
    /// Publish a step: [`Event::Committed`].
    Commit(Box<Commit>),
    /// Mark what the complete pass did not see: [`Event::Marked`].
    MarkMissing(MarkMissing),
    /// Read what the pass found missing: [`Event::Gathered`].
    Gather {
        /// The pass.
        pass: u64,
        /// The source identity after which this step begins; `None` at the first.
        after: Option<String>,
        /// Most rows.
        limit: u32,
    },
    /// Ask the provider what became of these: [`Event::Traced`].
    Trace(Vec<MissingRow>),
    /// Count what the complete pass found missing: [`Event::Surveyed`].
    Survey {
        /// The pass.
        pass: u64,
        /// Source paths below which nothing counts.
        denied: Vec<String>,
    },
    /// Hold deletes back: [`Event::Held`].
    Hold(Hold),
    /// Let go of what is missing: [`Event::LetGone`].
    LetGo(LetGo),
    /// Tell the connection, end the job and release the lease. The run is over.
    End(Ending),
    /// Another worker has the sync, or it is gone: leave everything as it is. The run is over.
    GiveUp,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Where the feed of changes stands, after all tries; `None` where the provider keeps none.
    FeedStart(Result<Option<Cursor>, Trouble>),
    /// A page was listed, after all tries.
    Listed(Result<ListingPage, Trouble>),
    /// A page of the feed was read, after all tries.
    Changed(Result<ChangesPage, Trouble>),
    /// How many rows were marked as absent.
    Absent(Result<u64, Refusal>),
    /// What was found of files that failed in earlier runs.
    Revisited(Result<Revisited, Cause>),
    /// What we know of a page.
    Recalled(Result<Recalled, Refusal>),
    /// What became of one file.
    File(Box<CopyOrder>, FileOutcome),
    /// One file could not be copied for a reason that concerns the whole run.
    Stopped(Cause),
    /// The last step was published a while ago.
    Tick,
    /// A step was published, or refused.
    Committed(Result<(), Refusal>),
    /// Where the next step of marking begins; `None` when all is marked.
    Marked(Result<Option<RowKey>, Refusal>),
    /// Rows that the pass found missing and did not see.
    Gathered(Result<Vec<MissingRow>, Refusal>),
    /// What became of them, one answer each, after all tries.
    Traced(Result<Vec<Fate>, Trouble>),
    /// What the complete pass found missing.
    Surveyed(Result<Survey, Refusal>),
    /// How many rows were held back.
    Held(Result<u64, Refusal>),
    /// How many rows went.
    LetGone(Result<u64, Refusal>),
    /// The process is about to stop: instead of the answer to any effect but a commit.
    Shutdown,
}

/// What was found of files that failed in earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revisited {
    /// Those that are there.
    pub entries: Vec<Entry>,
    /// Those that cannot even be looked at, or are not there: one more try that failed. Else they would stand in the way of the
    /// others for ever.
    pub failed: Vec<FailedFile>,
}

/// Why the repository did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another worker has the sync, or it is gone.
    LeaseLost,
    /// The connection was suspended, archived or changed.
    ConnectionChanged,
    /// It failed, in our own words.
    Ours(String),
}

/// What ends a run early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The provider failed in a way that concerns the whole run.
    Provider(Trouble),
    /// Our own database, blob store or key ring failed, in our own words.
    Ours(String),
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    context: RunContext,
    state: State,
    /// Entries that the run may still deal with.
    budget: u64,
    /// Whether the listing was started over because its cursor was no longer valid.
    restarted: bool,
    /// Whether what failed in earlier runs was looked at again.
    revisited: bool,
    places: Places,
    streak: Streak,
}

/// What the run waits for.
#[derive(Debug)]
enum State {
    /// Where the feed stands, before a listing with this checkpoint.
    Beginning(Checkpoint),
    /// A page behind this checkpoint.
    Listing(Checkpoint),
    /// Rows of what a page of the feed tells is absent; then, its files.
    MarkingAbsent(MarkAbsent, Listed),
    /// Files that failed in earlier runs.
    Revisiting(Checkpoint),
    /// What we know of a page.
    Recalling(Listed),
    /// Files of a page.
    Copying(Box<Work>),
    /// A commit, and what comes behind it.
    Committing(Next),
    /// A step behind a complete listing.
    Closing(Closing),
    /// Nothing: the run is over.
    Over,
}

/// What comes behind a commit.
#[derive(Debug)]
enum Next {
    List(Checkpoint),
    Copy(Box<Work>),
    Revisit(Checkpoint),
    Close(Checkpoint),
    Go(Box<(Closing, Option<Effect>)>),
    End(Ending),
}

impl Run {
    /// Begins a run, going on from `checkpoint` if that can be.
    pub fn start(context: RunContext, checkpoint: Option<Checkpoint>) -> (Self, Effect) {
        let mut run = Self {
            budget: context.max_objects,
            context,
            state: State::Over,
            restarted: false,
            revisited: false,
            places: Places::default(),
            streak: Streak::default(),
        };
        let effect = match checkpoint {
            Some(checkpoint) if run.can_go_on(&checkpoint) => {
                run.places.note(checkpoint.cursor.as_ref());
                run.list(checkpoint)
            }
            checkpoint => {
                let extra_passes = checkpoint.as_ref().map_or(0, |c| c.extra_passes);
                let pass = checkpoint.map_or(0, |c| c.pass);
                run.begin(pass.max(run.context.last_pass), extra_passes)
            }
        };
        (run, effect)
    }

    /// Takes in what happened and tells what is to be done next.
    pub fn on(&mut self, event: Event) -> Effect {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, event) {
            (State::Beginning(checkpoint), Event::FeedStart(Ok(feed))) => {
                let checkpoint = Checkpoint { feed, ..checkpoint };
                self.store_start(checkpoint.clone(), Next::List(checkpoint))
            }
            (State::Beginning(_), Event::FeedStart(Err(trouble)))
            | (State::Closing(_), Event::Traced(Err(trouble))) => {
                self.end(Ending::trouble(&trouble, self.context.pace))
            }
            (State::Listing(before), Event::Listed(Ok(page))) => self.take_in(page, before),
            (State::Listing(before), Event::Changed(Ok(page))) => {
                self.take_in_changes(page, before)
            }
            (State::MarkingAbsent(step, listed), Event::Absent(Ok(rows))) => {
                if rows < u64::from(step.limit) {
                    self.recall(listed)
                } else {
                    self.mark_absent(step, listed)
                }
            }
            (
                State::Revisiting(checkpoint),
                Event::Revisited(Ok(Revisited { entries, failed })),
            ) => {
                self.revisited = true;
                let listed = Listed::of_changes(entries, checkpoint);
                self.recall(Listed { failed, ..listed })
            }
            (State::Revisiting(_), Event::Revisited(Err(cause))) => {
                let ending = self.ending_for(&cause);
                self.end(ending)
            }
            (
                State::Listing(before),
                Event::Listed(Err(trouble)) | Event::Changed(Err(trouble)),
            ) => {
                if trouble.retry == Retry::Restart && !self.restarted {
                    self.restarted = true;
                    self.context.feed = None;
                    self.begin(before.pass, before.extra_passes)
                } else {
                    self.end(Ending::trouble(&trouble, self.context.pace))
                }
            }
            (State::Recalling(listed), Event::Recalled(Ok(recalled))) => {
                self.plan(listed, recalled)
            }
            (State::Copying(mut work), Event::File(order, outcome)) => {
                let trouble = self.streak(&outcome);
                work.note(*order, outcome);
                match trouble {
                    Some(trouble) => self.stop(*work, Ending::trouble(&trouble, self.context.pace)),
                    None => self.go_on(work),
                }
            }
            (State::Copying(work), Event::Tick) => {
                if work.has_news() {
                    self.publish(work)
                } else {
                    self.state = State::Copying(work);
                    Effect::Await
                }
            }
            (State::Copying(work), Event::Stopped(cause)) => {
                let ending = self.ending_for(&cause);
                self.stop(*work, ending)
            }
            (State::Copying(work), Event::Shutdown) => self.stop(*work, Ending::shutdown()),
            (State::Committing(next), Event::Committed(Ok(()))) => self.next(next),
            (
                State::Recalling(_)
                | State::Committing(_)
                | State::Closing(_)
                | State::MarkingAbsent(..),
                Event::Recalled(Err(refusal))
                | Event::Absent(Err(refusal))
                | Event::Committed(Err(refusal))
                | Event::Marked(Err(refusal))
                | Event::Gathered(Err(refusal))
                | Event::Surveyed(Err(refusal))
                | Event::LetGone(Err(refusal))
                | Event::Held(Err(refusal)),
            ) => self.refused(&refusal),
            (State::Over, _) => Effect::GiveUp,
            (_, Event::Shutdown) => self.end(Ending::shutdown()),
            (State::Closing(closing), event) => self.on_closing(closing, event),
            _ => self.unasked(),
        }
    }

    fn on_closing(&mut self, closing: Closing, event: Event) -> Effect {
        let step = match event {
            Event::Marked(Ok(after)) => {
                closing.marked(after, self.context.provider.listings_hide())
            }
            Event::Gathered(Ok(rows)) => closing.gathered(rows),
            Event::Traced(Ok(fates)) => return self.traced(closing, &fates),
            Event::Surveyed(Ok(survey)) => {
                closing.surveyed(survey, self.context.provider, self.context.threshold)
            }
            Event::LetGone(Ok(rows)) => closing.let_gone(rows),
            Event::Held(Ok(rows)) => closing.held(rows),
            _ => return self.unasked(),
        };
        self.close(step)
    }

    fn unasked(&mut self) -> Effect {
        self.end(Ending::ours(
            "the run was told what it had not asked for",
            self.context.pace,
        ))
    }

    /// Whether a pass can be continued where it stands: it has come somewhere, over the same scope, and under the same
    /// credentials. What was seen through others says nothing about this account.
    fn can_go_on(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.cursor.is_some()
            && checkpoint.scope == self.context.scope
            && checkpoint.credential_version == self.context.credential_version
            && checkpoint.pass >= self.context.last_pass
    }

    /// Starts the pass after `last_pass`: over what has changed, if that is enough.
    fn begin(&mut self, last_pass: u64, extra_passes: u32) -> Effect {
        self.places = Places::default();
        let mut checkpoint = self.first_checkpoint(last_pass, extra_passes);
        if let Some(feed) = self.usable_feed() {
            checkpoint.kind = PassKind::Changes;
            checkpoint.order = Order::Marked { beyond: None };
            checkpoint.cursor = Some(feed.cursor.clone());
            self.places.note(checkpoint.cursor.as_ref());
            return self.store_start(checkpoint.clone(), Next::List(checkpoint));
        }
        // A sync that looks but once has no use for a feed.
        if self.context.mode == SyncMode::InitialOnly {
            return self.store_start(checkpoint.clone(), Next::List(checkpoint));
        }
        // What changes while the listing goes on is behind this place, and so is told once more.
        self.state = State::Beginning(checkpoint);
        Effect::FeedStart
    }

    fn usable_feed(&self) -> Option<&Feed> {
        self.context.feed.as_ref().filter(|feed| {
            feed.scope == self.context.scope
                && feed.credential_version == self.context.credential_version
                && self.context.mode == SyncMode::Continuous
        })
    }

    fn first_checkpoint(&self, last_pass: u64, extra_passes: u32) -> Checkpoint {
        let scope = self.context.scope.clone();
        Checkpoint {
            extra_passes,
            ..Checkpoint::start(last_pass, scope, self.context.credential_version)
        }
    }

    fn store_start(&mut self, checkpoint: Checkpoint, next: Next) -> Effect {
        let authority = self.context.authority.clone();
        let commit = Commit::empty(checkpoint.pass, authority, JobPhase::Discovering);
        let checkpoint = Some(checkpoint);
        self.commit(
            Commit {
                checkpoint,
                ..commit
            },
            next,
        )
    }

    fn list(&mut self, checkpoint: Checkpoint) -> Effect {
        let limit = u32::try_from(self.budget).unwrap_or(PAGE).min(PAGE);
        let (kind, cursor) = (checkpoint.kind, checkpoint.cursor.clone());
        self.state = State::Listing(checkpoint);
        match (kind, cursor) {
            (PassKind::Changes, Some(cursor)) => Effect::Changes { cursor, limit },
            (_, cursor) => Effect::List { cursor, limit },
        }
    }

    fn spend(&mut self, entries: usize) {
        // An empty page costs something too: a listing that never ends must not hold a worker for ever.
        self.budget = self.budget.saturating_sub(entries.max(1) as u64);
    }

    fn goes_in_circles(&mut self) -> Effect {
        let message = "the listing goes in circles: it came to the same place twice";
        let trouble = Trouble::permanent(ErrorCode::ProtocolUnexpectedResponse, message);
        self.end(Ending::trouble(&trouble, self.context.pace))
    }

    fn take_in_changes(&mut self, page: ChangesPage, before: Checkpoint) -> Effect {
        self.spend(page.entries.len());
        if !page.caught_up && !self.places.is_new(&page.next) {
            return self.goes_in_circles();
        }
        let ChangesPage {
            entries,
            absent,
            denied,
            next,
            caught_up,
        } = page;
        let (cursor, feed) = if caught_up {
            (None, Some(next))
        } else {
            (Some(next), None)
        };
        let mut checkpoint = Checkpoint {
            cursor,
            feed,
            ..before
        };
        deny(&mut checkpoint.denied, denied);
        let pass = checkpoint.pass;
        let listed = Listed::of_changes(entries, checkpoint);
        if absent.is_empty() || !self.context.terms.reconcile.on_delete {
            return self.recall(listed);
        }
        let step = MarkAbsent {
            pass,
            authority: self.context.authority.clone(),
            absent,
            limit: ABSENT,
        };
        self.mark_absent(step, listed)
    }

    fn mark_absent(&mut self, step: MarkAbsent, listed: Listed) -> Effect {
        self.state = State::MarkingAbsent(step.clone(), listed);
        Effect::MarkAbsent(step)
    }

    fn take_in(&mut self, page: ListingPage, before: Checkpoint) -> Effect {
        self.spend(page.entries.len());
        if page
            .next
            .as_ref()
            .is_some_and(|next| !self.places.is_new(next))
        {
            return self.goes_in_circles();
        }
        let listed = Listed::new(page, before, self.context.terms.reconcile.on_delete);
        self.recall(listed)
    }

    fn recall(&mut self, listed: Listed) -> Effect {
        if listed.is_void() {
            return self.plan(listed, Recalled::default());
        }
        let pass = listed.checkpoint.pass;
        let recall = Recall {
            provider: self.context.provider,
            authority: self.context.authority.clone(),
            listed: listed.objects(),
            span: listed.span.clone(),
            facts: self.context.terms.rules.needs_facts(),
        };
        self.state = State::Recalling(listed);
        Effect::Recall { pass, recall }
    }

    fn plan(&mut self, listed: Listed, recalled: Recalled) -> Effect {
        let RunContext {
            terms, authority, ..
        } = &self.context;
        let (work, orders) = Work::plan(terms, authority, listed, recalled);
        let work = Box::new(work);
        if orders.is_empty() {
            return self.go_on(work);
        }
        self.state = State::Copying(work);
        Effect::Copy(orders)
    }

    /// What a file's outcome says about the provider: the trouble that ends the run if it was one too many.
    fn streak(&mut self, outcome: &FileOutcome) -> Option<Trouble> {
        match outcome {
            FileOutcome::Failed { trouble, .. } => {
                self.streak.failed(trouble).then(|| trouble.clone())
            }
            FileOutcome::Stored(_) | FileOutcome::Filtered { .. } => {
                self.streak.broken();
                None
            }
            FileOutcome::Skipped(_) => None,
        }
    }

    fn go_on(&mut self, work: Box<Work>) -> Effect {
        if work.outstanding == 0 {
            return self.finish_page(*work);
        }
        if work.is_full() {
            return self.publish(work);
        }
        self.state = State::Copying(work);
        Effect::Await
    }

    fn publish(&mut self, mut work: Box<Work>) -> Effect {
        let commit = work.publish();
        self.commit(commit, Next::Copy(work))
    }

    fn finish_page(&mut self, work: Work) -> Effect {
        let (commit, checkpoint) = work.finish();
        let next = if checkpoint.cursor.is_none() {
            if checkpoint.kind == PassKind::Changes && !self.revisited {
                Next::Revisit(checkpoint)
            } else {
                Next::Close(checkpoint)
            }
        } else if self.budget == 0 {
            Next::End(Ending::incomplete(OVER_CAP, self.context.pace))
        } else {
            Next::List(checkpoint)
        };
        self.commit(commit, next)
    }

    /// Ends the run within a page: what was copied is published, so that it is not copied again.
    fn stop(&mut self, work: Work, ending: Ending) -> Effect {
        self.commit(work.abandon(), Next::End(ending))
    }

    fn commit(&mut self, commit: Commit, next: Next) -> Effect {
        self.state = State::Committing(next);
        Effect::Commit(Box::new(commit))
    }

    fn next(&mut self, next: Next) -> Effect {
        match next {
            Next::List(checkpoint) => self.list(checkpoint),
            Next::Copy(work) => {
                self.state = State::Copying(work);
                Effect::Await
            }
            Next::Revisit(checkpoint) => {
                self.state = State::Revisiting(checkpoint);
                Effect::Revisit { limit: REVISIT }
            }
            Next::Go(step) => self.close(*step),
            Next::Close(checkpoint) => {
                let step = Closing::begin(
                    checkpoint,
                    &self.context.terms.reconcile,
                    &self.context.authority,
                    self.context.provider.listings_hide(),
                );
                self.close(step)
            }
            Next::End(ending) => self.end(ending),
        }
    }

    /// Goes on behind a complete listing, or ends the run.
    fn close(&mut self, (closing, effect): (Closing, Option<Effect>)) -> Effect {
        let Some(effect) = effect else {
            return self.closed(&closing.checkpoint);
        };
        self.state = State::Closing(closing);
        effect
    }

    /// A continuous sync looks again in its next pass. An initial one gets some more passes for what was not copied as it
    /// was listed; a file that fails in each of them does not keep it from its end.
    fn closed(&mut self, checkpoint: &Checkpoint) -> Effect {
        let pace = self.context.pace;
        let Checkpoint {
            pass, extra_passes, ..
        } = *checkpoint;
        let once = self.context.mode == SyncMode::InitialOnly;
        if once && checkpoint.unsettled > 0 && extra_passes < EXTRA_PASSES {
            let start = self.first_checkpoint(pass, extra_passes + 1);
            let ending = Ending::incomplete("files_failed_or_changed", pace);
            return self.store_start(start, Next::End(ending));
        }
        if checkpoint.denied.is_empty() {
            self.end(Ending::complete(pace))
        } else {
            self.end(Ending::incomplete(SCOPE_DENIED, pace))
        }
    }

    /// Notes what the provider tells of what is missing.
    fn traced(&mut self, closing: Closing, fates: &[Fate]) -> Effect {
        let pass = closing.checkpoint.pass;
        let Some((returned, hidden, (closing, effect))) = closing.traced(fates) else {
            let message = "the provider did not tell of each file what became of it";
            let trouble = Trouble::permanent(ErrorCode::ProtocolUnexpectedResponse, message);
            return self.end(Ending::trouble(&trouble, self.context.pace));
        };
        if returned.is_empty() && hidden.is_empty() {
            return self.close((closing, effect));
        }
        let authority = self.context.authority.clone();
        let commit = Commit {
            returned,
            hidden,
            ..Commit::empty(pass, authority, JobPhase::Verifying)
        };
        self.commit(commit, Next::Go(Box::new((closing, effect))))
    }

    fn ending_for(&self, cause: &Cause) -> Ending {
        match cause {
            Cause::Provider(trouble) => Ending::trouble(trouble, self.context.pace),
            Cause::Ours(message) => Ending::ours(message, self.context.pace),
        }
    }

    fn refused(&mut self, refusal: &Refusal) -> Effect {
        let pace = self.context.pace;
        match refusal {
            Refusal::LeaseLost => Effect::GiveUp,
            Refusal::ConnectionChanged => self.end(Ending::connection_changed()),
            Refusal::Ours(message) => self.end(Ending::ours(message, pace)),
        }
    }

    fn end(&mut self, ending: Ending) -> Effect {
        self.state = State::Over;
        Effect::End(ending)
    }
}

/// The places that a listing has come to, as hashes: eight bytes a page.
#[derive(Debug, Default)]
pub(crate) struct Places {
    hashing: BuildHasherDefault<DefaultHasher>,
    seen: HashSet<u64>,
}

impl Places {
    fn note(&mut self, cursor: Option<&Cursor>) {
        self.seen
            .extend(cursor.map(|cursor| self.hashing.hash_one(&cursor.0)));
    }

    pub(crate) fn is_new(&mut self, cursor: &Cursor) -> bool {
        self.seen.insert(self.hashing.hash_one(&cursor.0))
    }
}

#[cfg(test)]
mod tests;
