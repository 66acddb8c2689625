//! Whole programs under test: the `wharf` binary, the lab, the published SDK, each in a process of its own.
//!
//! The suites stand in `tests/suites`. They know nothing of the code they test: only its command line, its settings, its
//! API and, where a promise speaks of what is stored, its database. `cargo xtask test` builds the programs, starts
//! Postgres and tells the suites where everything is.

mod api;
mod bucket;
mod canary;
mod database;
mod echo;
mod environment;
mod google;
mod installation;
mod lab;
mod moto;
mod nats;
mod predicates;
mod program;
mod random;
mod rows;
mod signed;

pub use api::{Answer, Api, text};
pub use bucket::Bucket;
pub use canary::{Canary, Form, Place, Search};
pub use database::{Database, OrganizationKeyRow, fresh_database};
pub use echo::{Echo, Echoed};
pub use environment::{free_port, variable, variable_or};
pub use google::Google;
pub use installation::{ADMIN_KEY, Installation, Server, Store, files_below};
pub use lab::Lab;
pub use moto::Moto;
pub use nats::Nats;
pub use predicates::WithoutPredicates;
pub use random::Random;
pub use signed::Keys;
