//! Execution providers by name. One that is asked for and cannot be had is an error, never a
//! silent fall-back.

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};

use super::library::Library;
use crate::error::Problem;

type Made = Result<ExecutionProviderDispatch, Problem>;
type Make = fn(&[(String, String)]) -> Made;

/// An execution provider that can be asked for.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The name that `--device` takes.
    pub name: &'static str,
    /// ONNX Runtime's.
    pub canonical: &'static str,
    /// What a person calls it.
    pub description: &'static str,
    /// Of its devices; the CPU backend has 100.
    pub score: u32,
    /// Makes one with options, or nothing for the CPU, which is always there.
    build: Option<Make>,
}

/// A provider with its options.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub provider: &'static Provider,
    pub options: Vec<(String, String)>,
}

fn configured<E>(provider: E, options: &[(String, String)]) -> Made
where
    E: ArbitrarilyConfigurableExecutionProvider + Into<ExecutionProviderDispatch>,
{
    let with =
        |provider: E, (key, value): &(String, String)| provider.with_arbitrary_config(key, value);
    Ok(options.iter().fold(provider, with).into())
}

/// Its options are fields of a structure rather than names.
fn migraphx(options: &[(String, String)]) -> Made {
    let mut provider = ep::MIGraphX::default();
    for (key, value) in options {
        provider = match (key.as_str(), value.parse::<i32>()) {
            ("device_id", Ok(id)) => provider.with_device_id(id),
            ("migraphx_fp16_enable", Ok(on @ 0..=1)) => provider.with_fp16(on == 1),
            ("migraphx_exhaustive_tune", Ok(on @ 0..=1)) => provider.with_exhaustive_tune(on == 1),
            _ => return Err(unknown("migraphx", key, value)),
        };
    }
    Ok(provider.into())
}

/// As [`migraphx`].
fn directml(options: &[(String, String)]) -> Made {
    let mut provider = ep::DirectML::default();
    for (key, value) in options {
        provider = match (key.as_str(), value.parse::<i32>()) {
            ("device_id", Ok(id)) => provider.with_device_id(id),
            _ => return Err(unknown("directml", key, value)),
        };
    }
    Ok(provider.into())
}

fn unknown(provider: &str, key: &str, value: &str) -> Problem {
    Problem::Runtime(format!("execution provider {provider:?} has no option {key}={value}"))
}

const fn provider(
    name: &'static str,
    canonical: &'static str,
    description: &'static str,
    score: u32,
    build: Option<Make>,
) -> Provider {
    Provider { name, canonical, description, score, build }
}

/// Every provider that has a name here.
pub(crate) static PROVIDERS: [Provider; 10] = [
    provider("cpu", "CPUExecutionProvider", "ONNX Runtime on the processor", 60, None),
    provider(
        "cuda",
        "CUDAExecutionProvider",
        "ONNX Runtime on NVIDIA GPUs (CUDA)",
        50,
        Some(|options| configured(ep::CUDA::default(), options)),
    ),
    provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "ONNX Runtime on NVIDIA GPUs (TensorRT)",
        40,
        Some(|options| configured(ep::TensorRT::default(), options)),
    ),
    provider(
        "migraphx",
        "MIGraphXExecutionProvider",
        "ONNX Runtime on AMD GPUs (MIGraphX)",
        40,
        Some(migraphx),
    ),
    provider(
        "rocm",
        "ROCMExecutionProvider",
        "ONNX Runtime on AMD GPUs (ROCm)",
        50,
        Some(|options| configured(ep::ROCm::default(), options)),
    ),
    provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "ONNX Runtime on Intel devices (OpenVINO)",
        40,
        Some(|options| configured(ep::OpenVINO::default(), options)),
    ),
    provider(
        "coreml",
        "CoreMLExecutionProvider",
        "ONNX Runtime on Apple devices (Core ML)",
        40,
        Some(|options| configured(ep::CoreML::default(), options)),
    ),
    provider(
        "directml",
        "DmlExecutionProvider",
        "ONNX Runtime on GPUs under Windows (DirectML)",
        40,
        Some(directml),
    ),
    provider(
        "qnn",
        "QNNExecutionProvider",
        "ONNX Runtime on Qualcomm devices (QNN)",
        40,
        Some(|options| configured(ep::QNN::default(), options)),
    ),
    provider(
        "xnnpack",
        "XnnpackExecutionProvider",
        "ONNX Runtime on the processor (XNNPACK)",
        30,
        Some(|options| configured(ep::XNNPACK::default(), options)),
    ),
];

impl Provider {
    /// The provider of that name, if the library was built with it.
    pub fn named(name: &str, library: &Library) -> Result<&'static Self, Problem> {
        let built_in = Self::of(library)?;
        built_in.iter().find(|provider| provider.name == name).copied().ok_or_else(|| {
            let known: Vec<_> = built_in.iter().map(|provider| provider.name).collect();
            Problem::NoProvider {
                path: library.path.clone(),
                provider: name.into(),
                known: known.join(", "),
            }
        })
    }

    /// The providers that the library was built with.
    pub fn of(library: &Library) -> Result<Vec<&'static Self>, Problem> {
        let names = library.providers()?;
        let there = |provider: &&Self| names.iter().any(|name| name == provider.canonical);
        Ok(PROVIDERS.iter().filter(there).collect())
    }
}

impl Choice {
    /// The provider for a session; the CPU's needs none.
    pub fn make(&self) -> Result<Option<ExecutionProviderDispatch>, Problem> {
        let Some(build) = self.provider.build else { return Ok(None) };
        Ok(Some(build(&self.options)?.error_on_failure()))
    }
}
