//! What is refused and how, and that what is written is read again.

use bytes::Bytes;
use edgeformer_core::{Format, Tensor};
use proptest::prelude::*;

use super::{Gguf, GgufWriter, Metadata, MetadataArray, MetadataValue};

fn open(bytes: &[u8]) -> crate::Result<Gguf> {
    Gguf::from_bytes("model.gguf", Bytes::copy_from_slice(bytes))
}

/// A file field by field.
#[derive(Clone)]
struct Raw(Vec<u8>);

impl Raw {
    fn new(version: u32, tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(version).u64(tensors).u64(keys)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn str(self, text: &str) -> Self {
        self.u64(text.len() as u64).bytes(text.as_bytes())
    }

    fn key(self, key: &str, value_type: u32) -> Self {
        self.str(key).u32(value_type)
    }

    /// The entry of a tensor: dimensions innermost first.
    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let entry = self.str(name).u32(dims.len() as u32);
        dims.iter().fold(entry, |entry, dim| entry.u64(*dim)).u32(kind).u64(offset)
    }

    /// Zeros to the next multiple of 32, then as many as the data take.
    fn data(mut self, len: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(32) + len, 0);
        self
    }
}

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

fn no_keys() -> Raw {
    Raw::new(3, 0, 1)
}

fn one_tensor() -> Raw {
    Raw::new(3, 1, 0)
}

fn arrays_in_arrays(depth: usize) -> Raw {
    let nested = (0..depth).fold(no_keys().key("a", ARRAY), |raw, _| raw.u32(ARRAY).u64(1));
    nested.u32(U32).u64(1).u32(7)
}

