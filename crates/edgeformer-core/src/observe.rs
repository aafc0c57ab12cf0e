use crate::Rows;

/// Rows that a step is about to multiply with weights.
#[derive(Debug, Clone, Copy)]
pub struct ObservedInput<'a> {
    /// The names of the weights that read these rows, as the graph has them.
    pub weights: &'a [&'a str],
    /// Which matrix of a stack: an expert, or a head of a latent's up-projections. Else 0.
    pub part: usize,
    /// The rows, as wide as the weights' last dimension.
    pub rows: Rows<'a>,
}

/// Who is told of every product of a session
/// ([`Session::observe_inputs`](crate::Session::observe_inputs)).
pub type InputObserver = Box<dyn FnMut(ObservedInput<'_>) + Send + Sync>;
