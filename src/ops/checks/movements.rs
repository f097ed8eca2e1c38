//! The operators that move elements.

use super::*;

#[test]
fn joins_and_cuts() {
    for (application, inputs, expected) in [
        ("Concat axis=1", &["f32[n, 2, 3]", "f32[n, m, 3]"] as &[&str], &["f32[n, 2 + m, 3]"] as &[&str]),
        ("Concat axis=-1", &["f32[2]", "f32[3]", "f32[0]"], &["f32[5]"]),
        ("Concat axis=0", &["i64[1] = [n]", "i64[2] = [4, -1]"], &["i64[3] = [n, 4, -1]"]),
        ("Concat axis=1", &["i64[2, 1] = [1, 2]", "i64[2, 2] = [3, 4, 5, 6]"], &["i64[2, 3] = [1, 3, 4, 2, 5, 6]"]),
        ("Concat axis=0", &["i64[1] = [n]", "i64[2]"], &["i64[3]"]),
        ("Concat axis=0", &["f32[n, 4]", "f32[1, d]"], &["f32[1 + n, 4]"]),
        ("Concat axis=2", &["f32[2, 3]", "f32[2, 3]"], &["!axis 2 is out of range"]),
        ("Concat axis=0", &["f32[2, 3]", "f32[2, 4]"], &["!dimensions 3 and 4 of axis 1"]),
        ("Concat axis=0", &["f32[2, 3]", "f32[2]"], &["!rank 1"]),
        ("Concat axis=0", &["f32[2]", "i64[2]"], &["!input 1 must be f32"]),
        ("Split axis=1 split=[1, 2]", &["f32[n, 3]"], &["f32[n, 1]", "f32[n, 2]"]),
        ("Split axis=0", &["f32[7]"], &["f32[3]", "f32[3]", "f32[1]"]),
        ("Split axis=0", &["f32[n]"], &["f32[-floor((-n)/(2))]", "f32[n + floor((-n)/(2))]"]),
        ("Split axis=0", &["i64[4] = [a, 2, 3, b]"], &["i64[2] = [a, 2]", "i64[2] = [3, b]"]),
        ("Split axis=0", &["f32[6]", "i64[2] = [2, 4]"], &["f32[2]", "f32[4]"]),
        ("Split axis=0", &["f32[6]", "i64[2]"], &["?", "?"]),
        ("Split axis=1 split=[1, 1]", &["f32[n, 3]"], &["!add up to 2"]),
        ("Split axis=0", &["f32[1]"], &["f32[1]", "f32[0]"]),
    ] {
        if expected[0].starts_with('!') && application.starts_with("Split") {
            assert!(infer_text(application, inputs, 2).unwrap_err().contains(&expected[0][1..]));
        } else {
            infers(application, inputs, expected);
        }
    }
    gives("Concat axis=1", &["2x1: 1 2", "2x2: 3 4 5 6"], &["2x3: 1 3 4 2 5 6"]);
    gives("Concat axis=0", &["0x2:", "1x2: 1 2"], &["1x2: 1 2"]);
    gives("Split axis=1 split=[1, 2]", &["2x3: 1 2 3 4 5 6"], &["2x1: 1 4", "2x2: 2 3 5 6"]);
    gives("Split axis=0", &["3: 1 2 3", "2: 1 2"], &["1: 1", "2: 2 3"]);
    refuses("Split axis=0", &["3: 1 2 3"], "number of parts");
}

