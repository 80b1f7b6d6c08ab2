"""The client suites, one per file. See harness/tests.py for what a test is."""