fn bad_files() -> Vec<(&'static str, Raw)> {
    let two_tensors = |first, second| {
        Raw::new(3, 2, 0).tensor("a", &[8, 4], 0, first).tensor("b", &[8], 0, second).data(256)
    };
    vec![
        ("empty", Raw(Vec::new())),
        ("another format", Raw(b"PK\x03\x04 and so on".to_vec())),
        ("an older format", Raw(b"ggjt and so on".to_vec())),
        ("magic alone", Raw(b"GGUF".to_vec())),
        ("version 1", Raw::new(1, 0, 0)),
        ("version 4", Raw::new(4, 0, 0)),
        ("big-endian", Raw::new(3u32.swap_bytes(), 0, 0)),
        ("header cut", Raw(Raw::new(3, 0, 0).0[..20].to_vec())),
        ("count of tensors", Raw::new(3, u64::MAX, 0).data(64)),
        ("count of keys", Raw::new(3, 0, 1 << 40).data(64)),
        ("keys leave no room for tensors", Raw::new(3, 3, 1).key("k", STRING).str(&"x".repeat(99))),
        ("key empty", no_keys().key("", U32).u32(1)),
        ("key too long", no_keys().key(&"k".repeat(70_000), U32).u32(1)),
        ("key past the end", no_keys().u64(900).bytes(&[b'k'; 20])),
        ("key length overflows", no_keys().u64(u64::MAX).bytes(&[b'k'; 20])),
        ("key not UTF-8", no_keys().u64(2).bytes(&[b'k', 0xff]).u32(U32).u32(1)),
        ("key twice", Raw::new(3, 0, 2).key("k", U32).u32(1).key("k", U32).u32(2)),
        ("value type unknown", no_keys().key("k", 13).u32(1)),
        ("value type negative", no_keys().key("k", u32::MAX).u32(1)),
        ("value cut", no_keys().key("k", 10).u32(1)),
        ("bool of 2", no_keys().key("k", 7).bytes(&[2])),
        ("string past the end", no_keys().key("k", STRING).u64(50).bytes(b"short")),
        ("string not UTF-8", no_keys().key("k", STRING).u64(3).bytes(&[b'a', 0xc3, b'a'])),
        ("array past the end", no_keys().key("k", ARRAY).u32(U32).u64(1 << 62).u32(0)),
        ("array of strings cut", no_keys().key("k", ARRAY).u32(STRING).u64(2).str("a").u64(9)),
        ("arrays without end", arrays_in_arrays(9)),
        ("alignment of 48", no_keys().key("general.alignment", U32).u32(48)),
        ("alignment of 0", no_keys().key("general.alignment", U32).u32(0)),
        ("alignment as a string", no_keys().key("general.alignment", STRING).str("32")),
        ("tensor name empty", one_tensor().tensor("", &[8], 0, 0).data(32)),
        ("tensor name too long", one_tensor().tensor(&"n".repeat(65), &[8], 0, 0).data(32)),
        (
            "tensor entry cut",
            Raw(one_tensor().tensor("attention.long", &[8, 4], 0, 0).0[..60].into()),
        ),
        (
            "tensor twice",
            Raw::new(3, 2, 0).tensor("a", &[8], 0, 0).tensor("a", &[8], 0, 32).data(64),
        ),
        ("no dimensions", one_tensor().tensor("a", &[], 0, 0).data(32)),
        ("five dimensions", one_tensor().tensor("a", &[1, 1, 1, 1, 1], 0, 0).data(32)),
        ("zero dimension", one_tensor().tensor("a", &[8, 0], 0, 0).data(32)),
        ("dimensions overflow", one_tensor().tensor("a", &[1 << 40, 1 << 40], 0, 0).data(32)),
        ("rows that are no blocks", one_tensor().tensor("a", &[33], 2, 0).data(32)),
        ("type this crate does not read", one_tensor().tensor("a", &[32], 39, 0).data(32)),
        ("type removed", one_tensor().tensor("a", &[32], 4, 0).data(32)),
        ("type negative", one_tensor().tensor("a", &[32], u32::MAX, 0).data(32)),
        ("offset misaligned", one_tensor().tensor("a", &[8], 0, 8).data(64)),
        ("offset outside", one_tensor().tensor("a", &[8], 0, 1 << 20).data(64)),
        ("offset overflows", one_tensor().tensor("a", &[8], 0, u64::MAX - 31).data(64)),
        ("data cut", one_tensor().tensor("a", &[8, 8], 0, 0).data(255)),
        ("data missing", one_tensor().tensor("a", &[8, 8], 0, 0)),
        ("data overlap", two_tensors(0, 96)),
        ("data in the same place", two_tensors(0, 0)),
    ]
}

#[test]
fn bad_files_are_refused_with_place_and_remedy() {
    let mut table = String::new();
    for (case, Raw(bytes)) in bad_files() {
        let error = open(&bytes).expect_err(case).to_string();
        assert!(!error.contains('\n'), "{case}: more than one line");
        table += &format!("{case}\n    {error}\n");
    }
    insta::assert_snapshot!(table);
}

#[test]
fn every_beginning_of_a_file_is_refused() {
    let whole = sample().written();
    let end =
        open(&whole).expect("the sample is valid").tensors().last().expect("has one").range().end;
    for len in 0..end {
        assert!(open(&whole[..len]).is_err(), "{len} of {end} bytes are taken for a file");
    }
    open(&whole[..end]).expect("padding after the last tensor may be absent");
}

