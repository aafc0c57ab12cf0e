//! What a cache promises, through the trait alone: after any history of forks, truncations and
//! saved copies a sequence goes on as one that was fed the same tokens in one piece.

use std::sync::Arc;

use edgeformer_core::{
    CacheFormat, CacheUsage, Format, Input, Model, SequenceId, Session, SessionOptions,
};

use super::graphs::{VOCABULARY, two_full_layers, two_latent_layers, two_layers};
use crate::bench::{Bench, Stop, ensure, exact};
use crate::compare::{near, widen};
use crate::feed::{chunked, extend};
use crate::random::{Random, random_model};
use crate::reference;
use crate::suite::{Case, Group};

/// What f32 arithmetic in another order may cost.
const FLOAT: f64 = 1e-4;

type Check = fn(&mut Lab) -> Result<(), Stop>;

pub(super) fn cases() -> Vec<Case> {
    let checks: [(&str, Check); 7] = [
        ("fork", fork),
        ("truncate", truncate),
        ("remove", remove),
        ("export-import", export_import),
        ("import-refused", import_refused),
        ("long", long),
        ("usage", usage),
    ];
    let mut cases = Vec::new();
    for (name, check) in checks {
        for kind in [Kind::Full, Kind::Windows, Kind::Latents] {
            let name = format!("cache/{name}-{}", kind.name());
            cases.push(Case::new(Group::Cache, name, move |bench| check(&mut kind.lab(bench)?)));
        }
    }
    cases.push(Case::new(Group::Cache, "cache/truncate-window", truncate_window));
    cases.push(Case::new(Group::Cache, "cache/f16", half));
    cases
}

/// What the model caches.
#[derive(Clone, Copy)]
enum Kind {
    Full,
    Windows,
    Latents,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Windows => "windows",
            Self::Latents => "latents",
        }
    }

    fn lab(self, bench: &Bench<'_>) -> Result<Lab, Stop> {
        let graph = match self {
            Self::Full => two_full_layers(),
            Self::Windows => two_layers(),
            Self::Latents => two_latent_layers(),
        }?;
        let model = Arc::new(random_model(graph, 3, |_| Format::F32)?);
        let session = bench.open(&model, &exact())?;
        let other = bench.open(&model, &SessionOptions { page_tokens: 8, ..exact() })?;
        Ok(Lab { model, session, other, random: Random::new(11) })
    }
}

/// A model and two sessions over it.
struct Lab {
    model: Arc<Model>,
    session: Box<dyn Session>,
    other: Box<dyn Session>,
    random: Random,
}

impl Lab {
    fn tokens(&mut self, count: usize) -> Vec<u32> {
        self.random.tokens(count, VOCABULARY)
    }

    fn create(&mut self) -> Result<SequenceId, Stop> {
        Ok(self.session.cache().create()?)
    }

    /// A new sequence of these tokens.
    fn fed(&mut self, tokens: &[u32]) -> Result<SequenceId, Stop> {
        let seq = self.create()?;
        extend(self.session.as_mut(), seq, tokens, 7)?;
        Ok(seq)
    }

    /// Whether `seq`, which has seen `past`, goes on as if it had just read it.
    fn goes_on(&mut self, seq: SequenceId, past: &[u32]) -> Result<(), Stop> {
        let more = self.tokens(9);
        let found = extend(self.session.as_mut(), seq, &more, 4)?;
        self.is_right(&found, past, &more)
    }

    fn is_right(&mut self, found: &[f32], past: &[u32], more: &[u32]) -> Result<(), Stop> {
        let whole = [past, more].concat();
        let rows = chunked(self.other.as_mut(), &whole, whole.len())?;
        let expected = &rows[past.len() * VOCABULARY..];
        near(found, &widen(expected), FLOAT)
    }
}