#[test]
fn slices() {
    let end = i64::MAX;
    for (application, inputs, expected) in [
        ("Slice starts=[1] ends=[3] axes=[0] steps=[1]".to_owned(), &["f32[5, n]"] as &[&str], "f32[2, n]"),
        ("Slice starts=[-2, 0] ends=[100, 100]".to_owned(), &["f32[5, 4]"], "f32[2, 4]"),
        (format!("Slice starts=[0] ends=[{end}] axes=[1]"), &["f32[5, n]"], "f32[5, n]"),
        (format!("Slice starts=[1] ends=[{end}] axes=[0]"), &["f32[n]"], "f32[-1 + n]"),
        ("Slice starts=[0] ends=[1] axes=[0]".to_owned(), &["f32[n]"], "f32[1]"),
        ("Slice starts=[-1] ends=[2147483647] axes=[0]".to_owned(), &["f32[n]"], "f32[1]"),
        ("Slice starts=[0] ends=[-1] axes=[0]".to_owned(), &["f32[n]"], "f32[-1 + n]"),
        ("Slice starts=[0] ends=[7] axes=[0]".to_owned(), &["f32[n]"], "f32[min(7, n)]"),
        (format!("Slice starts=[0] ends=[{end}] steps=[2]"), &["f32[n]"], "f32[-floor((-n)/(2))]"),
        (format!("Slice starts=[-1] ends=[{}] steps=[-1]", i64::MIN), &["f32[n]"], "f32[n]"),
        (format!("Slice starts=[3] ends=[{}] steps=[{}]", i64::MIN, i64::MIN), &["f32[5]"], "f32[1]"),
        ("Slice starts=[4] ends=[0] steps=[-2]".to_owned(), &["f32[5]"], "f32[2]"),
        ("Slice starts=[3] ends=[1]".to_owned(), &["f32[5]"], "f32[0]"),
        ("Slice starts=[-1] ends=[-9] steps=[-1]".to_owned(), &["f32[0]"], "f32[0]"),
        ("Slice starts=[1] ends=[3] axes=[0]".to_owned(), &["i64[4] = [a, b, 3, 4]"], "i64[2] = [b, 3]"),
        ("Slice starts=[-1] ends=[-9] steps=[-2]".to_owned(), &["i64[4] = [a, b, c, d]"], "i64[2] = [d, b]"),
        ("Slice".to_owned(), &["f32[1, 512]", "i64[1] = [0]", "i64[1] = [s]", "i64[1] = [1]"], "f32[1, min(512, s)]"),
        ("Slice".to_owned(), &["f32[s]", "i64[1] = [0]", "i64[1] = [s]"], "f32[s]"),
        ("Slice".to_owned(), &["f32[s]", "i64[1]", "i64[1] = [s]"], "?"),
        ("Slice starts=[0] ends=[1] steps=[0]".to_owned(), &["f32[5]"], "!step is 0"),
        ("Slice starts=[0] ends=[1, 2]".to_owned(), &["f32[5]"], "!different lengths"),
        ("Slice starts=[0, 0] ends=[1, 2] axes=[0, -1]".to_owned(), &["f32[5]"], "!named twice"),
    ] {
        infers(&application, inputs, &[expected]);
    }
    let x = "2x4: 1 2 3 4 5 6 7 8";
    gives("Slice starts=[1] ends=[9] axes=[1] steps=[2]", &[x], &["2x2: 2 4 6 8"]);
    gives("Slice starts=[-1, 5] ends=[-9, 0] steps=[-1, -2]", &[x], &["2x2: 8 6 4 2"]);
    gives("Slice", &[x, "1: 0", "1: 1", "1: 0"], &["1x4: 1 2 3 4"]);
    gives("Slice starts=[2] ends=[1] axes=[1]", &[x], &["2x0:"]);
}

#[test]
fn gathers() {
    for (application, inputs, expected) in [
        ("Gather", &["f32[v, d]", "i64[b, s]"] as &[&str], "f32[b, s, d]"),
        ("Gather axis=1", &["f32[v, 4]", "i64[]"], "f32[v]"),
        ("Gather", &["i64[3] = [a, b, 7]", "i64[] = [1]"], "i64[] = [b]"),
        ("Gather", &["i64[3] = [a, b, 7]", "i64[2] = [-1, 0]"], "i64[2] = [7, a]"),
        ("Gather", &["i64[3] = [a, b, 7]", "i64[2]"], "i64[2]"),
        ("Gather", &["f32[3]", "i64[1] = [3]"], "!index 3 is out of range"),
        ("Gather", &["f32[3]", "i64[1] = [-4]"], "!index -4 is out of range"),
        ("Gather", &["f32[3]", "f32[1]"], "!integer"),
        ("Gather", &["f32[]", "i64[1]"], "!out of range for rank 0"),
        ("GatherElements axis=1", &["f32[2, 3]", "i64[2, 5]"], "f32[2, 5]"),
        ("GatherElements axis=1", &["f32[2, 3]", "i64[3, 5]"], "!reach 3 on axis 0"),
        ("GatherElements", &["f32[2, 3]", "i64[3]"], "!different ranks"),
        ("GatherND", &["f32[a, b, c]", "i64[n, 2]"], "f32[n, c]"),
        ("GatherND batch_dims=1", &["f32[2, b, c]", "i64[2, n, 1]"], "f32[2, n, c]"),
        ("GatherND", &["f32[a, b]", "i64[n, k]"], "?"),
        ("GatherND", &["f32[a, b]", "i64[n, 3]"], "!3 indices for data of rank 2"),
        ("GatherND batch_dims=2", &["f32[a, b]", "i64[a, b, 1]"], "!batch_dims 2"),
        ("GatherND batch_dims=1", &["f32[2, b]", "i64[3, 1]"], "!batch dimensions 2 and 3"),
    ] {
        infers(application, inputs, &[expected]);
    }
    gives("Gather", &["3x2: 1 2 3 4 5 6", "2: 2 -3"], &["2x2: 5 6 1 2"]);
    gives("Gather axis=1", &["3x2: 1 2 3 4 5 6", ": 1"], &["3: 2 4 6"]);
    gives("GatherElements axis=1", &["2x2: 1 2 3 4", "2x2: 0 0 1 0"], &["2x2: 1 1 4 3"]);
    gives("GatherElements axis=0", &["3x3: 1 2 3 4 5 6 7 8 9", "2x3: 1 2 0 2 0 0"], &["2x3: 4 8 3 7 2 3"]);
    gives("GatherND", &["2x2: 0 1 2 3", "2x2: 0 0 1 1"], &["2: 0 3"]);
    gives("GatherND", &["2x2: 0 1 2 3", "2x1: 1 0"], &["2x2: 2 3 0 1"]);
    gives("GatherND batch_dims=1", &["2x2x2: 0 1 2 3 4 5 6 7", "2x1: 1 0"], &["2x2: 2 3 4 5"]);
    refuses("Gather", &["3: 1 2 3", "1: 3"], "out of range");
    refuses("Gather", &["3: 1 2 3", "1: 0.5"], "no integer");
    refuses("GatherND", &["2: 1 2", "1x1: 2"], "out of range");
}

