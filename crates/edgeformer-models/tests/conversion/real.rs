//! Real models.

use edgeformer_conformance::shared;
use edgeformer_models::checkpoint::{Checkpoint, OutType};
use edgeformer_models::open;
use edgeformer_models::text::AddSpecial;

use super::{RoundTrip, differences};

/// The GGUF file beside the folder was made by another program.
#[test]
fn stories_becomes_the_gguf_beside_it() {
    let Some(folder) = shared("models/stories260k") else { return };
    let made = Checkpoint::open(&folder.join("hf")).unwrap();
    let known = Checkpoint::open(&folder.join("stories260k-f32.gguf")).unwrap();
    assert_eq!(made.tensors.len(), known.tensors.len());
    for tensor in &known.tensors {
        let (a, b) = (made.tensor(tensor.name()).unwrap().load().unwrap(), tensor.load().unwrap());
        assert_eq!((a.format(), a.shape(), a.bytes()), (b.format(), b.shape(), b.bytes()));
    }
    for (key, value) in &known.metadata {
        if !matches!(key.as_str(), "general.name" | "general.license") {
            assert_eq!(made.get(key), Some(value), "{key}");
        }
    }
}

#[test]
fn stories_comes_back_whole() {
    let Some(folder) = shared("models/stories260k/hf") else { return };
    let trip = RoundTrip::of(&folder, OutType::Auto);
    assert_eq!(differences(&folder, &trip.hf), [""; 0]);
    let (before, after) = (open(&folder).unwrap(), open(&trip.hf).unwrap());
    assert_eq!(before.hyper, after.hyper);
    let (before, after) = (before.tokenizer.unwrap(), after.tokenizer.unwrap());
    assert_eq!((before.bos(), before.eos()), (after.bos(), after.eos()));
    for text in ["Once upon a time, there was a", "", " ", "Zoë's 🦙\n\tran.", "a  b   c"] {
        let ids = before.encode(text, AddSpecial::AsModel, true).unwrap();
        assert_eq!(ids, after.encode(text, AddSpecial::AsModel, true).unwrap(), "{text:?}");
        assert_eq!(after.decode(&ids, true).unwrap(), text);
    }
}

#[test]
fn quantized_files_become_folders_of_f16() {
    let Some(file) = shared("models/stories260k/stories260k-q4_0.gguf") else { return };
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("hf");
    let folder = Checkpoint::open(&file).unwrap().to_hf(OutType::Auto).unwrap();
    folder.write(&path, &mut |_, _| Ok(())).unwrap();
    let (before, after) = (open(&file).unwrap(), open(&path).unwrap());
    let down = |model: &edgeformer_models::ModelFile| {
        let weight = model.model.weights.get("blk.0.ffn_down.weight").unwrap();
        (weight.parts()[0].format(), weight.to_f32())
    };
    let ((_, before), (format, after)) = (down(&before), down(&after));
    assert_eq!(format, edgeformer_core::Format::F16);
    for (a, b) in before.into_iter().zip(after) {
        assert!((a - b).abs() <= 1e-3 * a.abs(), "{a} {b}");
    }
}

#[test]
fn a_classifier_keeps_its_labels_and_its_preprocessor() {
    let Some(folder) = shared("models/vit-tiny-imagenet") else { return };
    let trip = RoundTrip::of(&folder, OutType::Auto);
    assert_eq!(differences(&folder, &trip.hf), [""; 0]);
    let before = open(&folder).unwrap();
    for path in [&trip.gguf, &trip.hf] {
        let after = open(path).unwrap();
        assert_eq!(before.labels, after.labels);
        assert_eq!(before.preprocessor, after.preprocessor);
        assert_eq!(before.hyper, after.hyper);
    }
}
