//! The built-in architectures.
