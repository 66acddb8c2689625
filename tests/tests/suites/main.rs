//! Whole programs, run, killed, paused and looked into. See the crate `wharf_tests` for what the suites stand on.

mod audit_chain;
mod blob_store;
mod deletes;
mod drive;
mod egress;
mod errors;
mod explanations;
mod google;
mod in_process;
mod independent;
mod kill;
mod leaks;
mod lifecycle;
mod no_change;
mod program;
mod replicas;
mod revoked;
mod roles;
mod runs;
mod schemathesis;
mod sdk;
mod tampering;
mod walls;
mod watched;
