//! What topics there are and where they live: a log of records, folded into images.

mod beside;
mod checkpoints;
pub mod controller;
mod holdings;
mod hosted;
pub mod image;
pub mod moves;
pub mod placement;
pub mod records;
pub mod relocation;
mod settle;
pub mod snapshot;
pub mod swap;
mod targets;

pub use checkpoints::{Checkpoints, split_key};
pub use controller::{Controller, ControllerError};
pub use holdings::{Holdings, Promised, Unhosted, in_force};
pub use hosted::Hosted;
pub use image::{Image, PartitionEntry, Topic};
pub use moves::{Move, Released};
pub use targets::{Target, TopicKey};
