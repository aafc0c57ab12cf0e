//! Models that tell classes learn from arrays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::Path;

use edgeformer_conformance::shared;
use edgeformer_models::preprocessor::Preprocessor;
use edgeformer_train::finetune::{Finetuned, Method, Request, finetune};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// Images of one colour a class, as arrays, and their classes.
fn write(path: &Path, classes: &[i64], side: usize) {
    let image = |&class: &i64| vec![class as f32 / 10.0; 3 * side * side];
    let inputs: Vec<u8> =
        classes.iter().flat_map(image).flat_map(|value| value.to_le_bytes()).collect();
    let labels: Vec<u8> = classes.iter().flat_map(|class| class.to_le_bytes()).collect();
    let views = [
        ("inputs", TensorView::new(Dtype::F32, vec![classes.len(), 3, side, side], &inputs)),
        ("labels", TensorView::new(Dtype::I64, vec![classes.len()], &labels)),
    ];
    let views = views.map(|(name, view)| (name, view.unwrap()));
    serialize_to_file(views, None, path).unwrap();
}

fn learn(data: &Path, to: &Path) -> Option<Result<Finetuned, String>> {
    let model = shared("fixtures/hf/vit")?;
    let request = Request {
        steps: Some(30),
        validation_share: 0.25,
        learning_rate: Some(2e-3),
        ..Request::new(model, data.to_owned(), to.to_owned(), Method::Full)
    };
    let no_images = |_: &Path, _: &Preprocessor| Err("there are none".to_owned());
    let done = finetune(&request, &no_images, &mut |_, _| ControlFlow::Continue(()));
    Some(done.map_err(|error| error.to_string()))
}

#[test]
fn arrays_are_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("arrays.safetensors");
    write(&data, &[0, 9, 0, 9, 4, 0, 9, 4], 32);
    let Some(done) = learn(&data, &folder.path().join("run")) else { return };
    let done = done.unwrap();
    assert!(done.last_loss < done.first_loss.map(|loss| 0.5 * loss), "{done:?}");
    assert_eq!(done.validation, 2);
    let told = done.best_accuracy.map(|share| 2.0 * share);
    assert!(told.is_some_and(|told| [0.0, 1.0, 2.0].contains(&told)), "{done:?}");
}

#[test]
fn what_the_model_does_not_know_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("arrays.safetensors");
    let refusal = |classes: &[i64], side: usize| {
        write(&data, classes, side);
        learn(&data, &folder.path().join("run")).map(Result::unwrap_err)
    };
    let Some(error) = refusal(&[1, 10], 32) else { return };
    assert!(
        error.contains("example 1: class 10 is none of the model's, which are 0 to 9"),
        "{error}"
    );
    let error = refusal(&[1, 2], 16).unwrap();
    assert!(error.contains("[3, 16, 16], the model takes [3, 32, 32]"), "{error}");
}
