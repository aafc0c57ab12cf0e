//! Beginnings that sequences share.

use edgeformer_core::graph::CacheSlot;
use edgeformer_core::{AdapterScales, KvCache, Rows, SequenceId, SessionOptions, Window};

use super::{LATENT, cache, options};
use crate::cache::PagedCache;
use crate::cache::sharing::REMEMBERED;

/// One more step of a sequence; rows say which token they are of.
fn feed(cache: &mut PagedCache, seq: SequenceId, tokens: &[u32]) {
    let first = cache.len(seq);
    cache.reserve(&[(seq, tokens.len())]).unwrap();
    cache.note_tokens(seq, tokens);
    let rows: Vec<f32> = tokens.iter().flat_map(|&token| [token as f32; 6]).collect();
    cache.store(CacheSlot(0), seq, first, Rows::new(&rows, 6), None);
    cache.commit();
}

fn tokens(cache: &PagedCache, seq: SequenceId) -> Vec<u32> {
    let len = cache.len(seq);
    let runs = cache.runs(CacheSlot(0), 0, seq, 0..len, len..len + 1);
    let rows = runs.flat_map(|run| match run.keys {
        crate::kernels::KvRows::F32 { data, .. } => {
            data.chunks(6).map(|row| row[0] as u32).collect()
        }
        _ => Vec::new(),
    });
    rows.collect()
}

const TEXT: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

#[test]
fn a_beginning_is_shared_while_it_is_there() {
    let mut cache = cache(&[LATENT], &options(16, 2, 16, 4));
    let first = cache.create().unwrap();
    feed(&mut cache, first, &TEXT);
    let second = cache.create().unwrap();
    let used = cache.usage().bytes_used;
    assert_eq!(cache.adopt(second, &TEXT).unwrap(), 8);
    assert_eq!(cache.usage().bytes_used, used, "pages are shared");
    assert_eq!(tokens(&cache, second), TEXT[..8]);
    assert!(cache.adopt(second, &TEXT).is_err(), "it is not empty any more");

    // Another text shares what is the same.
    let third = cache.create().unwrap();
    assert_eq!(cache.adopt(third, &[1, 2, 3, 4, 5, 6, 7, 0, 0]).unwrap(), 4);
    assert_eq!(cache.adopt(SequenceId(99), &TEXT).ok(), None);
}

#[test]
fn pages_without_an_owner_wait_until_their_memory_is_wanted() {
    let mut cache = cache(&[LATENT], &options(16, 1, 16, 4));
    let first = cache.create().unwrap();
    feed(&mut cache, first, &TEXT);
    let page = cache.usage().bytes_used / 3;
    cache.remove(first);
    let usage = cache.usage();
    assert_eq!((usage.bytes_used, usage.bytes_retained), (0, 2 * page));
    let again = cache.create().unwrap();
    assert_eq!(cache.adopt(again, &TEXT).unwrap(), 8);
    assert_eq!(cache.usage().bytes_retained, 0);
    cache.remove(again);

    // Four pages are all there are: that of the end was given up first, and goes first.
    let other = cache.create().unwrap();
    feed(&mut cache, other, &[0; 12]);
    assert_eq!(cache.usage().bytes_retained, page);
    let third = cache.create().unwrap();
    assert_eq!(cache.adopt(third, &TEXT).unwrap(), 4);
    [other, third].into_iter().for_each(|seq| cache.remove(seq));
    assert_eq!(cache.usage().bytes_retained, 4 * page);
    assert_eq!(cache.trim(), 4 * page);
    assert_eq!(cache.usage().bytes_retained, 0);
    let fourth = cache.create().unwrap();
    assert_eq!(cache.adopt(fourth, &[0; 12]).unwrap(), 0);
}

