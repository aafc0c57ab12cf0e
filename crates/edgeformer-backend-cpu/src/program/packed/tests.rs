use std::hash::Hasher;
use std::time::Duration;

use edgeformer_core::{FileStamp, Format};
use proptest::prelude::*;
use twox_hash::XxHash64;

use super::SEED;
use super::form::{HEADER, Header, LAYOUT_VERSION, PANELS, Table, TensorHashes};
use crate::kernels::{PANEL_ROWS, PanelLayout, pack_panel};

fn stamps() -> impl Strategy<Value = Vec<FileStamp>> {
    let time = (any::<u64>(), 0..1_000_000_000u32).prop_map(|(s, n)| Duration::new(s, n));
    let stamp = (any::<u64>(), proptest::option::of(time));
    let stamp = stamp.prop_map(|(bytes, modified)| FileStamp { bytes, modified });
    proptest::collection::vec(stamp, 0..3)
}

prop_compose! {
    fn table()(
        stamps in stamps(),
        hashes in proptest::collection::vec(any::<(u64, u64)>(), 0..4),
        plan: String,
    ) -> Table {
        let hashes = hashes.into_iter();
        let hashes = hashes.map(|(source, panels)| TensorHashes { source, panels }).collect();
        Table { stamps, hashes, plan }
    }
}

fn header(fingerprint: u64, panels: u64, table: &Table) -> Header {
    let table = Table::bytes(table.hashes.len(), table.stamps.len(), &table.plan) as u64;
    Header { layout_version: LAYOUT_VERSION, fingerprint, panels, table }
}

/// A file without panels.
fn file(header: Header, table: &Table) -> Vec<u8> {
    let mut file = header.to_bytes().to_vec();
    file.resize(PANELS, 0);
    file.extend(table.to_bytes(header));
    file
}

proptest! {
    #[test]
    fn headers_and_tables_come_back(table in table(), fingerprint: u64) {
        let header = header(fingerprint, 0, &table);
        let file = file(header, &table);
        prop_assert_eq!(Header::of(&file), Ok(header));
        prop_assert_eq!(Table::of(&file[PANELS..], header), Ok(table));
    }

    #[test]
    fn no_cut_goes_unnoticed(table in table(), at: prop::sample::Index, in_header in 0..HEADER + 9) {
        let file = file(header(1, 0, &table), &table);
        prop_assert!(Header::of(&file[..at.index(file.len())]).is_err());
        prop_assert!(Header::of(&file[..in_header]).is_err());
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(table in table(), at: prop::sample::Index, change in 1u8..) {
        let header = header(1, 0, &table);
        let mut file = file(header, &table);
        let at_header = at.index(HEADER);
        file[at_header] ^= change;
        prop_assert!(Header::of(&file).is_err());
        let mut bytes = table.to_bytes(header);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(Table::of(&bytes, header).is_err());
    }

    #[test]
    fn a_table_belongs_to_its_header(table in table(), fingerprint in 1u64..) {
        let bytes = table.to_bytes(header(0, 0, &table));
        prop_assert!(Table::of(&bytes, header(fingerprint, 0, &table)).is_err());
    }

    /// Whoever writes a right hash under wrong numbers gets a refusal too.
    #[test]
    fn lengths_are_not_trusted(panels: u64, table: u64, tensors: u32, files: u32, rest: Vec<u8>) {
        let header = Header { layout_version: LAYOUT_VERSION, fingerprint: 0, panels, table };
        let mut file = header.to_bytes().to_vec();
        file.extend(&rest);
        prop_assert!(Header::of(&file).is_err());
        let mut bytes = [tensors.to_le_bytes(), files.to_le_bytes()].concat();
        bytes.extend(&rest);
        let mut hash = XxHash64::with_seed(SEED);
        hash.write(&header.to_bytes());
        hash.write(&bytes);
        bytes.extend(hash.finish().to_le_bytes());
        let room = rest.len() as u64 >= u64::from(tensors) * 16 + u64::from(files) * 24;
        prop_assert!(room || Table::of(&bytes, header).is_err());
    }
}

#[test]
fn what_a_file_is_not_is_said() {
    let table = Table { stamps: Vec::new(), hashes: Vec::new(), plan: String::new() };
    let good = file(header(1, 0, &table), &table);
    let refused = |file: &[u8]| Header::of(file).unwrap_err();
    insta::assert_snapshot!(refused(b"GGUF"), @"it is no file of packed weights: it does not begin with EFPACKED");
    insta::assert_snapshot!(refused(&good[..20]), @"it is cut short: 20 bytes");
    insta::assert_snapshot!(refused(&good[..good.len() - 1]), @"it has 2097167 bytes and should have 2097168");
    let mut other = good.clone();
    other[8] = 9;
    insta::assert_snapshot!(refused(&other), @"it has version 9, this program reads version 1");
    let mut other = good;
    other[17] ^= 1;
    insta::assert_snapshot!(refused(&other), @"its header is damaged");
}

/// Files outlive programs. Where this fails, panels have changed: raise [`LAYOUT_VERSION`], so
/// that older files are refused, and take the new hash over.
#[test]
fn the_layout_is_that_of_its_version() {
    let mut hash = XxHash64::with_seed(SEED);
    let mut state = 1u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    for format in Format::ALL {
        for (columns, rows) in [(512, PANEL_ROWS), (768, 5)] {
            let Some(layout) = PanelLayout::new(format, columns) else { continue };
            let bytes: Vec<u8> = (0..rows * layout.row_bytes()).map(|_| byte()).collect();
            let mut panel = vec![0; layout.panel_bytes()];
            pack_panel(&layout, &bytes, &mut panel);
            hash.write(format.name().as_bytes());
            hash.write(&panel);
        }
    }
    assert_eq!((LAYOUT_VERSION, format!("{:016x}", hash.finish())), (1, "9cf7590728a2d46b".into()));
}