#[test]
fn wrong_types_are_refused_with_the_key() {
    let mut writer = GgufWriter::new();
    writer
        .metadata("a.count", -3i32)
        .metadata("a.eps", f32::NAN)
        .metadata("a.name", "llama\nsecond line")
        .metadata("a.names", MetadataArray::strings(["x", "y"]))
        .metadata("a.big", &[1u64 << 40][..])
        .metadata("a.bytes", &[1u8, 2][..]);
    let file = open(&writer.written()).expect("valid");
    let metadata = file.metadata();
    let errors = [
        metadata.u32("a.count").map(drop),
        metadata.usize("a.name").map(drop),
        metadata.f32("a.eps").map(drop),
        metadata.f32("a.count").map(drop),
        metadata.bool("a.count").map(drop),
        metadata.str("a.names").map(drop),
        metadata.str_array("a.name").map(drop),
        metadata.str_array("a.big").map(drop),
        metadata.u32_array("a.big").map(drop),
        metadata.u32_array("a.bytes").map(drop),
        metadata.f32_array("a.names").map(drop),
        metadata.need("a.absent", Metadata::usize).map(drop),
    ];
    let lines = errors.map(|error| error.expect_err("must be refused").to_string());
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn typed_values_are_read() {
    let file = open(&sample().written()).expect("valid");
    let metadata = file.metadata();
    assert_eq!(metadata.str("general.architecture").expect("a string"), Some("llama"));
    assert_eq!(metadata.need("llama.block_count", Metadata::usize).expect("an integer"), 2);
    assert_eq!(metadata.f32("llama.eps").expect("a float"), Some(1e-5));
    assert_eq!(metadata.bool("llama.parallel").expect("a bool"), Some(true));
    assert_eq!(metadata.u32("absent").expect("nothing"), None);
    let tokens = metadata.str_array("tokens").expect("strings").expect("is there");
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens.collect::<Vec<_>>(), ["a", "", "ß"]);
    assert_eq!(metadata.i32_array("types").expect("integers"), Some(vec![1, -1]));
    assert_eq!(metadata.f32_array("scores").expect("floats"), Some(vec![0.5]));
    assert_eq!(metadata.bool_array("windows").expect("bools"), Some(vec![true, false]));
}

#[test]
fn arrays_nest_as_deep_as_allowed() {
    let Raw(bytes) = arrays_in_arrays(3);
    let file = open(&bytes).expect("four levels are allowed");
    let mut value = file.metadata().get("a").expect("is there");
    for _ in 0..4 {
        let array = value.as_array().expect("an array").clone();
        value = array.into_values().expect("of a file").next().expect("one value");
    }
    assert_eq!(value, MetadataValue::U32(7));
}

#[test]
fn dimensions_are_reversed_and_data_are_slices() {
    let bytes = Bytes::from(sample().written());
    let file = Gguf::from_bytes("model.gguf", bytes.clone()).expect("valid");
    let info = file.info("blk.0.attn_q.weight").expect("is there");
    assert_eq!((info.shape(), info.format()), (&[2, 32][..], Format::Q8_0));
    let tensor = file.tensor("blk.0.attn_q.weight").expect("is there");
    assert_eq!(tensor.bytes().as_ptr(), bytes[info.range()].as_ptr());
    assert!(file.tensor("blk.1.attn_q.weight").is_none());
}

#[test]
fn version_2_is_read() {
    let mut bytes = sample().written();
    bytes[4] = 2;
    assert_eq!(open(&bytes).expect("valid").version(), 2);
}

