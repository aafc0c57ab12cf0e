//! Files of a great many small things, where what a reader keeps of each could outgrow the file.

use bytes::Bytes;
use edgeformer_core::Tensor;
use edgeformer_models::gguf::{Gguf, GgufWriter, Metadata, MetadataArray};
use edgeformer_models::safetensors::Safetensors;

use crate::SLACK;
use crate::allocator::peak_of;

/// Things in a file.
const CROWD: usize = 50_000;

/// Reads a file and holds what was read, within twice the file.
fn assert_bounded<T>(file: Vec<u8>, read: impl FnOnce(Bytes) -> T) {
    let allowed = 2 * file.len() + SLACK;
    let file = Bytes::from(file);
    let (_held, peak) = peak_of(|| read(file.clone()));
    assert!(peak <= allowed, "{} bytes of file make a reader hold {peak}", file.len());
}

fn open_gguf(writer: &GgufWriter<'_>, read: impl FnOnce(&Metadata)) {
    let mut file = Vec::new();
    writer.write_to(&mut file).expect("a Vec takes everything");
    assert_bounded(file, |file| {
        let file = Gguf::from_bytes("model.gguf", file).expect("valid");
        read(file.metadata());
        file
    });
}

#[test]
fn gguf_keys() {
    let mut writer = GgufWriter::new();
    for i in 0..CROWD {
        writer.metadata(format!("{i:x}"), 1u8);
    }
    open_gguf(&writer, |metadata| assert_eq!(metadata.u32("a").expect("an integer"), Some(1)));
}

#[test]
fn gguf_tensors() {
    let one = Tensor::from_f32([1], &[1.0]).expect("fits");
    let mut writer = GgufWriter::new();
    writer.metadata("general.alignment", 1u32);
    for i in 0..CROWD {
        writer.tensor(format!("{i:x}"), &one);
    }
    open_gguf(&writer, |_| ());
}

#[test]
fn gguf_values() {
    let mut writer = GgufWriter::new();
    writer.metadata("words", MetadataArray::strings(std::iter::repeat_n("", CROWD)));
    writer.metadata("numbers", &vec![1i16; CROWD][..]);
    writer.metadata("bytes", &vec![1u8; CROWD][..]);
    let empty = MetadataArray::strings::<&str>([]);
    writer.metadata("nested", MetadataArray::nested(vec![empty; CROWD]));
    open_gguf(&writer, |metadata| {
        assert_eq!(metadata.str_array("words").expect("strings").map(Iterator::count), Some(CROWD));
        assert_eq!(
            metadata.u32_array("numbers").expect("numbers").map(|all| all.len()),
            Some(CROWD)
        );
        metadata.u32_array("bytes").expect_err("would grow fourfold");
        metadata.array("nested").expect("arrays").expect("is there").iter().for_each(drop);
    });
}

/// A safetensors file of that header.
fn headed(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

#[test]
fn safetensors_tensors() {
    let shapes = ["[]", "[1]", "[1,1,1,1,1,1,1,1]"];
    for shape in shapes {
        let entry = |i| {
            format!(r#""{i:x}":{{"dtype":"U8","shape":{shape},"data_offsets":[{i},{}]}}"#, i + 1)
        };
        let header: Vec<_> = (0..CROWD).map(entry).collect();
        assert_bounded(headed(&format!("{{{}}}", header.join(",")), CROWD), |file| {
            Safetensors::from_bytes("model.safetensors", file).expect("valid")
        });
    }
}

#[test]
fn safetensors_text() {
    let long = "\\u00e4".repeat(CROWD);
    let metadata = format!(r#"{{"__metadata__":{{"{long}":"{long}"}}}}"#);
    assert_bounded(headed(&metadata, 0), |file| Safetensors::from_bytes("x", file).expect("valid"));
    for bad in [
        format!(r#"{{"{long}":{{}}}}"#),
        format!(r#"{{"a":{{"{long}":1}}}}"#),
        format!(r#"{{"a":{{"dtype":"{long}"}}}}"#),
        format!(r#"{{"a":{{"shape":"{long}"}}}}"#),
        format!(r#"{{"a":{{"shape":[{}1]}}}}"#, "1,".repeat(CROWD)),
        format!("{{\"a\":{}", "[".repeat(CROWD)),
    ] {
        assert_bounded(headed(&bad, 0), |file| {
            let error = Safetensors::from_bytes("x", file).expect_err("is damaged").to_string();
            assert!(error.len() < 1000);
        });
    }
}

#[test]
fn safetensors_index_names() {
    let names: Vec<_> = (0..CROWD).map(|i| format!(r#""{i:x}":"{i:x}""#)).collect();
    let index = format!(r#"{{"weight_map":{{{}}}}}"#, names.join(","));
    assert_bounded(index.into_bytes(), |index| {
        let absent = |_: &str| Err(edgeformer_models::Error::Text("is absent".into()));
        Safetensors::from_index("index", &index, absent).expect_err("no shard is there")
    });
}

#[test]
fn configuration_values() {
    const SLACK: usize = 3 << 20;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = |i| format!("\"{i:x}\":0");
    let keys = |count: usize| (0..count).map(key).collect::<Vec<_>>().join(",");
    let texts = [
        format!("{{\"a\":[{}1]}}", "1,".repeat(20 * CROWD)),
        format!("{{\"a\":[{}[]]}}", "[],".repeat(20 * CROWD)),
        format!("{{\"a\":[{}1]}}", "1,".repeat(CROWD / 4)),
        format!("{{{}}}", keys(CROWD / 4)),
        format!("{{{}}}", keys(4 * CROWD)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(20 * CROWD)),
    ];
    for text in texts {
        std::fs::write(folder.path().join("config.json"), &text).expect("written");
        let open = || edgeformer_models::open(folder.path()).expect_err("no model is there");
        let (error, peak) = peak_of(open);
        assert!(peak <= 2 * text.len() + SLACK, "{} bytes: {peak}: {error}", text.len());
    }
}
