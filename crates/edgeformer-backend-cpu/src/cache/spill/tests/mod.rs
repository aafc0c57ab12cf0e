//! Pages of every state: waiting, written, unwritten; and media that fail.

mod faulty;
mod properties;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use edgeformer_core::{Error, Result};

use super::{Place, Request, Spill};
use faulty::{Faulty, Gate};

type Page = Box<[u8]>;

fn page(len: usize, seed: u8) -> Page {
    (0..len).map(|index| seed.wrapping_mul(31).wrapping_add(index as u8)).collect()
}

fn read<M: super::Medium>(spill: &mut Spill<Page, M>, place: Place) -> Vec<u8> {
    let mut bytes = vec![0; place.len()];
    spill.read_now(place, 0, &mut bytes).unwrap();
    bytes
}

fn whole(place: Place, to: usize) -> Request {
    Request { place, from: 0, len: place.len(), to }
}

#[test]
fn pages_come_back_with_all_their_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = Spill::<Page>::create(folder.path()).unwrap();
    let places = [(100, 1), (5000, 2), (100, 3)].map(|(len, seed)| spill.write(page(len, seed)));
    assert_eq!(spill.bytes(), 5200);
    let [a, b, c] = places;
    let parts = [whole(c, 2), Request { place: b, from: 4990, len: 10, to: 110 }];
    spill.start_read(&parts, vec![7; 3]);
    let buffer = spill.finish_read().unwrap();
    assert_eq!(buffer[..2], [7, 7]);
    assert_eq!(buffer[2..102], *page(100, 3));
    assert_eq!(buffer[102..110], [0; 8]);
    assert_eq!(buffer[110..], page(5000, 2)[4990..]);
    assert_eq!(read(&mut spill, a), *page(100, 1));
    assert!(spill.failure().is_none());
}

#[test]
fn memory_comes_back_when_its_page_is_written() {
    let gate = Gate::closed();
    let mut spill = Spill::on(Faulty::behind(&gate), "/x".into()).unwrap();
    let place = spill.write(page(10, 1));
    assert_eq!(spill.reclaim(10), None);
    assert_eq!(spill.held(), 10);
    gate.open();
    assert_eq!(spill.reclaim_blocking(10).map(|page| page.len()), Some(10));
    assert_eq!(spill.held(), 0);
    // Nothing is on its way any more, and nothing of that length ever was.
    assert_eq!(spill.reclaim_blocking(10), None);
    spill.write(page(10, 2));
    assert_eq!(spill.reclaim_blocking(11), None);
    assert_eq!(read(&mut spill, place), *page(10, 1));
}

#[test]
fn pages_that_wait_are_read_from_memory() {
    let gate = Gate::closed();
    let mut spill = Spill::on(Faulty::behind(&gate), "/x".into()).unwrap();
    let places = [1, 2, 3].map(|seed| spill.write(page(10, seed)));
    // The first may be at the gate; the others are not looked at.
    assert_eq!(read(&mut spill, places[2]), *page(10, 3));
    gate.open();
    assert_eq!(read(&mut spill, places[0]), *page(10, 1));
}

#[test]
fn freed_pages_are_not_written_and_their_places_are_used_again() {
    let gate = Gate::closed();
    let medium = Faulty::behind(&gate);
    let writes = medium.writes();
    let mut spill = Spill::on(medium, "/x".into()).unwrap();
    let [_, b] = [1, 2].map(|seed| spill.write(page(10, seed)));
    spill.free(b);
    let c = spill.write(page(10, 3));
    assert_eq!((b, spill.bytes()), (c, 20));
    gate.open();
    for _ in 0..3 {
        assert!(spill.reclaim_blocking(10).is_some());
    }
    assert_eq!(writes.count(), 2);
    assert_eq!(read(&mut spill, c), *page(10, 3));
}

#[test]
fn freeing_waits_for_a_read_ahead_that_asks_for_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = Spill::<Page>::create(folder.path()).unwrap();
    for _ in 0..50 {
        let place = spill.write(page(3000, 1));
        spill.start_read(&[whole(place, 0)], Vec::new());
        spill.free(place);
        assert_eq!(spill.write(page(3000, 2)), place);
        assert_eq!(spill.finish_read().unwrap(), *page(3000, 1));
        spill.free(place);
    }
}