#[test]
fn transposes_and_blocks() {
    infers("Transpose perm=[1, 0, 2]", &["f32[a, b, 3]"], &["f32[b, a, 3]"]);
    infers("Transpose", &["f32[a, b, 3]"], &["f32[3, b, a]"]);
    infers("Transpose perm=[1, 0]", &["i64[1, 2] = [n, 4]"], &["i64[2, 1] = [n, 4]"]);
    infers("Transpose perm=[1, 0]", &["i64[2, 2] = [a, b, c, d]"], &["i64[2, 2] = [a, c, b, d]"]);
    infers("Transpose perm=[1, 1]", &["f32[a, b]"], &["!no order of 2 axes"]);
    infers("Transpose perm=[0]", &["f32[a, b]"], &["!no order of 2 axes"]);
    infers("DepthToSpace blocksize=2", &["f32[n, 8, h, 3]"], &["f32[n, 2, 2*h, 6]"]);
    infers("DepthToSpace blocksize=2", &["f32[n, 6, h, 3]"], &["!4 does not divide the dimension 6"]);
    infers("DepthToSpace blocksize=0", &["f32[n, 6, h, 3]"], &["!blocksize = 0"]);
    infers("DepthToSpace blocksize=1 mode=X", &["f32[n, 6, h, 3]"], &["!mode"]);
    infers("SpaceToDepth blocksize=2", &["f32[n, 3, 4, 6]"], &["f32[n, 12, 2, 3]"]);
    infers("SpaceToDepth blocksize=2", &["f32[n, 3, 4, 5]"], &["!2 does not divide the dimension 5"]);
    infers("SpaceToDepth blocksize=2", &["f32[n, 3, 4]"], &["!4 dimensions"]);
    gives("Transpose perm=[2, 0, 1]", &["1x2x3: 1 2 3 4 5 6"], &["3x1x2: 1 4 2 5 3 6"]);
    // Channels 0 to 7 at one place: block offset outer for DCR, channel outer for CRD.
    let channels = "1x8x1x1: 0 1 2 3 4 5 6 7";
    gives("DepthToSpace blocksize=2", &[channels], &["1x2x2x2: 0 2 4 6 1 3 5 7"]);
    gives("DepthToSpace blocksize=2 mode=CRD", &[channels], &["1x2x2x2: 0 1 2 3 4 5 6 7"]);
    gives("SpaceToDepth blocksize=2", &["1x2x2x2: 0 2 4 6 1 3 5 7"], &[channels]);
}

