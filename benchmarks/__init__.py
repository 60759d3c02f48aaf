"""What the line costs, beside short scripts that do the same work without it; figures in RESULTS.md."""
