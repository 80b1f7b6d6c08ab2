"""Real log lines through the node while it is killed, and out again by other clients."""
