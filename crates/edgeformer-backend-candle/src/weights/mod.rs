//! A model's weights on a device.

mod aside;
mod dropout;
mod embed;
mod few_rows;
mod format;
mod load;
mod matrix;
mod product;
mod quantized;
mod rounding;
mod usage;
mod widen;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use edgeformer_core::graph::WeightId;
use edgeformer_core::{Error, Format, Graph, Model, Weight};

use crate::CandleError;
use crate::error::{Result, problem};
pub use aside::MatrixGradients;
pub use dropout::Dropout;
pub use load::learning_bytes;
pub(crate) use load::planned_bytes;
use matrix::Learning;
pub(crate) use matrix::{Matrix, WIDENED};
pub(crate) use product::DEQUANTIZED;
use rounding::Rounding;
pub(crate) use widen::widen;

/// A model's weights on a device, in the order of [`Graph::weights`]. Clones share them.
#[derive(Debug, Clone)]
pub struct DeviceWeights {
    weights: Vec<DeviceWeight>,
    device: Device,
    /// What activations are computed in.
    dtype: DType,
    /// Of products whose inputs are partly left out.
    dropouts: BTreeMap<usize, Dropout>,
    /// Of matrices that products see as a format would hold them.
    roundings: BTreeMap<usize, Format>,
    /// Such matrices, as they were when [`rounded`](Self::rounded) was asked.
    rounded: BTreeMap<usize, Tensor>,
    /// Where gradients of matrices are put.
    aside: Option<MatrixGradients>,
}

#[derive(Debug, Clone)]
struct DeviceWeight {
    name: String,
    form: Form,
    /// Of a table that is looked up: its rows as the file holds them.
    table: Option<Weight>,
}

/// How a weight lies on the device.
#[derive(Debug, Clone)]
enum Form {
    /// All of it, in its shape; f32, f64, or half floats that are widened where they are used.
    Dense(Tensor),
    /// Matrices below each other, or one an expert.
    Matrices(Vec<Matrix>),
    /// Nothing: rows are looked up on the host.
    Host,
}

impl DeviceWeights {
    /// The weights of a model. What candle has a format for stays in it.
    ///
    /// # Errors
    /// If a weight is missing or has the wrong shape, or the device has no room.
    pub fn load(model: &Model, device: &Device) -> edgeformer_core::Result<Self> {
        model.weights.check(&model.graph)?;
        let weights = load::all(model, device)?;
        Ok(Self::plain(weights, device.clone(), DType::F32))
    }

    /// Weights from tensors of one float type, in the order of the graph's: those that are
    /// [`Var`]s get gradients.
    ///
    /// # Errors
    /// If there are not as many as the graph names, or one has another shape, type or device than
    /// it must have.
    pub fn from_tensors(graph: &Graph, tensors: Vec<Tensor>) -> edgeformer_core::Result<Self> {
        let Some(first) = tensors.first().filter(|_| tensors.len() == graph.weights.len()) else {
            let (found, needed) = (tensors.len(), graph.weights.len());
            return Err(problem(format!(
                "{found} tensors are given, the graph has {needed} weights"
            )));
        };
        let (device, dtype) = (first.device().clone(), first.dtype());
        for (info, tensor) in graph.weights.iter().zip(&tensors) {
            let fits = tensor.dims() == info.shape
                && tensor.dtype() == dtype
                && tensor.device().same_device(&device);
            if !fits || !matches!(dtype, DType::F32 | DType::F64) {
                let problem = format!(
                    "the tensor is {:?} {:?}, it must be {:?} of f32 or f64, all on one device",
                    tensor.dtype(),
                    tensor.dims(),
                    info.shape
                );
                return Err(Error::Weight { name: info.name.clone(), problem });
            }
        }
        let named = graph.weights.iter().map(|info| info.name.clone()).zip(tensors);
        let dense = |(name, tensor)| DeviceWeight { name, form: Form::Dense(tensor), table: None };
        let weights = named.map(dense).collect();
        Ok(Self::plain(weights, device, dtype))
    }

    fn plain(weights: Vec<DeviceWeight>, device: Device, dtype: DType) -> Self {
        let (dropouts, roundings, rounded) = Default::default();
        Self { weights, device, dtype, dropouts, roundings, rounded, aside: None }
    }

    /// Replaces a weight of floats with a variable of its values and returns it: it gets gradients.
    ///
    /// # Errors
    /// If there is no such weight, or it stays in a quantized format.
    pub fn make_trainable(&mut self, id: WeightId) -> edgeformer_core::Result<Var> {
        let (dtype, device) = (self.dtype, self.device.clone());
        let Some(weight) = self.weights.get_mut(id.index()) else {
            return Err(problem(format!("there is no weight {}", id.0)));
        };
        let tensor = match (&weight.form, &weight.table) {
            (Form::Dense(tensor), _) => tensor.clone(),
            (Form::Host, Some(table)) => load::dense(table, dtype, &device)?,
            _ => {
                let problem = "is quantized: only floats can be trained".into();
                return Err(Error::Weight { name: weight.name.clone(), problem });
            }
        };
        let made = tensor.to_dtype(dtype).and_then(|wide| Var::from_tensor(&wide));
        let variable = made.map_err(CandleError::from)?;
        weight.form = Form::Dense(variable.as_tensor().clone());
        Ok(variable)
    }

