//! From a [`Backend`] to the table.
//!
//! - `call`: panics and errors become statuses and replies
//! - `model`: a lent model as an ordinary one
//! - `backend`, `program`, `session`, `cache`: the functions

mod backend;
mod cache;
mod call;
mod model;
mod program;
mod session;

use edgeformer_core::Backend;

use crate::abi::{ABI_VERSION, BackendV1};

/// Where a plugin's backend is. Implemented by [`export_backend!`](crate::export_backend).
pub trait Provider {
    /// The backend, made when it is first asked for.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn backend() -> Result<&'static dyn Backend, &'static str>;
}

/// The table of a backend.
pub const fn table<P: Provider>() -> BackendV1 {
    BackendV1 {
        abi_version: ABI_VERSION,
        struct_size: size_of::<BackendV1>(),
        name: backend::name::<P>,
        devices: backend::devices::<P>,
        check: backend::check::<P>,
        plan: backend::plan::<P>,
        explain: backend::explain::<P>,
        compile: backend::compile::<P>,
        program_footprint: program::footprint,
        program_with_threads: program::with_threads,
        program_open: program::open,
        program_free: program::free,
        session_run: session::run,
        session_trim: session::trim,
        session_free: session::free,
        cache_create: cache::create,
        cache_len: cache::len,
        cache_truncate: cache::truncate,
        cache_fork: cache::fork,
        cache_adopt: cache::adopt,
        cache_remove: cache::remove,
        cache_export: cache::export,
        cache_import: cache::import,
        cache_usage: cache::usage,
        cache_set_adapters: Some(cache::set_adapters),
    }
}

/// Exports a [`Backend`] from a library (`crate-type = ["cdylib"]`): its type, and where that has
/// no `Default` a function that makes it, `fn() -> Result<MyBackend, E>` with `E: Display`.
///
/// Once a library: it defines the symbol that the host looks for.
///
/// ```
/// # use std::sync::Arc;
/// # use edgeformer_core::{*, Result};
/// #[derive(Default)]
/// struct MyBackend;
///
/// impl Backend for MyBackend {
///     fn name(&self) -> &str {
///         "mine"
///     }
///     // ...
/// #   fn devices(&self) -> Result<Vec<Device>> { Ok(Vec::new()) }
/// #   fn check(&self, _: &Graph, _: &Device) -> Result<(), Unsupported> { Ok(()) }
/// #   fn plan(&self, _: &Model, _: &CompileOptions, _: &SessionOptions) -> Result<Footprint> {
/// #       Ok(Footprint::default())
/// #   }
/// #   fn compile(&self, _: Arc<Model>, _: &CompileOptions) -> Result<Arc<dyn Program>> {
/// #       Err(Error::Config("nothing".into()))
/// #   }
/// }
///
/// edgeformer_plugin::export_backend!(MyBackend);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        $crate::export_backend!($backend, || {
            ::core::result::Result::<_, ::core::convert::Infallible>::Ok(
                <$backend as ::core::default::Default>::default(),
            )
        });
    };
    ($backend:ty, $make:expr) => {
        const _: () = {
            struct Exported;

            impl $crate::export::Provider for Exported {
                fn backend() -> ::core::result::Result<
                    &'static dyn $crate::edgeformer_core::Backend,
                    &'static str,
                > {
                    type Made = ::core::result::Result<$backend, ::std::string::String>;
                    static BACKEND: ::std::sync::OnceLock<Made> = ::std::sync::OnceLock::new();
                    let made = BACKEND.get_or_init(|| {
                        ($make)().map_err(|error| ::std::string::ToString::to_string(&error))
                    });
                    match made {
                        Ok(backend) => Ok(backend),
                        Err(problem) => Err(problem),
                    }
                }
            }

            // SAFETY: no other item of this name can be in the library: it is the interface's own.
            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            static edgeformer_backend_v1: $crate::abi::BackendV1 =
                $crate::export::table::<Exported>();
        };
    };
}
