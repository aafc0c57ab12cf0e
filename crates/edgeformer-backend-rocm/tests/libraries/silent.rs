//! HIP with one GPU of which it says nothing.
#![allow(clippy::missing_safety_doc, reason = "HIP's functions, as HIP documents them")]
#![allow(missing_docs, reason = "HIP's functions, as HIP documents them")]

use std::ffi::{c_char, c_int};

/// `hipErrorNoDevice`.
const NO_DEVICE: c_int = 100;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipRuntimeGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { *version = 70_253_211 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hipGetDeviceCount(count: *mut c_int) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { *count = 1 };
    0
}

#[unsafe(no_mangle)]
pub extern "C" fn hipDeviceGetName(_: *mut c_char, _: c_int, _: c_int) -> c_int {
    NO_DEVICE
}

#[unsafe(no_mangle)]
pub extern "C" fn hipDeviceGetPCIBusId(_: *mut c_char, _: c_int, _: c_int) -> c_int {
    NO_DEVICE
}

#[unsafe(no_mangle)]
pub extern "C" fn hipDeviceTotalMem(_: *mut usize, _: c_int) -> c_int {
    NO_DEVICE
}

#[unsafe(no_mangle)]
pub extern "C" fn hipGetErrorString(_: c_int) -> *const c_char {
    c"initialization error".as_ptr()
}
