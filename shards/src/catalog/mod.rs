//! What topics there are and where they live: a log of records, folded into images.

pub mod controller;
pub mod image;
pub mod placement;
pub mod records;

pub use controller::{Controller, ControllerError};
pub use image::{Image, PartitionEntry, Topic};
