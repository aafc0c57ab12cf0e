//! Attention: by the contributed operator where it is exactly ours, by plain products elsewhere.

use edgeformer_core::Result;
use edgeformer_core::graph::{Attention, CacheSlot, Mask};

use super::builder::{Name, int};
use super::cache::Side;
use super::{Counts, Translator};
use crate::onnx::{Attribute, Domain};

impl Translator<'_> {
    pub(super) fn attention(&mut self, qkv: &[&str], attention: &Attention) -> Result<Name> {
        let Some(slot) = attention.slot.filter(|_| attention.mask == Mask::Causal) else {
            return Ok(match self.options.plain {
                true => self.plain_bidirectional(qkv, attention),
                false => self.bidirectional(qkv, attention),
            });
        };
        let window = [attention.window, self.options.window].into_iter().flatten().min();
        if self.is_grouped_query(attention, window) {
            return Ok(self.grouped_query(qkv, attention, slot, window));
        }
        Ok(self.plain(qkv, attention, slot, window))
    }

    /// `GroupQueryAttention` of ONNX Runtime's contributed operators.
    fn grouped_query(
        &mut self,
        qkv: &[&str],
        attention: &Attention,
        slot: CacheSlot,
        window: Option<usize>,
    ) -> Name {
        let &Attention { heads, kv_heads, key_dim, scale, soft_cap, .. } = attention;
        let [past_key, present_key] = self.by_heads(slot, Side::Key, kv_heads, key_dim);
        let [past_value, present_value] = self.by_heads(slot, Side::Value, kv_heads, key_dim);
        let (last, total) = (self.last_positions(), self.total_length());
        let mut attributes = vec![
            ("num_heads", int(heads)),
            ("kv_num_heads", int(kv_heads)),
            ("scale", Attribute::Float(scale)),
        ];
        let counted = |window: usize| match self.options.counts {
            Counts::Earlier => window - 1,
            Counts::Own | Counts::Unknown => window,
        };
        attributes.extend(window.map(|window| ("local_window_size", int(counted(window)))));
        attributes.extend(soft_cap.map(|cap| ("softcap", Attribute::Float(cap))));
        let out = format!("/{}/attention", self.b.scope);
        let inputs = [qkv[0], qkv[1], qkv[2], &past_key, &past_value, &last, &total];
        let outputs = vec![out.clone(), present_key, present_value];
        self.b.named(Domain::Microsoft, "GroupQueryAttention", &inputs, outputs, attributes);
        out
    }

    /// The standard's `Attention`, without mask and cache.
    fn bidirectional(&mut self, qkv: &[&str], attention: &Attention) -> Name {
        let mut attributes = vec![
            ("q_num_heads", int(attention.heads)),
            ("kv_num_heads", int(attention.kv_heads)),
            ("scale", Attribute::Float(attention.scale)),
        ];
        attributes.extend(attention.soft_cap.map(|cap| ("softcap", Attribute::Float(cap))));
        self.b.op("Attention", qkv, attributes)
    }

    /// By products and a softmax, groups of query heads side by side as a dimension.
    fn plain(
        &mut self,
        qkv: &[&str],
        attention: &Attention,
        slot: CacheSlot,
        window: Option<usize>,
    ) -> Name {
        let &Attention { kv_heads, key_dim, value_dim, .. } = attention;
        let keys = self.cached(qkv[1], slot, Side::Key, kv_heads, key_dim);
        let values = self.cached(qkv[2], slot, Side::Value, kv_heads, value_dim);
        let mask = self.causal_mask(window);
        let axes = self.b.ints(&[2]);
        let mask = self.b.op("Unsqueeze", &[&mask, &axes], vec![]);
        self.mixed(qkv[0], keys, values, Some(&mask), attention)
    }

    /// As [`plain`](Self::plain), without mask and cache.
    fn plain_bidirectional(&mut self, qkv: &[&str], attention: &Attention) -> Name {
        let &Attention { kv_heads, key_dim, value_dim, .. } = attention;
        let keys = self.heads_first(qkv[1], kv_heads, key_dim);
        let values = self.heads_first(qkv[2], kv_heads, value_dim);
        self.mixed(qkv[0], keys, values, None, attention)
    }

    /// Values `[batch, heads, total, width]` mixed by how well their keys fit the queries.
    fn mixed(
        &mut self,
        queries: &str,
        keys: Name,
        values: Name,
        mask: Option<&str>,
        attention: &Attention,
    ) -> Name {
        let &Attention { heads, kv_heads, key_dim, value_dim, scale, soft_cap, .. } = attention;
        let axes = self.b.ints(&[2]);
        let [keys, values] = [keys, values].map(|x| self.b.op("Unsqueeze", &[&x, &axes], vec![]));
        let group = (heads / kv_heads) as i64;
        let queries = self.b.reshape(queries, &[0, 0, kv_heads as i64, group, key_dim as i64]);
        let queries = self.b.transpose(&queries, &[0, 2, 3, 1, 4]);
        let mut scores = self.b.times_transposed(&queries, (&keys, 5), scale);
        if let Some(cap) = soft_cap {
            scores = self.soft_cap(&scores, cap);
        }
        let weights = match mask {
            Some(mask) => self.weights_of(&scores, mask),
            None => self.b.op("Softmax", &[&scores], vec![("axis", Attribute::Int(-1))]),
        };
        let mixed = self.b.op("MatMul", &[&weights, &values], vec![]);
        let mixed = self.b.transpose(&mixed, &[0, 3, 1, 2, 4]);
        self.b.reshape(&mixed, &[0, 0, (heads * value_dim) as i64])
    }

    pub(super) fn weights_of(&mut self, scores: &str, mask: &str) -> Name {
        let masked = self.b.op("Add", &[scores, mask], vec![]);
        self.b.op("Softmax", &[&masked], vec![("axis", Attribute::Int(-1))])
    }

    /// Whether the contributed operator computes exactly this.
    fn is_grouped_query(&self, attention: &Attention, window: Option<usize>) -> bool {
        let &Attention { key_dim, value_dim, scale, .. } = attention;
        let window = match window {
            None => true,
            // It takes a window of nothing for none.
            Some(window) => window > 1 && self.options.counts != Counts::Unknown,
        };
        // It takes a scale of zero for none.
        let exact = key_dim == value_dim && key_dim.is_multiple_of(8) && scale != 0.0 && window;
        exact && !self.options.plain
    }
}
