//! Arbitrary bytes as a `.json` file: a model or an error, never a panic; and a model can be written and read again.
#![no_main]

use bytes::Bytes;
use graphopt::formats::{Folder, Format, parse, write_onnx};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(loaded) = parse(Format::Json, Bytes::copy_from_slice(data), Folder::none()) else { return };
    // A generated weight may be large by right; drawing it is not what is tested here.
    if loaded.model.weights.values().map(|w| w.tensor.byte_len()).sum::<u64>() > 1 << 24 {
        return;
    }
    let mut out = Vec::new();
    write_onnx(&loaded.model, &mut out).expect("what was read can be written");
    parse(Format::Onnx, out.into(), Folder::none()).expect("what was written can be read");
});
