//! A run: what one job does with a sync, from its lease to its end.
//!
//! The protocol is the pure state machine of [`machine`]: it takes what happened and answers with what is to be done next,
//! every effect a value. What it talks about is in [`catalogue`] (what we know of the source), [`commit`] (what one step
//! publishes) and [`deletes`] (what a complete listing lets go of).

pub mod catalogue;
pub mod commit;
pub mod deletes;
