"""What every suite stands on: processes, nodes under test, clients, assertions."""
