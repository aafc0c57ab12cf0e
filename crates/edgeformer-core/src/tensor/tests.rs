use super::*;
use crate::graph::{GraphBuilder, GraphInput, OutputKind};

fn matrix(rows: usize, columns: usize, first: f32) -> Tensor {
    let values: Vec<f32> = (0..rows * columns).map(|i| first + i as f32).collect();
    Tensor::from_f32([rows, columns], &values).unwrap()
}

fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn tensors_keep_their_values() {
    let tensor = matrix(2, 3, 1.0);
    assert_eq!((tensor.format(), tensor.shape()), (Format::F32, &[2, 3][..]));
    assert_eq!((tensor.elements(), tensor.row_len(), tensor.bytes().len()), (6, 3, 24));
    assert_eq!(tensor.to_f32(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(format!("{tensor:?}"), "f32[2, 3]");

    let quantized = Tensor::quantize(Format::Q8_0, [2, 32], &[0.5; 64]).unwrap();
    assert_eq!(quantized.bytes().len(), 68);
    assert!(quantized.to_f32().iter().all(|value| (value - 0.5).abs() < 1e-3));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let bytes = |len| Bytes::from(vec![0; len]);
    insta::assert_snapshot!(
        refused(Tensor::new(Format::F16, [2, 3], bytes(13))),
        @"format f16: shape [2, 3] takes 12 bytes, there are 13"
    );
    insta::assert_snapshot!(
        refused(Tensor::new(Format::F32, [], bytes(4))),
        @"format f32: a tensor needs at least one dimension"
    );
    insta::assert_snapshot!(
        refused(Tensor::new(Format::F32, [4, 0], bytes(0))),
        @"format f32: shape [4, 0] has a zero dimension"
    );
    insta::assert_snapshot!(
        refused(Tensor::new(Format::Q4_0, [2, 48], bytes(54))),
        @"format q4_0: rows of 48 are not whole blocks of 32"
    );
    insta::assert_snapshot!(
        refused(Tensor::new(Format::F32, [1 << 40, 1 << 40], bytes(4))),
        @"format f32: shape [1099511627776, 1099511627776] overflows"
    );
    insta::assert_snapshot!(
        refused(Tensor::from_f32([2, 2], &[0.0; 3])),
        @"format f32: shape [2, 2] has 4 elements, there are 3 values"
    );
    insta::assert_snapshot!(
        refused(Tensor::from_f32([usize::MAX, 2], &[0.0; 3])),
        @"format f32: shape [18446744073709551615, 2] overflows"
    );
}

#[test]
fn reshaping_keeps_bytes() {
    let tensor = matrix(2, 6, 0.0);
    let reshaped = tensor.reshape([3, 4]).unwrap();
    assert_eq!(reshaped.shape(), [3, 4]);
    assert_eq!(reshaped.bytes().as_ptr(), tensor.bytes().as_ptr());
    assert!(tensor.reshape([3, 5]).is_err());
    let quantized = Tensor::quantize(Format::Q4_0, [2, 32], &[1.0; 64]).unwrap();
    assert!(quantized.reshape([64]).is_ok());
    assert!(quantized.reshape([4, 16]).is_err());
}

#[test]
fn weights_of_one_tensor() {
    let weight = Weight::whole(matrix(2, 3, 0.0));
    assert_eq!((weight.shape(), weight.parts().len(), weight.byte_len()), (&[2, 3][..], 1, 24));
}

#[test]
fn stacked_weights_have_a_dimension_more() {
    let weight = Weight::stacked("w", vec![matrix(2, 3, 0.0), matrix(2, 3, 6.0)]).unwrap();
    assert_eq!(weight.shape(), [2, 2, 3]);
    assert_eq!(weight.byte_len(), 48);
    assert_eq!(weight.to_f32(), matrix(4, 3, 0.0).to_f32());
    insta::assert_snapshot!(
        refused(Weight::stacked("w", vec![])),
        @r#"weight "w": nothing to stack"#
    );
    let uneven = vec![matrix(2, 3, 0.0), matrix(3, 3, 0.0)];
    insta::assert_snapshot!(
        refused(Weight::stacked("w", uneven)),
        @r#"weight "w": the stacked tensors have different shapes"#
    );
}

#[test]
fn concatenated_weights_have_more_rows() {
    let half = Tensor::quantize(Format::F16, [1, 3], &[3.0, 4.0, 5.0]).unwrap();
    let parts = vec![matrix(1, 3, 0.0), half, matrix(2, 3, 6.0)];
    let weight = Weight::concatenated("w", parts).unwrap();
    assert_eq!(weight.shape(), [4, 3]);
    assert_eq!(weight.to_f32(), matrix(4, 3, 0.0).to_f32());

    let biases = [2, 3].map(|len| Tensor::from_f32([len], &vec![1.0; len]).unwrap());
    assert_eq!(Weight::concatenated("b", biases.to_vec()).unwrap().shape(), [5]);

    insta::assert_snapshot!(
        refused(Weight::concatenated("w", vec![])),
        @r#"weight "w": nothing to concatenate"#
    );
    let uneven = vec![matrix(2, 3, 0.0), matrix(2, 4, 0.0)];
    insta::assert_snapshot!(
        refused(Weight::concatenated("w", uneven)),
        @r#"weight "w": the concatenated tensors have different widths"#
    );
}

#[test]
fn weights_must_be_those_of_the_graph() {
    let mut b = GraphBuilder::new("g", GraphInput::Tokens { vocabulary: 4, context: 2 });
    let x = b.embed("table", 3, 1.0).unwrap();
    let graph = b.finish(OutputKind::HiddenStates, x).unwrap();

    let mut weights = Weights::default();
    insta::assert_snapshot!(refused(weights.check(&graph)), @r#"weight "table": is missing"#);
    weights.insert("table", Weight::whole(matrix(3, 4, 0.0)));
    insta::assert_snapshot!(
        refused(weights.check(&graph)),
        @r#"weight "table": has shape [3, 4], the model's family needs [4, 3]"#
    );
    let replaced = weights.insert("table", Weight::whole(matrix(4, 3, 0.0))).unwrap();
    assert_eq!(replaced.shape(), [3, 4]);
    weights.check(&graph).unwrap();
    let names: Vec<_> = weights.iter().map(|(name, _)| name).collect();
    assert_eq!((names, weights.len(), weights.is_empty()), (vec!["table"], 1, false));
}