#[test]
fn mistakes_of_the_writer_are_told_before_anything_is_written() {
    let tensor = Tensor::from_f32([2], &[1.0, 2.0]).expect("fits");
    let cases: [fn(&mut GgufWriter<'_>, &Tensor); 6] = [
        |writer, _| _ = writer.metadata("a", 1u32).metadata("a", 2u32),
        |writer, tensor| _ = writer.tensor("t", tensor).tensor("t", tensor),
        |writer, tensor| _ = writer.tensor("n".repeat(65), tensor),
        |writer, _| _ = writer.metadata("general.alignment", 24u32),
        |writer, _| _ = writer.generated("t", Format::Q4_0, [33], |_| Ok(())),
        |writer, _| _ = writer.generated("t", Format::F32, [1, 1, 1, 1, 1], |_| Ok(())),
    ];
    let lines = cases.map(|mistake| {
        let mut writer = GgufWriter::new();
        mistake(&mut writer, &tensor);
        let mut out = Vec::new();
        let error = writer.write_to(&mut out).expect_err("must be refused");
        assert!(out.is_empty());
        error.to_string()
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn generated_data_must_be_whole() {
    let mut writer = GgufWriter::new();
    writer.generated("t", Format::F32, [2], |out| out.write_all(&[0; 7]));
    let error = writer.write_to(&mut Vec::new()).expect_err("a byte is missing").to_string();
    insta::assert_snapshot!(error, @r#"tensor "t": 7 of its 8 bytes were given"#);
    let mut writer = GgufWriter::new();
    writer.generated("t", Format::F32, [2], |out| out.write_all(&[0; 8]));
    assert!(open(&writer.written()).expect("valid").tensor("t").is_some());
}

/// A disk or pipe that takes so many bytes and no more.
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 && !bytes.is_empty() {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_wherever_it_fills() {
    let writer = sample();
    let len = writer.written().len();
    for room in 0..len {
        let error = writer.write_to(&mut Full(room)).expect_err("must be told");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "room for {room} bytes");
    }
    writer.write_to(&mut Full(len)).expect("fits exactly");
}

#[test]
fn a_failed_file_is_not_left_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.gguf");
    let mut writer = sample();
    writer.generated("late", Format::F32, [2], |_| Err(std::io::ErrorKind::BrokenPipe.into()));
    let error = writer.write_file(&path).expect_err("must be told").to_string();
    assert!(error.contains("model.gguf"), "{error}");
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
    sample().write_file(&path).expect("written");
    assert_same(&Gguf::open(&path).expect("valid"), &open(&sample().written()).expect("valid"));
}

fn sample() -> GgufWriter<'static> {
    let values: Vec<f32> = (0..64).map(|i| i as f32 / 64.0).collect();
    let bytes = Bytes::from(vec![7; 2 * 34]);
    let quantized = Tensor::new(Format::Q8_0, [2, 32], bytes).expect("fits");
    let mut writer = GgufWriter::new();
    writer
        .metadata("general.architecture", "llama")
        .metadata("llama.block_count", 2u32)
        .metadata("llama.eps", 1e-5f32)
        .metadata("llama.parallel", true)
        .metadata("tokens", MetadataArray::strings(["a", "", "ß"]))
        .metadata("types", &[1i32, -1][..])
        .metadata("scores", &[0.5f32][..])
        .metadata("windows", MetadataArray::bools([true, false]))
        .tensor("token_embd.weight", &Tensor::from_f32([4, 16], &values).expect("fits"))
        .tensor("blk.0.attn_q.weight", &quantized);
    writer
}

impl GgufWriter<'_> {
    fn written(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).expect("a Vec takes everything");
        assert_eq!(bytes.len() as u64, self.file_len().expect("it was written"));
        bytes
    }
}

/// The same file, by way of everything that a reader gives and a writer takes.
fn rewritten(file: &Gguf) -> Vec<u8> {
    let mut writer = GgufWriter::new();
    for (key, value) in file.metadata().iter() {
        writer.metadata(key, value);
    }
    for info in file.tensors() {
        writer.tensor(info.name(), &file.tensor(info.name()).expect("is listed"));
    }
    writer.written()
}

fn assert_same(a: &Gguf, b: &Gguf) {
    assert_eq!(a.alignment(), b.alignment());
    assert!(a.metadata().iter().eq(b.metadata().iter()), "{}: metadata differ", a.path().display());
    let described = |file: &Gguf| -> Vec<_> {
        file.tensors()
            .map(|info| (info.name().to_owned(), info.format(), info.shape().to_vec()))
            .collect()
    };
    assert_eq!(described(a), described(b));
    for info in a.tensors() {
        let bytes = |file: &Gguf| file.tensor(info.name()).expect("is listed").bytes().clone();
        assert_eq!(bytes(a), bytes(b), "{}: {}", a.path().display(), info.name());
    }
}

#[test]
fn fixtures_are_rewritten_the_same() {
    let folders = ["fixtures/gguf-blocks", "fixtures/tokenizers-gguf", "models/stories260k"];
    for folder in folders.iter().filter_map(|folder| edgeformer_conformance::shared(folder)) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "gguf") {
                continue;
            }
            let file = Gguf::open(&path).expect("fixtures are valid");
            let again = rewritten(&file);
            assert_same(&file, &open(&again).expect("what is written is valid"));
            assert_eq!(again, rewritten(&open(&again).expect("valid")));
        }
    }
}

