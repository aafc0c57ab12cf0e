//! A plugin whose table lacks functions.

#[repr(C)]
struct Table {
    abi_version: u32,
    struct_size: usize,
}

// SAFETY: no other item of this name is in the library.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static edgeformer_backend_v1: Table =
    Table { abi_version: edgeformer_plugin::abi::ABI_VERSION, struct_size: size_of::<Table>() };
