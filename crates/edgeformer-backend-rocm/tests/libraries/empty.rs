//! A library without any of HIP's functions.
