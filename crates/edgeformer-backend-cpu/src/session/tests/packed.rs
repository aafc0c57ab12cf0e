//! Weights packed ahead: the same bits with the file as without, and nothing but this file.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use edgeformer_core::{Backing, FileStamp, PackedFile, PackedUse, Weight};
use memmap2::MmapMut;

use super::models::{Parts, decoder};
use super::*;
use crate::kernels::{Isa, Kernels};

/// Where the panels begin.
const PANELS: usize = 2 << 20;

/// Whether this machine's kernels have panels at all; plain ones do not.
fn packs() -> bool {
    let packs = Kernels::for_isa(Isa::best()).packed(edgeformer_core::Format::Q8_0, 64).is_some();
    if !packs {
        eprintln!("skipped: the kernels of this machine have no panels");
    }
    packs
}

fn backend() -> CpuBackend {
    CpuBackend::new(&CpuOptions::default()).unwrap()
}

fn with(packed: Option<PackedFile>) -> CompileOptions {
    CompileOptions { threads: Some(2), packed, ..CompileOptions::default() }
}

fn written(model: &Model) -> Vec<u8> {
    let mut file = Vec::new();
    let told = Mutex::new(Vec::new());
    let progress = |done, all| {
        told.lock().unwrap().push((done, all));
        Ok(())
    };
    let summary = backend().write_packed(model, &with(None), &mut file, &progress).unwrap();
    assert_eq!(summary.bytes, file.len() as u64);
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted() && told.len() >= summary.tensors);
    assert!(told.last().is_some_and(|(done, all)| done == all));
    file
}

/// A file as it would be mapped: it begins with a page.
fn mapped(bytes: &[u8]) -> PackedFile {
    let mut memory = MmapMut::map_anon(bytes.len().max(1)).unwrap();
    memory[..bytes.len()].copy_from_slice(bytes);
    let memory = Bytes::from_owner(memory.make_read_only().unwrap());
    PackedFile::new("model.packed", memory.slice(..bytes.len()))
}

fn checked(model: &Model, file: &[u8], all: bool) -> PackedUse {
    backend().check_packed(model, &with(Some(mapped(file))), all).unwrap()
}

fn is_mapped(used: &PackedUse) -> bool {
    matches!(used, PackedUse::Mapped(tensors) if *tensors > 0)
}

fn refused(model: &Model, file: &[u8]) -> String {
    match checked(model, file, false) {
        PackedUse::Refused(problem) => problem,
        used => panic!("{used:?}"),
    }
}

/// Logits of a prompt, and what became of the file.
fn run(model: &Arc<Model>, packed: Option<PackedFile>) -> (Vec<f32>, PackedUse) {
    let program = backend().compile(model.clone(), &with(packed)).unwrap();
    let used = program.packed().clone();
    let mut session = program.open(&options()).unwrap();
    (forward(session.as_mut(), Input::Tokens(&[1, 2, 3, 4, 5, 6, 7])), used)
}

/// A model whose files have that stamp, or which has none.
fn stamped(parts: Parts, stamp: Option<FileStamp>) -> Arc<Model> {
    #[derive(Debug)]
    struct Stamped(FileStamp);
    impl Backing for Stamped {
        fn release(&self, _: &[u8]) {}
        fn release_all(&self) {}
        fn stamp(&self) -> Option<FileStamp> {
            Some(self.0)
        }
    }
    let mut model = Arc::into_inner(decoder(parts)).unwrap();
    if let Some(stamp) = stamp {
        model.weights.add_backing(Arc::new(Stamped(stamp)));
    }
    Arc::new(model)
}

fn stamp(nanoseconds: u32) -> FileStamp {
    FileStamp { bytes: 9, modified: Some(Duration::new(1_700_000_000, nanoseconds)) }
}

/// Another bit in the first byte of a matrix, which no sample looks at.
fn changed(model: &Arc<Model>) -> Arc<Model> {
    let name = "blk.1.ffn_up.weight";
    let mut other = Model { graph: model.graph.clone(), weights: model.weights.clone() };
    let tensor = &model.weights.get(name).unwrap().parts()[0];
    let mut bytes = tensor.bytes().to_vec();
    bytes[0] ^= 1;
    let tensor =
        edgeformer_core::Tensor::new(tensor.format(), tensor.shape(), Bytes::from(bytes)).unwrap();
    other.weights.insert(name, Weight::whole(tensor));
    Arc::new(other)
}

#[test]
fn the_file_gives_the_same_bits() {
    if !packs() {
        return;
    }
    for parts in Parts::ALL {
        let model = decoder(parts);
        let file = written(&model);
        assert_eq!(written(&model), file, "the same file every time");
        assert!(is_mapped(&checked(&model, &file, true)), "{parts:?}");
        let (expected, none) = run(&model, None);
        assert_eq!(none, PackedUse::Absent);
        let (logits, used) = run(&model, Some(mapped(&file)));
        assert_eq!(logits, expected, "{parts:?}");
        assert!(is_mapped(&used), "{used:?}");
        let plan = |packed| backend().plan(&model, &with(packed), &options()).unwrap();
        assert_eq!(plan(Some(mapped(&file))), plan(None), "panels count, wherever they lie");
    }
}

