"""kafkajs: every scenario of js is a test."""
from harness.scenarios import tests_of

CLIENT = "kafkajs"
tests = tests_of("kafkajs", "kafkajs")
