//! One tensor, as floats a few rows at a time, as blocks into a stream.

use std::io::Write;

use edgeformer_core::{Format, Tensor};
use edgeformer_models::checkpoint::LazyTensor;

use super::Options;
use super::recipe::Choice;
use super::report::{TensorReport, method_name};
use crate::linalg::Hessian;
use crate::rounding::share::{rows_each, share};
use crate::rounding::{InputStats, Method, Objective, round_matrix};
use crate::{Error, Result};

/// Weights that are floats at a time, unless a method needs a whole matrix.
const SLICE: usize = 4 << 20;

/// Quantizes a tensor into a stream.
pub(super) fn quantize(
    tensor: &LazyTensor,
    choice: &Choice,
    options: &Options<'_>,
    out: &mut dyn Write,
    told: &dyn Fn(u64) -> std::io::Result<()>,
) -> Result<TensorReport> {
    told(0)?;
    let source = tensor.load()?;
    let mut report = TensorReport {
        name: tensor.name().to_owned(),
        shape: tensor.shape().to_vec(),
        from: source.format(),
        format: choice.format,
        method: None,
        fallback: choice.fallback.clone(),
        bytes: choice.format.tensor_bytes(tensor.shape())? as u64,
        relative_error: 0.0,
        weighted_error: None,
    };
    if source.format() == choice.format {
        out.write_all(source.bytes())?;
        return Ok(report);
    }
    if !source.format().is_float() && !options.allow_requantize {
        let problem = format!(
            "it is {} already: quantize the model it was made of, or --allow-requantize",
            source.format()
        );
        return Err(Error::tensor(tensor.name(), problem));
    }
    let mut errors = Errors::default();
    let rounded = round(tensor.name(), &source, choice.format, options, &mut |rounded| {
        errors.add(&rounded);
        out.write_all(rounded.bytes)?;
        told(errors.weights)
    })?;
    report.method = (!choice.format.is_float()).then_some(rounded);
    report.relative_error = errors.relative();
    report.weighted_error = errors.weighted();
    Ok(report)
}

/// Rows of a tensor, before and after.
#[derive(Debug, Clone, Copy)]
pub struct Rounded<'a> {
    /// The weights as they were.
    pub values: &'a [f32],
    /// Weights of a row.
    pub columns: usize,
    /// Their format now.
    pub format: Format,
    /// Their bytes now.
    pub bytes: &'a [u8],
    /// `E[x²]` of their inputs, where it is known.
    pub importance: Option<&'a [f32]>,
    /// Threads that count what was lost.
    pub threads: usize,
}

impl Rounded<'_> {
    /// The sum of the squares of what was lost, those of a column times the importance of its
    /// input.
    pub fn squared_error(&self) -> f64 {
        let mut errors = Errors::default();
        errors.add(self);
        if errors.is_weighted { errors.weighted_error } else { errors.error }
    }
}

/// Rounds a tensor and hands its rows over in order, some at a time. Returns by which method, for
/// GPTQ needs a Hessian.
///
/// # Errors
/// If a weight is no number, the statistics are another model's, or what `take` says.
pub fn round(
    name: &str,
    tensor: &Tensor,
    format: Format,
    options: &Options<'_>,
    take: &mut dyn FnMut(Rounded<'_>) -> std::io::Result<()>,
) -> Result<&'static str> {
    let (columns, rows) = (tensor.row_len(), tensor.elements() / tensor.row_len());
    let matrices = match tensor.shape() {
        [count, _, _] => *count,
        _ => 1,
    };
    let matrix_rows = rows / matrices;
    let mut used = method_name(&options.method);
    for matrix in 0..matrices {
        let stats = Stats::of(name, (matrix, matrices), columns, format, options)?;
        let method = stats.method(options.method);
        used = method_name(&method);
        let slice = match method {
            // A Hessian is factorised once a call.
            Method::Gptq(_) => matrix_rows,
            _ => (SLICE / columns).clamp(1, matrix_rows),
        };
        for first in (0..matrix_rows).step_by(slice) {
            let first = matrix * matrix_rows + first;
            let end = (first + slice).min((matrix + 1) * matrix_rows);
            let values = floats(name, tensor, first..end, options)?;
            let bytes =
                round_matrix(&values, columns, format, &method, &stats.view(), options.threads)?;
            let importance = stats.importance.as_deref();
            let threads = options.threads;
            take(Rounded { values: &values, columns, format, bytes: &bytes, importance, threads })?;
        }
    }
    Ok(used)
}

/// What is known of the inputs of one matrix.
struct Stats {
    importance: Option<Vec<f32>>,
    hessian: Option<Hessian>,
}