/// Two sequences share a past and part.
fn fork(lab: &mut Lab) -> Result<(), Stop> {
    for length in [1, 5, 10, 23] {
        let past = lab.tokens(length);
        let first = lab.fed(&past)?;
        let second = lab.session.cache().fork(first)?;
        ensure(first != second, || "a fork has its parent's name".into())?;
        ensure(lab.session.cache().len(second) == length, || "a fork has another length".into())?;
        let third = lab.session.cache().fork(second)?;
        lab.goes_on(second, &past).map_err(|stop| stop.at("the fork"))?;
        lab.goes_on(first, &past).map_err(|stop| stop.at("the parent"))?;
        lab.session.cache().remove(second);
        lab.goes_on(third, &past).map_err(|stop| stop.at("a fork of a removed one"))?;
        [first, third].into_iter().for_each(|seq| lab.session.cache().remove(seq));
    }
    let unknown = SequenceId(u64::MAX);
    ensure(lab.session.cache().fork(unknown).is_err(), || "an unknown sequence is forked".into())
}

/// A sequence forgets its end and goes on otherwise.
fn truncate(lab: &mut Lab) -> Result<(), Stop> {
    for (length, keep) in [(12, 11), (12, 10), (12, 6), (13, 0), (7, 7), (7, 3)] {
        let past = lab.tokens(length);
        let seq = lab.create()?;
        // In one step, so that windows still hold all of it.
        extend(lab.session.as_mut(), seq, &past, length)?;
        lab.session.cache().truncate(seq, keep)?;
        let found = lab.session.cache().len(seq);
        ensure(found == keep, || format!("truncated to {keep}, the length is {found}"))?;
        lab.goes_on(seq, &past[..keep]).map_err(|stop| stop.at(format!("{length} to {keep}")))?;
        lab.session.cache().remove(seq);
    }
    let unknown = SequenceId(u64::MAX);
    let refused = lab.session.cache().truncate(unknown, 0).is_err();
    ensure(refused, || "an unknown sequence is truncated".into())
}

/// A sequence goes, others stay.
fn remove(lab: &mut Lab) -> Result<(), Stop> {
    let past: Vec<_> = [11, 20, 3].iter().map(|&length| lab.tokens(length)).collect();
    let mut seqs = Vec::new();
    for past in &past {
        seqs.push(lab.fed(past)?);
    }
    lab.session.cache().remove(seqs[1]);
    lab.session.cache().remove(seqs[1]);
    ensure(lab.session.cache().len(seqs[1]) == 0, || "a removed sequence has a length".into())?;
    let again = extend(lab.session.as_mut(), seqs[1], &[1], 1);
    ensure(again.is_err(), || "a removed sequence goes on".into())?;
    let fresh = lab.create()?;
    ensure(!seqs.contains(&fresh), || "a name is given out twice".into())?;
    lab.goes_on(fresh, &[])?;
    lab.goes_on(seqs[0], &past[0])?;
    lab.goes_on(seqs[2], &past[2])
}

/// A sequence goes through a file, into the same session and into another.
fn export_import(lab: &mut Lab) -> Result<(), Stop> {
    for length in [0, 4, 10, 33] {
        let past = lab.tokens(length);
        let seq = lab.fed(&past)?;
        let mut file = Vec::new();
        lab.session.cache().export(seq, &mut file)?;
        let here = lab.session.cache().import(&mut file.as_slice())?;
        lab.goes_on(here, &past).map_err(|stop| stop.at("imported here"))?;
        lab.goes_on(seq, &past).map_err(|stop| stop.at("after an export"))?;

        let there = lab.other.cache().import(&mut file.as_slice())?;
        let more = lab.tokens(6);
        let found = extend(lab.other.as_mut(), there, &more, 6)?;
        lab.is_right(&found, &past, &more).map_err(|stop| stop.at("imported elsewhere"))?;
        lab.other.cache().remove(there);
        [seq, here].into_iter().for_each(|seq| lab.session.cache().remove(seq));
    }
    Ok(())
}

/// Damaged files are refused and change nothing.
fn import_refused(lab: &mut Lab) -> Result<(), Stop> {
    let past = lab.tokens(14);
    let seq = lab.fed(&past)?;
    let mut file = Vec::new();
    lab.session.cache().export(seq, &mut file)?;
    let before = lab.session.cache().usage();
    refuses_damaged(lab.session.as_mut(), &mut file)?;
    let after = lab.session.cache().usage();
    ensure(before == after, || format!("refused files change {before:?} to {after:?}"))?;
    lab.goes_on(seq, &past)
}

