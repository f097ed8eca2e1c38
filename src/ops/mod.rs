//! What each operator means: types, partial values, work, and reference evaluation.
