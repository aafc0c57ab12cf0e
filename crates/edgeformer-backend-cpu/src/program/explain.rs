//! What was chosen for a session, for people.

use edgeformer_core::graph::{LatentAttention, SlotPlan};
use edgeformer_core::{Graph, LatentForm, Op, SessionOptions};

use super::attention::shows_parts;
use super::latent::LatentCost;

/// A line for each choice.
pub(crate) fn explain(graph: &Graph, options: &SessionOptions) -> Vec<String> {
    let mut lines = cached(graph, options);
    lines.extend(latent_attention(graph).map(|attention| latent_form(attention, options)));
    lines
}

/// What a token leaves in the cache, a line for each kind of layer.
fn cached(graph: &Graph, options: &SessionOptions) -> Vec<String> {
    let mut kinds: Vec<(SlotPlan, usize)> = Vec::new();
    for slot in &graph.cache.slots {
        match kinds.iter_mut().find(|(kind, _)| kind == slot) {
            Some((_, layers)) => *layers += 1,
            None => kinds.push((*slot, 1)),
        }
    }
    let (keys, values) = (options.cache_type_k.name(), options.cache_type_v.name());
    let line = |(slot, layers): (SlotPlan, usize)| match slot {
        SlotPlan::KeyValue { heads, key_dim, value_dim, window } => {
            let seen = window.map_or("all tokens".into(), |window| format!("{window} tokens"));
            format!(
                "attention: {layers} layers see {seen}; each caches {heads} heads of {key_dim} elements in {keys} and {value_dim} in {values} of a token"
            )
        }
        SlotPlan::Latent { rank, rope_dim } => format!(
            "latent attention: {layers} layers; each caches {} elements in {keys} of a token",
            rank + rope_dim
        ),
    };
    kinds.into_iter().map(line).collect()
}

fn latent_attention(graph: &Graph) -> Option<&LatentAttention> {
    graph.nodes.iter().find_map(|node| match &node.op {
        Op::LatentAttention(attention) => Some(attention),
        _ => None,
    })
}

fn latent_form(attention: &LatentAttention, options: &SessionOptions) -> String {
    let context = options.context;
    match options.latent_form {
        LatentForm::Absorbed => "latent attention: absorbed, as asked".into(),
        LatentForm::Expanded => "latent attention: expanded, as asked".into(),
        LatentForm::Auto if shows_parts(options) => {
            "latent attention: absorbed, for queries see parts of the past".into()
        }
        LatentForm::Auto => match LatentCost::default().crossover(attention, context) {
            Some(queries) => format!(
                "latent attention: absorbed below {queries} tokens a span, expanded from there on, where that costs less at a context of {context}"
            ),
            None => format!("latent attention: absorbed, which costs less up to {context} tokens"),
        },
    }
}

#[cfg(test)]
mod tests {
    use edgeformer_core::graph::{CacheSlot, LatentUp, WeightId};

    use super::*;

    /// DeepSeek-V2's dimensions.
    fn deepseek() -> LatentAttention {
        LatentAttention {
            heads: 16,
            rank: 512,
            nope_dim: 128,
            rope_dim: 64,
            value_dim: 128,
            scale: 1.0,
            up: LatentUp::Fused { weight: WeightId(0) },
            slot: CacheSlot(0),
        }
    }

    #[test]
    fn the_crossover_is_the_formula_of_the_costs() {
        let cost = LatentCost::default();
        for context in [600, 2048, 16_384] {
            let t = context as f64;
            let exact = 512.0 * 256.0 * t / (t * (1024.0 - 256.0) + 512.0 * 256.0);
            let found = cost.crossover(&deepseek(), context).unwrap();
            assert_eq!(found, exact.floor() as usize + 1, "at {context}");
        }
        assert_eq!(cost.crossover(&deepseek(), 1 << 20), Some(171));
        // A prompt in one piece is always expanded.
        assert!(cost.prefers_expanded(&deepseek(), 4096, 4096));
        assert!(!cost.prefers_expanded(&deepseek(), 1, 4096));
    }

    #[test]
    fn the_form_is_told_with_its_reason() {
        let options = SessionOptions::default();
        insta::assert_snapshot!(latent_form(&deepseek(), &options), @"latent attention: absorbed below 164 tokens a span, expanded from there on, where that costs less at a context of 4096");
        let pinned = SessionOptions { latent_form: LatentForm::Expanded, ..options };
        insta::assert_snapshot!(latent_form(&deepseek(), &pinned), @"latent attention: expanded, as asked");
    }
}
