//! From a file's bytes to tensors of a device.

use std::sync::Arc;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use edgeformer_core::{Format, Model, Weight};

use super::usage::{self, Usage};
use super::{DeviceWeight, Form, Matrix, format};
use crate::error::Result;

/// Every weight of a model's graph.
pub(super) fn all(model: &Model, device: &Device) -> edgeformer_core::Result<Vec<DeviceWeight>> {
    let uses = usage::of(&model.graph);
    let mut loaded = Vec::with_capacity(uses.len());
    for (info, usage) in model.graph.weights.iter().zip(uses) {
        let weight = model.weights.get(&info.name)?;
        let made = one(&info.name, weight, usage, device)?;
        if made.table.is_none() {
            weight.parts().iter().for_each(|part| model.weights.release(part.bytes()));
        }
        loaded.push(made);
    }
    Ok(loaded)
}

/// Bytes that a model's weights take on a device, from their shapes and formats alone.
pub(crate) fn planned_bytes(model: &Model, device: &Device) -> edgeformer_core::Result<u64> {
    let mut bytes = 0;
    for (info, usage) in model.graph.weights.iter().zip(usage::of(&model.graph)) {
        let weight = model.weights.get(&info.name)?;
        let elements: usize = info.shape.iter().product();
        let table = if usage.table { weight.byte_len() as u64 } else { 0 };
        bytes += match place(weight, usage) {
            Place::Host => table,
            Place::Dense(dtype) => (elements * dtype.size_in_bytes()) as u64,
            Place::Matrices => matrices_bytes(weight, device) + table,
        };
    }
    Ok(bytes)
}

/// Bytes that a model's weights take on the processor while some of them learn, which `learns` names
/// by their order: these are f32.
///
/// # Errors
/// If a weight is missing.
pub fn learning_bytes(model: &Model, learns: &[bool]) -> edgeformer_core::Result<u64> {
    let mut bytes = 0;
    let uses = model.graph.weights.iter().zip(usage::of(&model.graph));
    for ((info, usage), &learns) in uses.zip(learns) {
        let weight = model.weights.get(&info.name)?;
        let elements: usize = info.shape.iter().product();
        bytes += match place(weight, usage) {
            _ if learns => (elements * DType::F32.size_in_bytes()) as u64,
            Place::Host => 0,
            Place::Dense(dtype) => (elements * dtype.size_in_bytes()) as u64,
            // Products of many rows do not rearrange them.
            Place::Matrices => weight.byte_len() as u64,
        };
    }
    Ok(bytes)
}

fn matrices_bytes(weight: &Weight, device: &Device) -> u64 {
    let part = |part: &edgeformer_core::Tensor| {
        let (rows, cols) = (part.elements() / part.row_len(), part.row_len());
        match format::quantized(part.format()) {
            None => (part.elements() * format::float(part.format()).size_in_bytes()) as u64,
            Some(_) => {
                let rearranged = format::rearranged(part.format(), rows, cols, device);
                part.bytes().len() as u64 + rearranged
            }
        }
    };
    weight.parts().iter().map(part).sum()
}

/// How a weight will lie.
enum Place {
    Host,
    Dense(DType),
    Matrices,
}

fn place(weight: &Weight, usage: Usage) -> Place {
    let formats = || weight.parts().iter().map(edgeformer_core::Tensor::format);
    if usage.whole {
        return Place::Dense(DType::F32);
    }
    if !usage.product {
        return Place::Host;
    }
    let first = weight.parts()[0].format();
    match formats().all(|format| format == first) && format::quantized(first).is_none() {
        true => Place::Dense(format::float(first)),
        false => Place::Matrices,
    }
}

fn one(name: &str, weight: &Weight, usage: Usage, device: &Device) -> Result<DeviceWeight> {
    let form = match place(weight, usage) {
        Place::Host => Form::Host,
        Place::Dense(dtype) => Form::Dense(dense(weight, dtype, device)?),
        Place::Matrices if weight.shape().len() == 2 => Form::Matrices(below(weight, device)?),
        Place::Matrices => Form::Matrices(experts(weight, device)?),
    };
    let table = usage.table && !matches!(form, Form::Dense(_));
    Ok(DeviceWeight { name: name.to_owned(), form, table: table.then(|| weight.clone()) })
}

/// All values in the weight's shape.
pub(super) fn dense(weight: &Weight, dtype: DType, device: &Device) -> Result<Tensor> {
    let shape = weight.shape();
    Ok(match dtype {
        DType::F16 => Tensor::from_vec(halves(weight, half::f16::from_le_bytes), shape, device)?,
        DType::BF16 => Tensor::from_vec(halves(weight, half::bf16::from_le_bytes), shape, device)?,
        _ => Tensor::from_vec(weight.to_f32(), shape, device)?,
    })
}

fn halves<T>(weight: &Weight, decode: fn([u8; 2]) -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(weight.shape().iter().product());
    for part in weight.parts() {
        values.extend(part.bytes().chunks_exact(2).map(|two| decode([two[0], two[1]])));
    }
    values
}

/// Matrices below each other; neighbours of one format become one.
fn below(weight: &Weight, device: &Device) -> Result<Vec<Matrix>> {
    let parts = weight.parts();
    let runs = parts.chunk_by(|a, b| a.format() == b.format());
    runs.map(|run| {
        let rows = run.iter().map(|part| part.shape()[0]).sum();
        let bytes: Vec<&[u8]> = run.iter().map(|part| part.bytes().as_ref()).collect();
        matrix(run[0].format(), &bytes, [rows, run[0].row_len()], device)
    })
    .collect()
}

/// One matrix for each index of the first dimension, whatever parts the file has.
fn experts(weight: &Weight, device: &Device) -> Result<Vec<Matrix>> {
    let &[_, rows, cols] = weight.shape() else {
        return below(weight, device);
    };
    let mut matrices = Vec::new();
    for part in weight.parts() {
        let size = part.bytes().len() / (part.elements() / (rows * cols));
        for bytes in part.bytes().chunks_exact(size) {
            matrices.push(matrix(part.format(), &[bytes], [rows, cols], device)?);
        }
    }
    Ok(matrices)
}

fn matrix(format: Format, bytes: &[&[u8]], shape: [usize; 2], device: &Device) -> Result<Matrix> {
    match format::quantized(format) {
        Some(dtype) => {
            let words = aligned(bytes);
            let bytes = &bytemuck::cast_slice(&words)[..bytes.iter().map(|part| part.len()).sum()];
            let storage = QStorage::from_data(bytes.into(), device, dtype)?;
            Ok(Matrix::Quantized(Arc::new(QTensor::new(storage, (shape[0], shape[1]))?)))
        }
        None => {
            let mut values = vec![0.0; shape[0] * shape[1]];
            format.dequantize(&bytes.concat(), &mut values)?;
            let tensor = Tensor::from_vec(values, &shape, device)?;
            Ok(Matrix::Float(tensor.to_dtype(format::float(format))?))
        }
    }
}

/// The bytes behind each other, aligned as candle's blocks want them: slices of a file are not.
fn aligned(parts: &[&[u8]]) -> Vec<u64> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut words = vec![0u64; length.div_ceil(8)];
    let mut rest: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    for part in parts {
        let (to, behind) = rest.split_at_mut(part.len());
        to.copy_from_slice(part);
        rest = behind;
    }
    words
}
