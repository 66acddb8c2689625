//! The guard as its users meet it, with watched dialers and servers on this machine only.
#![cfg(test)]

mod dials;
mod fakes;
mod loopback;
mod table;
