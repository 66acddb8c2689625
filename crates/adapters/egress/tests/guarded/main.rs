//! The guard as its users meet it, with watched dialers and servers on this machine only.
//!
//! - `table`: every URL of `data/urls.txt` gets its verdict, and no dial that it should not have;
//! - `addresses`: every form of every address that is closed, by the rules that made it so;
//! - `dynamic`: fourteen ways round a guard that shows only once names are looked up and servers answer;
//! - `dials`: what else becomes of the name service's answers;
//! - `hostile`: servers that answer too much, too slowly, or lies;
//! - `loopback`: whole exchanges.
#![cfg(test)]

mod addresses;
mod dials;
mod dynamic;
mod fakes;
mod hostile;
mod loopback;
mod servers;
mod table;