#[test]
fn panels_are_used_as_the_file_holds_them() {
    if !packs() {
        return;
    }
    let model = stamped(Parts::ALL[1], Some(stamp(1)));
    let mut file = written(&model);
    let table = u64::from_le_bytes(file[32..40].try_into().unwrap()) as usize;
    let panels = PANELS..file.len() - table;
    file[panels].fill(0);
    let (logits, used) = run(&model, Some(mapped(&file)));
    assert!(is_mapped(&used), "{used:?}");
    assert_ne!(logits, run(&model, None).0);
    // That is what a full check is for.
    let PackedUse::Refused(problem) = checked(&model, &file, true) else { panic!("accepted") };
    assert!(problem.contains("damaged"), "{problem}");
}

#[test]
fn other_models_are_refused_and_packed_anew() {
    if !packs() {
        return;
    }
    let model = decoder(Parts::ALL[1]);
    let file = written(&model);
    // Other formats, another graph: the fingerprint tells. A single bit: the content does.
    for (other, why) in [
        (decoder(Parts::ALL[2]), "another model"),
        (
            decoder(Parts { format: edgeformer_core::Format::Q4_0, ..Parts::ALL[1] }),
            "another model",
        ),
        (changed(&model), r#""blk.1.ffn_up.weight" have changed"#),
    ] {
        let (logits, used) = run(&other, Some(mapped(&file)));
        assert!(matches!(&used, PackedUse::Refused(problem) if problem.contains(why)), "{used:?}");
        assert_eq!(logits, run(&other, None).0);
    }
}

#[test]
fn untouched_files_are_believed_and_others_read() {
    if !packs() {
        return;
    }
    let parts = Parts::ALL[1];
    let file = written(&stamped(parts, Some(stamp(1))));
    for now in [None, Some(stamp(1)), Some(stamp(0)), Some(stamp(2))] {
        // Whatever the stamp: the bytes are the same.
        assert!(is_mapped(&checked(&stamped(parts, now), &file, false)), "{now:?}");
        let refusal =
            matches!(checked(&changed(&stamped(parts, now)), &file, false), PackedUse::Refused(_));
        let believed = matches!(now, Some(now) if now.is_still(&stamp(1)));
        assert_eq!(refusal, !believed, "{now:?}");
        let all = checked(&changed(&stamped(parts, now)), &file, true);
        assert!(matches!(all, PackedUse::Refused(_)), "{now:?}");
    }
}

#[test]
fn what_is_no_file_of_ours_is_refused() {
    if !packs() {
        return;
    }
    let model = decoder(Parts::ALL[1]);
    let file = written(&model);
    assert!(refused(&model, b"").contains("does not begin with EFPACKED"));
    assert!(refused(&model, b"GGUF rather than anything else").contains("EFPACKED"));
    let cuts = (0..64).chain([PANELS - 1, PANELS, file.len() - 9, file.len() - 1]);
    for cut in cuts {
        let problem = refused(&model, &file[..cut]);
        assert!(
            problem.contains("cut short")
                || problem.contains("should have")
                || problem.contains("EFPACKED"),
            "{cut}: {problem}"
        );
    }
    let longer = [file.as_slice(), b"x"].concat();
    assert!(refused(&model, &longer).contains("should have"));
    let unaligned = Bytes::from([b"x", file.as_slice()].concat());
    let start = unaligned.as_ptr() as usize % 64;
    let unaligned = PackedFile::new("a", unaligned.slice(1..));
    if !(start + 1).is_multiple_of(64) {
        let used = backend().check_packed(&model, &with(Some(unaligned)), false).unwrap();
        assert_eq!(used, PackedUse::Refused("it is not aligned in memory".into()));
    }
}

#[test]
fn no_changed_byte_of_header_and_table_goes_unnoticed() {
    if !packs() {
        return;
    }
    let model = decoder(Parts::ALL[1]);
    let mut file = written(&model);
    let table = u64::from_le_bytes(file[32..40].try_into().unwrap()) as usize;
    let table = file.len() - table..file.len();
    let stride = if cfg!(target_arch = "x86_64") { 1 } else { 16 };
    for at in (0..48).chain(table).step_by(stride) {
        file[at] ^= 0x10;
        let used = checked(&model, &file, false);
        assert!(matches!(used, PackedUse::Refused(_)), "byte {at}: {used:?}");
        file[at] ^= 0x10;
    }
    assert!(is_mapped(&checked(&model, &file, false)));
}

#[test]
fn nothing_is_mapped_where_nothing_is_packed() {
    if !packs() {
        return;
    }
    let model = decoder(Parts::ALL[1]);
    let file = mapped(&written(&model));
    let in_place = CompileOptions { repack: false, ..with(Some(file.clone())) };
    let program = backend().compile(model.clone(), &in_place).unwrap();
    assert_eq!(program.packed(), &PackedUse::Absent);
    let plain = CpuBackend::new(&CpuOptions { isa: Some("scalar".into()) }).unwrap();
    let program = plain.compile(model.clone(), &with(Some(file))).unwrap();
    assert_eq!(program.packed(), &PackedUse::Absent);
    let quietly = |_, _| Ok(());
    let mut to = Vec::new();
    let error = plain.write_packed(&model, &with(None), &mut to, &quietly).unwrap_err();
    assert!(error.to_string().contains("nothing to pack"), "{error}");
    let error = backend().write_packed(&model, &in_place, &mut to, &quietly).unwrap_err();
    assert!(error.to_string().contains("no_repack"), "{error}");
    assert!(to.is_empty());
}

#[test]
fn writing_ends_when_it_is_told_to() {
    if !packs() {
        return;
    }
    let stop = |_, _| Err(std::io::Error::other("enough"));
    let mut to = Vec::new();
    let model = decoder(Parts::ALL[1]);
    let error = backend().write_packed(&model, &with(None), &mut to, &stop).unwrap_err();
    assert_eq!(error.to_string(), "enough");
}
