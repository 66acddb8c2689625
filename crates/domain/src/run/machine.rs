//! The protocol of a run as a pure state machine: what happened goes in as an [`Event`], what is to be done next comes out
//! as an [`Effect`].
//!
//! A pass is begun by storing its number, so that it never shares marks with an earlier listing. Then page by page: list,
//! recall what we know, copy, publish in steps; the last step of a page carries the checkpoint behind it. When the listing
//! is complete, what it did not name is let go of, or held back. Whoever carries out the effects may stop at any point and
//! never come back: the next run starts from what the last step stored.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, BuildHasherDefault};

use crate::error_code::ErrorCode;
use crate::job::JobPhase;
use crate::provider::Provider;
use crate::sync::{Checkpoint, Cursor, SyncMode};

use super::catalogue::{Recall, Recalled};
use super::closing::Closing;
use super::commit::Commit;
use super::decision::Terms;
use super::deletes::{DeleteThreshold, Hold, LetGo, MarkMissing, RowKey, Survey};
use super::ending::{Ending, OVER_CAP, Pace, SCOPE_DENIED};
use super::page::{CopyOrder, FileOutcome, Listed, ListingPage, Work};
use super::trouble::{Retry, Streak, Trouble};

/// Most entries asked for at once.
const PAGE: u32 = 1000;

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
}

/// What is to be done next. Each is answered by the event that its documentation names, or by [`Event::Shutdown`].
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// List a page: [`Event::Listed`].
    List {
        /// From where on.
        cursor: Option<Cursor>,
        /// Most entries.
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
    /// A page was listed, after all tries.
    Listed(Result<ListingPage, Trouble>),
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
    /// What the complete pass found missing.
    Surveyed(Result<Survey, Refusal>),
    /// How many rows were held back.
    Held(Result<u64, Refusal>),
    /// How many rows went.
    LetGone(Result<u64, Refusal>),
    /// The process is about to stop: instead of the answer to any effect but a commit.
    Shutdown,
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
    places: Places,
    streak: Streak,
}

/// What the run waits for.
#[derive(Debug)]
enum State {
    /// A page behind this checkpoint.
    Listing(Checkpoint),
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
    Close(Checkpoint),
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
            (State::Listing(before), Event::Listed(Ok(page))) => self.take_in(page, before),
            (State::Listing(before), Event::Listed(Err(trouble))) => {
                if trouble.retry == Retry::Restart && !self.restarted {
                    self.restarted = true;
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
                let ending = match cause {
                    Cause::Provider(trouble) => Ending::trouble(&trouble, self.context.pace),
                    Cause::Ours(message) => Ending::ours(&message, self.context.pace),
                };
                self.stop(*work, ending)
            }
            (State::Copying(work), Event::Shutdown) => self.stop(*work, Ending::shutdown()),
            (State::Committing(next), Event::Committed(Ok(()))) => self.next(next),
            (State::Closing(closing), Event::Marked(Ok(after))) => {
                let step = closing.marked(after);
                self.close(step)
            }
            (State::Closing(closing), Event::Surveyed(Ok(survey))) => {
                let step = closing.surveyed(survey, self.context.provider, self.context.threshold);
                self.close(step)
            }
            (State::Closing(closing), Event::LetGone(Ok(rows))) => {
                self.close(closing.let_gone(rows))
            }
            (State::Closing(closing), Event::Held(Ok(rows))) => self.close(closing.held(rows)),
            (
                State::Recalling(_) | State::Committing(_) | State::Closing(_),
                Event::Recalled(Err(refusal))
                | Event::Committed(Err(refusal))
                | Event::Marked(Err(refusal))
                | Event::Surveyed(Err(refusal))
                | Event::LetGone(Err(refusal))
                | Event::Held(Err(refusal)),
            ) => self.refused(&refusal),
            (State::Over, _) => Effect::GiveUp,
            (_, Event::Shutdown) => self.end(Ending::shutdown()),
            _ => self.end(Ending::ours(
                "the run was told what it had not asked for",
                self.context.pace,
            )),
        }
    }

    /// Whether a pass can be continued where it stands: it has come somewhere, over the same scope, and under the same
    /// credentials. What was seen through others says nothing about this account.
    fn can_go_on(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.cursor.is_some()
            && checkpoint.scope == self.context.scope
            && checkpoint.credential_version == self.context.credential_version
            && checkpoint.pass >= self.context.last_pass
    }

    /// Starts the pass after `last_pass`.
    fn begin(&mut self, last_pass: u64, extra_passes: u32) -> Effect {
        self.places = Places::default();
        let checkpoint = self.first_checkpoint(last_pass, extra_passes);
        self.store_start(checkpoint.clone(), Next::List(checkpoint))
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
        let cursor = checkpoint.cursor.clone();
        self.state = State::Listing(checkpoint);
        Effect::List { cursor, limit }
    }

    fn take_in(&mut self, page: ListingPage, before: Checkpoint) -> Effect {
        // An empty page costs something too: a listing that never ends must not hold a worker for ever.
        let cost = page.entries.len().max(1) as u64;
        self.budget = self.budget.saturating_sub(cost);
        if page
            .next
            .as_ref()
            .is_some_and(|next| !self.places.is_new(next))
        {
            let message = "the listing goes in circles: it came to the same place twice";
            let trouble = Trouble::permanent(ErrorCode::ProtocolUnexpectedResponse, message);
            return self.end(Ending::trouble(&trouble, self.context.pace));
        }
        let listed = Listed::new(page, before, self.context.terms.reconcile.on_delete);
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
                self.streak.failed(trouble.code).then(|| trouble.clone())
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
            Next::Close(checkpoint)
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
            Next::Close(checkpoint) => {
                let step = Closing::begin(
                    checkpoint,
                    &self.context.terms.reconcile,
                    &self.context.authority,
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
