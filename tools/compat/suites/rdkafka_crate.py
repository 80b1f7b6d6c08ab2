"""The rdkafka crate with librdkafka 1.9: every scenario of rust/src is a test."""
from harness.scenarios import tests_of

CLIENT = "rdkafka crate"
tests = tests_of("rdkafka_crate", "rdkafka")
