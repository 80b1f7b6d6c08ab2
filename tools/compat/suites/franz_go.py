"""franz-go: every scenario of go/franz*.go is a test."""
from harness.scenarios import tests_of

CLIENT = "franz-go"
tests = tests_of("franz_go", "franz-go")
