//! What a tensor is for, by its name in GGUF.

/// The kinds of tensors that the rules tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Output,
    Vocabulary,
    AttentionV,
    AttentionK,
    AttentionQkv,
    AttentionOutput,
    FfnDown,
    Other,
}

impl Part {
    pub fn of(name: &str) -> Self {
        // Names of layers carry a prefix, those of experts an ending.
        let inside = [
            ("attn_qkv.weight", Self::AttentionQkv),
            ("attn_v.weight", Self::AttentionV),
            ("attn_k.weight", Self::AttentionK),
            ("attn_output.weight", Self::AttentionOutput),
            ("ffn_down", Self::FfnDown),
        ];
        match name {
            "output.weight" => Self::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Self::Vocabulary,
            _ => inside.iter().find(|(part, _)| name.contains(part)).map_or(Self::Other, |p| p.1),
        }
    }
}

/// The layer of `blk.7.attn_v.weight`.
pub fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}
