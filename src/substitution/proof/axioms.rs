//! The table of axioms: what operators mean to each other. Everything that is proved follows from these.
//!
//! An axiom says: where its condition holds, one side has a value if and only if the other has, and then they are equal.
//! It can be used in both directions. A condition is one of several alternatives, each a list of conditions that must
//! all hold. Each row names the ranks and attributes on which a test evaluates both sides with symbolic entries.
//! Dimensions are at least 1; elements are real numbers.

use std::sync::OnceLock;

use super::condition::{Side, parse_side};
use super::pattern::Pattern;
use super::read::parse_pattern;

/// A row of the table.
pub(crate) struct Row {
    pub name: &'static str,
    /// One side, with `CONV` for the attributes of a convolution.
    pub left: &'static str,
    /// The other side.
    pub right: &'static str,
    /// Alternatives; the conditions of one are separated by semicolons. None at all: always.
    pub when: &'static [&'static str],
    /// What it is tested on: `x: 1 2` gives ranks, `?p: [0, 1] | [1, 0]` values, `$u: Relu Gelu` operators of a class.
    /// Dimensions are 1 and 2, or up to N for `x: 2 ^N`. What stands after `or` is another domain.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests read it"))]
    pub tests: &'static [&'static str],
}

/// An axiom.
#[derive(Debug)]
pub(crate) struct Axiom {
    pub name: &'static str,
    pub left: Pattern,
    pub right: Pattern,
    pub when: Vec<Vec<Side>>,
    #[cfg(test)]
    pub tests: &'static [&'static str],
}

/// All axioms, in order of the table.
pub(crate) fn axioms() -> &'static [Axiom] {
    static ALL: OnceLock<Vec<Axiom>> = OnceLock::new();
    ALL.get_or_init(|| AXIOMS.iter().map(|row| read(row).expect("every row reads (tested)")).collect())
}

/// The axiom of this name.
pub(crate) fn axiom(name: &str) -> Option<&'static Axiom> {
    axioms().iter().find(|axiom| axiom.name == name)
}

/// Reads a row.
pub(crate) fn read(row: &Row) -> Result<Axiom, String> {
    let side = |text: &str| parse_pattern(&text.replace("CONV", CONV)).map_err(|e| format!("{}: {e}", row.name));
    let conditions = |text: &&str| text.split(';').map(parse_side).collect::<Result<Vec<_>, _>>();
    let when = row.when.iter().map(conditions).collect::<Result<_, _>>().map_err(|e| format!("{}: {e}", row.name))?;
    Ok(Axiom {
        name: row.name,
        left: side(row.left)?,
        right: side(row.right)?,
        when,
        #[cfg(test)]
        tests: row.tests,
    })
}

const CONV: &str = "strides=?s, pads=?p, dilations=?d, group=?g";

const fn row(
    name: &'static str,
    left: &'static str,
    right: &'static str,
    when: &'static [&'static str],
    tests: &'static [&'static str],
) -> Row {
    Row { name, left, right, when, tests }
}

/// Movements that axioms of them are tested on.
const MOVEMENTS: &str = "$m $n: Transpose{perm=[1, 0]} Reshape{shape=[-1]} Flatten{axis=1} Squeeze{axes=[0]} Unsqueeze{axes=[1]} Slice{starts=[0], ends=[1], axes=[0], steps=[1]} Split#1/2{axis=0, split=[1, 1]} Expand{shape=[2, 2]} Tile{repeats=[2]} Gather(x,Constant{value_int=1}){axis=0} Gather(x,Constant{value_int=0}){axis=1}";

/// Parts along one axis, for tests.
const PARTS: &str = "$d: Split#0/2{axis=0, split=[1, 1]} Split#1/2{axis=0, split=[1, 1]} Split#0/2{axis=1, split=[1, 1]} Split#1/2{axis=1, split=[1, 1]} Split#0/2{axis=1, split=[1, 2]} Split#1/2{axis=1, split=[1, 2]} Split#0/2{axis=0, split=[2, 1]} Split#1/2{axis=0, split=[2, 1]} Split#0/3{axis=0, split=[1, 1, 2]} Split#1/3{axis=0, split=[1, 1, 2]} Split#2/3{axis=0, split=[1, 1, 2]} Split#1/3{axis=1, split=[2, 1, 1]} Split#1/3{axis=0, split=[1, 2, 1]} Slice{starts=[0], ends=[2], axes=[0], steps=[1]} Slice{starts=[1], ends=[2], axes=[1], steps=[1]} Slice{starts=[0], ends=[1], axes=[2], steps=[1]}";

/// Operators that are linear in each of two operands, for tests.
const BILINEAR: &str = "$l: MatMul Gemm{alpha=3.0} Gemm{transA=1, transB=1} Conv{strides=[1], pads=[1, 0], dilations=[1]} Conv{strides=[2], pads=[0, 0], dilations=[2], group=2} ConvTranspose{strides=[2], pads=[0, 0], dilations=[1], output_padding=[0]} Einsum{equation=\"ij,jk->ik\"} Einsum{equation=\"ij,ij->i\"} Einsum{equation=\"i,j->ij\"}";

/// Convolutions, for tests.
const CONVOLUTIONS: &str = "$v: Conv{strides=[1], pads=[0, 0], dilations=[1]} Conv{strides=[2], pads=[1, 0], dilations=[1], group=2} Conv{strides=[1], pads=[1, 1], dilations=[2]} ConvTranspose{strides=[1], pads=[0, 0], dilations=[1], output_padding=[0]} ConvTranspose{strides=[2], pads=[1, 0], dilations=[1], output_padding=[1]} ConvTranspose{strides=[1], pads=[0, 0], dilations=[2], output_padding=[0], group=2}";

/// Averages of places of planes, for tests.
const AVERAGES: &str = "$a $n: GlobalAveragePool AveragePool{kernel_shape=[2, 1], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1]} AveragePool{kernel_shape=[2, 2], strides=[2, 1], pads=[0, 1, 0, 0], dilations=[1, 1], count_include_pad=1} AveragePool{kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 0], dilations=[1, 1], ceil_mode=1}";

