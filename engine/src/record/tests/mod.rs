//! Batches end to end: built, checked, stamped, opened, damaged; and Kafka's own.

mod damage;
mod golden;
mod produce;
