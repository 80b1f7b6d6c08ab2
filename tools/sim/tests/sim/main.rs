//! Whole nodes on a simulated machine, with everything that can go wrong: a few seeds of what
//! `odradek sim` runs by the thousand.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod mutants;
mod seeds;