/// Operators that are linear in one operand, for tests.
const LINEAR: &str = "$p $n: GlobalAveragePool AveragePool{kernel_shape=[2], strides=[1], pads=[0, 1], dilations=[1]} AveragePool{kernel_shape=[2], strides=[1], pads=[0, 1], dilations=[1], count_include_pad=1} ReduceSum{axes=[1]} ReduceMean{axes=[0, 1], keepdims=0}";

/// The attributes that `CONV_1` stands for in tests.
#[cfg(test)]
pub(crate) const TEST_CONV: &[&str] = &["?s: [1] | [2]", "?p: [0, 0] | [1, 0] | [1, 1]", "?d: [1] | [2]", "?g: 1 | 2"];

/// The table.
#[rustfmt::skip]
pub(crate) const AXIOMS: &[Row] = &[
    // Arithmetic of elements. Broadcasting needs no condition: what three operands broadcast to has no order.
    row("commutes", "$c(x, y)", "$c(y, x)", &[], &["x: 0 1 2", "y: 0 1 2", "$c: Add Mul"]),
    row("associates", "$c($c(x, y), w)", "$c(x, $c(y, w))", &[], &["x: 0 1 2", "y: 0 1 2", "w: 0 1 2", "$c: Add Mul"]),
    row("mul-distributes", "Mul(Add(x, y), w)", "Add(Mul(x, w), Mul(y, w))", &[], &["x: 0 1 2", "y: 0 1 2", "w: 0 1 2"]),
    row("sub-is-add", "Sub(x, y)", "Add(x, Neg(y))", &[], &["x: 0 1 2", "y: 0 1 2"]),
    row("neg-is-mul", "Neg(x)", "Mul(x, Constant{value_float=-1.0})", &[], &["x: 0 1 2"]),
    row("minus-one-twice", "Mul(Constant{value_float=-1.0}, Constant{value_float=-1.0})", "Constant{value_float=1.0}", &[], &[]),
    row("div-is-mul", "Div(x, y)", "Mul(x, Reciprocal(y))", &[], &["x: 0 1 2", "y: 0 1 2"]),
    row("reciprocal-of-product", "Reciprocal(Mul(x, y))", "Mul(Reciprocal(x), Reciprocal(y))", &[], &["x: 0 1 2", "y: 0 1 2"]),
    row("mul-one", "Mul(x, Constant{value_float=1.0})", "x", &[], &["x: 0 1 2"]),
    row("times-ones", "Mul(x, Clip(s){min=1.0, max=1.0})", "x", &["broadcasts(s, x)"], &["reals", "x: 0 1 2", "s: 0 1 2"]),
    row("add-self", "Add(x, x)", "Mul(x, Constant{value_float=2.0})", &[], &["x: 0 1 2"]),
    row("sum-of-two", "Sum(x, y)", "Add(x, y)", &[], &["x: 0 1 2", "y: 0 1 2"]),
    row("three-in-steps", "$q(x, y, w)", "$q($q(x, y), w)", &[], &["x: 0 1 2", "y: 0 1 2", "w: 0 1 2", "$q: Sum Concat{axis=0} Concat{axis=1}"]),
    row("mean-of-two", "Mean(x, y)", "Mul(Add(x, y), Constant{value_float=0.5})", &[], &["x: 0 1 2", "y: 0 1 2"]),
    row("exp-of-sum", "Exp(Add(x, y))", "Mul(Exp(x), Exp(y))", &[], &["reals", "x: 0 1 2", "y: 0 1 2"]),
    row("log-of-softmax", "Log(Softmax(x){axis=?a})", "LogSoftmax(x){axis=?a}", &[], &["reals", "x: 1 2", "?a: 0 | 1 | -1"]),
    row("absorbed", "$i($j(x))", "$j(x)", &["@absorbs($i, $j)"],
        &["reals", "x: 0 1 2", "$i: Relu Abs Floor Round Clip{min=-0.5, max=0.75} Sign Cast{to=10} Cast{to=16} Cast{to=9, saturate=0} Cast{to=17}", "$j: Relu Sigmoid Exp Softplus Abs Sqrt Floor Ceil Round Sign Clip{min=-0.5, max=0.75} Cast{to=10} Cast{to=16} Cast{to=9, saturate=0} Cast{to=17}"]),
    row("abs-of-neg", "Abs(Neg(x))", "Abs(x)", &[], &["reals", "x: 0 1 2"]),
    row("cast-of-cast", "Cast(Cast(c:Cast(x){to=?a, saturate=?u}){to=?b, saturate=?v}){to=?t, saturate=?w}", "Cast(Cast(x){to=?a, saturate=?u}){to=?t, saturate=?w}",
        &["@wider(?a, ?b); ?t != 8"],
        &["reals", "x: 0 1 2", "?a: 10 | 16 | 6 | 9", "?b: 1 | 7 | 11 | 16", "?t: 1 | 6 | 9 | 8", "?u: 0 | 1", "?v: 0 | 1", "?w: 0 | 1"]),
    // Elements that move.
    row("transpose-of-transpose", "Transpose(t:Transpose(x){perm=?p}){perm=?q}", "Transpose(x){perm=@compose(?p, ?q)}",
        &["@granted(t)"], &["x: 2 3", "?p: [1, 0] | [0, 2, 1] | [2, 0, 1]", "?q: [1, 0] | [1, 0, 2] | [1, 2, 0]"]),
    row("reshape-of-reshaping", "Reshape(t:$r(x)){shape=?b, allowzero=?u}", "Reshape(x){shape=?b, allowzero=?v}",
        &["?b != 0; @granted(t)", "?b != 0; @sure($r, x)"],
        &["x: 1 2 ^4", "?b: [-1] | [2, -1] | [4] | [1, 2, 1] | [2, 2]", "?u: 0 | 1", "?v: 0 | 1",
          "$r: Reshape{shape=[4, 1]} Reshape{shape=[0, -1]} Flatten{axis=1} Squeeze{axes=[0]} Unsqueeze{axes=[0]} Unsqueeze{axes=[1, 3]}"]),
    row("reshaping-as-reshape", "y:$k(x)", "Reshape(x){shape=@dims(y)}", &["@granted(y); @in-order($k, x)"],
        &["x: 1 2 3", "$k: Transpose{perm=[1, 0]} Transpose{perm=[2, 1, 0]} Transpose{perm=[0, 2, 1]} Tile{repeats=[2]} Reshape{shape=[4, 1]} Reshape{shape=[0, -1]} Flatten{axis=1} Squeeze{axes=[0]} Unsqueeze{axes=[0]} Unsqueeze{axes=[1, 3]}"]),
    row("keeps-the-shape", "y:$k(x)", "x", &["@granted(y); @ordered($k); @same(x, y)", "@sure($k, x); @same(x, y)", "@granted(y); @nothing($k, x)", "@is($k, Transpose); @nothing($k, x)"],
        &["x: 1 2 3", "$k: Reshape{shape=[2, 1]} Reshape{shape=[-1]} Flatten{axis=1} Squeeze{axes=[0]} Unsqueeze{axes=[0]} Expand{shape=[2, 2]} Expand{shape=[1, 1]} Tile{repeats=[1]} Tile{repeats=[1, 1]} Tile{repeats=[2]} Slice{starts=[0], ends=[2], axes=[0], steps=[1]} Slice{starts=[1], ends=[-9], axes=[0], steps=[-1]} Transpose{perm=[0]} Transpose{perm=[0, 1]} Transpose{perm=[0, 1, 2]} Transpose{perm=[1, 0]}",
          "or", "x: 1 2", "$k: Pad{mode=\"constant\", pads=[0, 0], value=0.0} Pad{mode=\"edge\", pads=[0, 0, 0, 0], value=1.0} Pad{mode=\"constant\", pads=[1, -1], value=0.0}",
          "or", "reals", "x: 3 4", "$k: AveragePool{kernel_shape=[1], strides=[1], pads=[0, 0], dilations=[1]} AveragePool{kernel_shape=[1, 1], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 2], ceil_mode=1} MaxPool{kernel_shape=[1], strides=[1], pads=[0, 0], dilations=[2]} MaxPool{kernel_shape=[1, 1], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1]} MaxPool{kernel_shape=[1], strides=[2], pads=[0, 0], dilations=[1]} AveragePool{kernel_shape=[2], strides=[1], pads=[1, 0], dilations=[1]}"]),
    row("reshaping-undone", "$r(t:$s(x))", "x", &["@granted(t); @undoes($r, $s)"],
        &["x: 0 1 2 3", "$r: Squeeze{axes=[0]} Unsqueeze{axes=[0]} Squeeze{axes=[1]} Unsqueeze{axes=[0, 2]}", "$s: Squeeze{axes=[0]} Unsqueeze{axes=[0]} Unsqueeze{axes=[1]} Squeeze{axes=[0, 2]}"]),
    row("pointwise-of-movement", "$u($m(x))", "$m($u(x))", &[],
        &["x: 1 2 3", "$u: Relu Gelu Clip{min=-0.5, max=0.75} Neg Sqrt", MOVEMENTS]),
    row("broadcasting-of-movements", "$b($m(x), $m(y))", "$m($b(x, y))", &["@same(x, y)", "@is($m, Transpose); rank(x) == rank(y)"],
        &["x: 1 2 3", "y: 1 2 3", "$b: Add Div", MOVEMENTS]),
    row("moved-and-shared", "$f(t:$n(x), c)", "$n($f(x, c))",
        &["@moves($n); rank(c) == 0", "@moves($n); @elementwise($f); dim(c, -1) == 1; rank(c) <= 1; rank(c) <= rank(x); rank(c) <= rank(t)",
          "@elementwise($f); rank(c) == 1; @leading($n, x)", "@is($f, MatMul); rank(c) == 2; @leading($n, x)",
          "@elementwise($f); rank(c) == 1; broadcasts(c, x); @rows($n, x, t)", "@linear($n); @is($f, Mul); rank(c) == 0",
          "rank(x) == 4; broadcasts(c, x); dim(c, -1) == 1; dim(c, -2) == 1; @even($n, $f)"],
        &["x: 1 2 3", "c: 0 1 2", "$f: Sub Mul MatMul", MOVEMENTS, "or", "x: 1 2 3", "c: 1", "$f: Sub", "$n: Reshape{shape=[2, 2]} Reshape{shape=[-1, 2]} Reshape{shape=[1, 0, -1]} Flatten{axis=1}",
          "or", "x: 2 3 4", "c: 0", "$f: Mul Sub", LINEAR, "or", "x: 4", "c: 0 1 3", "$f: Add Mul Sub", AVERAGES]),
    row("softmax-of-transpose", "Softmax(Transpose(x){perm=?p}){axis=?a, coerced=0}", "Transpose(Softmax(x){axis=?p[?a], coerced=0}){perm=?p}", &["0 <= ?a"],
        &["x: 2 3", "?p: [1, 0] | [2, 0, 1]", "?a: 0 | 1 | 2"]),
    row("concat-of-transposes", "Concat(Transpose(x){perm=?p}, Transpose(y){perm=?p}){axis=?a}", "Transpose(Concat(x, y){axis=?p[?a]}){perm=?p}", &["0 <= ?a"],
        &["x: 2 3", "y: 2 3", "?p: [1, 0] | [2, 0, 1]", "?a: 0 | 1 | 2"]),
    row("concat-associates-right", "Concat(x, Concat(y, w){axis=?a}){axis=?a}", "Concat(x, y, w){axis=?a}", &[],
        &["x: 1 2", "y: 1 2", "w: 1 2", "?a: 0 | 1"]),
    row("each-of-concat", "$e(Concat(x, y){axis=?a})", "Concat($e(x), $e(y)){axis=?a}", &["@pointwise($e)", "@planes($e); ?a == 0; @alike(x, y, ?a)", "@planes($e); ?a == 1; @alike(x, y, ?a)"],
        &["x: 1 2", "y: 1 2", "?a: 0 | 1", "$e: Relu Gelu Neg", "or", "reals", "x: 3 4", "y: 3 4", "?a: 0 | 1 | 2",
          "$e: MaxPool{kernel_shape=[2], strides=[1], pads=[0, 1], dilations=[1]} MaxPool{kernel_shape=[2, 1], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1], ceil_mode=1} AveragePool{kernel_shape=[2], strides=[1], pads=[0, 1], dilations=[1]} AveragePool{kernel_shape=[1, 2], strides=[1, 1], pads=[0, 1, 0, 0], dilations=[1, 1], count_include_pad=1} GlobalAveragePool GlobalMaxPool"]),
    row("joining-of-concats", "Concat($h(x, u), $h(y, v)){axis=?a}",
        "$h(Concat(x, y){axis=?a}, Concat(u, v){axis=?a - rank(x) + rank(u)})",
        &["@elementwise($h); @same(x, u); @same(y, v)", "@across($h, ?a, x, u); @alike(x, y, ?a)",
          "@elementwise($h); broadcasts(u, x); broadcasts(v, y); @alike(u, v, ?a - rank(x) + rank(u)); @extent(u, ?a - rank(x) + rank(u), dim(x, ?a - rank(x))); @extent(v, ?a - rank(x) + rank(u), dim(y, ?a - rank(x)))"],
        &["x: 1 2", "y: 1 2", "u: 1 2", "v: 1 2", "?a: 0 | 1", "$h: Add Div Concat{axis=0} Concat{axis=1}"]),
    row("concat-and-shared", "Concat($b(x, u), $b(y, u)){axis=?a}", "$b(Concat(x, y){axis=?a}, u)",
        &["rank(u) == 0", "0 <= ?a; broadcasts(u, x); broadcasts(u, y); dim(u, ?a - rank(x)) == 1; rank(x) == rank(y)"],
        &["x: 1 2 3", "y: 1 2 3", "u: 0 1 2", "?a: 0 | 1", "$b: Sub Mul"]),
    row("first-of-concat", "$d(c:Concat(x, y){axis=?a})", "x",
        &["@alike(x, y, ?a); @part($d, c, ?a, x)"],
        &["x: 1 2 3", "y: 1 2 3", "?a: 0 | 1", PARTS]),
    row("second-of-concat", "$d(c:Concat(x, y){axis=?a})", "y",
        &["@alike(x, y, ?a); @part($d, c, ?a, y, x)"],
        &["x: 1 2 3", "y: 1 2 3", "?a: 0 | 1", PARTS]),
    row("middle-of-concat", "$d(c:Concat(x, y, w){axis=?a})", "y",
        &["@alike(x, y, ?a); @alike(y, w, ?a); @part($d, c, ?a, y, x)"],
        &["x: 1 2", "y: 1 2", "w: 1 2", "?a: 0 | 1", PARTS]),
    row("part-of-row", "$d($b(x, v))", "$b($d(x), Slice(v){starts=@from($d), ends=@to($d), axes=[0], steps=[1]})",
        &["rank(v) == 1; dim(v, 0) == dim(x, -1); @along($d, rank(x) - 1)"],
        &["x: 1 2 3", "v: 1", "$b: Sub Mul", PARTS]),
    row("concat-of-split", "Concat(p:Split#0/2(x){axis=?a, split=?s}, Split#1/2(x){axis=?a, split=?s}){axis=?a}", "x", &["@granted(p)"],
        &["x: 1 2 ^4", "?a: 0 | 1", "?s: [1, 1] | [1, 2] | [2, 2]"]),
    row("concat-of-reshapes", "Concat(Reshape(x){shape=?s, allowzero=?z}, Reshape(y){shape=?t, allowzero=?z}){axis=0}",
        "Reshape(Concat(x, y){axis=0}){shape=@joined(?s, ?t), allowzero=?z}",
        &["@elements(x, ?s); @elements(y, ?t); @alike(x, y, 0)"],
        &["x: 1 2", "y: 1 2", "?s: [1] | [2] | [2, 1] | [1, 2] | [1, 1, 2]", "?t: [1] | [2] | [2, 1] | [1, 2] | [2, 2] | [1, 1, 2]", "?z: 0 | 1"]),
    row("column-of-broadcasting", "Reshape(t:$b(u, v)){shape=?t}",
        "$b(Reshape(u){shape=@headed(?t, dim(u, 0))}, Reshape(v){shape=@headed(?t, dim(v, 0))})",
        &["rank(u) == 1; rank(v) == 1; @column(?t); ?t[0] == dim(t, 0)"],
        &["u: 1", "v: 1", "?t: [1] | [2] | [1, 1] | [2, 1] | [2, 1, 1] | [1, 2]", "$b: Sub Mul"]),
    row("leading-ones", "$b(a, c)", "$b(a, Reshape(c){shape=?t})", &["broadcasts(c, a); @aligned(c, ?t); @shorter(?t, a)"],
        &["a: 1 2 3", "c: 0 1 2 3", "?t: [1] | [2] | [1, 1] | [2, 1] | [1, 2] | [1, 1, 1] | [1, 2, 1]", "$b: Sub Mul"]),
    row("vector-over-two-axes", "r:Reshape($b(x, v)){shape=?t, allowzero=?z}",
        "$b(Reshape(x){shape=?t, allowzero=?z}, Reshape(v){shape=[?t[2], ?t[3]]})",
        &["rank(v) == 1; rank(r) == 4; dim(x, -1) == dim(v, 0); dim(v, 0) == ?t[2] * ?t[3]"],
        &["x: 1 2 ^4", "v: 1 ^4", "?t: [1, 1, 2, 2] | [2, 1, 2, 2] | [0, -1, 2, 1] | [1, 2, 1, 2] | [1, 1, 1, 1] | [-1, 2, 2, 1]", "?z: 0 | 1", "$b: Sub Mul"]),
    // What is linear in its operand, or in each of two.
    row("left-sum", "$l(Add(x, u), w)", "Add($l(x, w), $l(u, w))",
        &["@same(x, u)", "@is($l, MatMul); dim(x, -1) == dim(u, -1); 1 <= rank(x); 1 <= rank(u); rank(w) == 2",
          "@is($l, MatMul); dim(x, -1) == dim(u, -1); 2 <= rank(x); 2 <= rank(u); 2 <= rank(w)"],
        &["x: 1 2 3", "u: 1 2 3", "w: 1 2 3", BILINEAR]),
    row("right-sum", "$l(x, Add(w, v))", "Add($l(x, w), $l(x, v))",
        &["@same(w, v)", "@is($l, MatMul); dim(w, -2) == dim(v, -2); 2 <= rank(w); 2 <= rank(v)"],
        &["x: 1 2 3", "w: 1 2 3", "v: 1 2 3", BILINEAR]),
    row("left-scaled", "$l(Mul(x, c), w)", "Mul(y:$l(x, w), c)",
        &["rank(c) == 0", "rank(c) <= 1; dim(c, -1) == 1; rank(c) <= rank(x); rank(c) <= rank(y)"],
        &["x: 1 2 3", "c: 0 1", "w: 1 2 3", BILINEAR]),
    row("right-scaled", "$l(x, Mul(w, c))", "Mul(y:$l(x, w), c)",
        &["rank(c) == 0", "rank(c) <= 1; dim(c, -1) == 1; rank(c) <= rank(w); rank(c) <= rank(y)"],
        &["x: 1 2 3", "c: 0 1", "w: 1 2 3", BILINEAR]),
    row("batch-of-concat", "$l(Concat(x, u){axis=?a}, w)", "Concat($l(x, w), $l(u, w)){axis=?a}", &["@batch($l, x, w, ?a); @alike(x, u, ?a)"],
        &["x: 1 2 3", "u: 1 2 3", "w: 2 3", "?a: 0 | 1", BILINEAR]),
    row("concat-of-outputs", "$l(x, Concat(w, v){axis=@outer-right($l, x)})", "Concat($l(x, w), $l(x, v)){axis=@outer($l, x)}",
        &["@is($l, Conv); rank(w) == 3; rank(v) == 3; dim(w, 2) == dim(v, 2)", "@is($l, Conv); rank(w) == 4; rank(v) == 4; dim(w, 2) == dim(v, 2); dim(w, 3) == dim(v, 3)",
          "rank(w) == 2; rank(v) == 2; 1 <= rank(x)"],
        &["x: 1 2 3", "w: 2 3", "v: 2 3", BILINEAR, "or", "x: 4", "w: 4", "v: 4", "$l: Conv{strides=[2, 1], pads=[0, 0, 1, 0], dilations=[1, 1]}"]),
    row("sum-over-concats", "$l(Concat(x, u){axis=@inner-left($l, x)}, Concat(w, v){axis=@inner-right($l, x)})", "Add(a:$l(x, w), b:$l(u, v))",
        &["@alike(x, u, 1); @alike(w, v, 1); dim(x, 1) == dim(w, 1); dim(u, 1) == dim(v, 1); @is($l, Conv)",
          "@is($l, Gemm); @alike(w, v, 0); @alike(x, u, 1); dim(w, 0) == dim(x, 1); dim(v, 0) == dim(u, 1); @zero($l, transA); @zero($l, transB)",
          "@is($l, MatMul); rank(w) == 2; rank(v) == 2; rank(x) == rank(u); 2 <= rank(x); dim(w, 0) == dim(x, -1); @same(a, b)",
          "@is($l, MatMul); rank(w) == 2; rank(v) == 2; 2 <= rank(x); @alike(x, u, rank(x) - 1); dim(w, 1) == dim(v, 1); dim(w, 0) == dim(x, -1); dim(v, 0) == dim(u, -1)"],
        &["x: 2", "u: 2", "w: 2", "v: 2", "$l: MatMul Gemm{alpha=3.0}", "or", "x: 3", "u: 3", "w: 2", "v: 2", "$l: MatMul",
          "or", "x: 3", "u: 3", "w: 3", "v: 3", "$l: Conv{strides=[1], pads=[1, 0], dilations=[1]} Conv{strides=[2], pads=[0, 0], dilations=[1]}"]),
    row("linear-of-sum", "$p(Add(x, y))", "Add($p(x), $p(y))", &["@same(x, y)"], &["x: 2 3 4", "y: 2 3 4", LINEAR]),
    // Matrix products.
    row("matmul-with-blocks", "MatMul(Concat(x, u){axis=?a}, BlockDiagonal(w, v))", "Concat(MatMul(x, w), MatMul(u, v)){axis=?a}",
        &["1 <= rank(x); ?a == rank(x) - 1; rank(w) == 2; rank(v) == 2; dim(w, 0) == dim(x, -1); dim(v, 0) == dim(u, -1); @alike(x, u, ?a)"],
        &["x: 1 2 3", "u: 1 2 3", "w: 2", "v: 2", "?a: 0 | 1 | 2"]),
    row("matmul-associates", "MatMul(MatMul(x, a), b)", "MatMul(x, MatMul(a, b))",
        &["2 <= rank(x); 2 <= rank(a); 2 <= rank(b)", "rank(a) == 2; rank(b) == 2"], &["x: 1 2 3", "a: 1 2 3", "b: 1 2 3"]),
    row("scaled-columns", "$g(x, Mul(w, v))", "Mul($g(x, w), v)",
        &["@is($g, MatMul); rank(w) == 2; rank(v) == 1; broadcasts(v, w)", "@is($g, Gemm); @zero($g, transB); rank(v) == 1; broadcasts(v, w)",
          "@is($g, LayerNormalization); rank(w) == 1; rank(v) == 1; broadcasts(v, w)"],
        &["x: 1 2 3", "w: 2", "v: 1", "$g: MatMul Gemm{alpha=3.0} Gemm{transA=1}", "or", "reals", "x: 1 2 3", "w: 1", "v: 1", "$g: LayerNormalization{axis=0} LayerNormalization{axis=1} LayerNormalization{axis=2}"]),
    row("normalisation-with-bias", "LayerNormalization(x, s, b){axis=?a, epsilon=?e, stash_type=?t}", "Add(LayerNormalization(x, s){axis=?a, epsilon=?e, stash_type=?t}, b)",
        &["broadcasts(b, x)"],
        &["reals", "x: 1 2 3", "s: 1", "b: 1 2", "?a: 0 | 1 | 2", "?e: 0.5", "?t: 1"]),
    row("matmul-of-scaled-row", "MatMul(Mul(x, c), w)", "MatMul(x, Mul(w, Reshape(c){shape=[dim(c, -1), 1]}))",
        &["rank(w) == 2; dim(w, 0) == dim(x, -1); broadcasts(c, x); @aligned(c, [dim(c, -1)])"], &["x: 1 2 3", "c: 0 1 2", "w: 2"]),
    row("matmul-of-added-row", "MatMul(Add(x, c), w)", "Add(MatMul(x, w), ReduceSum(Mul(w, Reshape(c){shape=[dim(c, -1), 1]})){axes=[0], keepdims=0})",
        &["rank(w) == 2; dim(w, 0) == dim(x, -1); 1 <= rank(x); broadcasts(c, x); @aligned(c, [dim(c, -1)])"], &["x: 1 2 3", "c: 0 1 2", "w: 2"]),
    row("transpose-of-matmul", "Transpose(MatMul(x, y)){perm=?p}", "MatMul(Transpose(y){perm=?p}, Transpose(x){perm=?p})",
        &["@swaps(?p); @length(?p, rank(x)); rank(x) == rank(y)"], &["x: 2 3", "y: 2 3", "?p: [1, 0] | [0, 2, 1] | [2, 1, 0]"]),
    row("matmul-with-identity", "MatMul(x, IdentityMatrix{size=?n})", "x", &["?n == dim(x, -1); 1 <= rank(x)"], &["x: 1 2 3", "?n: 1 | 2"]),
    row("gemm-with-bias", "Gemm(x, w, b){alpha=?al, beta=?be, transA=?ta, transB=?tb}",
        "Add(g:Gemm(x, w){alpha=?al, beta=?be, transA=?ta, transB=?tb}, Mul(b, Constant{value_float=?be}))", &["broadcasts(b, g)"],
        &["x: 2", "w: 2", "b: 0 1 2", "?al: 1.0 | 3.0", "?be: 1.0 | 2.0", "?ta: 0 | 1", "?tb: 0 | 1"]),
    row("gemm-as-matmul", "Gemm(x, w){alpha=1.0, beta=?be, transA=0, transB=0}", "MatMul(x, w)", &["rank(x) == 2; rank(w) == 2"], &["x: 2", "w: 2", "?be: 1.0 | 2.0"]),
    row("gemm-scaled", "Gemm(x, w){alpha=?al, beta=?be, transA=?ta, transB=?tb}",
        "Mul(Gemm(x, w){alpha=1.0, beta=?be, transA=?ta, transB=?tb}, Constant{value_float=?al})", &[],
        &["x: 2", "w: 2", "?al: 1.0 | 3.0", "?be: 1.0 | 2.0", "?ta: 0 | 1", "?tb: 0 | 1"]),
    row("gemm-of-transpose", "Gemm(Transpose(x){perm=[1, 0]}, w){alpha=?al, beta=?be, transA=0, transB=?tb}",
        "Gemm(x, w){alpha=?al, beta=?be, transA=1, transB=?tb}", &[], &["x: 2", "w: 2", "?al: 1.0 | 3.0", "?be: 1.0", "?tb: 0 | 1"]),
    row("gemm-with-transpose", "Gemm(x, Transpose(w){perm=[1, 0]}){alpha=?al, beta=?be, transA=?ta, transB=0}",
        "Gemm(x, w){alpha=?al, beta=?be, transA=?ta, transB=1}", &[], &["x: 2", "w: 2", "?al: 1.0 | 3.0", "?be: 1.0", "?ta: 0 | 1"]),
    // Convolutions.
    row("conv-with-bias", "$v(x, w, b)", "Add(c:$v(x, w), Reshape(b){shape=@column(dim(b, 0), rank(x) - 2)})",
        &["rank(b) == 1; @is($v, ConvTranspose); dim(b, 0) == dim(c, 1)", "rank(b) == 1; @is($v, Conv); dim(b, 0) == dim(w, 0)"], &["x: 3 ^3", "w: 3", "b: 1", CONVOLUTIONS]),
    row("conv-with-scaled-outputs", "$v(x, Mul(w, r:Reshape(v){shape=?t}))", "Mul($v(x, w), Reshape(v){shape=@column(?t[0], rank(x) - 2)})",
        &["@is($v, Conv); @column(?t); broadcasts(r, w); rank(r) == rank(w)",
          "@is($v, ConvTranspose); @only($v, group); @column(?t); broadcasts(r, w); rank(r) == rank(w) - 1",
          "@is($v, Gemm); @only($v, transB); @column(?t); broadcasts(r, w); rank(r) == rank(w)"],
        &["x: 3 ^3", "w: 3", "v: 0 1 2", "?t: [1, 1, 1] | [2, 1, 1] | [1, 2, 1] | [1, 1] | [2, 1]", CONVOLUTIONS,
          "or", "x: 2", "w: 2", "v: 0 1 2", "?t: [1, 1] | [2, 1] | [1, 2]", "$v: Gemm{alpha=3.0, transB=1} Gemm{transA=1, transB=1} Gemm{transA=1}"]),
    row("conv-with-scaled-groups",
        "ConvTranspose(x, Reshape(Mul(Reshape(w){shape=@in-groups(w, ?g)}, Reshape(v){shape=@by-group(w, ?g)})){shape=@dims(w)}){strides=?s, pads=?p, dilations=?d, output_padding=?o, group=?g}",
        "Mul(ConvTranspose(x, w){strides=?s, pads=?p, dilations=?d, output_padding=?o, group=?g}, Reshape(v){shape=@column(dim(v, 0), rank(x) - 2)})",
        &["rank(v) == 1; dim(v, 0) == dim(w, 1) * ?g; divides(?g, dim(w, 0))"],
        &["x: 3", "w: 3", "v: 1 ^4", "?s: [1] | [2]", "?p: [0, 0] | [1, 0]", "?d: [1] | [2]", "?o: [0]", "?g: 1 | 2"]),
    row("conv-of-scaled-channels", "Conv(Mul(x, c), w){CONV}",
        "Conv(x, Reshape(Mul(Reshape(w){shape=@in-groups(w, ?g)}, Reshape(c){shape=@by-group(w, ?g)})){shape=@dims(w)}){CONV}",
        &["broadcasts(c, x); rank(x) == 3; @aligned(c, [dim(x, 1), 1]); dim(x, 1) == dim(w, 1) * ?g; divides(?g, dim(w, 0))",
          "broadcasts(c, x); rank(x) == 4; @aligned(c, [dim(x, 1), 1, 1]); dim(x, 1) == dim(w, 1) * ?g; divides(?g, dim(w, 0))"],
        &["x: 3", "w: 3", "c: 2 3", "?s: [1]", "?p: [0, 0] | [1, 0]", "?d: [1] | [2]", "?g: 1 | 2",
          "or", "x: 4", "w: 4", "c: 3", "?s: [1, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 1]", "?d: [1, 1]", "?g: 1 | 2"]),
    row("conv-of-shifted-channels", "Conv(Add(x, c), w){CONV}",
        "Add(Conv(x, w){CONV}, Reshape(ReduceSum(Mul(Reshape(w){shape=@in-groups(w, ?g)}, Reshape(c){shape=@by-group(w, ?g)})){axes=@span(2, rank(w) + 1), keepdims=0}){shape=@column(dim(w, 0), rank(x) - 2)})",
        &["?p == 0; broadcasts(c, x); rank(x) == 3; @aligned(c, [dim(x, 1), 1]); dim(x, 1) == dim(w, 1) * ?g; divides(?g, dim(w, 0))",
          "?p == 0; broadcasts(c, x); rank(x) == 4; @aligned(c, [dim(x, 1), 1, 1]); dim(x, 1) == dim(w, 1) * ?g; divides(?g, dim(w, 0))"],
        &["x: 3", "w: 3", "c: 2 3", "?s: [1]", "?p: [0, 0] | [1, 0]", "?d: [1] | [2]", "?g: 1 | 2",
          "or", "x: 4", "w: 4", "c: 3", "?s: [1, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 1]", "?d: [1, 1]", "?g: 1 | 2"]),
    row("conv-of-shifted", "Conv(Add(x, c), w){CONV}",
        "Add(Conv(x, w){CONV}, Reshape(Mul(ReduceSum(w){axes=@span(1, rank(w)), keepdims=0}, Reshape(c){shape=[1]})){shape=@column(dim(w, 0), rank(x) - 2)})",
        &["?p == 0; broadcasts(c, x); @aligned(c, [1])"],
        &["x: 3", "w: 3", "c: 0 1 2", "?s: [1]", "?p: [0, 0] | [1, 0]", "?d: [1] | [2]", "?g: 1 | 2",
          "or", "x: 4", "w: 4", "c: 0 1 3", "?s: [1, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 1]", "?d: [1, 1]", "?g: 1 | 2"]),
    row("pointwise-then-conv", "Conv(c:Conv(x, a){strides=?r, pads=?q, dilations=?e}, w){strides=?s, pads=?p, dilations=?d}",
        "Conv(x, Einsum(w, Reshape(a){shape=[dim(a, 0), dim(a, 1)]}){equation=\"omhw,mi->oihw\"}){strides=?s, pads=?p, dilations=?d}",
        &["rank(x) == 4; ?r == 1; ?q == 0; dim(a, 2) == 1; dim(a, 3) == 1; dim(a, 0) == dim(w, 1); @granted(c)"],
        &["x: 4", "a: 4", "w: 4", "?r: [1, 1] | [2, 1]", "?q: [0, 0, 0, 0]", "?e: [1, 1]", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 1]", "?d: [1, 1]"]),
    row("pad-then-conv", "y:Conv(Pad(x){mode=\"constant\", pads=?q, value=0.0}, w){CONV}",
        "Conv(x, w){strides=?s, pads=[?p[0] + ?q[2], ?p[1] + ?q[3], ?p[2] + ?q[6], ?p[3] + ?q[7]], dilations=?d, group=?g}",
        &["rank(x) == 4; @length(?q, 8); ?q[0] == 0; ?q[1] == 0; ?q[4] == 0; ?q[5] == 0; 0 <= ?q; @granted(y)"],
        &["x: 4", "w: 4", "?q: [0, 0, 0, 0, 0, 0, 0, 0] | [0, 0, 1, 0, 0, 0, 0, 2] | [0, 1, 0, 0, 0, 0, 0, 0]", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 1]", "?d: [1, 1]", "?g: 1 | 2"]),
    row("conv-without-groups", "Conv(x, w){CONV}", "Conv(x, Ungroup(w){group=?g}){strides=?s, pads=?p, dilations=?d, group=1}", &["divides(?g, dim(w, 0))"],
        &["x: 3 ^3", "w: 3", "CONV_1"]),
    row("conv-with-identity", "Conv(x, IdentityKernel{channels=?c, group=?g, kernel_shape=?k}){CONV}", "x",
        &["?s == 1; ?c == dim(x, 1); divides(?g, ?c); @positive(?g); @positive(?k); @centred(?p, ?k, ?d); @length(?k, rank(x) - 2); @length(?s, rank(x) - 2)"],
        &["x: 3 4", "?c: 1 | 2", "?k: [1] | [2] | [3] | [3, 1] | [3, 3] | [1, 2]", "?s: [1] | [2] | [1, 1]",
          "?p: [0, 0] | [1, 1] | [1, 0] | [2, 2] | [0, 0, 0, 0] | [1, 0, 1, 0] | [2, 0, 2, 0] | [1, 1, 1, 1]", "?d: [1] | [2] | [1, 1] | [2, 1]", "?g: 1 | 2"]),
    row("conv-enlarged", "Conv(x, w){CONV}",
        "Conv(x, Enlarge(w){kernel_shape=?k}){strides=?s, pads=[?p[0] + div(?k[0] - dim(w, 2), 2) * ?d[0], ?p[1] + div(?k[1] - dim(w, 3), 2) * ?d[1], ?p[2] + div(?k[0] - dim(w, 2), 2) * ?d[0], ?p[3] + div(?k[1] - dim(w, 3), 2) * ?d[1]], dilations=?d, group=?g}",
        &["rank(w) == 4; rank(x) == 4; @length(?k, 2); dim(w, 2) <= ?k[0]; dim(w, 3) <= ?k[1]; divides(2, ?k[0] - dim(w, 2)); divides(2, ?k[1] - dim(w, 3))"],
        &["x: 4", "w: 4 ^3", "?k: [1, 1] | [3, 1] | [3, 3] | [2, 4]", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 1, 0] | [0, 1, 2, 1]", "?d: [1, 1] | [2, 1]", "?g: 1 | 2"]),
    row("convs-as-groups", "Concat(Conv(x, w){strides=?s, pads=?p, dilations=?d, group=?g}, Conv(u, v){strides=?s, pads=?p, dilations=?d, group=?h}){axis=1}",
        "Conv(Concat(x, u){axis=1}, Concat(w, v){axis=0}){strides=?s, pads=?p, dilations=?d, group=?g + ?h}",
        &["@alike(x, u, 1); @alike(w, v, 0); dim(x, 1) == dim(w, 1) * ?g; dim(u, 1) == dim(v, 1) * ?h; divides(?g, dim(w, 0)); divides(?h, dim(v, 0)); dim(w, 0) * ?h == dim(v, 0) * ?g"],
        &["x: 3", "u: 3", "w: 3", "v: 3", "?s: [1] | [2]", "?p: [0, 0] | [1, 0]", "?d: [1]", "?g: 1 | 2", "?h: 1 | 2"]),
    row("batch-normalisation", "BatchNormalization(x, s, b, m, v){epsilon=?e}",
        "Add(Mul(x, Reshape(Div(s, Sqrt(Add(v, Constant{value_float=?e})))){shape=@column(dim(x, 1), rank(x) - 2)}), Reshape(Sub(b, Mul(m, Div(s, Sqrt(Add(v, Constant{value_float=?e})))))){shape=@column(dim(x, 1), rank(x) - 2)})",
        &["rank(s) == 1; rank(b) == 1; rank(m) == 1; rank(v) == 1; dim(s, 0) == dim(x, 1); dim(b, 0) == dim(x, 1); dim(m, 0) == dim(x, 1); dim(v, 0) == dim(x, 1); 2 <= rank(x)"],
        &["x: 2 3 4", "s: 1", "b: 1", "m: 1", "v: 1", "?e: 0.5"]),
    // Pools.
    row("average-of-pointwise", "$a(Conv(x, w){CONV})", "Conv($a(x), w){CONV}",
        &["rank(x) == 4; ?s == 1; ?p == 0; dim(w, 2) == 1; dim(w, 3) == 1"],
        &["x: 4", "w: 4", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 0]", "?d: [1, 1]", "?g: 1 | 2", AVERAGES]),
    row("picked-then-pointwise", "Conv($k(x), w){CONV}", "Conv(x, w){strides=@faster($k, ?s), pads=?p, dilations=?d, group=?g}",
        &["rank(x) == 4; @picks($k); ?p == 0; dim(w, 2) == 1; dim(w, 3) == 1"],
        &["reals", "x: 4 ^3", "w: 4", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 0]", "?d: [1, 1]", "?g: 1",
          "$k: MaxPool{kernel_shape=[1, 1], strides=[2, 1], pads=[0, 0, 0, 0], dilations=[1, 1]} AveragePool{kernel_shape=[1, 1], strides=[1, 2], pads=[0, 0, 0, 0], dilations=[1, 2]} AveragePool{kernel_shape=[1, 2], strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1]} AveragePool{kernel_shape=[1, 1], strides=[1, 1], pads=[1, 0, 0, 0], dilations=[1, 1]}"]),
    row("average-as-conv", "y:AveragePool(x){kernel_shape=?k, strides=?s, pads=?p, dilations=?d, ceil_mode=0, count_include_pad=?i}",
        "Conv(x, PoolKernel{channels=dim(x, 1), kernel_shape=?k}){strides=?s, pads=?p, dilations=?d, group=dim(x, 1)}",
        &["rank(x) == 4; ?i == 1; @granted(y)", "rank(x) == 4; ?p == 0; @granted(y)"],
        &["x: 4", "?k: [1, 1] | [2, 1] | [2, 2]", "?s: [1, 1] | [2, 1]", "?p: [0, 0, 0, 0] | [1, 0, 0, 0]", "?d: [1, 1] | [1, 2]", "?i: 0 | 1"]),
    row("max-pool-of-relu", "MaxPool(Relu(x)){kernel_shape=?k, strides=?s, pads=?p, dilations=?d, ceil_mode=?c}",
        "Relu(MaxPool(x){kernel_shape=?k, strides=?s, pads=?p, dilations=?d, ceil_mode=?c})", &[],
        &["reals", "x: 3 ^4", "?k: [1] | [2] | [3]", "?s: [1] | [2]", "?p: [0, 0] | [1, 0] | [1, 1]", "?d: [1] | [2]", "?c: 0 | 1"]),
];
