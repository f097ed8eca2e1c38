//! What a graph costs: time, work, memory, with units and sources named.