#[test]
fn reshapes() {
    for (application, inputs, expected) in [
        ("Reshape shape=[2, -1]", &["f32[3, 4]"] as &[&str], "f32[2, 6]"),
        ("Reshape shape=[0, -1]", &["f32[n, 3, 4]"], "f32[n, 12]"),
        ("Reshape shape=[0, 0, 12, 64]", &["f32[b, s, 768]"], "f32[b, s, 12, 64]"),
        ("Reshape shape=[-1, 768]", &["f32[b, s, 768]"], "f32[b*s, 768]"),
        ("Reshape shape=[-1, 4]", &["f32[n, 6]"], "f32[floor((6*n)/(4)), 4]"),
        ("Reshape shape=[]", &["f32[1, 1]"], "f32[]"),
        ("Reshape shape=[0] allowzero=1", &["f32[0, 3]"], "f32[0]"),
        ("Reshape shape=[0, 5]", &["f32[0, 3]"], "f32[0, 5]"),
        ("Reshape", &["f32[b, s, 768]", "i64[4] = [b, s, 12, 64]"], "f32[b, s, 12, 64]"),
        ("Reshape", &["f32[b, s, 768]", "i64[3] = [b, -1, 64]"], "f32[b, 12*s, 64]"),
        ("Reshape", &["f32[6]", "i64[2]"], "?"),
        ("Reshape shape=[2, 2]", &["i64[4] = [a, b, c, 4]"], "i64[2, 2] = [a, b, c, 4]"),
        ("Reshape shape=[5]", &["f32[2, 3]"], "!do not fill"),
        ("Reshape shape=[4, -1]", &["f32[2, 3]"], "!do not fill"),
        ("Reshape shape=[0, -1] allowzero=1", &["f32[2, 3]"], "!do not fill"),
        ("Reshape shape=[-2, 3]", &["f32[2, 3]"], "!-2 in place 0"),
        ("Reshape shape=[-1, -1]", &["f32[2, 3]"], "!-1 in place 1"),
        ("Reshape shape=[2, 3, 0]", &["f32[2, 3]"], "!0 in place 2"),
        ("Flatten", &["f32[n, 3, 4]"], "f32[n, 12]"),
        ("Flatten axis=0", &["f32[n, 3]"], "f32[1, 3*n]"),
        ("Flatten axis=-1", &["f32[n, 3, 4]"], "f32[3*n, 4]"),
        ("Flatten axis=3", &["f32[2, 3]"], "!axis 3"),
        ("Squeeze axes=[0, 2]", &["f32[1, n, 1]"], "f32[n]"),
        ("Squeeze axes=[1]", &["f32[1, n, 1]"], "f32[1, 1]"),
        ("Squeeze", &["f32[1, 3, 1]"], "f32[3]"),
        ("Squeeze", &["f32[1, n]"], "?"),
        ("Squeeze", &["i64[1] = [n]", "i64[1] = [0]"], "i64[] = [n]"),
        ("Squeeze", &["i64[1] = [n]", "i64[1]"], "?"),
        ("Squeeze axes=[1]", &["f32[1, 3, 1]"], "!axis 1 has the size 3"),
        ("Unsqueeze axes=[0, 3]", &["f32[n, 2]"], "f32[1, n, 2, 1]"),
        ("Unsqueeze axes=[-1]", &["f32[n, 2]"], "f32[n, 2, 1]"),
        ("Unsqueeze", &["i64[] = [n]", "i64[1] = [0]"], "i64[1] = [n]"),
        ("Unsqueeze axes=[0, 0]", &["f32[2]"], "!named twice"),
        ("Unsqueeze axes=[2]", &["f32[2]"], "!out of range"),
        ("Identity", &["i64[1] = [n]"], "i64[1] = [n]"),
        ("Dropout", &["f32[n, 2]"], "f32[n, 2]"),
    ] {
        infers(application, inputs, &[expected]);
    }
    // Expressions of several terms cancel without division.
    infers("Reshape", &["f32[b, s, 4]", "i64[2] = [s, -1]"], &["f32[s, 4*b]"]);
    let x = "2x3: 1 2 3 4 5 6";
    gives("Reshape shape=[3, -1]", &[x], &["3x2: 1 2 3 4 5 6"]);
    gives("Reshape", &[x, "1: -1"], &["6: 1 2 3 4 5 6"]);
    gives("Flatten axis=0", &[x], &["1x6: 1 2 3 4 5 6"]);
    gives("Squeeze axes=[1]", &["2x1: 1 2"], &["2: 1 2"]);
    gives("Unsqueeze axes=[1]", &["2: 1 2"], &["2x1: 1 2"]);
    gives("Identity", &[x], &[x]);
    gives("Dropout", &[x], &[x]);
}

