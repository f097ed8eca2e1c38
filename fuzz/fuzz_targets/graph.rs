//! A graph of any operators: see the function of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| graphopt_fuzz::graph(data));
