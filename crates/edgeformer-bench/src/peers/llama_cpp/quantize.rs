//! llama.cpp's own quantizer, which `llama-cpp-2` does not wrap: its C interface.

use std::ffi::{CString, c_char};
use std::path::Path;

use edgeformer_quantize::calibration::Imatrix;
use llama_cpp_sys_2::{
    llama_model_imatrix_data, llama_model_quantize, llama_model_quantize_default_params,
};

use crate::{Error, Result};

/// Writes `input` as a mixture of llama.cpp (its `llama_ftype`), as its `llama-quantize` does,
/// with an importance matrix if there is one.
///
/// # Errors
/// If llama.cpp refuses: it says no more than that.
pub fn quantize(
    input: &Path,
    output: &Path,
    file_type: u32,
    imatrix: Option<&Imatrix>,
    threads: usize,
) -> Result<()> {
    super::quiet();
    let (from, to) = (c_path(input)?, c_path(output)?);
    let data = imatrix.map(Importance::new).transpose()?;
    let list = data.as_ref().map(Importance::list);
    // SAFETY: the function takes nothing and returns a plain struct.
    let mut parameters = unsafe { llama_model_quantize_default_params() };
    parameters.nthread = i32::try_from(threads).unwrap_or(0);
    parameters.ftype = file_type as _;
    if let Some(list) = &list {
        parameters.imatrix = list.as_ptr();
    }
    // SAFETY: both paths are strings that end in zero; the list ends in an entry without name, as
    // the loop that reads it expects, and it, the names and the values live until the call is over.
    let refused = unsafe { llama_model_quantize(from.as_ptr(), to.as_ptr(), &parameters) };
    match refused {
        0 => Ok(()),
        code => Err(Error::file(input, format!("llama.cpp does not quantize it (code {code})"))),
    }
}

/// Mean squares by weight, and their names as C has them.
struct Importance {
    entries: Vec<(CString, Vec<f32>)>,
}

impl Importance {
    fn new(imatrix: &Imatrix) -> Result<Self> {
        let entry = |(name, entry): (&String, &edgeformer_quantize::calibration::ImatrixEntry)| {
            let matrices = 0..entry.counts.len();
            let values = matrices.filter_map(|matrix| entry.importance(matrix)).flatten();
            Ok((c_string(name)?, values.collect()))
        };
        Ok(Self { entries: imatrix.entries.iter().map(entry).collect::<Result<_>>()? })
    }

    /// What C reads: entries, then one without name.
    fn list(&self) -> Vec<llama_model_imatrix_data> {
        let entry = |(name, values): &(CString, Vec<f32>)| llama_model_imatrix_data {
            name: name.as_ptr(),
            data: values.as_ptr(),
            size: values.len(),
        };
        let end = llama_model_imatrix_data {
            name: std::ptr::null::<c_char>(),
            data: std::ptr::null(),
            size: 0,
        };
        self.entries.iter().map(entry).chain([end]).collect()
    }
}

fn c_path(path: &Path) -> Result<CString> {
    let text = path.to_str().ok_or_else(|| Error::file(path, "the path is not valid UTF-8"))?;
    c_string(text)
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Request(format!("{text:?} has a zero byte")))
}