#[test]
fn repeats() {
    for (application, inputs, expected) in [
        ("Expand shape=[2, 1, 4]", &["f32[3, 1]"] as &[&str], "f32[2, 3, 4]"),
        ("Expand", &["f32[1, 1, s]", "i64[4] = [b, 1, s, s]"], "f32[b, 1, s, s]"),
        ("Expand", &["f32[1]", "i64[2]"], "?"),
        ("Expand shape=[3]", &["i64[1] = [n]"], "i64[3] = [n, n, n]"),
        ("Expand shape=[2]", &["f32[3]"], "!does not broadcast"),
        ("Expand shape=[-1]", &["f32[3]"], "!dimension -1"),
        ("Tile repeats=[2, 3]", &["f32[n, 4]"], "f32[2*n, 12]"),
        ("Tile", &["f32[4]", "i64[1] = [n]"], "f32[4*n]"),
        ("Tile repeats=[2]", &["i64[2] = [n, 1]"], "i64[4] = [n, 1, n, 1]"),
        ("Tile repeats=[2]", &["f32[n, 4]"], "!do not fit rank 2"),
        ("Tile repeats=[-1]", &["f32[4]"], "!do not fit"),
        ("Tile repeats=[9223372036854775807]", &["f32[4]"], "f32[9223372036854775807]"),
        ("Expand shape=[4294967296, 4294967296]", &["f32[1]"], "!too many elements"),
    ] {
        infers(application, inputs, &[expected]);
    }
    gives("Expand shape=[2, 1, 2]", &["2x1: 1 2"], &["2x2x2: 1 1 2 2 1 1 2 2"]);
    gives("Expand", &["1: 5", "2: 2 2"], &["2x2: 5 5 5 5"]);
    gives("Tile repeats=[2, 2]", &["1x2: 1 2"], &["2x4: 1 2 1 2 1 2 1 2"]);
    gives("Tile repeats=[0, 2]", &["1x2: 1 2"], &["0x4:"]);
    refuses("Expand shape=[1000000000]", &["1: 1"], "too large");
    refuses("Tile repeats=[0, 1000000000]", &["1x2: 1 2"], "too large");
}

#[test]
fn paddings_and_triangles() {
    for (application, inputs, expected) in [
        ("Pad pads=[0, 1, 0, 2]", &["f32[n, 3]"] as &[&str], "f32[n, 6]"),
        ("Pad pads=[-1, 0]", &["f32[n]"], "f32[-1 + n]"),
        ("Pad", &["f32[n, 3]", "i64[2] = [1, 1]", "-", "i64[1] = [-2]"], "f32[2 + n, 3]"),
        ("Pad", &["f32[n]", "i64[2] = [0, s]"], "f32[n + s]"),
        ("Pad", &["f32[n]", "i64[2]"], "?"),
        ("Pad pads=[1, 0]", &["i64[2] = [n, 3]"], "i64[3] = [0, n, 3]"),
        ("Pad", &["i64[2] = [n, 3]", "i64[2] = [1, 1]", "i64[] = [7]"], "i64[4] = [7, n, 3, 7]"),
        ("Pad pads=[1]", &["f32[n]"], "!do not fit rank 1"),
        ("Pad pads=[-3, -3]", &["f32[4]"], "!shape"),
        ("Pad pads=[1, 1] mode=edge", &["f32[0]"], "!no element to pad with"),
        ("Pad pads=[1, 1] mode=odd", &["f32[4]"], "!mode"),
        ("Trilu", &["f32[n, 3, 4]"], "f32[n, 3, 4]"),
        ("Trilu", &["i64[2, 2] = [a, b, c, d]"], "i64[2, 2] = [a, b, 0, d]"),
        ("Trilu", &["f32[4]"], "!no matrix"),
    ] {
        infers(application, inputs, &[expected]);
    }
    let x = "3: 1 2 3";
    gives("Pad pads=[1, 2] value=9", &[x], &["6: 9 1 2 3 9 9"]);
    gives("Pad pads=[-1, 1]", &[x], &["3: 2 3 0"]);
    gives("Pad pads=[2, 2] mode=reflect", &[x], &["7: 3 2 1 2 3 2 1"]);
    gives("Pad pads=[1, 2] mode=edge", &[x], &["6: 1 1 2 3 3 3"]);
    gives("Pad pads=[1, 2] mode=wrap", &[x], &["6: 3 1 2 3 1 2"]);
    gives("Pad pads=[1, 1] mode=reflect", &["1: 4"], &["3: 4 4 4"]);
    gives("Pad", &["1x2: 1 2", "2: 1 0", ": 7", "1: 0"], &["2x2: 7 7 1 2"]);
    gives("Pad pads=[0, 1, 1, 0]", &["1x2: 1 2"], &["2x3: 0 1 2 0 0 0"]);
    let m = "2x3: 1 2 3 4 5 6";
    gives("Trilu", &[m], &["2x3: 1 2 3 0 5 6"]);
    gives("Trilu upper=0", &[m], &["2x3: 1 0 0 4 5 0"]);
    gives("Trilu", &[m, ": 1"], &["2x3: 0 2 3 0 0 6"]);
    gives("Trilu upper=0", &[m, ": -1"], &["2x3: 0 0 0 4 0 0"]);
}
