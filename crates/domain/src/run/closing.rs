//! What comes behind a complete listing: mark what it did not name, count it, and let go of it or hold it back.

use crate::provider::Provider;
use crate::sync::{Checkpoint, Order, Reconcile};

use super::deletes::{DeleteThreshold, Hold, LetGo, MarkMissing, RowKey, Survey, Verdict};
use super::machine::Effect;

/// Rows looked at in one step of marking.
const MARK: u32 = 1000;

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
    Surveying,
    /// Then, what is left waits for this reason.
    LettingGo {
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
    /// The first step behind a complete listing.
    pub(super) fn begin(checkpoint: Checkpoint, reconcile: &Reconcile, authority: &str) -> Go {
        if reconcile.on_delete {
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
        } else if reconcile.on_filter_drift {
            Self::at(checkpoint, Step::Surveying)
        } else {
            Self::at(checkpoint, Step::Through)
        }
    }

    pub(super) fn marked(self, after: Option<RowKey>) -> Go {
        match (self.step, after) {
            (Step::Marking(step), Some(after)) => {
                let after = Some(after);
                Self::at(
                    self.checkpoint,
                    Step::Marking(MarkMissing { after, ..step }),
                )
            }
            _ => Self::at(self.checkpoint, Step::Surveying),
        }
    }

    pub(super) fn surveyed(
        self,
        survey: Survey,
        provider: Provider,
        threshold: DeleteThreshold,
    ) -> Go {
        let rest = match survey.verdict(provider, threshold) {
            // Rows that point at nothing go all the same, and held deletes that came to nothing are forgotten.
            Verdict::Nothing | Verdict::LetGo => None,
            Verdict::Hold { reason } => Some(reason),
        };
        Self::at(self.checkpoint, Step::LettingGo { rest })
    }

    pub(super) fn let_gone(self, rows: u64) -> Go {
        match self.step {
            Step::LettingGo { rest: Some(reason) } if rows == 0 => {
                Self::at(self.checkpoint, Step::Holding { reason })
            }
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
            Step::Surveying => Some(Effect::Survey {
                pass,
                denied: denied(),
            }),
            Step::LettingGo { rest } => Some(Effect::LetGo(LetGo {
                pass,
                only_agreed: rest.is_some(),
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
