//! Arbitrary bytes as a safetensors file: tensors or an error, never a panic.
#![no_main]

use bytes::Bytes;
use graphopt::formats::safetensors::TensorFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(file) = TensorFile::parse(Bytes::copy_from_slice(data)) else { return };
    for name in file.names() {
        let _ = file.tensor(&name);
    }
});
