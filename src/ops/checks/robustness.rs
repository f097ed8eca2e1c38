//! No operands and no attributes make inference panic, whatever they are.

use proptest::prelude::*;

use super::*;
use crate::graph::Attrs;

/// Numbers that files hold: small ones, and those at which arithmetic overflows.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => -3i64..10,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
        1 => Just(i64::MIN + 1),
        1 => Just(1i64 << 32),
        1 => Just(i64::from(i32::MAX)),
        1 => any::<i64>(),
    ]
}

fn dim() -> impl Strategy<Value = Dim> {
    prop_oneof![
        5 => (0i64..6).prop_map(Dim::Known),
        1 => number().prop_map(Dim::Known),
        2 => "[nm]".prop_map(|name| Dim::symbol(&name)),
        1 => ("[nm]", number()).prop_map(|(name, k)| Dim::symbol(&name).mul(&Dim::Known(2)).add(&Dim::Known(k))),
    ]
}

fn any_facts() -> impl Strategy<Value = Option<Facts>> {
    let dtype =
        prop_oneof![4 => Just(DType::F32), 3 => Just(DType::I64), 1 => Just(DType::Bool), 1 => Just(DType::String)];
    let ty = (dtype, prop::collection::vec(dim(), 0..6)).prop_map(|(dtype, shape)| TensorType::new(dtype, shape));
    let known = (ty, prop::option::of(prop::collection::vec(dim(), 0..9)));
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Facts::default())),
        // A partial value need not even fit its type.
        9 => known.prop_map(|(ty, elements)| Some(Facts { ty: Some(ty), elements: elements.map(Into::into) })),
        4 => prop::collection::vec(dim(), 0..5).prop_map(|elements| {
            let ty = TensorType::known(DType::I64, &[elements.len() as i64]);
            Some(Facts { ty: Some(ty), elements: Some(elements.into()) })
        }),
    ]
}

fn value(ty: AttrType, name: &'static str) -> BoxedStrategy<Attr> {
    let float = prop_oneof![
        4 => -2f32..4.0,
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(0.5f32),
        1 => Just(2.0f32),
        1 => Just(f32::MIN_POSITIVE),
    ];
    let text = match name {
        "auto_pad" => "NOTSET|VALID|SAME_UPPER|SAME_LOWER|x",
        "mode" => "constant|reflect|edge|wrap|nearest|linear|DCR|CRD|x",
        "coordinate_transformation_mode" => "half_pixel|align_corners|asymmetric|x",
        "equation" => "[ij.,>-]{0,9}|ij,jk->ik|\\.\\.\\.i,\\.\\.\\.i->\\.\\.\\.|ii->i|i,ij",
        _ => "[a-z]{0,6}",
    };
    match ty {
        AttrType::Int => number().prop_map(Attr::Int).boxed(),
        AttrType::Float | AttrType::Number => float.prop_map(Attr::Float).boxed(),
        AttrType::Str => text.prop_map(|s: String| Attr::str(&s)).boxed(),
        AttrType::Ints => prop::collection::vec(number(), 0..6).prop_map(|v| Attr::Ints(v.into())).boxed(),
        AttrType::Floats => prop::collection::vec(float, 0..5).prop_map(|v| Attr::Floats(v.into())).boxed(),
        AttrType::Strs => Just(Attr::Strs([].into())).boxed(),
    }
}

/// An operator with each attribute at its default, absent, or anything of its type.
fn application(kind: OpKind) -> BoxedStrategy<Op> {
    let mut attrs: BoxedStrategy<Vec<(&'static str, Attr)>> = Just(Vec::new()).boxed();
    for spec in schema(kind).attrs {
        let drawn = value(spec.default.ty(), spec.name).prop_map(Some);
        let given = prop_oneof![2 => Just(spec.default.value()), 3 => drawn];
        attrs = (attrs, given)
            .prop_map(|(mut attrs, value)| {
                attrs.extend(value.map(|value| (spec.name, value)));
                attrs
            })
            .boxed();
    }
    attrs.prop_map(move |attrs| Op::Apply(kind, Attrs::new(attrs))).boxed()
}

#[test]
fn inference_never_panics() {
    let kinds = prop::sample::select(OpKind::ALL);
    let cases = kinds.prop_flat_map(|kind| (application(kind), prop::collection::vec(any_facts(), 0..5), 0usize..4));
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        ProptestConfig { cases: 30_000, failure_persistence: None, ..ProptestConfig::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let tested = runner.run(&cases, |(op, inputs, outputs)| {
        let inputs: Vec<Option<&Facts>> = inputs.iter().map(Option::as_ref).collect();
        if let Ok(inferred) = infer(&op, &inputs, outputs) {
            prop_assert_eq!(inferred.len(), outputs);
            let types: Vec<TensorType> = inferred.into_iter().filter_map(|facts| facts.ty).collect();
            let input_types: Vec<Option<&TensorType>> = inputs.iter().map(|i| i.and_then(|f| f.ty.as_ref())).collect();
            let work = work(&op, &input_types, &types);
            prop_assert!(!work.flops.is_nan() && !work.bytes.is_nan(), "{:?}", work);
        }
        Ok(())
    });
    tested.unwrap_or_else(|e| panic!("{e}"));
}
