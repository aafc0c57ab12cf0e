//! HIP as it is on a machine with two GPUs, the second in a slot that sysfs comes first with.
#![allow(clippy::missing_safety_doc, reason = "HIP's functions, as HIP documents them")]
#![allow(missing_docs, reason = "HIP's functions, as HIP documents them")]

use std::ffi::{CStr, c_char, c_int};

/// `hipErrorInvalidDevice`.
const INVALID_DEVICE: c_int = 101;

struct Gpu {
    name: &'static CStr,
    slot: &'static CStr,
    memory: usize,
}

const GPUS: [Gpu; 2] = [
    Gpu { name: c"AMD Radeon RX 7900 XTX", slot: c"0000:43:00.0", memory: 25_753_026_560 },
    Gpu { name: c"AMD Instinct MI300X", slot: c"0000:03:00.0", memory: 206_141_652_992 },
];

fn gpu(number: c_int) -> Option<&'static Gpu> {
    GPUS.get(usize::try_from(number).ok()?)
}

unsafe fn copy(text: &CStr, to: *mut c_char, length: c_int) -> c_int {
    let bytes = text.to_bytes_with_nul();
    if bytes.len() > length as usize {
        return 1;
    }
    // SAFETY: the caller has room for `length` bytes, which are no fewer.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), to, bytes.len()) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipRuntimeGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { *version = 70_253_211 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipGetDeviceCount(count: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { *count = GPUS.len() as c_int };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipDeviceGetName(to: *mut c_char, length: c_int, number: c_int) -> c_int {
    let Some(gpu) = gpu(number) else { return INVALID_DEVICE };
    // SAFETY: the caller's buffer of that length.
    unsafe { copy(gpu.name, to, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipDeviceGetPCIBusId(
    to: *mut c_char,
    length: c_int,
    number: c_int,
) -> c_int {
    let Some(gpu) = gpu(number) else { return INVALID_DEVICE };
    // SAFETY: the caller's buffer of that length.
    unsafe { copy(gpu.slot, to, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipDeviceTotalMem(bytes: *mut usize, number: c_int) -> c_int {
    let Some(gpu) = gpu(number) else { return INVALID_DEVICE };
    // SAFETY: the caller's pointer.
    unsafe { *bytes = gpu.memory };
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn hipGetErrorString(_: c_int) -> *const c_char {
    c"invalid device ordinal".as_ptr()
}
