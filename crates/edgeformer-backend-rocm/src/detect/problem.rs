use std::path::PathBuf;

/// What is missing, and what to do about it: one line each.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("AMD GPUs are found in Linux's {path}, which is not here: use another --backend")]
    NoSysfs { path: PathBuf },
    #[error(
        "there is no AMD GPU: no display controller or accelerator of AMD's (vendor 0x1002) is in {path}"
    )]
    NoGpu { path: PathBuf },
    #[error(
        "there is an AMD GPU in PCI slot {slot}, its kernel driver amdgpu is not loaded: run `sudo modprobe amdgpu`, or install AMD's package amdgpu-dkms"
    )]
    NoDriver { slot: String },
    #[error(
        "the driver amdgpu does not offer the GPU in PCI slot {slot} for computing ({path} is absent): boot a kernel built with CONFIG_HSA_AMD, or install AMD's package amdgpu-dkms"
    )]
    NoCompute { slot: String, path: PathBuf },
    #[error(
        "the driver amdgpu offers processors alone for computing ({path}): the GPU is not one that ROCm supports, or none is plugged in"
    )]
    NoGpuNode { path: PathBuf },
    #[error(
        "none of the {hidden} GPUs in {path} may be seen from here: start the container with --device /dev/kfd --device /dev/dri"
    )]
    Hidden { hidden: usize, path: PathBuf },
    #[error(
        "{path} cannot be read: {error}; run `cat {path}`, and update the kernel if that fails too"
    )]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path}: {problem}; update the kernel or AMD's package amdgpu-dkms")]
    Malformed { path: PathBuf, problem: String },
    #[error(
        "{path} is absent, though the driver is loaded: start the container with --device /dev/kfd --device /dev/dri"
    )]
    NoDeviceFile { path: PathBuf },
    #[error(
        "{path} may not be opened, it belongs to {group}: run `sudo usermod -aG render,video $USER` and log in again (in a container: --group-add render --group-add video)"
    )]
    Denied { path: PathBuf, group: String },
    #[error(
        "{what} is not installed: nothing named {names} is in {looked}the loader's path; install ROCm's package {package} (ROCm 6 or 7), or set ROCM_PATH"
    )]
    NoLibrary { what: &'static str, names: String, looked: String, package: &'static str },
    #[error("{what} cannot be loaded from {path}: {why}; install ROCm's package {package} again")]
    Broken { what: &'static str, path: PathBuf, why: String, package: &'static str },
    #[error(
        "{path} is not HIP of ROCm 6 or 7: it has no function {symbol}; install ROCm's package hip-runtime-amd"
    )]
    NotHip { path: String, symbol: &'static str },
    #[error("HIP's {call} fails with {status} ({why}): run `rocminfo`, whose words say more")]
    HipRefused { call: &'static str, status: i32, why: String },
    #[error(
        "HIP {version} lets this process use none of {gpus} GPUs: unset HIP_VISIBLE_DEVICES and ROCR_VISIBLE_DEVICES, or install a ROCm that supports {gfx}"
    )]
    NoneUsable { version: String, gpus: usize, gfx: String },
    #[error(
        "{by} needs {name} of {rocm}: {problem}; or take an onnxruntime-migraphx that was built for the ROCm that is installed"
    )]
    Needed { by: PathBuf, name: String, rocm: String, problem: Box<Problem> },
    #[error(
        "there is no ONNX Runtime for AMD GPUs: {problem}; what it must be is that of the Python package onnxruntime-migraphx (`pip install onnxruntime-migraphx`), named by EDGEFORMER_ORT"
    )]
    NoRuntime { problem: String },
    #[error(
        "{path} is ONNX Runtime {version} with the ROCm provider, which later versions do not have: set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx, 1.23 or newer"
    )]
    RocmProvider { path: PathBuf, version: String },
    #[error(
        "{path} is ONNX Runtime {version}, 1.23 or newer is needed: set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx"
    )]
    OldRuntime { path: PathBuf, version: String },
    #[error(
        "{path} is ONNX Runtime {version} without MIGraphX (it has {providers}): set EDGEFORMER_ORT to the libonnxruntime.so of the Python package onnxruntime-migraphx"
    )]
    NoProvider { path: PathBuf, version: String, providers: String },
    #[error(
        "{path} cannot be read ({error}): the provider's library must lie beside ONNX Runtime's, as in the Python package onnxruntime-migraphx"
    )]
    NoProviderFile { path: PathBuf, error: std::io::Error },
    #[error("{path}, which EDGEFORMER_ROCM_CALIBRATION names, cannot be read: {error}")]
    Calibration { path: PathBuf, error: std::io::Error },
    #[error(
        "{path}, where compiled models are kept, cannot be made: {error}; set XDG_CACHE_HOME to a folder that can be written"
    )]
    Cache { path: PathBuf, error: std::io::Error },
    #[error("there is no GPU {wanted:?}, there are {known}")]
    NoSuchGpu { wanted: String, known: String },
}

impl Problem {
    /// As an error of this backend.
    pub fn into_error(self) -> edgeformer_core::Error {
        edgeformer_core::Error::Backend { backend: crate::NAME.into(), problem: self.to_string() }
    }
}
