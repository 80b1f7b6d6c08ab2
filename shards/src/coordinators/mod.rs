//! Coordinators: each decides over the records of one partition of an internal topic.

pub mod groups;