fn any_value() -> impl Strategy<Value = MetadataValue<'static>> {
    let finite = any::<f32>().prop_filter("NaN is not equal to itself", |x| !x.is_nan());
    prop_oneof![
        any::<u8>().prop_map_into(),
        any::<i8>().prop_map_into(),
        any::<u16>().prop_map_into(),
        any::<i16>().prop_map_into(),
        any::<u32>().prop_map_into(),
        any::<i32>().prop_map_into(),
        any::<u64>().prop_map_into(),
        any::<i64>().prop_map_into(),
        any::<bool>().prop_map_into(),
        finite.clone().prop_map_into(),
        finite.prop_map(|x| f64::from(x).into()),
        any::<String>().prop_map_into(),
        any_array().prop_map_into(),
    ]
}

fn any_array() -> impl Strategy<Value = MetadataArray<'static>> {
    let flat = prop_oneof![
        prop::collection::vec(any::<String>(), 0..9).prop_map(MetadataArray::strings),
        prop::collection::vec(any::<bool>(), 0..9).prop_map(MetadataArray::bools),
        prop::collection::vec(any::<i32>(), 0..9).prop_map(|x| (&x[..]).into()),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|x| (&x[..]).into()),
        prop::collection::vec(any::<f64>(), 0..9).prop_map(|x| (&x[..]).into()),
    ];
    flat.prop_recursive(3, 16, 3, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(MetadataArray::nested)
    })
}

fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = (prop::collection::vec(1usize..4, 0..3), 1usize..3);
    (prop::sample::select(&Format::ALL[..]), shape, any::<u8>()).prop_map(
        |(format, (mut shape, blocks), first)| {
            shape.push(blocks * format.block_len());
            let len = format.tensor_bytes(&shape).expect("whole blocks");
            let bytes: Vec<u8> = (0..len).map(|i| first.wrapping_add(i as u8)).collect();
            Tensor::new(format, shape, bytes.into()).expect("fits")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_again(
        metadata in prop::collection::btree_map("[a-z.]{1,12}", any_value(), 0..8),
        tensors in prop::collection::vec(any_tensor(), 0..6),
        alignment in prop::option::of(0u32..9),
        backwards in any::<bool>(),
    ) {
        let mut metadata: Vec<_> = metadata.into_iter().collect();
        if let Some(shift) = alignment {
            metadata.push((super::ALIGNMENT_KEY.into(), (1u32 << shift).into()));
        }
        if backwards {
            metadata.reverse();
        }
        let mut writer = GgufWriter::new();
        for (key, value) in &metadata {
            writer.metadata(&**key, value.clone());
        }
        for (i, tensor) in tensors.iter().enumerate() {
            writer.tensor(format!("t{}", tensors.len() - i), tensor);
        }
        let written = writer.written();
        let file = open(&written).expect("what is written is valid");
        let read: Vec<_> = file.metadata().iter().map(|(key, value)| (key.to_owned(), value)).collect();
        prop_assert_eq!(&read, &metadata);
        for (i, (tensor, info)) in tensors.iter().zip(file.tensors()).enumerate() {
            prop_assert_eq!(info.name(), format!("t{}", tensors.len() - i));
            prop_assert!(info.range().start.is_multiple_of(file.alignment()));
            let read = file.tensor(info.name()).expect("is listed");
            prop_assert_eq!(
                (read.format(), read.shape(), read.bytes()),
                (tensor.format(), tensor.shape(), tensor.bytes())
            );
        }
        prop_assert_eq!(rewritten(&file), written);
    }
}
