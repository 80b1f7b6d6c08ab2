//! Codecs for the Kafka protocol and its on-disk records, generated from the published schemas.
