use edgeformer_core::Result;

/// What one sequence has cached, in a backend's own tensors, slot by slot.
///
/// Data behind the length of its sequence are stale: a step that fails leaves them there, and the
/// next one writes over them.
pub trait Kept: Send + Sized {
    /// A second one of the same content. The two may share buffers, but what is written to one
    /// must not show in the other.
    fn fork(&self) -> Result<Self>;

    /// Forgets every token from position `len` on.
    fn truncate(&mut self, len: usize) -> Result<()>;

    /// The first `len` rows of a slot.
    fn read(&self, slot: usize, len: usize) -> Result<Sides>;

    /// Fills a slot of an empty sequence with `len` rows.
    fn write(&mut self, slot: usize, len: usize, sides: &Sides) -> Result<()>;

    /// Shows every buffer that it holds. A buffer that two sequences share has one identity.
    fn buffers(&self, each: &mut dyn FnMut(Buffer));
}

/// Rows of a slot, token by token. How wide they are is in
/// [`SlotPlan::elements`](edgeformer_core::graph::SlotPlan::elements).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sides {
    /// Keys `[tokens, heads * key_dim]`, or latents and rotated keys `[tokens, rank + rope_dim]`.
    pub keys: Vec<f32>,
    /// Values `[tokens, heads * value_dim]`; none where latents are cached.
    pub values: Vec<f32>,
}

/// Memory that a sequence holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// The same for the same memory, for example its address.
    pub id: usize,
    /// Its size.
    pub bytes: u64,
    /// Whether it lies where the device computes; elsewhere it was moved to save memory there.
    pub resident: bool,
}