/// No saved sequence is read that was cut or has a flipped bit, wherever that is.
pub(super) fn refuses_damaged(session: &mut dyn Session, file: &mut [u8]) -> Result<(), Stop> {
    for place in (0..file.len()).step_by((file.len() / 61).max(1)).chain([file.len() - 1]) {
        let cut = session.cache().import(&mut &file[..place]);
        ensure(cut.is_err(), || format!("a file cut at byte {place} is read"))?;
        file[place] ^= 0x10;
        let flipped = session.cache().import(&mut &*file);
        ensure(flipped.is_err(), || format!("a file with a flipped bit in byte {place} is read"))?;
        file[place] ^= 0x10;
    }
    Ok(())
}

/// Far beyond a window and many pages.
fn long(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(150);
    let context = exact().context;
    let expected = reference::evaluate(&lab.model, Input::Tokens(&text), context)?;
    for chunk in [150, 11, 1] {
        let found = chunked(lab.session.as_mut(), &text, chunk)?;
        near(&found, expected.data(), FLOAT)
            .map_err(|stop| stop.at(format!("in chunks of {chunk}")))?;
    }
    Ok(())
}

/// Memory is counted, shared once, and comes back.
fn usage(lab: &mut Lab) -> Result<(), Stop> {
    let empty = lab.session.cache().usage();
    ensure(empty.sequences == 0 && empty.bytes_used == 0, || format!("empty, it has {empty:?}"))?;
    let past = lab.tokens(40);
    let seq = lab.fed(&past)?;
    let one = lab.session.cache().usage();
    ensure(one.bytes_used > 0 && one.bytes_used <= one.bytes_limit, || {
        format!("40 tokens take {one:?}")
    })?;
    let fork = lab.session.cache().fork(seq)?;
    let two = lab.session.cache().usage();
    ensure(two.bytes_used == one.bytes_used && two.sequences == 2, || {
        format!("a fork makes {two:?} of {one:?}")
    })?;
    [seq, fork].into_iter().for_each(|seq| lab.session.cache().remove(seq));
    let end = lab.session.cache().usage();
    // Pages that a later sequence may begin with are no sequence's.
    let empty = CacheUsage { bytes_retained: end.bytes_retained, ..empty };
    ensure(end == empty, || format!("with all removed it has {end:?}"))
}

/// Under a window, truncation goes on rightly or is refused; it never gives wrong logits.
fn truncate_window(bench: &Bench<'_>) -> Result<(), Stop> {
    let mut lab = Kind::Windows.lab(bench)?;
    let past = lab.tokens(60);
    for keep in [59, 55, 50, 40, 20, 1, 0] {
        let seq = lab.create()?;
        extend(lab.session.as_mut(), seq, &past, 1)?;
        match lab.session.cache().truncate(seq, keep) {
            Ok(()) => lab.goes_on(seq, &past[..keep])?,
            Err(error) if keep == 0 => return Err(error.into()),
            Err(_) => lab.goes_on(seq, &past).map_err(|stop| stop.at("after a refusal"))?,
        }
        lab.session.cache().remove(seq);
    }
    Ok(())
}

/// A cache of half floats costs little.
fn half(bench: &Bench<'_>) -> Result<(), Stop> {
    for graph in [two_layers()?, two_latent_layers()?] {
        let model = Arc::new(random_model(graph, 3, |_| Format::F32)?);
        let (cache_type_k, cache_type_v) = (CacheFormat::F16, CacheFormat::F16);
        let options = SessionOptions { cache_type_k, cache_type_v, ..exact() };
        let text = Random::new(11).tokens(60, VOCABULARY);
        let expected = reference::evaluate(&model, Input::Tokens(&text), options.context)?;
        let mut session = bench.open(&model, &options)?;
        let found = chunked(session.as_mut(), &text, 7)?;
        near(&found, expected.data(), 2e-3)?;
    }
    Ok(())
}
