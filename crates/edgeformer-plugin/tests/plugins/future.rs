//! A plugin for a later version of the interface.

#[repr(C)]
struct Table {
    abi_version: u32,
    struct_size: usize,
}

// SAFETY: no other item of this name is in the library.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
static edgeformer_backend_v1: Table = Table { abi_version: 2, struct_size: 4096 };
