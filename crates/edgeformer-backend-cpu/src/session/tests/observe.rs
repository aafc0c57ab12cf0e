//! What an observer is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use edgeformer_core::Input;

use super::models::{self, Parts};
use super::{forward, open, options};

/// Rows by weight and part.
type Shown = BTreeMap<(String, usize), Vec<f32>>;

fn shown(parts: Parts, tokens: &[u32]) -> (Shown, Vec<f32>, Arc<edgeformer_core::Model>) {
    let model = models::decoder(parts);
    let mut session = open(&model, 2, &options());
    let shown = Arc::new(Mutex::new(Shown::new()));
    let notes = shown.clone();
    session
        .observe_inputs(Some(Box::new(move |input| {
            for weight in input.weights {
                let key = ((*weight).to_owned(), input.part);
                notes.lock().unwrap().entry(key).or_default().extend(input.rows.data());
            }
        })))
        .unwrap();
    let logits = forward(&mut *session, Input::Tokens(tokens));
    session.observe_inputs(None).unwrap();
    forward(&mut *session, Input::Tokens(&[1]));
    let shown = shown.lock().unwrap().clone();
    (shown, logits, model)
}

#[test]
fn every_matrix_shows_what_it_reads() {
    let tokens = [3, 1, 4, 1, 5, 9, 2, 6];
    for parts in Parts::ALL {
        let (shown, _, model) = shown(parts, &tokens);
        let names: BTreeSet<&str> = shown.keys().map(|(name, _)| name.as_str()).collect();
        for info in &model.graph.weights {
            let is_table = info.name.contains("_embd");
            let is_matrix = info.shape.len() > 1 && !is_table;
            assert_eq!(names.contains(&*info.name), is_matrix, "{} in {parts:?}", info.name);
        }
        for ((name, _), rows) in &shown {
            let id = model.graph.weights.iter().position(|info| info.name == *name).unwrap();
            let width = *model.graph.weights[id].shape.last().unwrap();
            assert!(rows.len().is_multiple_of(width), "{name}: {} values", rows.len());
            if !name.contains("exps") {
                assert_eq!(rows.len(), width * tokens.len(), "{name}");
            }
        }
    }
}

#[test]
fn the_rows_are_those_that_are_multiplied() {
    let (shown, logits, model) = shown(Parts::ALL[0], &[7, 7, 1, 30]);
    let rows = &shown[&("output.weight".to_owned(), 0)];
    let weight = model.weights.get("output.weight").unwrap();
    let (values, width) = (weight.to_f32(), weight.shape()[1]);
    let products = rows.chunks_exact(width).flat_map(|row| {
        values.chunks_exact(width).map(move |weights| -> f32 {
            weights.iter().zip(row).map(|(weight, x)| weight * x).sum()
        })
    });
    for (product, logit) in products.zip(&logits) {
        // As the graph goes on: halved, and capped at 30.
        let expected = 30.0 * (product * 0.5 / 30.0).tanh();
        assert!((expected - logit).abs() < 1e-4, "{expected} {logit}");
    }
}

#[test]
fn observing_changes_no_bit() {
    for parts in Parts::ALL {
        let tokens = [3, 1, 4, 1, 5];
        let plain =
            forward(&mut *open(&models::decoder(parts), 2, &options()), Input::Tokens(&tokens));
        assert_eq!(shown(parts, &tokens).1, plain, "{parts:?}");
    }
}
