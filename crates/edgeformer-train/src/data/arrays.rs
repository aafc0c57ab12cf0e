//! Inputs and labels in a safetensors file: signals, pixels, features.

use std::path::Path;

use edgeformer_models::safetensors::{Dtype, Safetensors};

use crate::{Error, Result};

/// Examples of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrays {
    /// The inputs, one example behind the other.
    pub inputs: Vec<f32>,
    /// The shape of an example.
    pub shape: Vec<usize>,
    /// What each example is.
    pub labels: Labels,
}

/// What examples are.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// Classes, by index.
    Classes(Vec<usize>),
    /// Values, so many for each example.
    Values {
        /// The values, one example behind the other.
        values: Vec<f32>,
        /// Values of an example.
        width: usize,
    },
}

impl Arrays {
    /// Reads `inputs` (F32, F16 or BF16, `[examples, ...]`) and `labels`: integers `[examples]`
    /// for classes, floats `[examples]` or `[examples, width]` for values.
    ///
    /// # Errors
    /// If the file is damaged, a tensor is missing or has another type or shape, a class is
    /// negative, or a number is not finite.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(path, &Safetensors::open(path)?)
    }

    fn of(path: &Path, file: &Safetensors) -> Result<Self> {
        let (inputs, shape) = floats(path, file, "inputs")?;
        let (&examples, shape) = shape.split_first().ok_or_else(|| {
            Error::file(path, "tensor \"inputs\": must be [examples, ...], is a scalar")
        })?;
        let labels = labels(path, file, examples)?;
        Ok(Self { inputs, shape: shape.to_vec(), labels })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        match &self.labels {
            Labels::Classes(classes) => classes.len(),
            Labels::Values { values, width } => values.len() / width.max(&1),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The input of an example, `None` behind the last.
    pub fn input(&self, index: usize) -> Option<&[f32]> {
        let width: usize = self.shape.iter().product();
        self.inputs.get(index.checked_mul(width)?..index.checked_add(1)?.checked_mul(width)?)
    }
}

fn labels(path: &Path, file: &Safetensors, examples: usize) -> Result<Labels> {
    let name = "labels";
    let wrong = |problem: String| Error::file(path, format!("tensor {name:?}: {problem}"));
    let info = file.info(name).ok_or_else(|| missing(path, file, name))?;
    if info.shape.first() != Some(&examples) || info.shape.len() > 2 {
        return Err(wrong(format!(
            "has shape {:?}, \"inputs\" have {examples} examples: must be [{examples}] or [{examples}, width]",
            info.shape
        )));
    }
    if matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        let (values, shape) = floats(path, file, name)?;
        return Ok(Labels::Values { values, width: shape.get(1).copied().unwrap_or(1) });
    }
    if info.shape.len() == 2 {
        return Err(wrong("classes are one integer an example".into()));
    }
    let classes = file.integers(name)?.ok_or_else(|| missing(path, file, name))?;
    let class = |(index, class): (usize, i64)| {
        usize::try_from(class)
            .map_err(|_| wrong(format!("example {index} has class {class}: classes count from 0")))
    };
    Ok(Labels::Classes(classes.iter().enumerate().map(class).collect::<Result<_>>()?))
}

/// The values of a float tensor and its shape.
fn floats(path: &Path, file: &Safetensors, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
    let info = file.info(name).ok_or_else(|| missing(path, file, name))?;
    let wrong = |problem: String| Error::file(path, format!("tensor {name:?}: {problem}"));
    let tensor = file
        .tensor(name)
        .ok_or_else(|| wrong(format!("holds {}: must be F32, F16 or BF16", info.dtype.name())))?;
    let values = tensor.to_f32();
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(wrong(format!("element {at} is {}: numbers must be finite", values[at]))),
        None => Ok((values, info.shape.to_vec())),
    }
}

fn missing(path: &Path, file: &Safetensors, name: &str) -> Error {
    let names: Vec<&str> = file.names().take(5).collect();
    Error::file(path, format!("there is no tensor {name:?}, there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spec<'a> = (&'a str, &'a str, Vec<usize>, Vec<u8>);

    fn file(tensors: &[Spec<'_>]) -> Safetensors {
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, dtype, shape, bytes) in tensors {
            let start = data.len();
            data.extend_from_slice(bytes);
            let entry = serde_json::json!({
                "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]
            });
            header.insert((*name).to_owned(), entry);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let all = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
        Safetensors::from_bytes("a.safetensors", all.into()).unwrap()
    }

    fn inputs(values: &[f32]) -> Spec<'static> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        ("inputs", "F32", vec![2, values.len() / 2], bytes)
    }

    fn classes(values: &[i64]) -> Spec<'static> {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        ("labels", "I64", vec![values.len()], bytes)
    }

    fn read(tensors: &[Spec<'_>]) -> Result<Arrays> {
        Arrays::of(Path::new("a.safetensors"), &file(tensors))
    }

    #[test]
    fn examples_and_their_classes_are_read() {
        let found = read(&[inputs(&[1.0, 2.0, 3.0, 4.0]), classes(&[1, 0])]).unwrap();
        assert_eq!((found.len(), found.shape.as_slice()), (2, &[2][..]));
        assert_eq!(found.input(1), Some(&[3.0, 4.0][..]));
        assert_eq!(found.input(2), None);
        assert_eq!(found.labels, Labels::Classes(vec![1, 0]));
        let mut values = inputs(&[0.5, -0.5]);
        values.0 = "labels";
        let found = read(&[inputs(&[1.0, 2.0]), values]).unwrap();
        assert_eq!(found.labels, Labels::Values { values: vec![0.5, -0.5], width: 1 });
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |tensors: &[Spec<'_>]| read(tensors).unwrap_err().to_string();
        assert!(told(&[classes(&[1])]).contains("no tensor \"inputs\""));
        assert!(told(&[inputs(&[1.0, 2.0])]).contains("no tensor \"labels\""));
        assert!(told(&[inputs(&[1.0, 2.0]), classes(&[1])]).contains("has shape [1]"));
        assert!(told(&[inputs(&[1.0, 2.0]), classes(&[1, -1])]).contains("class -1"));
        assert!(told(&[inputs(&[1.0, f32::NAN]), classes(&[1, 1])]).contains("element 1 is NaN"));
        let wrong = ("inputs", "I64", vec![2], vec![0; 16]);
        assert!(told(&[wrong, classes(&[1, 1])]).contains("holds I64"));
    }
}
