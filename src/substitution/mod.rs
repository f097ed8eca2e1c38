//! Libraries of substitutions: reading, checking, writing.
