"""sarama: every scenario of go/sarama*.go is a test."""
from harness.scenarios import tests_of

CLIENT = "sarama"
tests = tests_of("sarama", "sarama")