#[test]
fn a_page_that_is_written_again_is_not_taken_for_what_it_was() {
    let mut cache = cache(&[LATENT], &options(16, 4, 16, 4));
    let first = cache.create().unwrap();
    feed(&mut cache, first, &TEXT);
    cache.truncate(first, 6).unwrap();
    feed(&mut cache, first, &[60, 70, 80]);
    let second = cache.create().unwrap();
    assert_eq!(cache.adopt(second, &TEXT).unwrap(), 4);
    let third = cache.create().unwrap();
    assert_eq!(cache.adopt(third, &[1, 2, 3, 4, 5, 6, 60, 70, 80]).unwrap(), 8);
    assert_eq!(tokens(&cache, third), [1, 2, 3, 4, 5, 6, 60, 70]);

    // What was never said is not shared, nor is what was stored for a step that failed.
    let silent = cache.create().unwrap();
    cache.reserve(&[(silent, 4)]).unwrap();
    cache.note_tokens(silent, &[7, 7, 7, 7]);
    cache.rollback();
    cache.reserve(&[(silent, 8)]).unwrap();
    cache.commit();
    let fourth = cache.create().unwrap();
    assert_eq!(cache.adopt(fourth, &[7, 7, 7, 7]).unwrap(), 0);
}

#[test]
fn under_a_window_the_last_pages_suffice() {
    let mut options = options(64, 2, 16, 4);
    options.visibility.window = Window::Tokens(4);
    let mut cache = cache(&[LATENT], &options);
    let first = cache.create().unwrap();
    let text: Vec<u32> = (0..24).collect();
    text.chunks(4).for_each(|part| feed(&mut cache, first, part));
    let second = cache.create().unwrap();
    assert_eq!(cache.adopt(second, &text).unwrap(), 24);
    assert_eq!(cache.oldest(CacheSlot(0), 0, second), 20);
}

#[test]
fn what_observes_or_adapts_shares_nothing() {
    let observed = SessionOptions { observe_attention: true, ..options(16, 2, 16, 4) };
    let mut adaptive = options(16, 2, 16, 4);
    adaptive.visibility.window = Window::Adaptive { least: 2, most: 8 };
    for options in [observed, adaptive] {
        let mut cache = cache(&[LATENT], &options);
        let first = cache.create().unwrap();
        feed(&mut cache, first, &TEXT);
        let second = cache.create().unwrap();
        assert_eq!(cache.adopt(second, &TEXT).unwrap(), 0);
    }
}

/// A cache of a graph with one adapter, and a sequence of it at a scale.
fn scaled(cache: &mut PagedCache, scale: f32) -> SequenceId {
    let seq = cache.create().unwrap();
    cache.set_adapters(seq, &AdapterScales::new(&[scale]).unwrap()).unwrap();
    seq
}

#[test]
fn beginnings_under_other_scales_are_others() {
    let mut cache = cache(&[LATENT], &options(64, 8, 16, 4)).for_adapters(1);
    let first = scaled(&mut cache, 0.5);
    feed(&mut cache, first, &TEXT);
    let second = scaled(&mut cache, 0.5);
    assert_eq!(cache.adopt(second, &TEXT).unwrap(), 8);
    let other = scaled(&mut cache, 0.25);
    assert_eq!(cache.adopt(other, &TEXT).unwrap(), 0);
    let usual = cache.create().unwrap();
    assert_eq!(cache.adopt(usual, &TEXT).unwrap(), 0);
    // A fork goes on under the scales of its parent.
    let fork = cache.fork(first).unwrap();
    feed(&mut cache, fork, &[11, 12]);
    cache.remove(first);
    let third = scaled(&mut cache, 0.5);
    assert_eq!(cache.adopt(third, &[&TEXT[..], &[11, 12]].concat()).unwrap(), 12);
}

#[test]
fn choices_that_were_long_ago_begin_anew() {
    let mut cache = cache(&[LATENT], &options(64, 4, 16, 4)).for_adapters(1);
    let first = scaled(&mut cache, -1.0);
    feed(&mut cache, first, &TEXT);
    for number in 0..REMEMBERED {
        let seq = scaled(&mut cache, number as f32);
        cache.remove(seq);
        // What is used again is not forgotten.
        let known = scaled(&mut cache, 0.0);
        cache.remove(known);
    }
    let late = scaled(&mut cache, -1.0);
    assert_eq!(cache.adopt(late, &TEXT).unwrap(), 0);
    assert_eq!(cache.choices.len(), REMEMBERED);
    // Nobody finds under a new number what was begun under the old one.
    feed(&mut cache, first, &[11, 12]);
    let again = scaled(&mut cache, -1.0);
    assert_eq!(cache.adopt(again, &[&TEXT[..], &[11, 12]].concat()).unwrap(), 0);
}
