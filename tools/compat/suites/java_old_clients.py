"""The Java clients of 2.x: the scenarios that both versions have, and java/old."""
from harness.scenarios import tests_of

CLIENT = "Java clients, old"
tests = tests_of("java_old_clients", "java-old", {"Group.membersComeAndGoNothingIsLost": 90.0})
