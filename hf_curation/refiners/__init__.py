"""Who writes refinement programs: small taggers, causal LMs, servers."""