#[test]
fn a_medium_that_fails_loses_nothing() {
    let mut spill = Spill::on(Faulty::with_room(2), "/full".into()).unwrap();
    let places = [1, 2, 3, 4].map(|seed| spill.write(page(10, seed)));
    let parts: Vec<_> = places.iter().zip([0, 10, 20, 30]).map(|(&p, to)| whole(p, to)).collect();
    spill.start_read(&parts, Vec::new());
    let buffer = spill.finish_read().unwrap();
    for (index, seed) in [1, 2, 3, 4].into_iter().enumerate() {
        assert_eq!(buffer[index * 10..][..10], *page(10, seed));
        assert_eq!(read(&mut spill, places[index]), *page(10, seed));
    }
    let error = spill.failure().unwrap().to_string();
    insta::assert_snapshot!(error, @r#"backend "cpu": spill file in /full: writing the page of 10 bytes at 8192: no storage space; free space there, spill to another folder or raise the cache's budget"#);
    assert!(spill.failure().is_none());
    // Two were written; those that were not keep their memory until they are freed.
    assert!(spill.reclaim_blocking(10).is_some() && spill.reclaim_blocking(10).is_some());
    assert_eq!((spill.reclaim_blocking(10), spill.held(), spill.bytes()), (None, 20, 40));
    spill.free(places[2]);
    assert!(spill.reclaim(10).is_some());
    assert_eq!(read(&mut spill, places[3]), *page(10, 4));
}

#[test]
fn a_panic_is_a_failure() {
    let mut spill = Spill::on(Faulty::panicking(), "/x".into()).unwrap();
    let place = spill.write(page(10, 1));
    assert_eq!(spill.reclaim_blocking(10), None);
    assert!(spill.failure().unwrap().to_string().contains("it panicked"));
    assert_eq!(read(&mut spill, place), *page(10, 1));
}

#[test]
fn reads_that_fail_say_so_and_others_go_on() {
    let gate = Gate::closed();
    gate.open();
    let mut spill = Spill::on(Faulty::behind(&gate), "/gone".into()).unwrap();
    let place = spill.write(page(10, 1));
    spill.reclaim_blocking(10).unwrap();
    gate.break_reads(true);
    spill.start_read(&[whole(place, 0)], Vec::new());
    let error = spill.finish_read().unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"backend "cpu": spill file in /gone: reading the page of 10 bytes at 0: unexpected end of file; spill to a folder on a sound disk"#);
    assert!(matches!(spill.read_now(place, 0, &mut [0; 10]), Err(Error::Backend { .. })));
    gate.break_reads(false);
    spill.start_read(&[whole(place, 0)], Vec::new());
    assert_eq!(spill.finish_read().unwrap(), *page(10, 1));
}

#[test]
fn dropping_ends_the_thread_whatever_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = Spill::<Page>::create(folder.path()).unwrap();
    let places: Vec<_> = (0..100).map(|seed| spill.write(page(10_000, seed))).collect();
    spill.start_read(&[whole(places[99], 0)], Vec::new());
    let shared = Arc::downgrade(&spill.shared);
    drop(spill);
    assert!(shared.upgrade().is_none());
}

#[test]
#[should_panic(expected = "not in")]
fn parts_are_within_their_page() {
    let mut spill = Spill::on(Faulty::with_room(1), "/x".into()).unwrap();
    let place = spill.write(page(10, 1));
    spill.start_read(&[Request { place, from: 5, len: 6, to: 0 }], Vec::new());
}

#[test]
fn folders_that_cannot_be_used_are_named() {
    let refused = |folder: &Path| -> String {
        let spill: Result<Spill<Page>> = Spill::create(folder);
        spill.err().unwrap().to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    let missing = refused(&folder.path().join("no"));
    assert!(missing.starts_with("configuration: spill folder "), "{missing}");
    assert!(missing.contains("no: No such file") || !cfg!(unix), "{missing}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refused(&file).contains("file: it is not a folder; name a folder to write to"));
}

#[cfg(target_os = "linux")]
mod linux {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_file_is_private_and_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::<Page>::create(folder.path()).unwrap();
        let place = spill.write(page(10, 1));
        let metadata = spill.shared.medium.metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert_eq!(metadata.nlink(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(read(&mut spill, place), *page(10, 1));
    }

    /// Not even the superuser can make files there.
    #[test]
    fn folders_that_cannot_be_written_to_are_named() {
        let spill: Result<Spill<Page>> = Spill::create(Path::new("/proc"));
        let error = spill.err().unwrap().to_string();
        assert!(error.contains("spill folder /proc: no file can be made in it: "), "{error}");
    }

    #[test]
    fn a_full_disk_loses_nothing() {
        let full = fs::File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut spill = Spill::on(full, "/dev".into()).unwrap();
        let places = [1, 2].map(|seed| spill.write(page(10, seed)));
        assert_eq!(spill.reclaim_blocking(10), None);
        let error = spill.failure().unwrap().to_string();
        assert!(error.contains("No space left on device"), "{error}");
        assert_eq!(read(&mut spill, places[0]), *page(10, 1));
        assert_eq!(read(&mut spill, places[1]), *page(10, 2));
    }
}
