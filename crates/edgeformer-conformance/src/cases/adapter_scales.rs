//! Adapters that every sequence scales in its own way.

use std::sync::Arc;

use edgeformer_core::graph::WeightInfo;
use edgeformer_core::{
    AdapterScales, Format, Input, Model, Outputs, Result, SequenceId, Session, Span, Step,
    Visibility, Want,
};

use super::adapters::{adapter, merge};
use super::graphs::{VOCABULARY, two_full_layers, two_layers};
use super::ops::FLOAT;
use crate::bench::{Bench, Stop, ensure, exact};
use crate::compare::near;
use crate::feed::extend;
use crate::random::{Random, random_model};
use crate::reference::{ScalesSince, evaluate, evaluate_scaled};
use crate::suite::{Case, Group};

/// The scales that two adapters have in sequences that say nothing.
const USUAL: [f32; 2] = [1.0, -0.5];

type Check = fn(&mut Lab) -> Result<(), Stop>;

pub(super) fn cases() -> Vec<Case> {
    let checks: [(&str, Check); 6] = [
        ("usual", usual),
        ("in-one-step", in_one_step),
        ("from-now-on", from_now_on),
        ("fork", fork),
        ("adopt", adopt),
        ("refused", refused),
    ];
    let case = |(name, check): (&str, Check)| {
        Case::new(Group::Cache, format!("adapters/by-sequence-{name}"), move |bench| {
            for windows in [false, true] {
                check(&mut Lab::new(bench, windows)?)?;
            }
            Ok(())
        })
    };
    checks.into_iter().map(case).collect()
}

/// A model with two adapters, and a session over it.
struct Lab {
    /// The plain model, the adapters merged into it at their usual scales.
    merged: Model,
    model: Arc<Model>,
    session: Box<dyn Session>,
    random: Random,
}

impl Lab {
    fn new(bench: &Bench<'_>, windows: bool) -> Result<Self, Stop> {
        let graph = if windows { two_layers()? } else { two_full_layers()? };
        let base = random_model(graph, 1, |_: &WeightInfo| Format::F32)?;
        let (mut model, mut merged) = (base.clone(), base);
        for (seed, usual) in (1..).zip(USUAL) {
            let adapter = adapter(&merged, 2 + seed as usize, seed)?;
            model = model.with_adapter_by_sequence(&adapter, usual)?;
            merge(&mut merged, &adapter.scaled(usual))?;
        }
        let model = Arc::new(model);
        let session = bench.open(&model, &exact())?;
        Ok(Self { merged, model, session, random: Random::new(23) })
    }

    fn tokens(&mut self, count: usize) -> Vec<u32> {
        self.random.tokens(count, VOCABULARY)
    }

    fn create(&mut self, scales: Option<[f32; 2]>) -> Result<SequenceId, Stop> {
        let sequence = self.session.cache().create()?;
        if let Some(scales) = scales {
            self.session.cache().set_adapters(sequence, &AdapterScales::new(&scales)?)?;
        }
        Ok(sequence)
    }

    /// Whether these are the last rows of a text that was fed under scales.
    fn is_right(
        &self,
        found: &[f32],
        text: &[u32],
        scales: &[(usize, [f32; 2])],
    ) -> Result<(), Stop> {
        let mut since = ScalesSince::default();
        for &(from, scales) in scales {
            since.set(from, AdapterScales::new(&scales)?);
        }
        let (input, seen) = (Input::Tokens(text), Visibility::default());
        let rows = evaluate_scaled(&self.model, input, exact().context, &seen, &since)?;
        near(found, &rows.data()[rows.data().len() - found.len()..], FLOAT)
    }
}

/// Who says nothing gets what the model was opened with.
fn usual(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(30);
    let expected = evaluate(&lab.merged, Input::Tokens(&text), exact().context)?;
    for said in [None, Some(USUAL)] {
        let sequence = lab.create(said)?;
        let found = extend(lab.session.as_mut(), sequence, &text, 7)?;
        near(&found, expected.data(), FLOAT)?;
    }
    let sequence = lab.create(Some([3.0, 3.0]))?;
    lab.session.cache().set_adapters(sequence, &AdapterScales::default())?;
    let found = extend(lab.session.as_mut(), sequence, &text, 30)?;
    near(&found, expected.data(), FLOAT).map_err(|stop| stop.at("said and taken back"))
}

