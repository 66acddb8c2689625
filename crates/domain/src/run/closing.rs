//! What comes behind a complete listing: mark what it did not name, count it, and let go of it or hold it back.

use crate::provider::Provider;
use crate::sync::{Checkpoint, Order, PassKind, Reconcile};

use super::deletes::{DeleteThreshold, Hold, LetGo, MarkMissing, RowKey, Survey, Verdict};
use super::feed::{Fate, MissingRow};
use super::machine::Effect;

/// Rows looked at in one step of marking.
const MARK: u32 = 1000;

/// Rows that the provider is asked about in one step.
const TRACE: u32 = 200;

/// Rows held back or let go of in one step.
const STEP: u32 = 500;

/// Where a run stands behind a complete listing.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) checkpoint: Checkpoint,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Marking(MarkMissing),
    /// Reading what is missing, from the row after this one on, to ask the provider about it.
    Gathering {
        after: Option<String>,
    },
    /// Asking the provider what became of these.
    Tracing(Vec<MissingRow>),
    Surveying,
    /// Then, what is left waits for this reason.
    LettingGo {
        only_agreed: bool,
        rest: Option<String>,
    },
    Holding {
        reason: String,
    },
    Through,
}

/// Where the run stands now, and what is to be done there; nothing when it is through.
type Go = (Closing, Option<Effect>);

impl Closing {
    /// The first step behind a complete pass. `hides`: whether the provider leaves out what this identity may not see.
    pub(super) fn begin(
        checkpoint: Checkpoint,
        reconcile: &Reconcile,
        authority: &str,
        hides: bool,
    ) -> Go {
        let changes = checkpoint.kind == PassKind::Changes;
        if reconcile.on_delete && !changes {
            let unseen_beyond = match &checkpoint.order {
                Order::Sorted { .. } => None,
                Order::Marked { beyond } => Some(beyond.clone()),
            };
            let first = MarkMissing {
                pass: checkpoint.pass,
                authority: authority.to_owned(),
                unseen_beyond,
                after: None,
                limit: MARK,
            };
            Self::at(checkpoint, Step::Marking(first))
        } else if reconcile.on_delete {
            // A feed says itself what is gone.
            Self::marked_all(checkpoint, hides)
        } else if reconcile.on_filter_drift {
            Self::at(checkpoint, Step::Surveying)
        } else {
            Self::at(checkpoint, Step::Through)
        }
    }

    pub(super) fn marked(self, after: Option<RowKey>, hides: bool) -> Go {
        match (self.step, after) {
            (Step::Marking(step), Some(after)) => {
                let after = Some(after);
                Self::at(
                    self.checkpoint,
                    Step::Marking(MarkMissing { after, ..step }),
                )
            }
            _ => Self::marked_all(self.checkpoint, hides),
        }
    }

    /// A file may lie in several folders of a source, of which we know one: what became of it is asked, whoever says that a
    /// folder is gone.
    fn marked_all(checkpoint: Checkpoint, hides: bool) -> Go {
        let step = if hides {
            Step::Gathering { after: None }
        } else {
            Step::Surveying
        };
        Self::at(checkpoint, step)
    }

    pub(super) fn gathered(self, rows: Vec<MissingRow>) -> Go {
        let step = if rows.is_empty() {
            Step::Surveying
        } else {
            Step::Tracing(rows)
        };
        Self::at(self.checkpoint, step)
    }

    /// Those that are there and those that cannot be seen, and how it goes on; nothing when the answers do not fit the
    /// questions.
    pub(super) fn traced(self, fates: &[Fate]) -> Option<(Vec<String>, Vec<String>, Go)> {
        let Step::Tracing(rows) = self.step else {
            return None;
        };
        if rows.len() != fates.len() {
            return None;
        }
        let is_last = rows.len() < TRACE as usize;
        let after = rows.last().map(|row| row.object.clone());
        let next = match after.filter(|_| !is_last) {
            None => Step::Surveying,
            after => Step::Gathering { after },
        };
        let (mut present, mut hidden) = (Vec::new(), Vec::new());
        for (row, fate) in rows.into_iter().zip(fates) {
            match fate {
                Fate::Gone => {}
                Fate::Hidden => hidden.push(row.object),
                Fate::Present => present.push(row.object),
            }
        }
        Some((present, hidden, Self::at(self.checkpoint, next)))
    }

    pub(super) fn surveyed(
        self,
        survey: Survey,
        provider: Provider,
        threshold: DeleteThreshold,
    ) -> Go {
        let reason = match survey.verdict(provider, threshold) {
            // Rows that point at nothing go all the same, and held deletes that came to nothing are forgotten.
            Verdict::Nothing | Verdict::LetGo => None,
            Verdict::Hold { reason } => Some(reason),
        };
        let only_agreed = reason.is_some();
        let rest = match (reason, survey.about_hidden(provider)) {
            (Some(reason), Some(hidden)) => Some(format!("{reason} {hidden}")),
            (reason, hidden) => reason.or(hidden),
        };
        Self::at(self.checkpoint, Step::LettingGo { only_agreed, rest })
    }

    pub(super) fn let_gone(self, rows: u64) -> Go {
        match self.step {
            Step::LettingGo {
                rest: Some(reason), ..
            } if rows == 0 => Self::at(self.checkpoint, Step::Holding { reason }),
            step if rows > 0 => Self::at(self.checkpoint, step),
            _ => Self::at(self.checkpoint, Step::Through),
        }
    }

    pub(super) fn held(self, rows: u64) -> Go {
        let is_last = rows < u64::from(STEP);
        let next = if is_last { Step::Through } else { self.step };
        Self::at(self.checkpoint, next)
    }

    fn at(checkpoint: Checkpoint, step: Step) -> Go {
        let pass = checkpoint.pass;
        let denied = || checkpoint.denied.clone();
        let effect = match &step {
            Step::Marking(step) => Some(Effect::MarkMissing(step.clone())),
            Step::Gathering { after } => Some(Effect::Gather {
                pass,
                after: after.clone(),
                limit: TRACE,
            }),
            Step::Tracing(rows) => Some(Effect::Trace(rows.clone())),
            Step::Surveying => Some(Effect::Survey {
                pass,
                denied: denied(),
            }),
            Step::LettingGo { only_agreed, .. } => Some(Effect::LetGo(LetGo {
                pass,
                only_agreed: *only_agreed,
                denied: denied(),
                limit: STEP,
            })),
            Step::Holding { reason } => Some(Effect::Hold(Hold {
                pass,
                denied: denied(),
                reason: reason.clone(),
                limit: STEP,
            })),
            Step::Through => None,
        };
        (Self { checkpoint, step }, effect)
    }
}
