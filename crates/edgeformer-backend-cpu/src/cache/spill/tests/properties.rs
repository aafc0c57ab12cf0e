//! Random operations against a plain list of pages.

use proptest::prelude::*;

use super::faulty::Faulty;
use super::{Page, page};
use crate::cache::spill::{Medium, Place, Request, Spill};

const LENS: [usize; 3] = [1, 60, 200];

#[derive(Debug, Clone)]
enum Action {
    Write {
        class: usize,
        seed: u8,
    },
    Free(usize),
    Read {
        index: usize,
        from: usize,
        len: usize,
    },
    /// Parts of pages, by page, first byte and length.
    Start(Vec<(usize, usize, usize)>),
    Finish,
    Reclaim {
        class: usize,
        wait: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let part = || (any::<usize>(), any::<usize>(), any::<usize>());
    prop_oneof![
        5 => (0..LENS.len(), any::<u8>()).prop_map(|(class, seed)| Action::Write { class, seed }),
        2 => any::<usize>().prop_map(Action::Free),
        3 => part().prop_map(|(index, from, len)| Action::Read { index, from, len }),
        2 => prop::collection::vec(part(), 0..5).prop_map(Action::Start),
        2 => Just(Action::Finish),
        3 => (0..LENS.len(), any::<bool>())
            .prop_map(|(class, wait)| Action::Reclaim { class, wait }),
    ]
}

/// A spill file and what it should hold.
struct Checked<M> {
    spill: Spill<Page, M>,
    live: Vec<(Place, Page)>,
    /// What the read-ahead under way should give.
    reading: Option<Vec<u8>>,
    /// Memory given away and not got back, in bytes.
    held: usize,
}

impl<M: Medium> Checked<M> {
    fn new(medium: M) -> Self {
        let spill = Spill::on(medium, "/x".into()).unwrap();
        Self { spill, live: Vec::new(), reading: None, held: 0 }
    }

    /// A page of the list and a part of it.
    fn part(&self, (index, from, len): (usize, usize, usize)) -> Option<(Request, &[u8])> {
        let (place, page) = self.live.get(index.checked_rem(self.live.len())?)?;
        let from = from % page.len();
        let len = len % (page.len() - from + 1);
        Some((Request { place: *place, from, len, to: 0 }, &page[from..][..len]))
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Write { class, seed } => {
                let page = page(LENS[class], seed);
                self.held += page.len();
                self.live.push((self.spill.write(page.clone()), page));
            }
            Action::Free(index) => {
                let Some(index) = index.checked_rem(self.live.len()) else { return };
                self.spill.free(self.live.swap_remove(index).0);
            }
            Action::Read { index, from, len } => {
                let Some((part, wanted)) = self.part((index, from, len)) else { return };
                let (wanted, mut found) = (wanted.to_vec(), vec![0; part.len]);
                self.spill.read_now(part.place, part.from, &mut found).unwrap();
                assert_eq!(found, wanted);
            }
            Action::Start(parts) if self.reading.is_none() => {
                let mut wanted = Vec::new();
                let parts = parts.into_iter().filter_map(|part| {
                    let (part, bytes) = self.part(part)?;
                    let to = wanted.len();
                    wanted.extend_from_slice(bytes);
                    Some(Request { to, ..part })
                });
                let parts: Vec<_> = parts.collect();
                self.spill.start_read(&parts, Vec::new());
                self.reading = Some(wanted);
            }
            Action::Start(_) => {}
            Action::Finish => {
                let Some(wanted) = self.reading.take() else { return };
                assert_eq!(self.spill.finish_read().unwrap(), wanted);
            }
            Action::Reclaim { class, wait: false } => {
                let page = self.spill.reclaim(LENS[class]);
                self.got(page, class);
            }
            Action::Reclaim { class, wait: true } => {
                let page = self.spill.reclaim_blocking(LENS[class]);
                self.got(page, class);
            }
        }
    }

    fn got(&mut self, page: Option<Page>, class: usize) {
        if let Some(page) = page {
            assert_eq!(page.len(), LENS[class]);
            self.held -= page.len();
        }
    }

    fn check(&self) {
        let bytes: usize = self.live.iter().map(|(_, page)| page.len()).sum();
        assert_eq!(self.spill.bytes(), bytes as u64);
        assert_eq!(self.spill.held(), self.held as u64);
    }

    /// Frees every page; then all memory comes back.
    fn end(mut self) {
        self.apply(Action::Finish);
        for index in 0..self.live.len() {
            self.apply(Action::Read { index, from: 0, len: usize::MAX });
        }
        self.live.drain(..).for_each(|(place, _)| self.spill.free(place));
        for (class, len) in LENS.into_iter().enumerate() {
            while let Some(page) = self.spill.reclaim_blocking(len) {
                self.got(Some(page), class);
            }
        }
        self.check();
        assert_eq!(self.held, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_operations_leave_what_a_plain_list_would(
        actions in prop::collection::vec(action(), 1..80),
        room in prop_oneof![Just(usize::MAX), 0..30usize],
    ) {
        let mut checked = Checked::new(Faulty::with_room(room));
        for action in actions {
            checked.apply(action);
            checked.check();
        }
        checked.end();
    }

    #[test]
    fn so_does_a_file(actions in prop::collection::vec(action(), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        let mut checked = Checked::new(crate::cache::spill::file::create(folder.path()).unwrap());
        for action in actions {
            checked.apply(action);
            checked.check();
        }
        checked.end();
    }
}
