//! What is refused and how, and that what is written is read again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use edgeformer_core::{Format, Tensor};
use proptest::prelude::*;

use super::{Dtype, Safetensors, write_safetensors, write_safetensors_to};

/// A file of that header and that many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 1);
    bytes
}

fn open(bytes: &[u8]) -> crate::Result<Safetensors> {
    Safetensors::from_bytes("model.safetensors", Bytes::copy_from_slice(bytes))
}

const A: &str = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

fn bad_files() -> Vec<(&'static str, Vec<u8>)> {
    let of = |fields: &str, data| file(&format!("{{{fields}}}"), data);
    let a = |fields: &str, data| of(&format!(r#""a":{{{fields}}}"#), data);
    let two = |second: &str, data| of(&format!("{A},{second}"), data);
    let long = format!(r#""{}":{{}}"#, "n".repeat(1025));
    vec![
        ("empty", vec![]),
        ("cut in the length", vec![1, 0, 0]),
        ("header past the end", [&900u64.to_le_bytes()[..], b"{}"].concat()),
        ("header length overflows", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("header cut", file("{\"a\":{\"dtype\":\"F3", 0)),
        ("not JSON", file("GGUF", 8)),
        ("a list", file("[1,2]", 8)),
        ("something after the header", file("{} {}", 0)),
        ("nested without end", of(&format!("\"__metadata__\":{{\"a\":{}", "[".repeat(400)), 0)),
        ("metadata that are no map", of("\"__metadata__\":[1]", 0)),
        ("name too long", of(&long, 0)),
        ("field missing", a(r#""dtype":"F32","shape":[2]"#, 8)),
        ("field unknown", a(r#""dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1"#, 8)),
        ("field twice", a(r#""dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]"#, 8)),
        ("dtype unknown", a(r#""dtype":"F4","shape":[2],"data_offsets":[0,1]"#, 1)),
        ("dimension negative", a(r#""dtype":"F32","shape":[-2],"data_offsets":[0,8]"#, 8)),
        ("dimension zero", a(r#""dtype":"F32","shape":[0],"data_offsets":[0,0]"#, 0)),
        (
            "nine dimensions",
            a(r#""dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]"#, 1),
        ),
        (
            "shape overflows",
            a(r#""dtype":"U8","shape":[4294967296,4294967296,2],"data_offsets":[0,0]"#, 0),
        ),
        ("size lies", a(r#""dtype":"F32","shape":[3],"data_offsets":[0,8]"#, 8)),
        ("ends before it begins", a(r#""dtype":"F32","shape":[2],"data_offsets":[8,0]"#, 8)),
        ("offset not a number", a(r#""dtype":"F32","shape":[2],"data_offsets":["0",8]"#, 8)),
        (
            "offset overflows",
            a(
                r#""dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]"#,
                8,
            ),
        ),
        ("data cut", of(A, 7)),
        ("data left over", of(A, 9)),
        ("overlap", two(r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#, 12)),
        ("gap", two(r#""b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}"#, 20)),
        ("twice", two(r#""a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}"#, 16)),
    ]
}

#[test]
fn bad_files_are_refused_with_place_and_remedy() {
    let mut table = String::new();
    for (case, bytes) in bad_files() {
        let error = open(&bytes).expect_err(case).to_string();
        assert!(!error.contains('\n'), "{case}: more than one line");
        table += &format!("{case}\n    {error}\n");
    }
    insta::assert_snapshot!(table);
}

/// Two shards, `one` with tensor `a` and `two` with the tensor of that name.
fn folder(index: &str, second: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensor = Tensor::from_f32([2], &[1.0, 2.0]).expect("fits");
    for (file, name) in [("one.safetensors", "a"), ("two.safetensors", second)] {
        write_safetensors(&folder.path().join(file), &[(name, &tensor)]).expect("written");
    }
    fs::write(folder.path().join(super::INDEX_FILE), index).expect("written");
    folder
}

fn refusal(folder: &Path) -> String {
    let error = Safetensors::open(folder).expect_err("must be refused").to_string();
    error.replace(&*folder.to_string_lossy(), "FOLDER")
}

#[test]
fn bad_folders_are_refused_with_place_and_remedy() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let mut table = format!("nothing there\n    {}\n", refusal(empty.path()));
    let of = |map: &str| format!(r#"{{"metadata":{{"total_size":16}},"weight_map":{map}}}"#);
    let cases = [
        ("not JSON", "{".to_owned(), "b"),
        ("no weight_map", r#"{"metadata":{}}"#.to_owned(), "b"),
        ("weight_map empty", of("{}"), "b"),
        ("weight_map twice", r#"{"weight_map":{},"weight_map":{}}"#.to_owned(), "b"),
        ("file is a number", of(r#"{"a":1}"#), "b"),
        ("shard missing", of(r#"{"a":"three.safetensors"}"#), "b"),
        ("path upwards", of(r#"{"a":"../one.safetensors"}"#), "b"),
        ("path absolute", of(r#"{"a":"/etc/passwd"}"#), "b"),
        ("path into a folder", of(r#"{"a":"x/one.safetensors"}"#), "b"),
        ("folder itself", of(r#"{"a":"."}"#), "b"),
        ("tensor in another shard", of(r#"{"a":"one.safetensors","b":"one.safetensors"}"#), "b"),
        ("tensor in two shards", of(r#"{"a":"one.safetensors","a":"two.safetensors"}"#), "a"),
    ];
    for (case, index, second) in cases {
        let folder = folder(&index, second);
        table += &format!("{case}\n    {}\n", refusal(folder.path()));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_sharded_folder_is_read() {
    let index = r#"{"weight_map":{"b":"two.safetensors","a":"one.safetensors"}}"#;
    let folder = folder(index, "b");
    let file = Safetensors::open(folder.path()).expect("valid");
    assert_eq!(file.names().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(file.tensor("a").expect("is there").to_f32(), [1.0, 2.0]);
    assert!(file.tensor("c").is_none());
}

#[test]
fn integers_are_read_and_floats_are_not() {
    let header = r#"{"ids":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]},
        "small":{"dtype":"I8","shape":[],"data_offsets":[16,17]},
        "big":{"dtype":"U64","shape":[1],"data_offsets":[17,25]},
        "x":{"dtype":"F64","shape":[],"data_offsets":[25,33]}}"#;
    let mut bytes = file(header, 0);
    bytes.extend(7i64.to_le_bytes());
    bytes.extend((-7i64).to_le_bytes());
    bytes.push(0xff);
    bytes.extend(u64::MAX.to_le_bytes());
    bytes.extend(1.5f64.to_le_bytes());
    let file = open(&bytes).expect("valid");
    let ids = file.integers("ids").expect("integers").expect("is there");
    assert_eq!((ids.shape(), ids.to_vec()), (&[1, 2][..], vec![7, -7]));
    assert_eq!(file.integers("small").expect("integers").expect("is there").to_vec(), [-1]);
    assert!(file.integers("absent").expect("no error").is_none());
    assert!(file.tensor("ids").is_none());
    assert_eq!(file.info("small").expect("is there").dtype, Dtype::I8);
    let refused = ["big", "x"].map(|name| file.integers(name).expect_err(name).to_string());
    insta::assert_snapshot!(refused.join("\n"), @r#"
    model.safetensors: tensor "big": must hold integers of at most 64 bits, holds U64
    model.safetensors: tensor "x": must hold integers of at most 64 bits, holds F64
    "#);
}

#[test]
fn the_formats_own_library_reads_what_is_written() {
    let tensor = Tensor::from_f32([2, 1], &[1.5, -2.0]).expect("fits");
    let mut bytes = Vec::new();
    write_safetensors_to(&mut bytes, &[("ß \"x\"", &tensor), ("y", &tensor)]).expect("written");
    let read = safetensors::SafeTensors::deserialize(&bytes).expect("valid");
    let view = read.tensor("ß \"x\"").expect("is there");
    assert_eq!((view.shape(), view.data()), (&[2, 1][..], &tensor.bytes()[..]));
    assert_eq!(read.len(), 2);
}

#[test]
fn quantized_tensors_and_names_given_twice_are_not_written() {
    let quantized = Tensor::new(Format::Q8_0, [32], Bytes::from(vec![0; 34])).expect("fits");
    let float = Tensor::from_f32([1], &[1.0]).expect("fits");
    let mut out = Vec::new();
    let first = write_safetensors_to(&mut out, &[("q", &quantized)]).expect_err("quantized");
    let second =
        write_safetensors_to(&mut out, &[("x", &float), ("x", &float)]).expect_err("twice");
    assert!(out.is_empty());
    insta::assert_snapshot!(format!("{first}\n{second}"), @r#"
    tensor "q": safetensors has no quantized formats, dequantize it first
    tensor "x": the name is taken
    "#);
}

#[test]
fn fixtures_are_read_as_the_formats_own_library_reads_them() {
    let folders = ["fixtures/hf/llama-gqa", "fixtures/hf/bert", "models/stories260k/hf"];
    for folder in folders.iter().filter_map(|folder| edgeformer_conformance::shared(folder)) {
        let file = Safetensors::open(&folder).expect("fixtures are valid");
        let bytes = fs::read(file.path()).expect("readable");
        let reference = safetensors::SafeTensors::deserialize(&bytes).expect("valid");
        assert_eq!(file.names().count(), reference.len());
        for (name, view) in reference.iter() {
            let info = file.info(name).expect("is there");
            assert_eq!((info.shape, info.byte_len), (view.shape(), view.data().len()));
            if let Some(tensor) = file.tensor(name) {
                assert_eq!(&tensor.bytes()[..], view.data());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_again(
        tensors in prop::collection::btree_map(
            "\\PC{0,8}", prop::collection::vec(1usize..4, 1..4), 0..6
        ),
    ) {
        let tensors: BTreeMap<String, Tensor> = tensors
            .into_iter()
            .map(|(name, shape)| {
                let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32).collect();
                (name, Tensor::from_f32(shape, &values).expect("fits"))
            })
            .collect();
        let list: Vec<_> = tensors.iter().map(|(name, tensor)| (&**name, tensor)).collect();
        let mut bytes = Vec::new();
        write_safetensors_to(&mut bytes, &list).expect("written");
        let file = open(&bytes).expect("what is written is valid");
        prop_assert!(file.names().eq(tensors.keys().map(String::as_str)));
        for (name, tensor) in &tensors {
            let read = file.tensor(name).expect("is there");
            prop_assert_eq!((read.shape(), read.bytes()), (tensor.shape(), tensor.bytes()));
        }
    }
}
