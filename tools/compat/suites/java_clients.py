"""The Java clients: every scenario of java/src/compat/*Scenarios.java is a test."""
from harness.scenarios import tests_of

CLIENT = "Java clients"
tests = tests_of("java_clients", "java", {"Group.membersComeAndGoNothingIsLost": 90.0})
