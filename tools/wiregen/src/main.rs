//! Generates `engine/wire/src/generated` from the schemas inside the Apache Kafka jars.
fn main() {}
