//! Runs a session over memory of ours: nothing of the cache or the output is copied.

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::Session;
use ort::sys::{ONNXTensorElementDataType, OrtValue};

use crate::error::Problem;
use crate::onnx::{Data, Element, OnnxGraph};

/// A session, with what it borrows.
pub(crate) struct Runnable {
    session: Session,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    /// Dropped after the session, that reads it: fields go in their order.
    _borrowed: Vec<Data>,
}

/// What a name of a session is bound to in one run.
pub(crate) enum Bound<'a> {
    /// Floats to read.
    Floats(&'a [f32], Vec<i64>),
    /// Integers to read.
    Longs(&'a [i64], Vec<i64>),
    /// Integers to read.
    Ints(&'a [i32], Vec<i64>),
    /// Floats to write.
    Out(&'a mut [f32], Vec<i64>),
    /// A buffer that the run reads by the first name and writes by the second.
    Through(&'a mut [f32], Vec<i64>),
}

impl Runnable {
    pub(super) fn new(
        session: Session,
        graph: &OnnxGraph,
        borrowed: Vec<Data>,
    ) -> Result<Self, Problem> {
        let name = |name: &str| {
            CString::new(name).map_err(|_| Problem::Runtime("a name with a zero byte".into()))
        };
        let names = |ports: &[crate::onnx::Port]| {
            ports.iter().map(|port| name(&port.name)).collect::<Result<Vec<_>, _>>()
        };
        let (inputs, outputs) = (names(&graph.inputs)?, names(&graph.outputs)?);
        Ok(Self { session, inputs, outputs, _borrowed: borrowed })
    }

    /// Runs once. `inputs` are bound in the order of the graph's, `outputs` of them too; where
    /// `through` has `(input, output)`, the buffer bound to that input is also that output.
    pub fn run(
        &self,
        inputs: &mut [Bound<'_>],
        outputs: &mut [Option<Bound<'_>>],
        through: &[(usize, usize)],
    ) -> Result<(), Problem> {
        if inputs.len() != self.inputs.len() || outputs.len() != self.outputs.len() {
            return Err(Problem::Runtime("another number of tensors than the graph has".into()));
        }
        let mut written: Vec<Option<Value>> = Vec::new();
        for bound in outputs.iter_mut() {
            written.push(bound.as_mut().map(Bound::value).transpose()?);
        }
        let mut read = Vec::new();
        for bound in inputs.iter_mut() {
            read.push(bound.value()?);
        }
        for &(input, output) in through {
            if !matches!(inputs[input], Bound::Through(..)) {
                return Err(Problem::Runtime("an output is bound to what is only read".into()));
            }
            // The same memory by another value.
            written[output] = Some(inputs[input].value()?);
        }
        self.call(&read, &written)
    }

    fn call(&self, read: &[Value], written: &[Option<Value>]) -> Result<(), Problem> {
        let pointers =
            |names: &[CString]| names.iter().map(|name| name.as_ptr()).collect::<Vec<_>>();
        let (input_names, output_names) = (pointers(&self.inputs), pointers(&self.outputs));
        let inputs: Vec<*const OrtValue> =
            read.iter().map(|value| value.as_ptr().cast_const()).collect();
        let mut outputs = Vec::new();
        for value in written {
            let Some(value) = value else {
                return Err(Problem::Runtime("an output is bound to nothing".into()));
            };
            outputs.push(value.as_ptr());
        }
        // SAFETY: names and values live through the call and are as many as it is told. The
        // session's pointer is valid as long as `self.session`; running it is thread-safe, the
        // runtime says. Values lie over memory that `run` borrows for as long, and memory that is
        // written is borrowed mutably.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                output_names.as_ptr(),
                outputs.len(),
                outputs.as_mut_ptr(),
            )
        };
        // SAFETY: the status is the call's own and read once.
        unsafe { ort::Error::result_from_status(status) }?;
        Ok(())
    }
}

impl Bound<'_> {
    fn value(&mut self) -> Result<Value, Problem> {
        let (data, bytes, shape, element) = match self {
            Self::Floats(data, shape) => {
                (data.as_ptr().cast_mut().cast(), size_of_val(*data), shape, Element::F32)
            }
            Self::Longs(data, shape) => {
                (data.as_ptr().cast_mut().cast(), size_of_val(*data), shape, Element::I64)
            }
            Self::Ints(data, shape) => {
                (data.as_ptr().cast_mut().cast(), size_of_val(*data), shape, Element::I32)
            }
            Self::Out(data, shape) | Self::Through(data, shape) => {
                (data.as_mut_ptr().cast(), size_of_val(*data), shape, Element::F32)
            }
        };
        // SAFETY: the slice is as long as it says and borrowed for longer than the value lives;
        // what is bound for reading is an input, which the runtime does not write.
        unsafe { Value::over(data, bytes, shape, element) }
    }
}

/// A tensor of the runtime.
pub(super) struct Value(NonNull<OrtValue>);

impl Value {
    /// A tensor over memory that somebody else owns.
    ///
    /// # Safety
    /// `data` must point to `bytes` bytes that outlive every use of the value, aligned for the
    /// element, and writable if the value is bound to an output.
    unsafe fn over(
        data: *mut c_void,
        bytes: usize,
        shape: &[i64],
        kind: Element,
    ) -> Result<Self, Problem> {
        let elements: i64 = shape.iter().product();
        if usize::try_from(elements).ok().and_then(|count| count.checked_mul(kind.bytes()))
            != Some(bytes)
        {
            return Err(Problem::Runtime(format!("{bytes} bytes for a tensor {shape:?}")));
        }
        let info = MemoryInfo::default();
        let mut value = ptr::null_mut();
        // SAFETY: the shape and the out-pointer live through the call; the caller vouches for the
        // data, whose length fits the shape.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                info.ptr(),
                data,
                bytes,
                shape.as_ptr(),
                shape.len(),
                number(kind),
                &mut value,
            )
        };
        // SAFETY: the status is the call's own and read once.
        unsafe { ort::Error::result_from_status(status) }?;
        Self::made(value)
    }

    /// A constant tensor over shared memory.
    ///
    /// # Safety
    /// The bytes must outlive every use of the value and be aligned for the element.
    pub unsafe fn over_constant(
        bytes: &[u8],
        shape: &[i64],
        element: Element,
    ) -> Result<Self, Problem> {
        // SAFETY: the caller vouches for it; constants are not written.
        unsafe { Self::over(bytes.as_ptr().cast_mut().cast(), bytes.len(), shape, element) }
    }

    /// A tensor with memory of the runtime's own, zeros that `fill` writes over.
    pub fn filled(
        allocator: &Allocator,
        shape: &[i64],
        element: Element,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<Self, Problem> {
        let mut value = ptr::null_mut();
        // SAFETY: allocator, shape and out-pointer live through the call.
        let status = unsafe {
            (ort::api().CreateTensorAsOrtValue)(
                allocator.ptr().cast_mut(),
                shape.as_ptr(),
                shape.len(),
                number(element),
                &mut value,
            )
        };
        // SAFETY: the status is the call's own and read once.
        unsafe { ort::Error::result_from_status(status) }?;
        let value = Self::made(value)?;
        let elements: i64 = shape.iter().product();
        let bytes = elements as usize * element.bytes();
        if bytes == 0 {
            return Ok(value);
        }
        let mut data = ptr::null_mut();
        // SAFETY: the value is a tensor and lives through the call, as the out-pointer does.
        let status = unsafe { (ort::api().GetTensorMutableData)(value.as_ptr(), &mut data) };
        // SAFETY: as above.
        unsafe { ort::Error::result_from_status(status) }?;
        // SAFETY: the memory is the value's, of as many bytes as its shape takes, and nobody else
        // knows of it yet; zeros make it initialised.
        let memory = unsafe {
            ptr::write_bytes(data.cast::<u8>(), 0, bytes);
            std::slice::from_raw_parts_mut(data.cast(), bytes)
        };
        fill(memory);
        Ok(value)
    }

    fn made(value: *mut OrtValue) -> Result<Self, Problem> {
        let made = NonNull::new(value).map(Self);
        made.ok_or_else(|| Problem::Runtime("no tensor was made".into()))
    }

    pub fn as_ptr(&self) -> *mut OrtValue {
        self.0.as_ptr()
    }

    /// Leaves it to a new owner.
    pub fn into_raw(self) {
        std::mem::forget(self);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: the value is ours and released once.
        unsafe { (ort::api().ReleaseValue)(self.as_ptr()) }
    }
}

fn number(element: Element) -> ONNXTensorElementDataType {
    use ONNXTensorElementDataType as Kind;
    match element {
        Element::F32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        Element::U8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        Element::I32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        Element::I64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        Element::Bool => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        Element::F16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        Element::BF16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
    }
}
