use crate::linalg::Hessian;

/// How a matrix is rounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Round to nearest. Without clip search the bytes are those of
    /// [`Format::quantize`](edgeformer_core::Format::quantize); with it, shares of the range are
    /// tried in every group, and the one of least squared error is kept.
    Rtn {
        /// Whether to try.
        clip_search: bool,
    },
    /// Scales, minima and super-scales searched together: never a larger error than that of
    /// [`Format::quantize`](edgeformer_core::Format::quantize).
    KQuant {
        /// What an error costs.
        objective: Objective,
    },
    /// Half-quadratic quantization (Badri and Shaji 2023), without data.
    Hqq,
    /// GPTQ (Frantar et al. 2022, [arXiv 2210.17323](https://arxiv.org/abs/2210.17323)): what a
    /// column loses is made up for by the columns after it. Needs a [`Hessian`].
    Gptq(Gptq),
}

/// What an error in a weight costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// Its square, times the importance of the column where that is known.
    #[default]
    Error,
    /// The same times `sqrt(2 mean(w²) + w²)`, as llama.cpp weighs with an importance matrix:
    /// large weights count more.
    Magnitude,
}

/// The settings of GPTQ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gptq {
    /// What is added to the diagonal of the Hessian, as a share of its mean.
    pub damping: f32,
    /// In which order columns are rounded.
    pub order: Order,
    /// Rounds of refinement afterwards: every code, scale and minimum in turn is moved to where
    /// the squared error of the products is least given all others (coordinate descent, as in
    /// QuantEase, [arXiv 2309.01885](https://arxiv.org/abs/2309.01885)).
    pub refine: usize,
}

impl Default for Gptq {
    fn default() -> Self {
        Self { damping: 0.01, order: Order::Natural, refine: 4 }
    }
}

/// In which order GPTQ rounds the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand: the scales of a group are chosen when its turn comes, for weights that
    /// already make up for the columns before.
    Natural,
    /// The most active inputs first, while many columns can still make up for them. Scales are
    /// chosen beforehand, for the weights as they are.
    Activation,
}

/// What is known of the inputs that a matrix is multiplied with.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputStats<'a> {
    /// The mean square of every input, one a column.
    pub importance: Option<&'a [f32]>,
    /// The mean of the products of all pairs of inputs.
    pub hessian: Option<&'a Hessian>,
}
