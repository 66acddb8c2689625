//! Whole-program suites.