impl Stats {
    fn of(
        name: &str,
        (matrix, matrices): (usize, usize),
        columns: usize,
        format: Format,
        options: &Options<'_>,
    ) -> Result<Self> {
        if format.is_float() {
            return Ok(Self { importance: None, hessian: None });
        }
        let entry = options.imatrix.map(|imatrix| imatrix.for_weight(name, matrices, columns));
        let importance = entry.transpose()?.flatten().and_then(|entry| entry.importance(matrix));
        let wanted = options.hessians.filter(|_| matches!(options.method, Method::Gptq(_)));
        let hessian = wanted.map(|hessians| hessians.of(name, matrix, columns)).transpose()?;
        let seen = |hessian: &Hessian| hessian.samples() > 0;
        Ok(Self { importance, hessian: hessian.flatten().filter(seen) })
    }

    /// The method that was asked for, as far as there is what it needs.
    fn method(&self, asked: Method) -> Method {
        match asked {
            Method::Gptq(_) if self.hessian.is_none() => {
                Method::KQuant { objective: Objective::default() }
            }
            method => method,
        }
    }

    fn view(&self) -> InputStats<'_> {
        InputStats { importance: self.importance.as_deref(), hessian: self.hessian.as_ref() }
    }
}

/// Some rows as floats, every one of them a number.
fn floats(
    name: &str,
    tensor: &Tensor,
    rows: std::ops::Range<usize>,
    options: &Options<'_>,
) -> Result<Vec<f32>> {
    let (columns, format) = (tensor.row_len(), tensor.format());
    let row_bytes = columns / format.block_len() * format.block_bytes();
    let bytes = &tensor.bytes()[rows.start * row_bytes..rows.end * row_bytes];
    let mut values = vec![0.0; rows.len() * columns];
    let rows_each = rows_each(columns);
    share(&mut values, rows_each * columns, options.threads, |index, values| {
        let first = index * rows_each;
        let bytes = &bytes[first * row_bytes..][..values.len() / columns * row_bytes];
        format.dequantize(bytes, values)?;
        let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
        if options.allow_nonfinite {
            values.iter_mut().filter(|value| !value.is_finite()).for_each(|value| *value = 0.0);
            return Ok(());
        }
        let (row, column) = (rows.start + first + at / columns, at % columns);
        let problem = format!(
            "weight [{row}, {column}] is {}: get the model again, or --allow-nonfinite to take zero instead",
            values[at]
        );
        Err(Error::tensor(name, problem))
    })?;
    Ok(values)
}

/// Sums of squares over a tensor.
#[derive(Debug, Clone, Default)]
struct Errors {
    weights: u64,
    error: f64,
    power: f64,
    weighted_error: f64,
    weighted_power: f64,
    is_weighted: bool,
}

impl Errors {
    fn add(&mut self, rounded: &Rounded<'_>) {
        let rows_each = rows_each(rounded.columns);
        let size = rows_each * rounded.columns;
        let mut sums = vec![Self::default(); rounded.values.len().div_ceil(size)];
        let counted = share(&mut sums, 1, rounded.threads, |index, sums| {
            let values = rounded.values.chunks(size).nth(index).unwrap_or_default();
            sums[0] = Self::of(rounded, index * rows_each, values)?;
            Ok(())
        });
        counted.expect("rounding gives as many blocks as there are values");
        // In their order: the sum does not depend on the threads.
        sums.iter().for_each(|sums| self.merge(sums));
    }

    /// Of some rows, from `first` on, that were `values`.
    fn of(rounded: &Rounded<'_>, first: usize, values: &[f32]) -> Result<Self> {
        let Rounded { columns, format, .. } = *rounded;
        let row_bytes = columns / format.block_len() * format.block_bytes();
        let bytes = &rounded.bytes[first * row_bytes..][..values.len() / columns * row_bytes];
        let mut after = vec![0.0; values.len()];
        format.dequantize(bytes, &mut after)?;
        let mut sums = Self {
            weights: values.len() as u64,
            is_weighted: rounded.importance.is_some(),
            ..Self::default()
        };
        for (before, after) in values.chunks_exact(columns).zip(after.chunks_exact(columns)) {
            sums.add_row(before, after, rounded.importance);
        }
        Ok(sums)
    }

    fn add_row(&mut self, before: &[f32], after: &[f32], importance: Option<&[f32]>) {
        for (column, (&before, &after)) in before.iter().zip(after).enumerate() {
            let (before, after) = (f64::from(before), f64::from(after));
            let (error, power) = ((before - after) * (before - after), before * before);
            self.error += error;
            self.power += power;
            if let Some(importance) = importance {
                let importance = f64::from(importance[column]);
                self.weighted_error += importance * error;
                self.weighted_power += importance * power;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.weights += other.weights;
        self.error += other.error;
        self.power += other.power;
        self.weighted_error += other.weighted_error;
        self.weighted_power += other.weighted_power;
        self.is_weighted = other.is_weighted;
    }

    fn relative(&self) -> f64 {
        ratio(self.error, self.power)
    }

    fn weighted(&self) -> Option<f64> {
        self.is_weighted.then(|| ratio(self.weighted_error, self.weighted_power))
    }
}

/// Of root mean squares; zero where there was nothing to lose.
fn ratio(error: f64, power: f64) -> f64 {
    if power == 0.0 { 0.0 } else { (error / power).sqrt() }
}
