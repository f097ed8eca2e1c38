//! A substitution library: see the function of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| graphopt_fuzz::library(data));
