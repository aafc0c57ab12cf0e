//! The same bits: a token's logits do not depend on the number of threads, on chunking, or on the
//! sequences that share its batch. A promise that only some backends make.

use std::sync::Arc;

use edgeformer_core::graph::{Experts, Graph, GraphBuilder, GraphInput, OutputKind, Scoring};
use edgeformer_core::{CacheFormat, Format, LatentForm, Model, Program, Result, SessionOptions};

use super::graphs::{
    attend_rotated, feed_forward, grouped, plain_rope, two_latent_layers, two_layers,
};
use crate::bench::{Bench, Stop, exact, forms};
use crate::compare::same_bits;
use crate::feed::{chunked, ragged};
use crate::random::{Random, random_model};
use crate::suite::{Case, Group};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("windows", || model(two_layers()?, Format::F32)),
        case("latents", || model(two_latent_layers()?, Format::F32)),
    ];
    let formats = [Format::F32, Format::F16, Format::Q8_0, Format::Q4_0, Format::Q4K, Format::Q6K];
    cases.extend(
        formats
            .into_iter()
            .map(|format| case(&format!("wide-{format}"), move || model(wide()?, format))),
    );
    cases
}

fn case(name: &str, build: impl Fn() -> Result<Model> + Send + Sync + 'static) -> Case {
    Case::new(Group::SameBits, format!("same-bits/{name}"), move |bench| check(bench, build()?))
}

fn model(graph: Graph, format: Format) -> Result<Model> {
    random_model(graph, 9, |info| if info.shape.len() == 1 { Format::F32 } else { format })
}

/// Wide enough that kernels take whole blocks, with an odd number of rows at the ends.
fn wide() -> Result<Graph> {
    let input = GraphInput::Tokens { vocabulary: 301, context: 128 };
    let mut b = GraphBuilder::new("conformance", input);
    let x = b.embed("token_embd.weight", 256, 1.0)?;
    let x = attend_rotated(&mut b, x, "blk.0", grouped(8, 2, 32), Some(plain_rope(8, 32)))?;
    let x = feed_forward(&mut b, x, "blk.0.ffn")?;
    let h = b.rms_norm(x, "blk.1.norm", 1e-5, 0.0)?;
    let experts = Experts {
        count: 6,
        top_k: 2,
        width: 256,
        router: b.weight("router.weight", &[6, 256])?,
        scoring: Scoring::Softmax,
        selection_bias: None,
        groups: None,
        normalise: true,
        scale: 1.0,
        gate: b.weight("gate.weight", &[6, 256, 256])?,
        up: b.weight("up.weight", &[6, 256, 256])?,
        down: b.weight("down.weight", &[6, 256, 256])?,
        activation: edgeformer_core::graph::Activation::Silu,
    };
    let out = b.experts(h, experts)?;
    let x = b.add(x, out)?;
    let x = b.rms_norm(x, "output_norm", 1e-5, 0.0)?;
    let logits = b.linear(x, "token_embd", 301, true)?;
    b.finish(OutputKind::Logits, logits)
}

fn check(bench: &Bench<'_>, model: Model) -> Result<(), Stop> {
    let model = Arc::new(model);
    // The forms of latent attention round differently: bits are the same within one.
    forms(&model.graph).iter().try_for_each(|&form| {
        within(bench, &model, form).map_err(|stop| stop.at(format!("mla {}", form.name())))
    })
}

fn within(bench: &Bench<'_>, model: &Arc<Model>, form: LatentForm) -> Result<(), Stop> {
    let mut random = Random::new(4);
    let vocabulary = model.graph.vocabulary();
    let texts: Vec<_> =
        [25, 6, 11].iter().map(|&length| random.tokens(length, vocabulary)).collect();
    let options = SessionOptions {
        cache_type_k: CacheFormat::F16,
        cache_type_v: CacheFormat::F16,
        latent_form: form,
        ..exact()
    };
    let mut expected = None;
    for threads in [1, 2, 3] {
        let program = bench.compile(model, Some(threads))?;
        let first = expected.get_or_insert(run(&program, &options, &texts, 25)?);
        for chunk in [25, 7, 1] {
            let found = run(&program, &options, &texts, chunk)?;
            for (found, expected) in found.iter().zip(first.iter()) {
                same_bits(found, expected)
                    .map_err(|stop| stop.at(format!("{threads} threads, chunks of {chunk}")))?;
            }
        }
        let found = ragged(program.open(&options)?.as_mut(), &texts)?;
        for (found, expected) in found.iter().zip(first.iter()) {
            same_bits(found, expected)
                .map_err(|stop| stop.at(format!("{threads} threads, among others")))?;
        }
    }
    Ok(())
}

/// Each text on its own.
fn run(
    program: &Arc<dyn Program>,
    options: &SessionOptions,
    texts: &[Vec<u32>],
    chunk: usize,
) -> Result<Vec<Vec<f32>>> {
    let mut session = program.clone().open(options)?;
    texts.iter().map(|text| chunked(session.as_mut(), text, chunk)).collect()
}
