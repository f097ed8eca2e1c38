//! Searching for a cheaper equivalent graph.
