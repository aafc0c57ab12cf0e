//! The format that weights are written in.

use std::fmt;
use std::str::FromStr;

use edgeformer_core::{Format, Tensor};

use super::{Checkpoint, LazyTensor};
use crate::{Error, Result};

/// The format of a file's matrices, by llama.cpp's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum OutType {
    F32,
    F16,
    BF16,
    Q8_0,
    /// As the matrices are.
    #[default]
    Auto,
}

impl OutType {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::BF16, Self::Q8_0, Self::Auto];

    /// Its name, as llama.cpp's converter has it.
    pub const fn name(self) -> &'static str {
        match self.format() {
            Some(format) => format.name(),
            None => "auto",
        }
    }

    /// The format it stands for.
    pub const fn format(self) -> Option<Format> {
        match self {
            Self::F32 => Some(Format::F32),
            Self::F16 => Some(Format::F16),
            Self::BF16 => Some(Format::BF16),
            Self::Q8_0 => Some(Format::Q8_0),
            Self::Auto => None,
        }
    }

    /// What a tensor of a GGUF file is stored in. Rows that are no whole blocks stay f16.
    fn of(self, tensor: &LazyTensor) -> Format {
        let wanted = self.format().unwrap_or(tensor.format());
        if stays_f32(tensor.name(), tensor.shape()) {
            return Format::F32;
        }
        let row = tensor.shape().last().copied().unwrap_or(1);
        if row.is_multiple_of(wanted.block_len()) { wanted } else { Format::F16 }
    }
}

impl FromStr for OutType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no output type; known are {known}")
        })
    }
}

impl fmt::Display for OutType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What llama.cpp wants in f32 whatever the matrices are: vectors, norms, routers, the tables that
/// are added to embeddings.
fn stays_f32(name: &str, shape: &[usize]) -> bool {
    const ALWAYS: [&str; 5] = [
        "_norm.weight",
        ".ffn_gate_inp.weight",
        "position_embd.weight",
        "token_types.weight",
        "v.class_embd",
    ];
    shape.len() <= 1 || ALWAYS.iter().any(|end| name.ends_with(end))
}

impl Checkpoint {
    /// The same model with its matrices in another format. Vectors and norms become f32, as
    /// llama.cpp wants them.
    #[must_use]
    pub fn with_outtype(mut self, outtype: OutType) -> Self {
        for tensor in &mut self.tensors {
            *tensor = tensor.in_format(outtype.of(tensor));
        }
        let formats =
            self.tensors.iter().filter(|tensor| !stays_f32(tensor.name(), tensor.shape()));
        let number = formats.map(LazyTensor::format).find_map(file_type);
        if let (Some(number), true) =
            (number, self.get(FILE_TYPE).is_none() || outtype != OutType::Auto)
        {
            self.set(FILE_TYPE, number);
        }
        self
    }
}

const FILE_TYPE: &str = "general.file_type";

/// llama.cpp's number of a file whose matrices are of this format, where they are of one.
fn file_type(format: Format) -> Option<u32> {
    match format {
        Format::F32 => Some(0),
        Format::F16 => Some(1),
        Format::Q8_0 => Some(7),
        Format::BF16 => Some(32),
        _ => None,
    }
}

impl LazyTensor {
    /// The same tensor in another format, converted when it is made.
    #[must_use]
    pub fn in_format(&self, format: Format) -> Self {
        if format == self.format() {
            return self.clone();
        }
        let source = self.clone();
        Self::new(self.name(), format, self.shape(), move || {
            let tensor = source.load()?;
            converted(&tensor, format)
                .map_err(|problem| Error::Text(format!("tensor {:?}: {problem}", source.name())))
        })
    }
}

/// Values that are decoded and encoded at a time.
const CHUNK: usize = 1 << 18;

/// A tensor in another format: row by row, so that no copy of it in f32 is made.
///
/// # Errors
/// If f16 cannot hold a value, or a row is no whole blocks.
pub(super) fn converted(tensor: &Tensor, format: Format) -> Result<Tensor, String> {
    let from = tensor.format();
    let told = |error: edgeformer_core::Error| error.to_string();
    let mut bytes = vec![0; format.tensor_bytes(tensor.shape()).map_err(told)?];
    // Blocks of both formats end where every 256th value does, or where the tensor ends.
    let bytes_of = |format: Format| CHUNK / format.block_len() * format.block_bytes();
    let mut values = vec![0.0; CHUNK.min(tensor.elements())];
    let parts = tensor.bytes().chunks(bytes_of(from)).zip(bytes.chunks_mut(bytes_of(format)));
    for (part, out) in parts {
        let values = &mut values[..part.len() / from.block_bytes() * from.block_len()];
        from.dequantize(part, values).map_err(told)?;
        if format == Format::F16 {
            check_f16(values)?;
        }
        format.quantize(values, out).map_err(told)?;
    }
    Tensor::new(format, tensor.shape(), bytes.into()).map_err(told)
}

/// Whether f16 holds all values: from 65520 on they would become infinite.
fn check_f16(values: &[f32]) -> Result<(), String> {
    match values.iter().find(|value| value.is_finite() && value.abs() >= 65520.0) {
        Some(value) => Err(format!("{value} is too large for f16: choose bf16 or f32")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lazy(name: &str, shape: &[usize], values: &[f32]) -> LazyTensor {
        LazyTensor::ready(name, Tensor::from_f32(shape, values).expect("fits"))
    }

    #[test]
    fn vectors_and_norms_stay_f32() {
        for (name, shape, expected) in [
            ("blk.0.attn_q.weight", [4, 32], Format::Q8_0),
            ("blk.0.attn_q.weight", [4, 16], Format::F16),
            ("blk.0.ffn_gate_inp.weight", [4, 32], Format::F32),
            ("v.position_embd.weight", [4, 32], Format::F32),
        ] {
            let tensor = lazy(name, &shape, &vec![1.0; shape[0] * shape[1]]);
            assert_eq!(OutType::Q8_0.of(&tensor), expected, "{name} {shape:?}");
        }
        assert_eq!(OutType::BF16.of(&lazy("x.bias", &[3], &[0.0; 3])), Format::F32);
    }

    #[test]
    fn names_are_llama_cpps() {
        for outtype in OutType::ALL {
            assert_eq!(outtype.to_string().parse(), Ok(outtype));
        }
        insta::assert_snapshot!(
            "q9".parse::<OutType>().unwrap_err(),
            @r#""q9" is no output type; known are f32, f16, bf16, q8_0, auto"#
        );
    }

    #[test]
    fn large_tensors_are_converted_in_parts() {
        let values: Vec<f32> = (0..CHUNK + 64).map(|i| (i % 251) as f32).collect();
        let tensor = lazy("x", &[2, values.len() / 2], &values);
        for format in [Format::F16, Format::BF16, Format::Q8_0] {
            let there = tensor.in_format(format).load().expect("converts");
            assert_eq!(
                there.bytes(),
                Tensor::quantize(format, tensor.shape(), &values).expect("fits").bytes()
            );
        }
    }

    #[test]
    fn f16_refuses_what_it_cannot_hold() {
        let error = lazy("x", &[2], &[1.0, 1e6]).in_format(Format::F16).load().unwrap_err();
        insta::assert_snapshot!(error, @r#"tensor "x": 1000000 is too large for f16: choose bf16 or f32"#);
        let fits = lazy("x", &[2], &[65519.0, f32::INFINITY]).in_format(Format::F16).load();
        assert_eq!(fits.expect("fits").to_f32(), [65504.0, f32::INFINITY]);
    }
}
