//! Training of EdgeFormer's graphs: the graph that serves is the graph that is differentiated.
#![forbid(unsafe_code)]
