//! A run: what one job does with a sync, from its lease to its end.
//!
//! The protocol is the pure state machine of [`machine`]: it takes what happened and answers with what is to be done next,
//! every effect a value. What it decides about one entry is in [`decision`]; what it talks about is in [`catalogue`] (what we
//! know of the source), [`page`] (what is listed and copied), [`commit`] (what one step publishes), [`deletes`] (what a
//! complete listing lets go of), [`trouble`] and [`ending`].

pub mod catalogue;
mod closing;
pub mod commit;
pub mod decision;
pub mod deletes;
pub mod ending;
pub mod feed;
pub mod machine;
pub mod page;
pub mod trouble;