/// Prompts and single tokens under different scales in the same steps, some rows wanted.
fn in_one_step(lab: &mut Lab) -> Result<(), Stop> {
    let choices = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.5], [-1.0, 0.75]];
    let wants = [Want::All, Want::Last, Want::All, Want::Nothing];
    let mut sequences = Vec::new();
    for choice in choices {
        let text = lab.tokens(24);
        sequences.push((lab.create(Some(choice))?, text, choice));
    }
    let mut outputs = Outputs::default();
    for (start, counts) in [(0, [9, 9, 9, 9]), (9, [1, 5, 14, 2])] {
        let mut spans = Vec::new();
        for (index, (sequence, text, _)) in sequences.iter().enumerate() {
            let input = Input::Tokens(&text[start..start + counts[index]]);
            spans.push(Span { sequence: *sequence, input, want: wants[(index + start) % 4] });
        }
        lab.session.run(&Step { spans: &spans }, &mut outputs)?;
        for (index, (_, text, choice)) in sequences.iter().enumerate() {
            let found = outputs.span(index);
            let whole = &text[..start + counts[index]];
            lab.is_right(found.data(), whole, &[(0, *choice)])
                .map_err(|stop| stop.at(format!("sequence {index} from {start} on")))?;
        }
    }
    Ok(())
}

/// What is in the cache stays as it was computed.
fn from_now_on(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(31);
    let (before, behind) = ([1.0, 1.0], [0.0, -2.0]);
    let sequence = lab.create(Some(before))?;
    extend(lab.session.as_mut(), sequence, &text[..13], 13)?;
    lab.session.cache().set_adapters(sequence, &AdapterScales::new(&behind)?)?;
    let found = extend(lab.session.as_mut(), sequence, &text[13..], 5)?;
    lab.is_right(&found, &text, &[(0, before), (13, behind)])?;
    // Nor is it what a sequence begins with that has had one of them from the start.
    for scales in [before, behind] {
        let other = lab.create(Some(scales))?;
        let adopted = lab.session.cache().adopt(other, &text[..30])?;
        let found = extend(lab.session.as_mut(), other, &text[adopted..], 31)?;
        lab.is_right(&found, &text, &[(0, scales)])
            .map_err(|stop| stop.at(format!("{adopted} tokens adopted")))?;
    }
    Ok(())
}

fn fork(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(20);
    let scales = [0.25, 1.5];
    let sequence = lab.create(Some(scales))?;
    extend(lab.session.as_mut(), sequence, &text[..11], 11)?;
    let fork = lab.session.cache().fork(sequence)?;
    lab.session.cache().set_adapters(sequence, &AdapterScales::new(&[0.0, 0.0])?)?;
    let found = extend(lab.session.as_mut(), fork, &text[11..], 4)?;
    lab.is_right(&found, &text, &[(0, scales)])
}

/// A beginning is shared by sequences with the same scales only.
fn adopt(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(40);
    let choices = [None, Some([0.0, 0.0]), Some([2.0, 0.0]), Some([0.0, 0.0]), None];
    for (index, choice) in choices.into_iter().enumerate() {
        let sequence = lab.create(choice)?;
        let adopted = lab.session.cache().adopt(sequence, &text[..39])?;
        ensure(adopted <= 39, || format!("{adopted} of 39 tokens are adopted"))?;
        let found = extend(lab.session.as_mut(), sequence, &text[adopted..], 16)?;
        lab.is_right(&found, &text, &[(0, choice.unwrap_or(USUAL))])
            .map_err(|stop| stop.at(format!("sequence {index}, {adopted} tokens adopted")))?;
        lab.session.cache().remove(sequence);
    }
    Ok(())
}

fn refused(lab: &mut Lab) -> Result<(), Stop> {
    let text = lab.tokens(9);
    let sequence = lab.create(Some([0.5, 0.5]))?;
    let unknown = SequenceId(u64::MAX);
    let cache = lab.session.cache();
    for (sequence, scales) in [(sequence, &[1.0][..]), (sequence, &[0.0; 3]), (unknown, &[0.0; 2])]
    {
        let told = cache.set_adapters(sequence, &AdapterScales::new(scales)?);
        ensure(told.is_err(), || format!("{} scales for {sequence} are taken", scales.len()))?;
    }
    let found = extend(lab.session.as_mut(), sequence, &text, 9)?;
    lab.is_right(&found, &text, &[(0, [0.5, 0.5])])
}
