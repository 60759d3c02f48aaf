"""From new data to a decision: what a cycle is about to do, what it has done, and what came of it."""
