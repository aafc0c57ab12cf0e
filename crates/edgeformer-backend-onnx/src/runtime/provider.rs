//! Execution providers by name. One that is asked for and cannot be had is an error, never a
//! silent fall-back.

use std::ffi::CString;

use ort::AsPointer;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;

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
    means: Means,
}

/// How a session is given a provider.
#[derive(Debug)]
enum Means {
    /// Not at all: the CPU's is always there.
    Always,
    /// As `ort` makes one with options.
    Made(Make),
    /// By its name, with options as ONNX Runtime documents them. For MIGraphX, whose structure of
    /// options is frozen without the newer ones, and longer in AMD's own builds than in the
    /// interface that `ort` was made for.
    Named,
}

/// A provider with its options.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub provider: &'static Provider,
    pub options: Vec<(String, String)>,
    /// As the backend's options say.
    pub plain_operators: bool,
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
    means: Means,
) -> Provider {
    Provider { name, canonical, description, score, means }
}

/// Every provider that has a name here.
pub(crate) static PROVIDERS: [Provider; 10] = [
    provider("cpu", "CPUExecutionProvider", "ONNX Runtime on the processor", 60, Means::Always),
    provider(
        "cuda",
        "CUDAExecutionProvider",
        "ONNX Runtime on NVIDIA GPUs (CUDA)",
        50,
        Means::Made(|options| configured(ep::CUDA::default(), options)),
    ),
    provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "ONNX Runtime on NVIDIA GPUs (TensorRT)",
        40,
        Means::Made(|options| configured(ep::TensorRT::default(), options)),
    ),
    provider(
        "migraphx",
        "MIGraphXExecutionProvider",
        "ONNX Runtime on AMD GPUs (MIGraphX)",
        40,
        Means::Named,
    ),
    provider(
        "rocm",
        "ROCMExecutionProvider",
        "ONNX Runtime on AMD GPUs (ROCm)",
        50,
        Means::Made(|options| configured(ep::ROCm::default(), options)),
    ),
    provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "ONNX Runtime on Intel devices (OpenVINO)",
        40,
        Means::Made(|options| configured(ep::OpenVINO::default(), options)),
    ),
    provider(
        "coreml",
        "CoreMLExecutionProvider",
        "ONNX Runtime on Apple devices (Core ML)",
        40,
        Means::Made(|options| configured(ep::CoreML::default(), options)),
    ),
    provider(
        "directml",
        "DmlExecutionProvider",
        "ONNX Runtime on GPUs under Windows (DirectML)",
        40,
        Means::Made(directml),
    ),
    provider(
        "qnn",
        "QNNExecutionProvider",
        "ONNX Runtime on Qualcomm devices (QNN)",
        40,
        Means::Made(|options| configured(ep::QNN::default(), options)),
    ),
    provider(
        "xnnpack",
        "XnnpackExecutionProvider",
        "ONNX Runtime on the processor (XNNPACK)",
        30,
        Means::Made(|options| configured(ep::XNNPACK::default(), options)),
    ),
];

impl Provider {
    /// Whether the provider of that name reads some operators otherwise than ONNX Runtime means them:
    /// MIGraphX takes a run of several tokens for the start of its sequence in
    /// `GroupQueryAttention`, and would give wrong answers.
    pub fn needs_plain_operators(name: &str) -> bool {
        name == "migraphx"
    }

    /// The provider of that name, if the library was built with it.
    pub fn named(name: &str, library: &Library) -> Result<&'static Self, Problem> {
        let built_in = Self::of(library);
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
    pub fn of(library: &Library) -> Vec<&'static Self> {
        let there =
            |provider: &&Self| library.providers.iter().any(|name| name == provider.canonical);
        PROVIDERS.iter().filter(there).collect()
    }
}

impl Choice {
    /// Gives it to a session. One that cannot be had is an error.
    pub fn register(&self, mut builder: SessionBuilder) -> Result<SessionBuilder, Problem> {
        match self.provider.means {
            Means::Always => Ok(builder),
            Means::Made(make) => {
                let provider = make(&self.options)?.error_on_failure();
                Ok(builder.with_execution_providers([provider])?)
            }
            Means::Named => {
                append(&mut builder, self.provider.canonical, &self.options)?;
                Ok(builder)
            }
        }
    }
}

fn append(
    builder: &mut SessionBuilder,
    name: &str,
    options: &[(String, String)],
) -> Result<(), Problem> {
    let text = |text: &str| {
        CString::new(text).map_err(|_| Problem::Runtime(format!("{text:?} has a zero byte")))
    };
    let name = text(name)?;
    let keys = options.iter().map(|(key, _)| text(key)).collect::<Result<Vec<_>, _>>()?;
    let values = options.iter().map(|(_, value)| text(value)).collect::<Result<Vec<_>, _>>()?;
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
    let (keys_at, values_at) = (pointers(&keys), pointers(&values));
    // SAFETY: the builder's options and all texts live through the call, which copies them; there
    // are as many keys as values, and as many as it is told.
    let status = unsafe {
        (ort::api().SessionOptionsAppendExecutionProvider)(
            builder.ptr_mut(),
            name.as_ptr(),
            keys_at.as_ptr(),
            values_at.as_ptr(),
            keys_at.len(),
        )
    };
    // SAFETY: the status is the call's own and read once.
    Ok(unsafe { ort::Error::result_from_status(status) }?)
}
