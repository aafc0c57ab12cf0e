use edgeformer_core::{Format, Model, Tensor, Weight, Weights};

use crate::Result;

/// The same model with every block-quantized weight as f32. Its products take activations as
/// floats, so that a comparison with the quantized model shows what 8-bit activations cost; the
/// weights have the same values. Takes four bytes for each of these weights.
///
/// # Errors
/// If a weight's parts do not fit together: never for one that was opened.
pub fn dequantized(model: &Model) -> Result<Model> {
    let mut weights = Weights::default();
    for (name, weight) in model.weights.iter() {
        weights.insert(name, as_floats(name, weight)?);
    }
    Ok(Model { graph: model.graph.clone(), weights })
}

fn as_floats(name: &str, weight: &Weight) -> Result<Weight> {
    if weight.parts().iter().all(|part| part.format().is_float()) {
        return Ok(weight.clone());
    }
    let parts: Vec<Tensor> = weight.parts().iter().map(float).collect::<Result<_>>()?;
    let is_stacked = parts.iter().all(|part| part.shape().len() < weight.shape().len());
    Ok(match <[Tensor; 1]>::try_from(parts) {
        Ok([whole]) if !is_stacked => Weight::whole(whole),
        Ok(alone) => Weight::stacked(name, alone.into())?,
        Err(parts) if is_stacked => Weight::stacked(name, parts)?,
        Err(parts) => Weight::concatenated(name, parts)?,
    })
}

fn float(tensor: &Tensor) -> Result<Tensor> {
    if tensor.format().is_float() {
        return Ok(tensor.clone());
    }
    Ok(Tensor::quantize(Format::F32, tensor.shape(), &tensor.to_f32())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(format: Format, rows: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * 32).map(|i| (i % 7) as f32 - 3.0).collect();
        Tensor::quantize(format, [rows, 32], &values).unwrap()
    }

    #[test]
    fn weights_keep_their_shapes_and_values() {
        let (two, three) = (tensor(Format::Q4_0, 2), tensor(Format::F16, 3));
        let same = || vec![tensor(Format::Q8_0, 2), tensor(Format::Q4_0, 2)];
        let weights = [
            Weight::whole(two.clone()),
            Weight::concatenated("w", vec![two.clone(), three.clone()]).unwrap(),
            Weight::stacked("w", same()).unwrap(),
            Weight::stacked("w", vec![two]).unwrap(),
            Weight::whole(three),
        ];
        for weight in weights {
            let floats = as_floats("w", &weight).unwrap();
            assert_eq!(floats.shape(), weight.shape());
            assert_eq!(floats.parts().len(), weight.parts().len());
            assert_eq!(floats.to_f32(), weight.to_f32());
            assert!(floats.parts().iter().all(|part| part.format().is_float()));
        }
    }
}