    /// Leaves inputs of the products with a weight out at random.
    pub fn set_dropout(&mut self, id: WeightId, dropout: Dropout) {
        if dropout.rate > 0.0 {
            self.dropouts.insert(id.index(), dropout);
        }
    }

    /// Lets products with a weight see it as a format would hold it, while it stays in floats itself
    /// and gradients pass it by: training that is aware of quantization. Gives whether it applies: to
    /// matrices of f32 on the processor whose rows are whole blocks.
    pub fn set_rounding(&mut self, id: WeightId, format: Format) -> bool {
        let fits = match self.weights.get(id.index()).map(|weight| &weight.form) {
            Some(Form::Dense(matrix)) => {
                let cols = matrix.dims().last().copied().unwrap_or(0);
                matrix.rank() == 2
                    && matrix.dtype() == DType::F32
                    && self.device.is_cpu()
                    && Rounding(format).fits(cols)
            }
            _ => false,
        };
        if fits {
            self.roundings.insert(id.index(), format);
        }
        fits
    }

    /// The same weights, of which matrices are rounded now, as [`set_rounding`](Self::set_rounding)
    /// asks, instead of by every product. What variables become later is not seen.
    ///
    /// # Errors
    /// If a value cannot be stored in its format.
    pub fn rounded(&self) -> edgeformer_core::Result<Self> {
        let mut now = self.clone();
        for (&id, &format) in &self.roundings {
            let Form::Dense(matrix) = &self.weights[id].form else { continue };
            let rounded = Rounding(format).of(matrix).map_err(CandleError::from)?;
            now.rounded.insert(id, rounded);
        }
        Ok(now)
    }

    /// Lets products on the processor put gradients of matrices that learn aside, instead of giving
    /// them to candle's store.
    pub fn put_aside(&mut self, gradients: MatrixGradients) {
        self.aside = Some(gradients);
    }

    /// Where they lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What activations are computed in: f32, or the type of the tensors they were made from.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// All of a weight that was loaded to be used whole.
    pub(crate) fn dense(&self, id: WeightId) -> Result<Tensor> {
        match &self.weights[id.index()].form {
            Form::Dense(tensor) => Ok(widen(tensor, self.dtype)?),
            _ => Err(self.misplaced(id)),
        }
    }

    /// The product of rows with all matrices of a weight: `x Wᵀ`.
    pub(crate) fn product(&self, x: &Tensor, id: WeightId) -> Result<Tensor> {
        let dropout = self.dropouts.get(&id.index());
        let x = &dropout.map_or_else(|| Ok(x.clone()), |dropout| dropout.apply(x))?;
        match &self.weights[id.index()].form {
            Form::Dense(tensor) => self.whole(id, tensor)?.product(x),
            Form::Matrices(parts) => {
                let products = parts.iter().map(|part| part.product(x));
                Ok(match products.collect::<Result<Vec<_>>>()?.as_slice() {
                    [one] => one.clone(),
                    several => Tensor::cat(several, 1)?,
                })
            }
            Form::Host => Err(self.misplaced(id)),
        }
    }

    /// A weight that is one matrix.
    fn whole(&self, id: WeightId, values: &Tensor) -> Result<Matrix> {
        let seen = match (self.rounded.get(&id.index()), self.roundings.get(&id.index())) {
            (Some(rounded), _) => Some(rounded.clone()),
            (None, Some(&format)) => Some(Rounding(format).of(values)?),
            (None, None) => None,
        };
        let values = values.clone();
        Ok(match values.is_variable() {
            true => Matrix::Learning(Learning { values, seen, aside: self.aside.clone() }),
            false => Matrix::Float(seen.unwrap_or(values)),
        })
    }

    /// One matrix of a stack `[count, out, in]`.
    pub(crate) fn expert(&self, id: WeightId, index: usize) -> Result<Matrix> {
        match &self.weights[id.index()].form {
            Form::Dense(tensor) => Ok(Matrix::of(tensor.get(index)?, tensor.is_variable())),
            Form::Matrices(parts) => Ok(parts[index].clone()),
            Form::Host => Err(self.misplaced(id)),
        }
    }

    /// A weight that was loaded for another use than that which it is put to.
    fn misplaced(&self, id: WeightId) -> CandleError {
        let name = self.weights[id.index()].name.clone();
        let problem = "does not lie on the device as this op needs it".into();
        Error::Weight { name, problem }.into()
    }
}
